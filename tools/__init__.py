"""Programs that keep the repository in order; none is part of the package."""
