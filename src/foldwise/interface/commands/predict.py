"""`foldwise predict`: the winner of a run on new images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foldwise.interface.terminal import Device

Model = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or a model handed over by fit.")]
Images = Annotated[Path, typer.Argument(metavar="IMAGES", help="A folder of images, or one image.")]
Out = Annotated[Path, typer.Option(help="Where the predictions go.")]
Pictures = Annotated[bool, typer.Option("--pictures", help="Also a page and a PNG to look at.")]
Submission = Annotated[
    Path | None, typer.Option(help="Of several labels, also a CSV: Id,Predicted with class indices.")
]


def predict(
    run: Model,
    images: Images,
    out: Out,
    device: Device = "auto",
    pictures: Pictures = False,
    submission: Submission = None,
) -> None:
    """The winner on new images: a CSV of probabilities, or masks and overlays."""
    from foldwise.interface import api

    folder = api.predict(run, images, out=out, device=device, pictures=pictures, submission=submission)
    print(f"predictions: {folder}")
    if submission is not None:
        print(f"submission:  {submission}")
    if pictures:
        print(f"pictures:    {folder / 'pictures.html'}, {folder / 'pictures.png'}")
