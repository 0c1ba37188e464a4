"""The Python API and the command line: one file per command, and what it prints."""
