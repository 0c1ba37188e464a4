"""What a run records of the program and the machine: someone needs it who wants the same numbers again."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from foldwise.processes import processor_name

# Packages whose versions a run records: those that can change a number.
RECORDED = (
    "torch",
    "torchvision",
    "timm",
    "segmentation-models-pytorch",
    "numpy",
    "scipy",
    "scikit-learn",
    "pillow",
    "optuna",
)


def machine_record() -> dict[str, Any]:
    """Versions of foldwise and what it stands on, and what it runs on; None for what cannot be known."""
    return {
        "foldwise": version("foldwise"),
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor_name(),
        "packages": {name: _version(name) for name in RECORDED},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of foldwise itself where it runs from its own checkout; None where it is installed."""
    root = Path(__file__).resolve().parents[3]
    # Elsewhere, git would answer for whatever repository the environment happens to lie in.
    if not (root / "pyproject.toml").is_file() or not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
        return (
            subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
            or None
        )
    except (OSError, subprocess.SubprocessError):
        return None
