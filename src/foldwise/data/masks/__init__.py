"""What the values of masks mean: classes, numbered objects, or pixels that do not count."""
