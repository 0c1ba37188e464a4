"""Tables in CSV: results.csv and scores.csv of a run, and a file that gathers one row of many runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from foldwise.csv_cells import TableReader, TableWriter, joined
from foldwise.errors import RunError
from foldwise.judging.scores.rows import Rows
from foldwise.judging.verdict import Verdict
from foldwise.judging.verdict_configurations import (
    ConfigurationResult,
    Cost,
    ShallowBaseline,
    Standing,
    TrivialBaseline,
)
from foldwise.metrics.outputs import Outputs, predicted
from foldwise.metrics.ratios import image_dice, image_iou
from foldwise.runs.folder import written_whole
from foldwise.text import some

STANDING = (
    "estimate", "low", "high", "difference", "difference_low", "difference_high", "p", "could_be_best", "p_wins", "run_sd",
)  # fmt: skip
LEADERBOARD = (
    "estimate", "low", "high", "se", "run_sd", "difference", "difference_low", "difference_high", "p",
    "could_be_best", "equivalent", "p_wins", "rank_low", "rank_high", "ruled_out_by", "num_done", "num_planned",
)  # fmt: skip
NUMBERS = ("num_done", "num_planned", "num_spared")  # of fits; those are spared that a race ended before
# The columns of scores.csv; by them `judging/external` recognises one.
NAMES = ("configuration", "configuration_name", "repeat", "fold", "case", "image", "group", "class")
CLASSIFIED = ("true", "predicted", "probability")
SEGMENTED = ("pixels_tp", "pixels_fp", "pixels_fn", "dice", "iou")
OUTLINED = ("nsd", "hd95")  # only where the study asks for them
MAX_KEPT = 300_000  # texts about an image and a class: 50 MB


@dataclass(frozen=True)
class ResultRow:
    """A configuration or a baseline as every table has it.

    Attributes:
        levels: of the factors; empty of a baseline, and beside `cells`, since a factor may be called like one of these.
        cells: the estimate and what the comparison says, every metric with the ends of its interval, and costs; None of
            what is not known. `confusion` is JSON: counts by [true][predicted], over folds and repeats, as in the verdict.
    """

    id: str
    name: str
    levels: Mapping[str, str]
    cells: Mapping[str, Any]


def result_rows(verdict: Verdict) -> list[ResultRow]:
    """A row per configuration, best first, then the baselines, which have fewer cells that are not None."""
    return [_result(row, verdict) for row in (*verdict.configurations, *verdict.baselines)]


def _result(row: ConfigurationResult | ShallowBaseline | TrivialBaseline, verdict: Verdict) -> ResultRow:
    fields = dict(row)
    confusion, cost = fields.get("confusion"), dict(fields.get("cost", ()))
    cells: dict[str, Any] = {"estimate": row.estimate}
    cells |= {key: fields.get(key) for key in (*Standing.model_fields, *NUMBERS)}
    cells["verdict"] = row.verdict if isinstance(row, ConfigurationResult) else row.kind
    cells["metric"] = verdict.metric.name
    for name in verdict.metrics:
        score = row.metrics.get(name)
        ends = (score.estimate, score.low, score.high) if score else (None,) * 3
        cells |= dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
    cells["confusion"] = json.dumps(confusion) if confusion else None
    return ResultRow(
        row.id, row.name, fields.get("levels", {}), cells | {key: cost.get(key) for key in Cost.model_fields}
    )


def write_results(path: Path, verdict: Verdict) -> None:
    """One row per configuration, best first, then the baselines; every averaging is in its column's name."""
    ends = [f"{metric}{end}" for metric in verdict.metrics for end in ("", "_low", "_high")]
    columns = ["verdict", "metric", *STANDING, *NUMBERS, *ends, "confusion", *Cost.model_fields]
    _write_rows(path, result_rows(verdict), columns, {"configuration": "id", "name": "name"})


def write_leaderboard(path: Path, verdict: Verdict) -> None:
    """One row per configuration of external scores, best first; what is not known is an empty cell."""
    rows = result_rows(verdict)[: len(verdict.configurations)]
    _write_rows(path, rows, ["verdict", "metric", *LEADERBOARD], {"configuration": "name"})


def _write_rows(
    path: Path, rows: Sequence[ResultRow], columns: Sequence[str], who: Mapping[str, str]
) -> None:
    """A table of these columns, after those that say which row it is and the factors."""
    factors = list(dict.fromkeys(factor for row in rows for factor in row.levels))
    lines = (
        [
            *(getattr(row, key) for key in who.values()),
            *map(row.levels.get, factors),
            *map(row.cells.get, columns),
        ]
        for row in rows
    )
    write_table(path, [*who, *factors, *columns], lines)


def write_scores(path: Path, rows: Rows) -> None:
    """Tidy scores of every image and class; what is undefined is an empty cell."""
    family = SEGMENTED if rows.family == "segmentation" else CLASSIFIED
    columns = (*family, *(OUTLINED if rows.boundaries is not None else ()))
    every = (
        ((configuration.id, configuration.name, repeat), outputs)
        for configuration in rows.configurations
        for repeat, outputs in rows.outputs_by_repeat(configuration.id)
    )
    write_outputs(path, columns, every, (rows.classes, rows.names, rows.groups))


