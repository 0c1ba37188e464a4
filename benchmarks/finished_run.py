"""What the straight scripts take from a finished foldwise run: cases, folds and settings. Plain csv and json."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fold:
    """The images (rows of cases.csv) of one fold, and the seed of its fits."""

    repeat: int
    fold: int
    seed: int
    train: list[dict[str, str]]
    validation: list[dict[str, str]]
    test: list[dict[str, str]]


@dataclass(frozen=True)
class Settings:
    """The settings of one configuration, as they stand in plan.json."""

    task: str
    num_classes: int
    training: dict
    threads: int


def read_run(run: Path, configuration: str) -> tuple[Settings, list[Fold]]:
    """The settings of a configuration (its id, or its name) and its folds."""
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    ids = {row["id"] for row in plan["configurations"] if configuration in (row["id"], row["name"])}
    fits = [
        item["settings"]
        for item in plan["items"]
        if item["kind"] == "fit" and item["settings"]["configuration"] in ids
    ]
    if not fits:
        known = ", ".join(f"{row['id']} ({row['name']})" for row in plan["configurations"])
        raise SystemExit(f"{run} has no configuration {configuration!r}; it has {known}")
    classes = json.loads((run / "audit.json").read_text(encoding="utf-8"))["classes"]
    seeds = {(fit["repeat"], fit["fold"]): fit["seed"] for fit in fits}
    settings = Settings(fits[0]["task"], len(classes), fits[0]["training"], fits[0]["threads"])
    return settings, [_fold(run, repeat, fold, seed) for (repeat, fold), seed in sorted(seeds.items())]


def _fold(run: Path, repeat: int, fold: int, seed: int) -> Fold:
    cases = {row["index"]: row for row in _rows(run / "cases.csv")}
    parts: dict[str, list[dict[str, str]]] = {"train": [], "validation": [], "test": []}
    for row in _rows(run / "splits.csv"):
        parts[row[f"repeat {repeat} fold {fold}"]].append(cases[row["case"]])
    return Fold(repeat, fold, seed, **parts)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def refuse_unused(training: dict, handled: dict) -> None:
    """Stop where a setting is asked for that the straight script does not have: the comparison would be unfair."""
    for key, value in handled.items():
        if training[key] != value:
            raise SystemExit(
                f"the straight script knows {key} = {value!r} only, and the run has {training[key]!r}"
            )
