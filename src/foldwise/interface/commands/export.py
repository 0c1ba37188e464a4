"""`foldwise export` and `evaluate`: a model for other programs, each format proven; and on labelled images of another source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from foldwise.errors import SpecError
from foldwise.interface.observer import Doing
from foldwise.interface.study_options import Configuration, Fold, Model
from foldwise.interface.terminal import SIGNS, Device, RunPath, TrustCode, console, say_message

Formats = Annotated[
    list[str],
    typer.Option(
        "--format",
        metavar="NAME",
        help="onnx, script, torchscript, bioimageio or try-it. [default: all but try-it]",
    ),
]
Out = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Where the files go.", show_default="<RUN>-export")
]
Images = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Images to prove the formats on.", show_default="test images of the run"
    ),
]
Authors = Annotated[list[str], typer.Option("--author", metavar="NAME", help="Of the model; again for each.")]
Licence = Annotated[str | None, typer.Option(metavar="SPDX", help="Of the model, such as CC-BY-4.0.")]
PixelSize = Annotated[
    float | None, typer.Option(min=1e-9, max=1e9, help="Side of a training image's pixel, in µm.")
]
OrtWeb = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.tgz", help="onnxruntime-web for try-it, as npm packs it.", show_default="asked of npm"
    ),
]
TryIt = Annotated[bool, typer.Option("--try-it", help="The same as --format try-it.")]
Examples = Annotated[int, typer.Option(min=0, max=24, help="Test images that try-it may show to anybody.")]
Labelled = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Labelled images, laid out as a study reads them.")
]
Page = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where the page goes.", show_default="<RUN>-on-<FOLDER>")
]
Set = Annotated[
    list[str],
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Where the labels are, as in data.external: masks=labels."
    ),
]


def export(  # noqa: PLR0913 - each is an option
    run: Model,
    formats: Formats = [],  # noqa: B006 - typer wants the default value itself
    out: Out = None,
    configuration: Configuration = None,
    fold: Fold = None,
    images: Images = None,
    author: Authors = [],  # noqa: B006
    licence: Licence = None,
    pixel_size: PixelSize = None,
    try_it: TryIt = False,
    ort_web: OrtWeb = None,
    examples: Examples = 0,
    trust_code: TrustCode = False,
) -> None:
    """The winner, or another model, for other programs: ONNX and a script, TorchScript, a BioImage.IO package, a page to try it; each proven, with a model card."""
    from foldwise.pipeline import exporting, hand_over

    choice = hand_over.ModelChoice(configuration, fold)
    names = (*formats, *(["try-it"] if try_it else []))
    options = exporting.ExportOptions(
        names, choice, images, tuple(author), licence, pixel_size, ort_web, examples
    )
    with Doing() as watch:
        exported = exporting.export(run, out, options, trust_code=trust_code, watch=watch)
    for warning in (*exported.refused, *exported.warnings):
        say_message(console(), SIGNS["warning"], warning, code="", cure=None)
    for sentence in exported.sentences():
        console().print(sentence, markup=False, highlight=False)


def evaluate(
    run: RunPath,
    folder: Labelled,
    out: Page = None,
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
