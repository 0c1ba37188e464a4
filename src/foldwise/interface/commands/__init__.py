"""The commands: one file for each, what it prints beside what it takes."""
