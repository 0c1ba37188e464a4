"""Sections that show the verdict: who is best, how sure that is, and why."""
