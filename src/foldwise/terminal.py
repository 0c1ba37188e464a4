"""What the terminal says: the check, the progress, the status and the answer."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from foldwise.study.folder import RunFolder
from foldwise.study.plan import Plan, skipped

if TYPE_CHECKING:
    from foldwise.data.checks.audit import Finding
    from foldwise.walk import Costs, Prepared

LOG_EVERY_S, LOG_AT_MOST_EVERY_S = 30.0, 5.0
SIGNS = {"error": ("✗", "bold red"), "warning": ("!", "yellow"), "note": ("·", "dim")}


def console() -> Console:
    """Where everything is said; plain and unbroken where the output is no terminal."""
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


class Decoding:
    """A bar while images are decoded; nothing is shown where they already were, or outside a terminal."""

    def __init__(self) -> None:
        columns = TextColumn("Decoding images"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        self.bar = Progress(*columns, console=console(), transient=True, disable=not sys.stdout.isatty())
        self.task = self.bar.add_task("decode", total=None, visible=False)

    def show(self, done: int, total: int) -> None:
        """Say how many images are decoded."""
        self.bar.update(self.task, completed=done, total=total, visible=True)

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.bar.stop()


def duration(seconds: float) -> str:
    """Seconds in words, in the two units that matter: ``3 min 20 s``."""
    seconds = round(seconds)
    for unit, size, smaller, fraction in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if seconds >= size:
            rest = seconds % size // fraction
            return f"{seconds // size} {unit} {rest} {smaller}" if rest else f"{seconds // size} {unit}"
    return f"{seconds} s"


def count(number: int, noun: str) -> str:
    """``1 fold``, ``2 folds``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def say_findings(out: Console, findings: tuple[Finding, ...]) -> None:
    """Every finding with its cure, the gravest first."""
    order = list(SIGNS)
    for finding in sorted(findings, key=lambda finding: order.index(finding.severity)):
        sign, style = SIGNS[finding.severity]
        out.print(f"  [{style}]{sign}[/] {escape(finding.message)} [dim]{escape(finding.code)}[/]")
        if finding.cure:
            out.print(f"    [dim]→ {escape(finding.cure)}[/]")


def say_check(prepared: Prepared, costs: Costs, *, brief: bool = False) -> None:
    """What was recognised, what will run, what it shares, what it takes, and every warning with its cure."""
    out, study, plan = console(), prepared.study, prepared.plan
    out.print(f"[bold]{escape(study.title or study.study)}[/]")
    for statement in prepared.dataset.statements:
        out.print(f"  {statement}", markup=False)
    groups = len(set(prepared.audit.groups))
    grouped = f" in {groups} groups" if groups < len(prepared.packed) else ""
    classes = ", ".join(prepared.dataset.classes)
    out.print(
        f"  {count(len(prepared.packed), 'image')}{grouped}; {_plain(prepared.dataset.task)}: {classes}",
        markup=False,
    )
    say_findings(out, prepared.audit.findings)
    for note in costs.notes:
        out.print(f"  [dim]·[/] {escape(note)}")
    if not brief:
        _say_configurations(out, prepared, costs)
    fits = sum(item.kind == "fit" for item in plan.items)
    shape = f"{count(len(plan.configurations), 'configuration')} × {count(study.validate_.folds, 'fold')}"
    if study.validate_.repeats > 1:
        shape += f" × {study.validate_.repeats} repeats"
    out.print(f"\nPlan: {shape} = {count(fits, 'fit')}{_shared(plan)}", markup=False)
    out.print(
        f"Estimate: {duration(costs.seconds(plan))} of one core, {costs.memory_mb():,.0f} MB a worker, on this machine\n",
        markup=False,
    )


def _plain(task: str) -> str:
    return task.replace("_", " ")


def _shared(plan: Plan) -> str:
    passes = sum(item.kind == "features" for item in plan.items)
    sharing = sum(bool(item.needs) for item in plan.items)
    return f"; {count(passes, 'pass')} of frozen encoders shared by {count(sharing, 'fit')}" if passes else ""


def _say_configurations(out: Console, prepared: Prepared, costs: Costs) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    table.add_column("configuration")
    for heading in ("parameters", "one fit", "memory"):
        table.add_column(heading, justify="right")
    for configuration in prepared.configurations:
        cost = costs.of[configuration.id]
        numbers = f"{cost.parameters:,}", duration(cost.seconds_per_fit), f"{cost.memory_mb:,.0f} MB"
        table.add_row(Text(configuration.name), *numbers)
    out.print()
    out.print(table)


