"""The command `foldwise look`: a look inside the training of one fit of a run that is done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foldwise.errors import SpecError

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/gel.")]
Fit = Annotated[
    str | None,
    typer.Option(metavar="ID", help="The beginning of a fit's id.", show_default="the winner's first"),
]
Losses = Annotated[
    str | None,
    typer.Option(metavar="A,B", help="Losses to draw.", show_default="those of the study and standard ones"),
]
Epochs = Annotated[
    str | None,
    typer.Option(metavar="N or 1,5,20", help="How many epochs, or which ones.", show_default="5"),
]
Points = Annotated[int | None, typer.Option(help="Along each side of a surface; odd.", show_default="15")]
Directions = Annotated[int | None, typer.Option(help="Random directions for lines.", show_default="5")]
Images = Annotated[
    str | None, typer.Option(metavar="N", help="Images of the training part, at most.", show_default="auto")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps; never another one than asked.")]


def look(  # noqa: PLR0913 - each is an option
    run: RunPath,
    fit: Fit = None,
    losses: Losses = None,
    epochs: Epochs = None,
    points: Points = None,
    directions: Directions = None,
    images: Images = None,
    device: Device = "auto",
) -> None:
    """Train one fit once more and look inside: loss surfaces, curvature, layers, activation maps."""
    from foldwise.interface.api import look as look_into
    from foldwise.interface.printing.look import Looking, say_look
    from foldwise.run.folder import RunFolder

    folder = RunFolder.open(run)
    with Looking() as looking:
        done = look_into(
            run,
            fit=fit,
            device=device,
            progress=looking.show,
            epochs=_numbers(epochs),
            points=points,
            directions=directions,
            images=_number(images, "--images", "a whole number or auto"),
            losses=losses,
        )
    say_look(folder, done, fresh=looking.told)


def _numbers(text: str | None) -> int | list[int] | None:
    """A number, or several with commas between."""
    if text is None or "," not in text:
        number = _number(text, "--epochs", "a whole number, or several such as 1,5,20")
        assert not isinstance(number, str)
        return number
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise SpecError(
            f"must be whole numbers, got {text!r}", where="--epochs", cure="For example: --epochs 1,5,20."
        ) from None


def _number(text: str | None, option: str, wanted: str) -> int | str | None:
    if text is None or (text == "auto" and option == "--images"):
        return text
    try:
        return int(text)
    except ValueError:
        raise SpecError(
            f"must be {wanted}, got {text!r}", where=option, cure=f"For example: {option} 8."
        ) from None
