"""What the reader gets: the report, the live page and figure files. Drawn, never computed again."""
