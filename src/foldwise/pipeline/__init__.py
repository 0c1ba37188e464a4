"""The pipeline, written once: from a study file to a verdict, a report and a winner, and the workers that do its items."""
