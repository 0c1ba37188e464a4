"""From a verdict to a model that predicts: the winner is laid out in its folder, and used on new images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from foldwise.errors import RunError
from foldwise.foreign import refuse_strange
from foldwise.judging.verdict import Answer, Verdict
from foldwise.learning.checkpoints.winner import MODEL, Decision, Seen, make_winner
from foldwise.pipeline.devices import refuse_device
from foldwise.runs.folder import RunFolder, read_json
from foldwise.sealed import read_table
from foldwise.study.own_code import own_names
from foldwise.study.trusted_code import refuse_untrusted, trusting
from foldwise.text import in_shell


def hand_over(folder: RunFolder, verdict: Verdict) -> None:
    """Lay the models of the winner out for prediction; nothing where there is no answer."""
    if verdict.answer is None:
        return
    chosen = verdict.answer.configuration
    items = folder.load_plan().items
    fits = [item for item in items if item.kind == "fit" and item.settings["configuration"] == chosen]
    done = [folder.done(item.id) for item in fits if item.settings["repeat"] == 0]
    audited = read_json(folder.audit)
    seen = Seen(audited.get("channels", ()), _sizes_px(folder), audited.get("decoding", {}))
    make_winner(done, folder.winner, decision=_decision(verdict, verdict.answer), seen=seen)


def _sizes_px(folder: RunFolder) -> tuple[tuple[int, int], tuple[int, int]]:
    """The least and the greatest height and width of the image files."""
    rows = read_table(folder.cases)
    heights, widths = ([int(row[side]) for row in rows] for side in ("height", "width"))
    return (min(heights), max(heights)), (min(widths), max(widths))


def _decision(verdict: Verdict, answer: Answer) -> Decision:
    """The mean over folds of the thresholds of several labels, and the median of the temperature."""
    thresholds, calibration = verdict.thresholds, verdict.calibration
    temperature = None
    for own in calibration.configurations if calibration else ():
        if own.id == answer.configuration and own.temperature:
            temperature = own.temperature.median
    values = [threshold.mean for threshold in thresholds.classes.values()] if thresholds else []
    return Decision(
        answer=answer.model_dump(mode="json"),
        thresholds={"method": thresholds.method, "values": values} if thresholds else None,
        temperature=temperature,
        caution=None if verdict.beats_trivial else answer.sentence,
    )


def predict(  # noqa: PLR0913 - each is an option of the command
    run: Path,
    images: Path,
    out: Path,
    *,
    device: str = "auto",
    runtime: str = "auto",
    pictures: bool = False,
    submission: Path | None = None,
    trust_code: bool = False,
    warn: Callable[[str], None] = lambda _: None,
) -> str:
    """Write what the winner says of new images: a CSV of probabilities, or masks and overlays; what answered.

    Args:
        run: a run folder, or the folder of a model that was handed over.
        images: a folder of new images, or one image.
        out: the folder of the predictions.
        device: auto, cpu, cuda or mps.
        runtime: auto, torch or onnxruntime.
        pictures: draw them too.
        submission: of several labels, a CSV file of ``Id,Predicted``.
        trust_code: whether own code that the folder names may be run.
        warn: is given what to know before relying on the predictions, a sentence each.

    Raises:
        LeftOut: some images cannot be used; all others are predicted, and drawn, first.
        RunError: the run has no winner yet, or it needs own code that nobody trusts.
    """
    from foldwise.learning.predict import LeftOut, predict_images
    from foldwise.learning.prediction_files import RECORD
    from foldwise.reporting.predictions import write_pictures

    refuse_device(device)
    winner = winner_of(run)
    named = networks_named(winner)
    with trusting(named if trust_code else ()):
        refuse_untrusted(named, where=str(winner))
        try:
            how: dict[str, Any] = {"device": device, "runtime": runtime, "submission": submission}
            predict_images(winner, images, out, warn=warn, **how)
        except LeftOut:  # says which images could not be used; the others have their predictions
            if pictures:
                write_pictures(winner, images, out)
            raise
    if pictures:
        write_pictures(winner, images, out)
    answered: str = read_json(out / RECORD)["runtime"]
    return answered


def networks_named(winner: Path) -> frozenset[str]:
    """The own networks of a winner; its losses are not needed any more. What is malformed is said when it is loaded."""
    record = read_json(winner / MODEL)
    members = record.get("members") if isinstance(record, dict) else None
    models = [member.get("model") for member in members or () if isinstance(member, dict)]
    trainings = [model.get("training") for model in models if isinstance(model, dict)]
    return own_names([training.get("model") for training in trainings if isinstance(training, dict)])


def winner_of(run: Path) -> Path:
    """The folder of the winner of a run, or `run` where it is one itself.

    Raises:
        RunError: it is neither, or the run has no winner yet.
    """
    if (run / MODEL).is_file():
        refuse_strange(run)
        return run
    winner = RunFolder.open(run).winner
    if not winner.is_dir():
        raise RunError(
            f"{run} has no winner yet", cure=f"Finish the run, then: foldwise report {in_shell(run)}"
        )
    return winner
