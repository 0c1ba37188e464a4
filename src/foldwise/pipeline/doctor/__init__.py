"""What of this machine decides whether, where and how fast a study runs, and what cures what is wrong."""
