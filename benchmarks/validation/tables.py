"""The table of the simulation: all of it as CSV, what is kept in words, and the part that docs/statistics.md shows."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.validation.pictures import draw_all
from benchmarks.validation.promises import Verdict
from benchmarks.validation.races import race_table
from benchmarks.validation.shared_luck import shared_luck_table
from foldwise.storage import written_whole
from foldwise.text import count

ROOT = Path(__file__).parents[2]
PAGE, PICTURES = ROOT / "docs/statistics.md", ROOT / "docs/pictures"
BEGIN, END = "<!-- simulated: begin -->", "<!-- simulated: end -->"
Row = dict[str, Any]


def write_tables(rows: Sequence[Row], told: Sequence[Verdict], folder: Path) -> None:
    """``table.csv``, one line per cell and measure, and ``table.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(rows, folder / "table.csv")
    with written_whole(folder / "table.md") as scratch:
        scratch.write_text(fragment(rows, told), encoding="utf-8")


ABOUT = (
    "source",
    "kind",
    "images",
    "repeats",
    "configurations",
    "grouped",
    "identical",
    "shared",
    "run_sd",
    "top",
    "folds",
    "shared_sd",
    "overlap",
    "spread",
)


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """One line per cell and measure: mean, Monte Carlo standard error, samples."""
    with written_whole(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*ABOUT, "measure", "mean", "standard_error", "samples"])
        for row in rows:
            about = [_plain(row["about"].get(name, "")) for name in ABOUT]
            for measure, (mean, error, number) in sorted(row["found"].items()):
                writer.writerow([*about, measure, f"{mean:.4f}", f"{error:.4f}", number])


