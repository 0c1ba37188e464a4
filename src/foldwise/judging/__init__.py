"""Verdicts: from per-image rows to estimates, intervals and a set of configurations that could be best."""
