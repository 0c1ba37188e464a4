"""Models of foldwise in napari."""

__version__ = "0.1.0"
