"""Every path of a run folder: the only module that spells them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from foldwise.foreign import checked_id
from foldwise.sealed import read_json
from foldwise.storage import matching


class _File:
    """A file, or a folder, of every run by the same name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, folder: RunPaths, _: type) -> Path:
        return folder.root / self.name


@dataclass(frozen=True)
class RunPaths:
    """Where everything of one run lies."""

    root: Path

    study_file = _File("study.yaml")  # a copy of the study file
    # The study as it was read: with overrides, and the data folder and weights files by their whole paths.
    study_record = _File("study.json")
    cases = _File("cases.csv")  # one row per image
    audit = _File("audit.json")  # what the checks of the data found
    splits = _File("splits.csv")  # repeat, fold and role of every case
    statistics = _File("statistics.csv")  # what every part of every fold holds
    plan = _File("plan.json")  # the items in order, and the configurations
    earlier = _File("earlier")  # plans that another one has replaced, for what was done under them
    stop = _File("stop.txt")  # asks workers and drivers to stop, until the study is run or planned again
    verdict = _File("verdict.json")  # everything the report says, as data
    curves = _File(
        "curves.npz"
    )  # curves and scores of single images behind the verdict, for the report to draw
    report = _File("report.html")
    results = _File("results.csv")  # one row per configuration
    scores = _File("scores.csv")  # one row per scored image
    judged = _File("judged.json")  # what these four are, so that damage to them is seen
    winner = _File("winner")  # the model, ready for prediction
    models = _File("models")  # other configurations, and single folds, that somebody wanted predictions of
    crowded = _File("crowded")  # items on which memory ran out while workers shared a device
    logs = _File("logs")  # what workers said
    external = _File(
        "external"
    )  # the cases of an external set, and what each chosen configuration says of them
    # Boundary scores of predicted masks, a file for each fit and tolerance; they can be computed again.
    boundaries = _File("boundaries")
    environment = _File("environment.json")  # versions, machine, seeds and digests

    def make(self, path: Path) -> None:
        """Make a folder of the run, and those between.

        Raises:
            FileNotFoundError: the run folder is gone. It is not made again here, as it may come back: a disk that is
                mounted again, a folder that was moved.
        """
        try:
            path.mkdir(exist_ok=True)
        except FileNotFoundError:
            for level in reversed((path, *path.parents)):
                if self.root in level.parents:
                    level.mkdir(exist_ok=True)

    def attempts_of(self, item_id: str) -> Path:
        """Leases of workers on an item: one numbered folder for each attempt to do it."""
        return self.root / "leases" / checked_id(item_id, "item")

    def done(self, item_id: str) -> Path:
        """What an item made, once it is committed."""
        return self.root / f"done/{checked_id(item_id, 'item')}"  # one join takes half the time of two

    def scratch(self, item_id: str, nonce: str) -> Path:
        """Where one attempt at an item writes; on the same disk as `done`, so that it can be renamed there."""
        return self.root / "scratch" / f"{checked_id(item_id, 'item')}.{nonce}"

    def checkpoint(self, item_id: str, attempt: int) -> Path:
        """How far one attempt at an item is, in case it ends before the item is done."""
        return self.scratch(item_id, f"checkpoint-{attempt}")

    def checkpoints(self) -> dict[str, list[tuple[int, Path]]]:
        """The checkpoints that are there, by item id, with the numbers of their attempts."""
        by_item: dict[str, list[tuple[int, Path]]] = {}
        for path in matching(self.root / "scratch", "*.checkpoint-*"):
            item_id, _, number = path.name.rpartition(".checkpoint-")
            if number.isdigit():
                by_item.setdefault(item_id, []).append((int(number), path))
        return by_item

    def proposals(self, search_id: str) -> Path:
        """What a search has proposed: a file for each trial, and one for what it chose in the end."""
        return self.root / "search" / checked_id(search_id, "search")

    def log(self, worker: str) -> Path:
        """What a worker said."""
        return self.logs / f"{worker}.txt"


def last_progress(attempt: Path) -> str:
    """The last words of a lease, without the count of its beats; "" before the first."""
    try:
        return (attempt / "beat").read_text(encoding="utf-8").partition("\n")[2]
    except OSError:
        return ""


def external_scores(laid_out: Path, fits: Iterable[str]) -> Path | None:
    """Where the scores of these fits' models on the set in this folder are, or are to be; None where there is no set."""
    about = laid_out / "set.json"
    if not about.is_file():
        return None
    key = sha256("/".join([read_json(about)["packed"], *fits]).encode()).hexdigest()[:16]
    return laid_out / key
