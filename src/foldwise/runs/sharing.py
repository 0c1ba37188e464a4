"""How many workers share the device of this process, as the crew that started it says: what is measured then, and why memory ran out."""

from __future__ import annotations

import os
from pathlib import Path

from foldwise.processes import text_of
from foldwise.runs.folder import RunFolder

ROOM = "FOLDWISE_ROOM"  # names a file that holds the number


def workers_here() -> int:
    """How many workers there are now on the device of this process, itself included; 1 where nobody says more."""
    path = os.environ.get(ROOM)
    text = text_of(Path(path)).strip() if path else ""
    return max(int(text), 1) if text.isdigit() else 1


def note_crowded(folder: RunFolder, item_id: str, workers: int) -> None:
    """Say that memory ran out while so many workers shared a device: the item is done again by one that is alone."""
    folder.crowded.mkdir(exist_ok=True)
    (folder.crowded / item_id).write_text(str(workers), encoding="ascii")


def crowded(folder: RunFolder) -> dict[str, int]:
    """Items that wait for a device of their own, with how many workers shared the one on which memory ran out."""
    if not folder.crowded.is_dir():
        return {}
    stated = {path.name: text_of(path).strip() for path in folder.crowded.iterdir()}
    return {item_id: int(text) if text.isdigit() else 2 for item_id, text in stated.items()}


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch raised because memory ran out, on any device."""
    # For a CPU, and for what libraries take beside torch, it has no error of its own, so the words have to say it.
    words = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(part in str(error) for part in words)
