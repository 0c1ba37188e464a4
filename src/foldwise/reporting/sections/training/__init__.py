"""Sections that show what happened during training."""
