"""The file that a challenge with several labels asks for: what is said of each image, as places in the class list."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from foldwise.errors import SpecError
from foldwise.run.folder import written_whole
from foldwise.study.spec import Task

COLUMNS = ("Id", "Predicted")


def check_submission(task: Task) -> None:
    """Raise SpecError where an image has one label only, or a mask."""
    if task != "multilabel_classification":
        raise SpecError(
            f"a submission lists several labels, and this winner's task is {task.replace('_', ' ')}",
            where="--submission",
            cure="Leave it out; predictions.csv has the decisions.",
        )


def write_submission(path: Path, said: Mapping[str, Sequence[int]]) -> None:
    """``Id,Predicted``: the image without its suffix, and the indices of its labels, from 0, with spaces between.

    The indices are those of `classes` in verdict.json, of all labels, also where groups of them have a model each. An
    image of which no label is said has an empty cell. Two images that differ in their suffix only keep it.

    Args:
        path: is replaced, whole or not at all.
        said: name of the image -> indices.
    """
    stems = {name: Path(name).with_suffix("").as_posix() for name in said}
    times = Counter(stems.values())
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for name, chosen in said.items():
            rows.writerow([stems[name] if times[stems[name]] == 1 else name, " ".join(map(str, chosen))])
