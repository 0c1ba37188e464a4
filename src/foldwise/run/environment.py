"""The machine and the software that numbers come from."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RECORDED = (
    "torch",
    "torchvision",
    "timm",
    "segmentation-models-pytorch",
    "numpy",
    "scipy",
    "scikit-learn",
    "pillow",
)


def machine() -> dict[str, Any]:
    """Versions of foldwise and what it stands on, and what it runs on; None for what cannot be known."""
    return {
        "foldwise": version("foldwise"),
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
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
        asked = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
        return (
            subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
            or None
        )
    except (OSError, subprocess.SubprocessError):
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
