"""`foldwise evaluate`: a finished run on labelled images of another source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from foldwise.errors import SpecError
from foldwise.interface.observer import Doing
from foldwise.interface.study_options import Configuration
from foldwise.interface.terminal import SIGNS, Device, RunPath, TrustCode, console, say_message

Labelled = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Labelled images, laid out as a study reads them.")
]
Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where the page goes.", show_default="<RUN>-on-<FOLDER>")
]
Set = Annotated[
    list[str],
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Where the labels are, as in data.external: masks=labels."
    ),
]


def evaluate(
    run: RunPath,
    folder: Labelled,
    out: Out = None,
    configuration: Configuration = None,
    set_: Set = [],  # noqa: B006 - typer wants the default value itself
    device: Device = "auto",
    trust_code: TrustCode = False,
) -> None:
    """A finished run on labelled images of another source: scores with intervals, and the worst images."""
    from foldwise.pipeline import evaluating
    from foldwise.study.yaml_places import parse_value

    labels = {}
    for text in set_:
        key, sign, value = text.partition("=")
        if not sign:
            raise SpecError(
                f"{text!r} is no KEY=VALUE", where="--set", cure="For example: --set masks=labels"
            )
        labels[key] = parse_value(value, where=f"--set {text}")
    how: dict[str, Any] = {"configuration": configuration, "labels": labels, "device": device}
    with Doing() as watch:
        evaluated = evaluating.evaluate(run, folder, out, trust_code=trust_code, watch=watch, **how)
    console().print(evaluated.section.sentence, markup=False, highlight=False)
    for note in evaluated.notes:
        say_message(console(), SIGNS["warning"], note, code="", cure=None)
    print(f"evaluation: {evaluated.page}")
