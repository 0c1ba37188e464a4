"""What the commands say: one module per kind of thing that is told, all speaking through `saying.py`."""
