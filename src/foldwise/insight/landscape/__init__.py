"""A look inside training: surfaces of losses, curvature, layers, and where a network looks."""
