"""`foldwise check` and `foldwise run`: a study from its file to what it will take, and on to the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foldwise.interface.displays import Decoding
from foldwise.interface.observer import Terminal, fail_if_items_failed, say_check
from foldwise.interface.terminal import Device

StudyPath = Annotated[Path, typer.Argument(metavar="STUDY", help="The study file (YAML).")]
Set = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change the study, e.g. train.epochs=2.")
]
Variant = Annotated[
    list[str], typer.Option("--variant", metavar="NAME", help="Lay a variant of the study over it.")
]
Phantom = Annotated[bool, typer.Option("--phantom", help="--variant phantom, laid over it first.")]
Quick = Annotated[bool, typer.Option("--quick", help="--variant quick, laid over it last.")]
Out = Annotated[Path | None, typer.Option(help="The run folder.", show_default="runs/<study>")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes at a time.", show_default="from the cores")
]
Retry = Annotated[bool, typer.Option("--retry", help="Try failed items again.")]
NoFetch = Annotated[bool, typer.Option("--no-fetch", help="Download no data set.")]
Launcher = Annotated[
    str, typer.Option(metavar="NAME", help="local: processes here; inline: in this process, to debug.")
]


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


def in_order(variants: list[str], *, phantom: bool, quick: bool) -> list[str]:
    """The variants in the order in which they are laid over the study, each once."""
    return list(dict.fromkeys([*(["phantom"] if phantom else []), *variants, *(["quick"] if quick else [])]))
