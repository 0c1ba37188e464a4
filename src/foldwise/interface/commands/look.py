"""`foldwise look`: a look inside the training of one fit that is done: how far it is, and what came out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foldwise.errors import SpecError
from foldwise.interface.observer import Doing
from foldwise.interface.terminal import Device, RunPath, TrustCode, console
from foldwise.sealed import read_json
from foldwise.text import count, duration

if TYPE_CHECKING:
    from foldwise.runs.folder import RunFolder

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


def look(  # noqa: PLR0913 - each is an option
    run: RunPath,
    fit: Fit = None,
    losses: Losses = None,
    epochs: Epochs = None,
    points: Points = None,
    directions: Directions = None,
    images: Images = None,
    device: Device = "auto",
    trust_code: TrustCode = False,
) -> None:
    """Train one fit once more and look inside: loss surfaces, curvature, layers, activation maps."""
    from foldwise.pipeline import by_hand, pipeline
    from foldwise.runs.folder import RunFolder

    folder = RunFolder.open(run)
    options = {
        "epochs": _numbers(epochs),
        "points": points,
        "directions": directions,
        "images": _number(images, "--images", "a whole number or auto"),
        "losses": losses,
    }
    with Doing() as progress:
        done = by_hand.look(folder, fit, options, device=device, trust_code=trust_code, beat=progress.beat)
        pipeline.finish(folder)
    # A look that was done before says nothing of how far it is.
    say_look(folder, done, fresh=progress.has_spoken)


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


def say_look(folder: RunFolder, done: Path, *, fresh: bool) -> None:
    """Which fit was looked into, whether its training came out the same, and where the figures are.

    Args:
        folder: the run.
        done: the folder of the look.
        fresh: whether it was done now, and not before.
    """
    out, result = console(), read_json(done / "result.json")
    out.print(f"{result['title'].capitalize()}", style="bold", markup=False)
    if result["replay"]["equal"]:
        out.print(
            f"  Trained again to the same weights, bit for bit ({count(result['last_epoch'], 'epoch')})."
        )
    for warning in result["warnings"]:
        out.print(f"  ! {warning}", markup=False)
    names = ", ".join(criterion["title"] for criterion in result["criteria"])
    out.print(f"  {count(result['images'], 'image')} of the training part; {names}", markup=False)
    out.print(f"  It took {duration(result['seconds'])}." if fresh else "  It was done already.")
    out.print(f"\nReport:  {folder.report}", markup=False)
    out.print(f"Numbers: {done}", markup=False)
