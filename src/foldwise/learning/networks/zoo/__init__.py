"""Readable networks from scratch: each file is one idea, with its size factors as keyword arguments."""
