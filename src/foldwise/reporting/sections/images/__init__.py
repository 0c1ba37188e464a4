"""Sections that show images and their labels."""
