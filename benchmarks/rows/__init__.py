"""The rows of the bench: what each measures, and how it is done in the plain way."""
