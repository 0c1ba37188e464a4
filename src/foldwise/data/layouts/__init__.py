"""From a folder to cases: which layout it has, and what its labels and masks mean."""
