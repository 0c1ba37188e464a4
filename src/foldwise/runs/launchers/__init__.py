"""Where items run: a side tower that only starts workers."""
