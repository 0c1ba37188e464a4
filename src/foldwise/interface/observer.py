"""What is printed on the way: by a run of its data, the check, its progress and the answer; by others of what they are doing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from rich.status import Status
from rich.text import Text

from foldwise.errors import ItemsFailed
from foldwise.interface.checked import say_check, say_title
from foldwise.interface.terminal import (
    SIGNS,
    DecodingBar,
    Fetching,
    HowFar,
    Lines,
    RunProgress,
    Trying,
    console,
    say_message,
    say_warnings,
)
from foldwise.text import count, in_shell

if TYPE_CHECKING:
    from foldwise.judging.verdict import Verdict
    from foldwise.pipeline.preflight import Costs
    from foldwise.pipeline.preparing import Prepared
    from foldwise.runs.folder import RunFolder
    from foldwise.runs.plan import Plan

D = TypeVar("D", Fetching, DecodingBar, Trying, RunProgress)


class Terminal:
    """An observer of a run who prints what happens: one display at a time, and none is left at the end."""

    def __init__(self, spelled: Callable[[str], str] = str) -> None:
        self.spelled = spelled  # commands, as whoever watches writes them
        self.display: Fetching | DecodingBar | Trying | RunProgress | None = None
        self.waits: frozenset[str] = frozenset()  # items that no worker of this run can do

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._close()

    def pause(self) -> None:
        """Take away what moves, so that something can be asked; what comes next shows again."""
        self._close()

    def _close(self) -> None:
        if self.display is not None:
            self.display.stop()
            self.display = None

    def _shown(self, kind: type[D], *arguments: Any) -> D:
        """The display of this class: the one that is shown, or a new one in its place."""
        # One at a time: rich draws them all at the foot of the terminal, and refuses a second one.
        if not isinstance(self.display, kind):
            self._close()
            self.display = kind(*arguments)
        return self.display

    def fetching(self, what: str, done: int, total: int | None) -> None:
        """Draw a bar."""
        self._shown(Fetching).show(what, done, total)

    def fetched(self, data: Path) -> None:
        """Print what was got and its licence."""
        from foldwise.data.public.getting import read_record

        self._close()
        say_fetched(read_record(data), data, brief=True)

    def decoding(self, done: int, total: int) -> None:
        """Draw a bar."""
        self._shown(DecodingBar).show(done, total)

    def trying(self, number: int, total: int) -> None:
        """Draw a bar."""
        self._shown(Trying).show(number, total)

    def checked(self, prepared: Prepared, costs: Costs, workers: int) -> None:
        """Print the check, without the table of configurations."""
        self._close()
        self.waits = costs.waits
        say_check(prepared, costs, workers=workers, brief=True)

    def done_already(self, prepared: Prepared, folder: RunFolder) -> None:
        """Print that there is nothing to do."""
        self._close()
        say_done_already(prepared, folder)

    def mending(self, what: str) -> None:
        """Print what was damaged, and that it is made again."""
        self._close()
        say_message(console(), SIGNS["warning"], what, code="DAMAGED", cure=None)

    def working(self, folder: RunFolder) -> None:
        """Draw how far the run is."""
        self._shown(RunProgress, folder, self.waits).show()

    def stopping(self, folder: RunFolder) -> None:
        """Print how far it came, and that workers are waited for."""
        if isinstance(self.display, RunProgress):
            self.display.stopping()

    def judged(self, folder: RunFolder, verdict: Verdict) -> None:
        """Print the answer."""
        self._close()
        say_answer(folder, verdict, self.spelled)


class Doing:
    """A line that says what is being done; outside a terminal plain ones, at growing intervals.

    Args:
        silent: whether nothing is said, since the output is to hold something else alone.
    """

    def __init__(self, *, silent: bool = False) -> None:
        moves = sys.stdout.isatty() and not silent
        self.status = Status("Starting", console=console()) if moves else None
        self.silent, self.words, self.how_far = silent, "", HowFar()
        self.lines: Lines | None = None

    @property
    def has_spoken(self) -> bool:
        """Whether anything was done."""
        return bool(self.words)

    def say(self, what: str) -> None:
        """Say what is being done from now on."""
        self.words, self.how_far = what, HowFar()
        self._update()

    def beat(self, about: Mapping[str, Any]) -> None:
        """Say what an item does, as it tells."""
        self.say(str(about["doing"]))

    def show(self, done: float, total: int) -> None:
        """Say how much of it is done."""
        self.how_far.show(done, total)
        self._update()

    def _line(self) -> str:
        return ": ".join(filter(None, (self.words, self.how_far.words())))

    def _update(self) -> None:
        if self.status:
            self.status.update(Text(self._line()))

    def __enter__(self) -> Self:
        if self.status:
            self.status.start()
        elif not self.silent:
            self.lines = Lines(self._line)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.status:
            self.status.stop()
        if self.lines:
            self.lines.stop()


def say_fetched(record: dict[str, Any], folder: Path, *, brief: bool = False) -> None:
    """What was got, where it is, and, unless a study asked for it, what to write into one."""
    out = console()
    is_in, licence = f"{record['title']} is in {folder}.", f"Licence: {record['licence']}"
    for line in (is_in, *record["said"], *record["notes"], licence):
        out.print(line, markup=False)  # brackets in a title or a path are no markup of rich
    if brief:
        return
    out.print(f"In a study file:\ndata: {{source: {record['source']}}}", markup=False)
    if record["study"]:
        out.print(f"which brings with it:\n{record['study']}", markup=False)


def say_done_already(prepared: Prepared, folder: RunFolder) -> None:
    """That a run has nothing left to do."""
    from foldwise.pipeline.devices import waiting_now
    from foldwise.runs.plan import waiting_sentence, with_proposals

    out, plan = console(), with_proposals(prepared.plan, folder.proposals)
    say_title(prepared.study, out)
    if waits := waiting_now(folder, plan):
        out.print("All that this machine can do was done already.")
        out.print(waiting_sentence(plan, waits), markup=False)
        return
    counts = folder.status(plan)
    others = {"failed": counts.failed, "skipped": counts.skipped}
    exceptions = ", ".join(f"{number} {state}" for state, number in others.items() if number)
    many = len(plan.items) > 1
    items = f"All {count(len(plan.items), 'item')} were" if many else "The item was"
    out.print(f"{items} done already{f' ({exceptions})' if exceptions else ''}.", markup=False)


def say_planned(folder: RunFolder) -> None:
    """Where the run folder is, and what comes next."""
    counts = folder.status(folder.load_plan())
    left = counts.waiting + counts.running
    out = console()
    for line in done_again_lines(folder, folder.load_plan()):
        out.print(line, markup=False)
    to_come = folder.load_plan().num_to_come
    by = "a race releases look by look" if folder.load_plan().race else "searches propose on the way"
    more = f", and at most {to_come} that {by}" if to_come else ""
    out.print(f"Run folder: {folder.root}, {count(left, 'item')} to do{more}", markup=False)
    rows = (
        (
            "workers",
            f"foldwise work {in_shell(folder.root)}",
            "as many as you like, on any machine that sees the folder",
        ),
        ("how far", f"foldwise status {in_shell(folder.root)}", ""),
        ("answer", f"foldwise report {in_shell(folder.root)}", "whenever you like"),
    )
    for what, command, note in rows if left else rows[2:]:
        out.print(f"{what + ':':12}{command}{'    # ' + note if note else ''}", markup=False)


def done_again_lines(folder: RunFolder, plan: Plan) -> Iterator[str]:
    """Which items are done again that were done before the study was edited, and why."""
    from foldwise.runs.edits import done_again

    for reason, number in done_again(folder, plan).items():
        were = "were" if number > 1 else "was"
        yield f"  again    {count(number, 'item')} that {were} done before: {reason}"


def say_answer(folder: RunFolder, verdict: Verdict, spelled: Callable[[str], str] = str) -> None:
    """The answer in a few lines, and where the report is; commands as `spelled` writes them."""
    out = console()
    answer = verdict.answer
    out.print()
    say_warnings(out, verdict.left_out)
    if answer:
        out.print(Text(answer.name, "bold"))
        out.print(answer.sentence, markup=False)
    else:
        out.print("No configuration has finished yet, so there is no answer.")
    if verdict.external:
        out.print(verdict.external.sentence, markup=False)
    say_warnings(out, verdict.cautions)
    out.print(f"\nReport:  {folder.report}", markup=False)
    out.print(f"Tables:  {folder.results}", markup=False)
    if answer:
        command = f"Predict: foldwise predict {in_shell(folder.root)} NEW_IMAGES --out predictions"
        out.print(spelled(command), markup=False)


def fail_if_items_failed(verdict: Verdict, folder: Path) -> None:
    """End with an error where items of a run failed, those of the fits first.

    Raises:
        ItemsFailed: says how many, and what the first one says.
    """
    of_fits = [failure.message for row in verdict.configurations for failure in row.failures]
    # The answer stands without the items beside the fits: these are named only where no fit failed.
    messages = of_fits or [item.message for item in verdict.failed_items]
    if messages:
        what = "fits" if of_fits else "items beside the fits"
        raise ItemsFailed(
            f"{len(messages)} of the {what} failed; the first says: {messages[0]}",
            cure=f"foldwise status {in_shell(folder)} lists them. Mend the cause, then: foldwise run STUDY --retry",
        )
