"""What the terminal says of a verdict on scores from elsewhere: what was read, the leaderboard, a sentence, warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from foldwise.interface.printing.saying import SIGNS, console, hang, say_message
from foldwise.judging.external.verdict import write_leaderboard
from foldwise.judging.wording import digits_of, show
from foldwise.storage import write_json
from foldwise.text import broken, count

MAX_ROWS = 40
WITH_P = ("corrected_t", "paired_t", "wilcoxon", "mcnemar")
WIDTH_OF_NUMBERS = 62  # columns that all numbers of a row take
LONGEST_TITLE = 20
STYLES = {"winner": "bold", "could be best": "", "worse": "dim", "incomplete": "dim"}
SAID = {"winner": "best estimate", "worse": "ruled out", "incomplete": "not compared"}

Record = Mapping[str, Any]


def say_verdict(verdict: Record) -> None:
    """What was recognised, the leaderboard, the answer in a sentence, and every warning with its cure."""
    out = console()
    for statement in (*verdict["read"], _size(verdict)):
        hang(out, Text("  "), Text(statement))
    out.print()
    _say_leaderboard(out, verdict)
    out.print()
    hang(out, Text(""), Text(verdict["answer"]["sentence"], "bold"))
    for factor in (verdict["factors"] or {}).get("factors", ()):
        hang(out, Text("  · ", "dim"), Text(f"{factor['factor']}: {factor['sentence']}"))
    if verdict.get("textbook"):
        out.print()
        _say_textbook(out, verdict["textbook"])
    for warning in verdict["warnings"]:
        say_message(out, SIGNS["warning"], warning["message"], code=warning["code"], cure=warning["cure"])


def _size(verdict: Record) -> str:
    """``5 configurations, 92 cases in 10 groups, 3 repeats; higher is better; differences within 0.01 ...``."""
    metric, groups = verdict["metric"], verdict["num_groups"]
    parts = [count(len(verdict["configurations"]), "configuration"), count(verdict["num_images"], "case")]
    if groups:
        parts[1] += f" in {count(groups, 'group')}"
    parts += [count(verdict[key], key.removesuffix("s")) for key in ("folds", "repeats") if verdict[key] > 1]
    better = "higher" if metric["higher_is_better"] else "lower"
    said = f"{', '.join(parts)}; {metric['title']}, {better} is better"
    margin = metric["equivalent_within"]
    return said + (f"; differences within {margin:g} are of no consequence" if margin else "")


def _say_leaderboard(out: Console, verdict: Record) -> None:
    records = verdict["configurations"]
    sure = f"{100 * (1 - verdict['alpha']):g} %"
    runs = any(record["run_sd"] for record in records)
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("configuration", overflow="fold")  # never cut: two names may begin alike
    title = verdict["metric"]["title"]
    headings = [
        title if len(title) <= LONGEST_TITLE else "score",
        f"{sure} interval",
        *(["run sd"] if runs else []),
        "ranks",
        "wins",
        "",
    ]
    for heading in headings:
        table.add_column(heading, justify="left" if not heading else "right")
    room = 1000 if out.soft_wrap else max(out.width - WIDTH_OF_NUMBERS, 16)
    for record in records[:MAX_ROWS]:
        cells = _cells(record, runs=runs)
        table.add_row(Text(broken(record["name"], room)), *cells, style=STYLES[record["verdict"]])
    out.print(table)
    if len(records) > MAX_ROWS:
        more = len(records) - MAX_ROWS
        out.print(f"... and {more} more; --out FOLDER writes all of them", style="dim", markup=False)


def _cells(record: Record, *, runs: bool) -> Sequence[str]:
    digits = digits_of(record)
    estimate = "" if record["estimate"] is None else f"{record['estimate']:.{digits}f}"
    ends = [record["low"], record["high"]]
    between = " to ".join(f"{end:.{digits}f}" for end in ends) if None not in ends else ""
    ranks = "" if record["rank_low"] is None else _range(record["rank_low"], record["rank_high"])
    wins = "" if record["p_wins"] is None else f"{100 * record['p_wins']:.0f} %"
    sd = [] if not runs else ["" if record["run_sd"] is None else show(record["run_sd"])]
    return [estimate, between, *sd, ranks, wins, str(SAID.get(record["verdict"], record["verdict"]))]


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def _say_textbook(out: Console, told: Record) -> None:
    """The p values of every textbook test that these scores allow, as they are and (Holm) for all rivals together."""
    shown = [name for name in WITH_P if any(pair[name] for pair in told["pairs"])]
    against = (
        f"Textbook tests against {told['against']}, p (Holm's in brackets); foldwise does not decide by them:"
    )
    hang(out, Text(""), Text(against))
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("configuration", overflow="fold")
    for name in shown:
        table.add_column(told["tests"][name]["title"].replace(" test", ""), justify="right")
    for pair in told["pairs"][:MAX_ROWS]:
        cells = [
            f"{pair[name]['p']:.3g} ({pair[name]['p_holm']:.3g})" if pair[name] else "" for name in shown
        ]
        table.add_row(Text(pair["id"]), *cells)
    out.print(table)
    if told["friedman"]:
        ranks = told["friedman"]
        chi2 = f"Friedman χ² {ranks['chi2']:.1f}, p {ranks['p']:.3g}; critical difference of mean ranks"
        hang(out, Text(""), Text(f"{chi2} {ranks['critical_difference']:.2f}"))


def save_verdict(folder: Path, verdict: Record) -> None:
    """Write verdict.json and leaderboard.csv, each whole or not at all, and say where they are."""
    write_json(folder / "verdict.json", verdict)
    write_leaderboard(folder / "leaderboard.csv", verdict)
    console().print(
        f"\nVerdict: {folder / 'verdict.json'}\nTable:   {folder / 'leaderboard.csv'}", markup=False
    )
