"""`foldwise run`: a study from its file to the answer: what is said on the way, and of the answer."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Self

import typer
from rich.text import Text

from foldwise.errors import ItemsFailed
from foldwise.interface.commands.check import (
    Decoding,
    Phantom,
    Quick,
    Set,
    StudyPath,
    Variant,
    in_order,
    say_check,
    say_title,
)
from foldwise.interface.commands.data import Fetching, say_fetched
from foldwise.interface.commands.status import Progress, waits_of
from foldwise.interface.terminal import SIGNS, Device, console, say_message
from foldwise.text import count

if TYPE_CHECKING:
    from foldwise.judging.verdict import Verdict
    from foldwise.pipeline.preflight import Costs
    from foldwise.pipeline.preparing import Prepared
    from foldwise.runs.folder import RunFolder

Out = Annotated[Path | None, typer.Option(help="The run folder.", show_default="runs/<study>")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes at a time.", show_default="from the cores")
]
Retry = Annotated[bool, typer.Option("--retry", help="Try failed items again.")]
NoFetch = Annotated[bool, typer.Option("--no-fetch", help="Download no data set.")]
Launcher = Annotated[
    str, typer.Option(metavar="NAME", help="local: processes here; inline: in this process, to debug.")
]


def run(  # noqa: PLR0913 - every one is an option of the command
    study: StudyPath,
    out: Out = None,
    workers: Workers = None,
    device: Device = "auto",
    set_: Set = [],  # noqa: B006 - typer wants the default value itself
    variant: Variant = [],  # noqa: B006
    phantom: Phantom = False,
    quick: Quick = False,
    retry: Retry = False,
    no_fetch: NoFetch = False,
    launcher: Launcher = "local",
) -> None:
    """Check, train what is not done yet, judge and report. Call it again to go on after an interrupt."""
    from foldwise.pipeline import pipeline
    from foldwise.study.reading import open_study

    file = open_study(study, set_, in_order(variant, phantom=phantom, quick=quick))
    options = pipeline.RunOptions(out, workers, device, launcher, retry=retry, fetch=not no_fetch)
    with Terminal() as terminal:
        folder, verdict = pipeline.run(file, options, terminal)
    fail_if_items_failed(verdict, folder.root)


def fail_if_items_failed(verdict: Verdict, folder: Path) -> None:
    """End with an error where items of a run failed, those of the fits first.

    Raises:
        ItemsFailed: says how many, and what the first one says.
    """
    of_fits = [failure.message for row in verdict.configurations for failure in row.failures]
    messages = of_fits or [item.message for item in verdict.failed_items]
    if messages:
        what = "fits" if of_fits else "items beside the fits"
        raise ItemsFailed(
            f"{len(messages)} of the {what} failed; the first says: {messages[0]}",
            cure=f"foldwise status {folder} lists them. Mend the cause, then: foldwise run STUDY --retry",
        )


class Terminal:
    """An observer of a run who prints what happens: one display at a time, and none is left at the end."""

    def __init__(self) -> None:
        self.display: Fetching | Decoding | Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        if self.display is not None:
            self.display.stop()
            self.display = None

    def fetching(self, what: str, done: int, total: int | None) -> None:
        """Draw a bar."""
        if not isinstance(self.display, Fetching):
            self._close()
            self.display = Fetching()
        self.display.show(what, done, total)

    def fetched(self, data: Path) -> None:
        """Print what was got and its licence."""
        from foldwise.data.public.getting import read_record

        self._close()
        say_fetched(read_record(data), data, brief=True)

    def decoding(self, done: int, total: int) -> None:
        """Draw a bar."""
        if not isinstance(self.display, Decoding):
            self._close()
            self.display = Decoding()
        self.display.show(done, total)

    def checked(self, prepared: Prepared, costs: Costs, workers: int) -> None:
        """Print the check, without the table of configurations."""
        self._close()
        say_check(prepared, costs, workers=workers, brief=True)

    def done_already(self, prepared: Prepared, folder: RunFolder) -> None:
        """Print that there is nothing to do."""
        self._close()
        say_done_already(prepared, folder)

    def working(self, folder: RunFolder) -> None:
        """Draw how far the run is."""
        if not isinstance(self.display, Progress):
            self._close()
            self.display = Progress(folder)
        self.display.show()

    def stopping(self, folder: RunFolder) -> None:
        """Print how far it came, and that workers are waited for."""
        if isinstance(self.display, Progress):
            self.display.stopping()

    def judged(self, folder: RunFolder, verdict: Verdict) -> None:
        """Print the answer."""
        self._close()
        say_answer(folder, verdict)


def say_done_already(prepared: Prepared, folder: RunFolder) -> None:
    """That a run has nothing left to do."""
    from foldwise.runs.plan import waiting_sentence

    out, plan = console(), prepared.plan
    say_title(prepared.study, out)
    if waits := waits_of(folder, plan):
        out.print("All that this machine can do was done already.")
        out.print(waiting_sentence(plan, waits), markup=False)
        return
    counts = folder.status(plan)
    others = {"failed": counts.failed, "skipped": counts.skipped}
    exceptions = ", ".join(f"{number} {state}" for state, number in others.items() if number)
    sentence = (
        f"{count(len(plan.items), 'item')} were done already"
        if len(plan.items) > 1
        else "the item was done already"
    )
    out.print(
        f"All {sentence}{f' ({exceptions})' if exceptions else ''}.".replace("All the", "The"), markup=False
    )


def say_answer(folder: RunFolder, verdict: Verdict) -> None:
    """The answer in a few lines, and where the report is."""
    out = console()
    answer = verdict.answer
    out.print()
    if answer:
        out.print(Text(answer.name, "bold"))
        out.print(answer.sentence, markup=False)
    else:
        out.print("No configuration has finished yet, so there is no answer.")
    for warning in verdict.warnings:
        say_message(out, SIGNS["warning"], warning.message, code=warning.code, cure=warning.cure)
    out.print(f"\nReport:  {folder.report}", markup=False)
    out.print(f"Tables:  {folder.results}", markup=False)
    if answer:
        out.print(f"Predict: foldwise predict {folder.root} NEW_IMAGES --out predictions", markup=False)
