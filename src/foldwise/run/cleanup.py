"""What killed processes left behind in a run folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from foldwise.run.folder import RunFolder
from foldwise.storage import is_abandoned


def sweep(folder: RunFolder) -> None:
    """Delete what is left of attempts at items that are settled, and half-written files of the dead."""
    root, leases = folder.root, folder.root / "leases"
    scratch = [(left, left.name.rpartition(".")[0]) for left in (root / "scratch").glob("*.*")]
    never_taken = [(left, left.parent.name) for left in leases.glob("*/.*")]
    half_beaten = [(left, left.parent.parent.name) for left in leases.glob("*/*/.*")]
    for left, item_id in (*scratch, *never_taken, *half_beaten):
        if folder.result(item_id) is not None:
            _remove(left)
    for left in (*root.glob(".*"), *folder.boundaries.glob(".*")):
        if is_abandoned(left):
            _remove(left)


def _remove(left: Path) -> None:
    if left.is_dir():
        shutil.rmtree(left, ignore_errors=True)
    else:
        left.unlink(missing_ok=True)
