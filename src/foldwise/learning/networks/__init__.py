"""What is trained: networks by name, their heads and their weights."""