def _plain(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value


def publish(rows: Sequence[Row], told: Sequence[Verdict]) -> None:
    """The table into docs/statistics.md, between its marks, and the pictures beside it."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"{PAGE} lacks the marks {BEGIN} and {END}, between which the table goes.")
    PAGE.write_text(f"{before}{BEGIN}\n\n{fragment(rows, told)}\n{END}{after}", encoding="utf-8")
    PICTURES.mkdir(exist_ok=True)
    draw_all(rows, PICTURES)


def said(told: Sequence[Verdict]) -> str:
    """One line per promise for the terminal, and the cells that break it."""
    lines = []
    for one in told:
        lines.append(
            f"{state(one):<28} {one.promise.sentence} ({one.least:.3f} to {one.most:.3f}, {one.cells} cells)"
        )
        lines += [
            f"    {named(about)}: {mean:.3f} ± {error:.3f}"
            for about, mean, error in one.below + (() if one.wider else one.above)
        ]
    return "\n".join(lines)


def state(one: Verdict) -> str:
    """In words."""
    if one.broken:
        return f"BROKEN in {len(one.below) + len(one.above) - one.wider} of {one.cells} cells"
    if one.wider:
        return f"kept, too wide in {one.wider}"
    return "kept" if not one.outside else "kept within chance"


def named(about: Row) -> str:
    """A cell in words."""
    words = [
        "drawn" if about["source"] == "shared luck" else about["source"],
        about["kind"],
        f"n = {about['images']:,}",
    ]
    words += [f"R = {about['repeats']}", f"C = {about['configurations']}"]
    words += ["groups"] * about["grouped"] + ["identical"] * about["identical"]
    if "shared_sd" in about:
        words.append(f"K = {about['folds']}, shared sd {about['shared_sd']:g}")
    words += [about["spread"], f"sd of runs {about['run_sd']:.3g}"] if "spread" in about else []
    words += ["seeds only"] * (about.get("shared") == 0) + [f"score {about.get('top')}"] * bool(
        about.get("top")
    )
    return ", ".join(words)


def fragment(rows: Sequence[Row], told: Sequence[Verdict]) -> str:
    """Promises, then foldwise beside the usual tests."""
    return (
        "\n".join(
            [
                _sizes(rows),
                "",
                *_promises(told),
                "",
                *_beside(rows),
                "",
                *_cells(rows),
                "",
                *shared_luck_table(rows),
                "",
                *race_table(rows),
            ]
        )
        + "\n"
    )


def _sizes(rows: Sequence[Row]) -> str:
    """How much was simulated, and how well a coverage is known in one cell."""
    measures = ("single", "pair", "all pairs")
    known = [[row["found"].get(f"foldwise: {one}", (np.nan, np.nan, 0)) for one in measures] for row in rows]
    errors = [f"{np.nanmedian([own[place][1] for own in known]):.3f}" for place in range(len(measures))]
    samples = [max((number for _, _, number in row["found"].values()), default=0) for row in rows]
    least, most = min(samples, default=0), max(samples, default=0)
    pairs = max((own[1][2] for own in known), default=0)
    more = f"; pairs of identical configurations in up to {pairs}" if pairs > most else ""
    each = f"{least}" if least == most else f"{least} to {most}"
    return (
        f"{count(len(rows), 'cell')} of {each} studies, {sum(samples):,} in all{more}. The Monte Carlo standard "
        f"error of a coverage in one cell is typically {errors[0]} for one score, {errors[1]} for a pair and {errors[2]} "
        "for all pairs together."
    )


def _promises(told: Sequence[Verdict]) -> Iterator[str]:
    yield "| promise | cells | least | mean | most | kept? |"
    yield "|---|---|---|---|---|---|"
    for one in told:
        ends = " | ".join(f"{value:.3f}" for value in (one.least, one.mean, one.most))
        yield f"| {one.promise.sentence} | {one.cells} | {ends} | {_kept(one)} |"


def _kept(one: Verdict) -> str:
    parts = []
    if one.below:
        worst = named(min(one.below, key=lambda cell: cell[1])[0])
        parts.append(f"**no: too low in {len(one.below)}** (worst: {worst})")
    if one.above:
        worst = named(max(one.above, key=lambda cell: cell[1])[0])
        said = "yes; wider than need be" if one.promise.wide and not parts else "wider than need be"
        parts.append(
            f"{said if one.promise.wide else '**no: too high'} in {len(one.above)}{'' if one.promise.wide else '**'} (most: {worst})"
        )
    if parts:
        return "; ".join(parts)
    outside = len(one.outside)
    return f"yes, within chance ({count(outside, 'cell is', 'cells are')} outside)" if outside else "yes"


TESTS = (
    "foldwise", "t on folds", "Wilcoxon on folds", "corrected t on folds", "t on images", "intervals overlap",
)  # fmt: skip
GROUPS = (
    ("drawn, images alone, n = 22", lambda a: _alone(a) and a["images"] == 22),
    ("drawn, images alone, n = 92", lambda a: _alone(a) and a["images"] == 92),
    ("drawn, images alone, n = 300", lambda a: _alone(a) and a["images"] == 300),
    ("drawn, images alone, n = 3,000", lambda a: _alone(a) and a["images"] == 3000),
    ("drawn, images alone, n = 30,000, one repeat", lambda a: _alone(a) and a["images"] == 30_000),
    ("drawn, images in groups, n = 92", lambda a: _drawn(a) and a["grouped"] and a["images"] == 92),
    ("drawn, images in groups, n = 3,000", lambda a: _drawn(a) and a["grouped"] and a["images"] == 3000),
    ("trained, n = 22", lambda a: _trained(a) and a["images"] == 22),
    ("trained, n = 92", lambda a: _trained(a) and a["images"] == 92),
    ("trained, n = 300", lambda a: _trained(a) and a["images"] == 300),
)


def _drawn(about: Row) -> bool:
    return about["source"] == "drawn" and about["configurations"] == 24 and about.get("shared") != 0


def _alone(about: Row) -> bool:
    return _drawn(about) and not about["grouped"]


def _trained(about: Row) -> bool:
    return about["source"] == "trained" and about["configurations"] > 2 and not about["grouped"]


def pooled(rows: Sequence[Row], wanted: Any, measure: str) -> float:
    """The mean of a measure over the cells wanted; nan where none has it."""
    known = [row["found"][measure][0] for row in rows if wanted(row["about"]) and measure in row["found"]]
    return float(np.mean(known)) if known else float("nan")


def _beside(rows: Sequence[Row]) -> Iterator[str]:
    """False alarms per pair, per family and power, ours first."""
    yield "Identical configurations called different: per pair / in a family of 24 (the usual tests with Bonferroni) / differences of 0.05 and more that are seen; a dash where nothing of the kind was simulated:"
    yield ""
    yield "| studies | " + " | ".join(TESTS) + " |"
    yield "|---" * (len(TESTS) + 1) + "|"
    for title, wanted in GROUPS:
        cells = [
            " / ".join(
                _percent(pooled(rows, wanted, f"{test}: {what}")) for what in ("alarm", "family", "power")
            )
            for test in TESTS
        ]
        if any(cell != "– / – / –" for cell in cells):
            yield f"| {title} | " + " | ".join(cells) + " |"


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.1f}" if 0 < value < 0.0995 else f"{100 * value:.0f}"


COLUMNS = (
    ("one score", "foldwise: single"),
    ("width", "foldwise: single width"),
    ("t on folds", "t on folds: single"),
    ("a pair", "foldwise: pair"),
    ("width", "foldwise: pair width"),
    ("t on folds", "t on folds: pair"),
    ("corrected t", "corrected t on folds: pair"),
    ("t on images", "t on images: pair"),
    ("all pairs", "foldwise: all pairs"),
    ("factors", "foldwise: factors"),
    ("true best in set", "foldwise: set"),
    ("set size", "foldwise: set size"),
    ("bias of best score", "foldwise: best score bias"),
    ("bias corrected", "foldwise: corrected bias"),
    ("its interval", "foldwise: corrected"),
)


def _cells(rows: Sequence[Row]) -> Iterator[str]:
    """Coverage of the truth where configurations differ, kinds of scores and of noise together."""
    yield "Coverage of the truth by 95 % intervals where configurations differ; means over kinds of scores and of noise:"
    yield ""
    yield "| studies | n | R | " + " | ".join(title for title, _ in COLUMNS) + " |"
    yield "|---" * (len(COLUMNS) + 3) + "|"
    asked = [row for row in rows if not row["about"]["identical"] and row["about"]["configurations"] > 2]
    for kind in sorted({_studies(row["about"]) for row in asked}):
        own = [row["about"] for row in asked if _studies(row["about"]) == kind]
        for images, repeats in sorted({(about["images"], about["repeats"]) for about in own}):
            these = [
                row
                for row in asked
                if (_studies(row["about"]), row["about"]["images"], row["about"]["repeats"])
                == (kind, images, repeats)
            ]
            cells = [_cell(pooled(these, lambda about: True, measure), measure) for _, measure in COLUMNS]
            yield f"| {kind} | {images:,} | {repeats} | " + " | ".join(cells) + " |"


def _studies(about: Row) -> str:
    return f"{about['source']}, images {'in groups' if about['grouped'] else 'alone'}"


def _cell(value: float, measure: str) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:.1f}" if measure.endswith("size") else f"{value:.3f}"
