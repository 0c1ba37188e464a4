"""Searches of spaces too large to cross: who proposes configurations, and how a plan grows by them."""
