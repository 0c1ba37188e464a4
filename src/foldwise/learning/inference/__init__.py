"""A finished network asked about new images."""
