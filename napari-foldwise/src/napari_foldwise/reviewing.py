"""The images of a run whose labels are worth a look, and what is decided on them; nothing here needs Qt or napari."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from foldwise.csv_cells import read_rows
from foldwise.data.formats.reading import read_pixels
from foldwise.storage import write_table

REVIEW = "review.csv"
ACCEPT, FLAG = "accept", "flag"


@dataclass(frozen=True)
class Candidate:
    """An image of a run, with how well the configurations did on it.

    Attributes:
        image: its name in the run.
        score: 0 (worst) to 1, the median over configurations of the median over repeats: of masks the mean Dice of the
            classes but the background, else the probability that is given to what the label says.
        apart: the highest score of a configuration less the lowest, 0 to 1.
    """

    image: str
    score: float
    apart: float

    def __str__(self) -> str:
        return f"{self.image}: score {self.score:.2f}, configurations {self.apart:.2f} apart"


@dataclass(frozen=True)
class Picture:
    """An image as napari shows it, (H, W), (H, W, 3) or (C, H, W); and its label: a mask of small numbers, or words."""

    pixels: np.ndarray
    rgb: bool
    mask: np.ndarray | None
    label: str


def candidates(run: Path, *, disputed: bool = False, limit: int = 100) -> list[Candidate]:
    """The images of a judged run, the worst first, or those first on which its configurations differ most.

    Raises:
        ValueError: the folder has no scores.csv.
    """
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    of_repeat: dict[tuple[str, str, str], list[dict[str, str]]] = defaultdict(list)
    for row in _rows(run, "scores.csv"):
        of_repeat[row["image"], row["configuration"], row["repeat"]].append(row)
    for (image, configuration, _), classes in of_repeat.items():
        if (score := _score(classes)) is not None:
            scores[image][configuration].append(score)
    rated = []
    for image, by_configuration in scores.items():
        each = [median(values) for values in by_configuration.values()]
        rated.append(Candidate(image, median(each), max(each) - min(each)))
    if disputed:
        return sorted(rated, key=lambda row: (-row.apart, row.score, row.image))[:limit]
    return sorted(rated, key=lambda row: (row.score, -row.apart, row.image))[:limit]


def _rows(run: Path, name: str) -> list[dict[str, str]]:
    path = Path(run) / name
    if not path.is_file():
        raise ValueError(
            f"{run} has no {name}: choose the folder of a run that has ended, such as runs/cells"
        )
    with path.open(newline="", encoding="utf-8") as file:
        return read_rows(file)


def _score(rows: Sequence[dict[str, str]]) -> float | None:
    """The score of an image by its rows, one a class, of one configuration and repeat; None where nothing is defined."""
    if "dice" in rows[0]:
        each = [float(row["dice"]) for row in rows[1:] if row["dice"]]
    else:
        ps = [(row["true"] == "1", float(row["probability"])) for row in rows]
        if sum(true for true, _ in ps) == 1:
            each = [p for true, p in ps if true]
        else:
            each = [p if true else 1 - p for true, p in ps]
    return sum(each) / len(each) if each else None


class Review:
    """Decisions on the labels of a run, in the ``review.csv`` beside its images; each is written as it is made.

    Attributes:
        images: what is to be looked at, in order.
        path: of the table.
        decisions: decision and note by image, those that stood in the table included.
    """

    def __init__(self, run: Path, *, disputed: bool = False, limit: int = 100) -> None:
        self.images = candidates(run, disputed=disputed, limit=limit)
        data = json.loads((Path(run) / "study.json").read_text(encoding="utf-8"))["data"]
        if data.get("path") is None:
            raise ValueError(
                "the images of this run are built into foldwise: there are no labels to look through"
            )
        self.root = Path(data["path"])
        self.path = self.root / REVIEW
        self._cases = {row["name"]: row for row in _rows(run, "cases.csv")}
        self.decisions: dict[str, tuple[str, str]] = {}
        if self.path.is_file():
            with self.path.open(newline="", encoding="utf-8-sig") as file:
                rows = read_rows(file)
            self.decisions = {row["image"]: (row.get("decision", ""), row.get("note", "")) for row in rows}

    def decide(self, image: str, decision: str, note: str = "") -> None:
        """Accept or flag the label of an image, or take a decision back with an empty one; the table is written whole."""
        if decision not in ("", ACCEPT, FLAG):
            raise ValueError(f"{decision!r} is no decision: {ACCEPT}, {FLAG}, or nothing")
        self.decisions[image] = decision, note.strip()
        rows = [
            {"image": name, "decision": stated, "note": why} for name, (stated, why) in self.decisions.items()
        ]
        write_table(self.path, rows)

    def next_undecided(self, after: int = -1) -> int | None:
        """The number of the first image behind `after` that is undecided; None where all are decided."""
        order = [*range(after + 1, len(self.images)), *range(after + 1)]
        undecided = (k for k in order if not self.decisions.get(self.images[k].image, ("", ""))[0])
        return next(undecided, None)

    def picture(self, image: str) -> Picture:
        """The image and its label as the files hold them."""
        case = self._cases[image]
        values = read_pixels(self.root, case["image"]).values
        rgb = len(values) in (3, 4) and values.dtype == np.uint8
        pixels = np.moveaxis(values[:3], 0, 2) if rgb else values[0] if len(values) == 1 else values
        mask = None
        if case["mask"]:
            drawn = read_pixels(self.root, case["mask"]).values
            flat = drawn.reshape(len(drawn), -1).T
            # Whatever the values mean: each is a number of its own, the least one is 0.
            mask = np.unique(flat, axis=0, return_inverse=True)[1].reshape(drawn.shape[1:]).astype(np.int32)
        return Picture(pixels, rgb, mask, case["labels"])

    @property
    def summary(self) -> str:
        """How many are decided, and what becomes of it."""
        stated = [decision for decision, _ in self.decisions.values()]
        counts = f"{stated.count(ACCEPT)} accepted, {stated.count(FLAG)} flagged"
        return f"{counts}, in {self.path}. foldwise check names those that are flagged."