def write_outputs(
    path: Path,
    columns: Sequence[str],
    every: Iterable[tuple[tuple[str, str, int], Outputs]],
    words: tuple[Sequence[str], Sequence[str], Sequence[str]],
) -> None:
    """Write a scores.csv, whole or not at all: one row per image and class.

    Args:
        path: of the file.
        columns: after `NAMES`.
        every: outputs of a configuration, its name, and a repeat.
        words: names of classes, and names and groups of cases.
    """
    classes, names, groups = words

    # The same for all configurations and repeats, where so many are kept.
    @lru_cache(maxsize=MAX_KEPT // len(classes))
    def about(case: int) -> list[str]:
        return [joined((case, names[case], groups[case], name)) for name in classes]

    with written_whole(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        table = TableWriter(file)
        table.row([*NAMES, *columns])
        for who, outputs in every:
            cells = _segmented(outputs) if outputs.family == "segmentation" else _classified(outputs)
            texts = (text for case in outputs.case.tolist() for text in about(case))
            folds = np.repeat(outputs.fold, len(classes)).tolist()
            start = joined(who)
            lines = zip(folds, texts, cells, strict=True)
            table.lines(f"{start},{fold},{text},{values}" for fold, text, values in lines)


def _classified(outputs: Outputs) -> list[str]:
    """The last cells of every line, image by image."""
    assert outputs.truth is not None
    assert outputs.probabilities is not None
    columns = np.stack([outputs.truth, predicted(outputs), outputs.probabilities], axis=2)
    # As `_cell` spells them, in one call for all: 0 and 1 are the only whole ones.
    text = ("%d,%d,%.6g\n" * outputs.probabilities.size) % tuple(columns.ravel().tolist())
    for short, whole in ((",0\n", ",0.0\n"), (",1\n", ",1.0\n"), (",nan\n", ",\n")):
        text = text.replace(short, whole)
    return text.splitlines()


def _segmented(outputs: Outputs) -> list[str]:
    cells = outputs.counts
    pixels = np.stack([cells.tp, cells.fp, cells.fn], axis=2).astype(np.int64).reshape(-1, 3)
    scored = [image_dice(outputs), image_iou(outputs)]
    if outputs.nsd is not None and outputs.hd95 is not None:
        scored += [outputs.nsd, outputs.hd95]
    shares = np.stack(scored, axis=2).reshape(-1, len(scored))
    return [
        ",".join([*map(str, whole), *map(_cell, own)])
        for whole, own in zip(pixels.tolist(), shares.tolist(), strict=True)
    ]


def _cell(value: float) -> str:
    # Six digits are far below the spread of any score, and keep the file small. Nothing but nan differs from itself.
    return "" if value != value else repr(float(f"{value:.6g}"))


def write_table(path: Path, header: Sequence[str], rows: Iterator[list[Any]]) -> None:
    """Write a table, whole or not at all; what is not known is an empty cell."""
    with written_whole(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        table = TableWriter(file)
        table.row(header)
        table.rows(rows)


def collect(path: Path, row: Mapping[str, Any]) -> bool:
    """Append `row` to the CSV file `path`, after its header where the file is new; whether it was not there yet.

    A row that stands there already is not written again, so that a command may be repeated. Numbers are written as
    numbers; None is an empty cell.

    Raises:
        RunError: the file has other columns; it is left as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Opened to append, read under the lock: two commands that both find the file empty would both write a header.
    with path.open("a+b") as file, _alone(file):
        file.seek(0)
        text = file.read().decode("utf-8")
        _refuse_others(path, text, list(row))
        written = _line(row.values())
        if written.strip() in text.splitlines():
            return False
        start = "" if text.endswith("\n") or not text else "\n"
        added = (start if text else _line(row)) + written
        _append(file, added.encode("utf-8"), len(text.encode("utf-8")))
    return True


def _line(cells: Any) -> str:
    # As the csv module writes it, so that a row is found again character by character.
    return f"{joined(cells)}\n"


def _refuse_others(path: Path, text: str, columns: list[str]) -> None:
    header = next(TableReader(text.splitlines()), None)
    if header is None or header == columns:
        return
    missing = [name for name in columns if name not in header]
    unknown = [name for name in header if name not in columns]
    differs = [f"lacks {some(missing)}"] * bool(missing) + [f"has {some(unknown)}"] * bool(unknown)
    raise RunError(
        f"its columns are others: it {' and '.join(differs) or 'has them in another order'}",
        where=str(path),
        cure="Name another file, since other tasks have other metrics. Nothing is trained again.",
    )


def _append(file: BinaryIO, added: bytes, size: int) -> None:
    try:
        file.write(added)
        file.flush()
        os.fsync(file.fileno())
    except OSError:
        os.ftruncate(file.fileno(), size)  # a full disk leaves no half row
        raise


@contextmanager
def _alone(file: BinaryIO) -> Iterator[None]:
    """One command at a time, so that none appends between another's look and its row."""
    try:
        import fcntl
    except ImportError:  # Windows: a single write appends whole rows there too
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
