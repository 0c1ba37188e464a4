"""`foldwise export`: the winner for other programs, each format proven on real images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foldwise.interface.terminal import SIGNS, TrustCode, console, say_message

Model = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or a model handed over by fit.")]
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


def export(  # noqa: PLR0913 - each is an option
    run: Model,
    formats: Formats = [],  # noqa: B006 - typer wants the default value itself
    out: Out = None,
    images: Images = None,
    author: Authors = [],  # noqa: B006
    licence: Licence = None,
    pixel_size: PixelSize = None,
    try_it: TryIt = False,
    ort_web: OrtWeb = None,
    examples: Examples = 0,
    trust_code: TrustCode = False,
) -> None:
    """The winner for other programs: ONNX and a script, TorchScript, a BioImage.IO package, a page to try it; each proven, with a model card."""
    from foldwise.pipeline import exporting

    folder = out if out is not None else Path(f"{run.resolve().name}-export")
    formats = [*formats, *(["try-it"] if try_it else [])]
    options = exporting.ExportOptions(
        tuple(formats), images, tuple(author), licence, pixel_size, ort_web, examples
    )
    export_ = exporting.export(run, folder, options, trust_code=trust_code)
    for each in export_.exported:
        if each.refusal:
            say_message(
                console(),
                SIGNS["warning"],
                f"{each.file} was not written: {each.refusal}",
                code="",
                cure=None,
            )
        elif each.comparison is not None:
            sizes = "" if each.any_size else "; for images of the training size only"
            console().print(
                f"{each.file}: {each.comparison.sentence()}{sizes}", markup=False, highlight=False
            )
    for name, why in export_.left_out.items():
        console().print(f"{name} is left out: {why}", markup=False, highlight=False)
    for warning in export_.warnings:
        say_message(console(), SIGNS["warning"], warning, code="", cure=None)
    written = {each.format for each in export_.exported if not each.refusal}
    if "bioimageio" in written:
        print("bioimageio.zip shows two images of the study: its cover and its test tensor.")
    if "try-it" in written and examples:
        print("try-it.html shows images of the study to whoever gets it, as --examples asks.")
    print(f"export: {export_.folder} (read MODEL_CARD.md before you pass it on)")
