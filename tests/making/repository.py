"""Where the repository lies, for tests that read its pages and studies."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
