"""Prediction: the winner of a run on new images."""

from __future__ import annotations

from pathlib import Path

from foldwise.errors import RunError
from foldwise.learning.predict import LeftOut, predict_images
from foldwise.pipeline.devices import refuse_device
from foldwise.reporting.predictions import write_pictures
from foldwise.runs.folder import RunFolder


def predict(
    run: Path,
    images: Path,
    out: Path,
    *,
    device: str = "auto",
    pictures: bool = False,
    submission: Path | None = None,
) -> None:
    """Write a CSV of probabilities, or masks and overlays, of new images.

    Args:
        run: a run folder, or the folder of a model that was handed over.
        images: a folder of new images, or one image.
        out: the folder of the predictions.
        device: auto, cpu, cuda or mps.
        pictures: draw them too.
        submission: of several labels, a CSV file of ``Id,Predicted``.

    Raises:
        LeftOut: some images cannot be used; all others are predicted, and drawn, first.
        RunError: the run has no winner yet.
    """
    refuse_device(device)
    winner = _winner(run)
    try:
        predict_images(winner, images, out, device=device, submission=submission)
    except LeftOut:  # says which images could not be used; the others have their predictions
        if pictures:
            write_pictures(winner, images, out)
        raise
    if pictures:
        write_pictures(winner, images, out)


def _winner(run: Path) -> Path:
    if (run / "model.json").is_file():
        return run
    winner = RunFolder.open(run).winner
    if not winner.is_dir():
        raise RunError(f"{run} has no winner yet", cure=f"Finish the run, then: foldwise report {run}")
    return winner
