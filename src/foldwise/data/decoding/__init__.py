"""From a file to pixels: every format, bit depth and colour mode."""
