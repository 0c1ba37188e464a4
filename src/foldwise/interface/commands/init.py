"""`foldwise init` and `demo`: a first study, drafted from a folder of images, or the worked one on built-in pictures."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from foldwise.interface.observer import Terminal, fail_if_items_failed
from foldwise.interface.study_options import Out, Set
from foldwise.interface.terminal import SIGNS, console, hang, say_message
from foldwise.text import count, in_shell, takes

if TYPE_CHECKING:
    from foldwise.pipeline.drafting import Draft, Question

DEMO = "demo.yaml"
Images = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="The folder of the images, with labels or masks.")
]
StudyFile = Annotated[Path, typer.Option("--out", metavar="STUDY", help="The study file that is written.")]
Yes = Annotated[
    bool,
    typer.Option("--yes", "-y", help="Ask nothing: take the first answer to every question, and say which."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print what was recognised as JSON, and ask nothing.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a study file that is there.")]
Hours = Annotated[float, typer.Option(min=0.01, help="That the study may take on this machine.")]


def init(
    images: Images,
    out: StudyFile = Path("study.yaml"),
    set_: Set = [],  # noqa: B006 - typer wants the default value itself
    hours: Hours = 2.0,
    yes: Yes = False,
    as_json: AsJson = False,
    force: Force = False,
) -> None:
    """Look at a folder of images, ask what only you know, and write a study that fits it. Trains nothing."""
    from foldwise.pipeline.drafting import draft, first, safest
    from foldwise.pipeline.options import Silent

    is_asked = not yes and not as_json and sys.stdin.isatty() and sys.stdout.isatty()
    unasked = first if yes else safest
    stated: dict[str, Any] = {"stated": set_, "hours": hours}
    if as_json:
        drafted = draft(images, out, force=force, ask=unasked, observer=Silent(), **stated)
        print(json.dumps(_record(drafted), ensure_ascii=False, indent=1))
        return
    with Terminal() as terminal:
        ask = _Asking(terminal) if is_asked else unasked
        drafted = draft(images, out, force=force, ask=ask, observer=terminal, **stated)
    _say(drafted)


def demo(out: Out = None) -> None:
    """The worked study: compare networks on built-in pictures, from nothing to a report, in a minute or two."""
    from foldwise.pipeline import pipeline
    from foldwise.pipeline.options import RunOptions
    from foldwise.study.reading import open_study

    with as_file(files("foldwise.interface") / DEMO) as path, Terminal() as terminal:
        folder, verdict = pipeline.run(open_study(path), RunOptions(out), terminal)
    hang(console(), Text("Study:    "), Text(f"{folder.study_file}: copy it, change it, and foldwise run it"))
    fail_if_items_failed(verdict, folder.root)


class _Asking:
    """Asks at the terminal, each question with its numbered answers."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal

    def __call__(self, question: Question) -> str | None:
        """The answer, as a study states it; None where it is left open."""
        self.terminal.pause()
        out, must = console(), question.severity == "error"
        out.print()
        sign = ("?", SIGNS[question.severity][1])
        what, *below = question.what.splitlines()
        hang(out, Text.assemble(sign, " "), Text(what))
        # Of an error the cure stands below it already.
        for line in below if must else [question.cure] * bool(question.cure):
            is_cure = not must or line.lstrip().startswith("→")
            hang(
                out, Text("  → " if is_cure else "    ", "dim"), Text(line.strip().removeprefix("→ "), "dim")
            )
        for number, choice in enumerate(question.choices, 1):
            hang(out, Text(f"  {number}  ", "bold"), Text(choice.replace("=", ": ", 1)))
        default = "" if must else "1" if question.severity == "warning" else "0"
        hint = (
            ("a number, or " if question.choices else "")
            + "KEY=VALUE"
            + ("; empty to stop" if must else "; 0 to leave it as it is")
        )
        while True:
            answer = str(typer.prompt(f"  {hint}", default=default, show_default=bool(default))).strip()
            if answer in ("", "0"):
                return None
            if answer.isdigit() and 1 <= int(answer) <= len(question.choices):
                return question.choices[int(answer) - 1]
            if "=" in answer:
                return answer
            # `drop` is as clear as the number of `data.decoding.alpha: drop`, or the whole of it.
            whole = answer.replace(": ", "=", 1)
            meant = [each for each in question.choices if each == whole or each.partition("=")[2] == answer]
            if len(meant) == 1:
                return meant[0]
            numbers = "neither one of the numbers nor" if question.choices else "not"
            out.print(f"  That is {numbers} KEY=VALUE.")


def _say(drafted: Draft) -> None:
    """What was recognised, what was chosen and why, what is left open, and the next command."""
    from foldwise.interface.checked import say_findings

    out, prepared = console(), drafted.prepared
    for statement in prepared.dataset.statements:
        hang(out, Text("  "), Text(statement))
    left_open = {question.what for question in drafted.left_open}  # these come last, once
    findings = (f for f in prepared.audit.findings if f.message not in left_open)
    say_findings(out, tuple(f for f in findings if f.severity != "note" or not f.choices))
    for answer in drafted.answers:
        hang(out, Text("  ✓ ", "green"), Text(answer.replace("=", ": ", 1)))
    for question in drafted.left_open:
        code = "left open"
        say_message(out, SIGNS[question.severity], question.what, code=code, cure=question.cure)
    study = prepared.study
    names = ", ".join(configuration.name for configuration in prepared.configurations)
    given_part = isinstance(prepared.dataset.cases[0].part, str)
    folds = "on the test part" if given_part else f"in {count(study.validate_.folds, 'fold')}"
    if study.validate_.repeats > 1:
        folds += f", {study.validate_.repeats} times"
    spared = prepared.plan.race is not None
    out.print()
    hang(out, Text("Compares: "), Text(f"{names}; {folds}"))
    hang(out, Text("Takes:    "), Text(f"{takes(drafted.seconds, at_most=spared)} on this machine"))
    hang(out, Text("Written:  "), Text(str(drafted.path)))
    hang(out, Text("Next:     "), Text(f"foldwise run {in_shell(drafted.path)}"))


def _record(drafted: Draft) -> dict[str, Any]:
    """The same for programs."""
    prepared = drafted.prepared
    return {
        "study": str(drafted.path),
        "images": len(prepared.packed),
        "task": prepared.dataset.task,
        "layout": prepared.dataset.layout,
        "classes": prepared.dataset.classes,
        "channels": prepared.packed.num_channels,
        "groups": len(set(prepared.audit.groups)),
        "statements": prepared.dataset.statements,
        "findings": [asdict(finding) for finding in prepared.audit.findings],
        "answers": drafted.answers,
        "left_open": [asdict(question) for question in drafted.left_open],
        "configurations": [configuration.name for configuration in prepared.configurations],
        "seconds": round(drafted.seconds, 1),
        "memory_mb": round(drafted.costs.memory_mb()),
        "next": f"foldwise run {in_shell(drafted.path)}",
    }
