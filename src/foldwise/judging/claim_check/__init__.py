"""Checks what a text claims against the numbers of a verdict or a table: `check` reads, looks up and tells."""
