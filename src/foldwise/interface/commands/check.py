"""`foldwise check`: what a study asks for, what of it is wrong, what will run and what that takes."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from foldwise.interface.terminal import SIGNS, console, hang, say_message
from foldwise.text import broken, count, duration

if TYPE_CHECKING:
    from foldwise.data.audit.audit import Finding
    from foldwise.pipeline.preflight import Costs
    from foldwise.pipeline.preparing import Prepared
    from foldwise.runs.plan import Plan
    from foldwise.study.spec import Study

StudyPath = Annotated[Path, typer.Argument(metavar="STUDY", help="The study file (YAML).")]
Set = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change the study, e.g. train.epochs=2.")
]
Variant = Annotated[
    list[str], typer.Option("--variant", metavar="NAME", help="Lay a variant of the study over it.")
]
Phantom = Annotated[bool, typer.Option("--phantom", help="--variant phantom, laid over it first.")]
Quick = Annotated[bool, typer.Option("--quick", help="--variant quick, laid over it last.")]

WIDTH_OF_NUMBERS = 34  # columns that the numbers of the table of configurations take
MAX_NAMES = 10  # of classes in a line


def check(
    study: StudyPath,
    set_: Set = [],  # noqa: B006 - typer wants the default value itself
    variant: Variant = [],  # noqa: B006
    phantom: Phantom = False,
    quick: Quick = False,
) -> None:
    """Read the study, decode and audit its images, make the folds and the plan. Trains nothing."""
    from foldwise.pipeline import pipeline
    from foldwise.runs.launchers import default_workers
    from foldwise.study.reading import open_study

    with Decoding() as decoding:
        file = open_study(study, set_, in_order(variant, phantom=phantom, quick=quick))
        prepared, costs = pipeline.check(file, progress=decoding.show)
    say_check(prepared, costs, workers=default_workers("auto", prepared.study.threads))


def in_order(variants: list[str], *, phantom: bool, quick: bool) -> list[str]:
    """The variants in the order in which they are laid over the study, each once."""
    return list(dict.fromkeys([*(["phantom"] if phantom else []), *variants, *(["quick"] if quick else [])]))


class Decoding:
    """A bar while images are decoded; nothing is shown where they already were, or outside a terminal."""

    def __init__(self) -> None:
        columns = TextColumn("Decoding images"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        self.bar = Progress(*columns, console=console(), transient=True, disable=not sys.stdout.isatty())
        self.task = self.bar.add_task("decode", total=None, visible=False)
        self.bar.start()

    def show(self, done: int, total: int) -> None:
        """Say how many images are decoded."""
        self.bar.update(self.task, completed=done, total=total, visible=True)

    def stop(self) -> None:
        """Take the bar away."""
        self.bar.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()


def say_findings(out: Console, findings: tuple[Finding, ...]) -> None:
    """Every finding with its cure, the gravest first."""
    order = list(SIGNS)
    for finding in sorted(findings, key=lambda finding: order.index(finding.severity)):
        say_message(out, SIGNS[finding.severity], finding.message, code=finding.code, cure=finding.cure)


def say_check(prepared: Prepared, costs: Costs, *, workers: int, brief: bool = False) -> None:
    """What was recognised, what will run, what it shares, what it takes, and every warning with its cure.

    Args:
        prepared: the study and its data.
        costs: the estimate for each configuration.
        workers: how many will work at a time.
        brief: without the table of configurations.
    """
    out, study, plan = console(), prepared.study, prepared.plan
    say_title(study, out)
    for statement in prepared.dataset.statements:
        hang(out, Text("  "), Text(statement))
    groups = len(set(prepared.audit.groups))
    grouped = f" in {groups} groups" if groups < len(prepared.packed) else ""
    names = prepared.dataset.classes
    classes = ", ".join(names) if len(names) <= MAX_NAMES else f"{len(names)} classes"
    images = f"{count(len(prepared.packed), 'image')}{grouped}; {_plain(prepared.dataset.task)}: {classes}"
    hang(out, Text("  "), Text(images))
    say_findings(out, prepared.audit.findings)
    for note in costs.notes:
        hang(out, Text("  · ", "dim"), Text(note))
    if not brief:
        _say_configurations(out, prepared, costs)
    fits = sum(item.kind == "fit" for item in plan.items)
    shape = f"{count(len(plan.configurations), 'configuration')} × {count(study.validate_.folds, 'fold')}"
    if study.validate_.repeats > 1:
        shape += f" × {study.validate_.repeats} repeats"
    out.print()
    hang(out, Text("Plan:     "), Text(f"{shape} = {count(fits, 'fit')}{_shared(plan)}{_auxiliary(plan)}"))
    hang(out, Text("Estimate: "), Text(_estimate(costs.seconds(plan), costs.memory_mb(), workers, plan)))
    if foreseen := _foreseen(prepared):
        hang(out, Text("Can tell: "), Text(foreseen))
    out.print()


def _foreseen(prepared: Prepared) -> str | None:
    from foldwise.judging.statistics.power import before_training

    return before_training(
        prepared.study,
        task=prepared.dataset.task,
        labels=[case.labels for case in prepared.dataset.cases],
        groups=prepared.audit.groups,
        num_configurations=len(prepared.configurations),
    )


def say_title(study: Study, out: Console | None = None) -> None:
    """What the study is called."""
    (out or console()).print(Text(study.title or study.study, "bold"))


def _estimate(core_s: float, memory_mb: float, workers: int, plan: Plan) -> str:
    workers = min(workers, len(plan.items))
    # Starting a worker takes seconds that no estimate has, so that less than a minute means little.
    takes = f"about {duration(core_s / workers)}" if core_s / workers >= 60 else "less than a minute or so"
    cores = f"{duration(core_s)} of one core" if core_s >= 1 else "less than 1 s of one core"
    memory = f"{memory_mb:,.0f} MB a worker beside the program itself"
    return f"{takes} with {count(workers, 'worker')} on this machine ({cores}); {memory}"


def _plain(task: str) -> str:
    return task.replace("_", " ")


def _shared(plan: Plan) -> str:
    text = ""
    for kind, noun, many in (("features", "pass", "of frozen encoders"), ("pretrain", "pretraining", "")):
        number = sum(item.kind == kind for item in plan.items)
        fits = [item for item in plan.items if item.kind == "fit"]
        sharing = sum(any(need.startswith(f"{kind}-") for need in item.needs) for item in fits)
        if number:
            text += f"; {count(number, noun)} {many}".rstrip() + f" shared by {count(sharing, 'fit')}"
    return text


def _auxiliary(plan: Plan) -> str:
    """``; beside them 9 shallow baselines, 1 preview``."""
    from foldwise.runs.items import KINDS, count_kinds

    auxiliary = count_kinds(item for item in plan.items if KINDS[item.kind].is_auxiliary)
    return f"; beside them {auxiliary}" if auxiliary else ""


def _say_configurations(out: Console, prepared: Prepared, costs: Costs) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("configuration")
    for heading in ("parameters", "one fit", "memory"):
        table.add_column(heading, justify="right")
    room = 1000 if out.soft_wrap else max(out.width - WIDTH_OF_NUMBERS, 20)
    for configuration in prepared.configurations:
        cost = costs.of[configuration.id]
        numbers = f"{cost.parameters:,}", duration(cost.seconds_per_fit), f"{cost.memory_mb:,.0f} MB"
        table.add_row(Text(broken(configuration.name, room)), *numbers)
    out.print()
    out.print(table)