def held_items(folder: RunFolder, plan: Plan) -> Iterator[tuple[str, dict[str, Any]]]:
    """(title, last progress) of every item somebody is working on."""
    titles = {item.id: item.title for item in plan.items}
    for item_id, beat in folder.beats().items():
        if item_id in titles:
            try:
                yield titles[item_id], json.loads(beat)
            except ValueError:
                yield titles[item_id], {}


class Watching:
    """The live display of a run; a plain line now and then where the output is no terminal."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder, self.plan, self.began = folder, folder.load_plan(), time.monotonic()
        done, failed = folder.settled()
        self.settled_before = self._settled_count(done, failed)
        self.last_line, self.last_settled = self.began, self.settled_before
        self.out = console()
        self.live = (
            Live(console=self.out, refresh_per_second=2, transient=True) if sys.stdout.isatty() else None
        )

    def __enter__(self) -> Self:
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.live:
            self.live.stop()

    def _settled_count(self, done: set[str], failed: set[str]) -> int:
        return sum(item.id in done or item.id in failed for item in self.plan.items)

    def show(self, folder: RunFolder) -> None:
        """Look at the run folder and say how far it is."""
        done, failed = folder.settled()
        settled = self._settled_count(done, failed)
        line = self._line(settled, sum(item.id in failed for item in self.plan.items))
        if self.live:
            self.live.update(Group(Text(line), self._table()))
        elif self._is_news(settled):
            self.out.print(line, markup=False)
            self.last_line, self.last_settled = time.monotonic(), settled

    def _is_news(self, settled: int) -> bool:
        waited = time.monotonic() - self.last_line
        if settled == self.last_settled:
            return waited > LOG_EVERY_S
        return waited > LOG_AT_MOST_EVERY_S or settled == len(self.plan.items)

    def _line(self, settled: int, failed: int) -> str:
        total, elapsed = len(self.plan.items), time.monotonic() - self.began
        line = f"{settled} of {total} items done, {duration(elapsed)} so far"
        fresh = settled - self.settled_before
        if fresh and settled < total:
            line += f", about {duration(elapsed / fresh * (total - settled))} to go"
        return line + (f", {failed} failed" if failed else "")

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for title, beat in held_items(self.folder, self.plan):
            far = (
                f"epoch {beat['epoch']} of {beat['epochs']}"
                if "epoch" in beat
                else beat.get("doing", "starting")
            )
            score = f"{beat['metric']} {beat['score']:.3f}" if beat.get("score") is not None else ""
            table.add_row("  ●", Text(title), far, score)
        table.add_row("", Text("Ctrl-C stops safely; the same command goes on from here.", style="dim"))
        return table


def say_status(folder: RunFolder) -> None:
    """How far a run is, what is being done now, what failed and why."""
    out, plan = console(), folder.load_plan()
    _, failed = folder.settled()
    lost = {item.id for item in skipped(plan, failed)}
    states = {state: number for state, number in asdict(folder.status(plan)).items() if number}
    listed = [f"{number} {state}" for state, number in states.items()]
    out.print(f"{folder.root}: {count(len(plan.items), 'item')}: {', '.join(listed)}", markup=False)
    for title, beat in held_items(folder, plan):
        epoch = f", epoch {beat['epoch']} of {beat['epochs']}" if "epoch" in beat else ""
        out.print(f"  running  {title}{epoch}", markup=False)
    for item in plan.items:
        if item.id in failed:
            error = (folder.result(item.id) or {}).get("error") or {}
            out.print(f"  failed   {item.title}: {error.get('message', 'no cause recorded')}", markup=False)
            out.print(f"           by hand: foldwise work {folder.root} {item.id}", markup=False, style="dim")
        elif item.id in lost:
            out.print(f"  skipped  {item.title}: it needs an item that failed", markup=False)


def say_answer(folder: RunFolder, verdict: dict[str, Any]) -> None:
    """The answer in a few lines, and where the report is."""
    out = console()
    answer = verdict["answer"]
    out.print()
    if answer:
        out.print(f"[bold]{escape(answer['name'])}[/]")
        out.print(answer["sentence"], markup=False)
    else:
        out.print("No configuration has finished yet, so there is no answer.")
    for warning in verdict["warnings"]:
        out.print(f"  [yellow]![/] {escape(warning['message'])} [dim]{escape(warning['code'])}[/]")
        if warning.get("cure"):
            out.print(f"    [dim]→ {escape(warning['cure'])}[/]")
    out.print(f"\nReport:  {folder.report}", markup=False)
    out.print(f"Tables:  {folder.results}", markup=False)
    if answer:
        out.print(f"Predict: foldwise predict {folder.root} NEW_IMAGES --out predictions", markup=False)
