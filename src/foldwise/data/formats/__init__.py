"""Files to pixels: every format, bit depth and colour mode."""
