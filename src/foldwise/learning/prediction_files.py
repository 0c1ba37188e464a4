"""What there is beside predicting: which images of a folder are predicted, what is written is called, why not to rely on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foldwise.csv_cells import TableWriter
from foldwise.data.formats.formats import readable
from foldwise.data.formats.pixels import PixelUm, in_um, is_same_size
from foldwise.data.layouts.channel_files import join_channels
from foldwise.data.layouts.files import (
    broken_links,
    hidden_images,
    image_files_below,
    unreadable_files,
)
from foldwise.data.novelty import UNLIKE_P, Novelty
from foldwise.errors import DataError, FoldwiseError, SpecError
from foldwise.learning.probability_files import FOLDER, ProbabilityKind
from foldwise.learning.resuming import JOURNAL, Answered
from foldwise.storage import written_whole
from foldwise.study.training import Task
from foldwise.text import composed, count, of_images, some

if TYPE_CHECKING:
    from foldwise.learning.checkpoints.saved import Winner

TABLE, RECORD, MASKS, OVERLAYS = "predictions.csv", "predictions.json", "masks", "overlays"  # what is written
WARNING = "warning"  # the last column: why not to rely on this row; empty where there is nothing to say
SUBMISSION_COLUMNS = ("Id", "Predicted")
NUM_CURES = 3  # of images that are left out


class LeftOut(DataError):
    """Some images could not be predicted; the predictions of the others are written."""


def images_to_predict(images: Path) -> tuple[list[str], list[DataError]]:
    """Images to predict, below the folder, and what was meant as an image and cannot be read.

    What earlier predictions wrote there is neither.
    """
    if images.is_file():
        return [images.name], []
    if not images.is_dir():
        raise DataError(f"{images} is no folder and no image", cure="Name a folder of images, or one image.")
    tables = (table for name in (TABLE, JOURNAL) for table in images.rglob(name))
    written = [table.parent / part for table in tables for part in (MASKS, OVERLAYS, FOLDER)]
    below = image_files_below(images)
    names = [name for name in below if not any((images / name).is_relative_to(part) for part in written)]
    lost = {
        ("the link leads nowhere", "Delete the link, or put its file there."): broken_links(images),
        ("it is of a kind that cannot be read", "Save it as TIFF or PNG."): unreadable_files(images),
        (
            "it is hidden, as its path has a name that begins with a dot",
            "Rename what begins with a dot.",
        ): hidden_images(images),
    }
    problems = [
        DataError(what, where=name, cure=cure) for (what, cure), files in lost.items() for name in files
    ]
    if not names and not problems:
        raise DataError(
            f"{images} holds no image", cure=f"Name a folder that holds images: {readable()} files are read."
        )
    return names, problems


def channel_places(channels: Sequence[str], images: Path, names: list[str]) -> dict[str, str]:
    """Name -> place of every image, in the channel files that the winner knows where it was trained on such."""
    if not channels:
        return {name: name for name in names}
    if images.is_file():
        raise DataError(
            f"the model takes one file per channel ({', '.join(channels)}), {images.name} is one file",
            cure="Name the folder with all of them.",
        )
    joined = join_channels(names, channels, where=str(images))
    return {name: file for file, name in joined.names.items()}


def png_names(names: Sequence[str]) -> dict[str, str]:
    """The PNG for each image: its own name with another suffix, or one more where two would share it."""
    wanted = {name: Path(name).with_suffix(".png").as_posix() for name in names}
    return distinct(wanted, {name: f"{name}.png" for name in names})


def files_of(
    winner: Winner, places: dict[str, str], large: Collection[str], kind: ProbabilityKind | None = None
) -> dict[str, tuple[str, ...]]:
    """The mask and the picture of every image, below the folder of the predictions; none of a classification.

    And the file of its probabilities, where a `kind` of these is asked for.
    """
    if not winner.model.task.endswith("segmentation"):
        return dict.fromkeys(places, ())
    pngs = png_names(list(places))
    # A mask that is written part by part, and read so, is no PNG.
    masks = pngs | {name: Path(pngs[name]).with_suffix(".tif").as_posix() for name in large}
    files = {name: (f"{MASKS}/{masks[name]}", f"{OVERLAYS}/{png}") for name, png in pngs.items()}
    if kind is None:
        return files
    return {
        name: (*own, f"{FOLDER}/{pngs[name].removesuffix('.png')}{kind.suffix}")
        for name, own in files.items()
    }


def distinct(short: Mapping[str, str], full: Mapping[str, str]) -> dict[str, str]:
    """The short form of each name, or its full one wherever two would be the same, whatever their case and Unicode form.

    Both have the same keys; no two of `full` are the same.
    """
    chosen = dict(short)
    # A full form may be the short one of another name: a.png.png of a.png, and of a.png.tif. So until all differ.
    while True:
        times = Counter(composed(text).casefold() for text in chosen.values())
        shared = [
            name
            for name, text in chosen.items()
            if times[composed(text).casefold()] > 1 and text != full[name]
        ]
        if not shared:
            return chosen
        chosen |= {name: full[name] for name in shared}


def refuse_to_replace(out: Path, names: Iterable[str], submission: Path | None, task: Task) -> None:
    """Raise SpecError where predictions would overwrite files of somebody else, such as masks that were drawn by hand.

    A folder that holds ``predictions.csv``, or a stopped command's journal, is one of earlier predictions: they are replaced.

    Args:
        names: what is to be written, below `out`.
        submission: refused, too, where an image of the task has one label only, or a mask.
    """
    if submission is not None and task != "multilabel_classification":
        what = f"a submission lists several labels, and this winner's task is {task.replace('_', ' ')}"
        raise SpecError(what, where="--submission", cure="Leave it out; predictions.csv has the decisions.")
    table = out / TABLE
    ours = (table.is_file() and _begins(table, b"image,")) or (out / JOURNAL).is_file()
    paths = [] if ours else [table, out / RECORD, *(out / name for name in names)]
    if submission is not None and not _begins(submission, ",".join(SUBMISSION_COLUMNS).encode()):
        paths.append(submission)
    there = [str(path) for path in paths if path.exists()]
    if there:
        what = f"{count(len(there), 'file is', 'files are')} there already, and would be lost: {some(there)}"
        raise SpecError(
            what, cure="Name a folder or a file that is not there yet, with --out or --submission."
        )


def _begins(path: Path, header: bytes) -> bool:
    """Whether a file begins like this, or holds nothing, as one whose writing was ended; False where there is none."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(header)) in (header, b"")


def write_submission(path: Path, labels: Mapping[str, Sequence[int]]) -> None:
    """``Id,Predicted``: the image without its suffix, and the indices of its labels, from 0, with spaces between.

    The indices are those of `classes` in verdict.json, of all labels, also where groups of them have a model each. An
    image of which no label is said has an empty cell. Two images that differ in their suffix only keep it.

    Args:
        path: is replaced, whole or not at all.
        labels: name of the image -> indices.
    """
    ids = distinct(
        {name: Path(name).with_suffix("").as_posix() for name in labels}, {name: name for name in labels}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        table = TableWriter(file)
        table.row(SUBMISSION_COLUMNS)
        for name, chosen in labels.items():
            table.row([ids[name], " ".join(map(str, chosen))])


def answered_row(cells: Sequence[str], warnings: Sequence[str], novelty: Novelty, **others: Any) -> Answered:
    """A row of ``predictions.csv`` from all its cells but the last two: how unlike the training images, and the warnings."""
    every = (*warnings, *novelty.warning)
    return Answered((*cells, novelty.cell, "; ".join(every)), every, **others)


def write_table(winner: Winner, answered: dict[str, Answered], out: Path, submission: Path | None) -> None:
    """``predictions.csv``, whole, and a submission if one is asked.

    Classification: image, decision, probabilities as they are and calibrated. Segmentation: the mean probability of what
    is drawn, and the share of every class.
    """
    classes = winner.model.classes
    if winner.model.task.endswith("segmentation"):
        with_probabilities = any(len(image.files) > 2 for image in answered.values())
        files = ["mask", "overlay", *(["probabilities"] if with_probabilities else [])]
        head = ["image", *files, "certainty", *(f"share_{name}" for name in classes)]
    else:
        kinds = ["probability"] if winner.temperature is None else ["probability", "calibrated"]
        head = ["image", "predicted", *(f"{kind}_{name}" for kind in kinds for name in classes)]
    with written_whole(out / TABLE) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        rows = TableWriter(file)
        rows.row([*head, UNLIKE_P, WARNING])
        for image in answered.values():
            rows.row(image.row)
    if submission is not None:
        write_submission(submission, {name: image.labels for name, image in answered.items()})


OTHER_PIXELS = "pixels of another size than in training"
RESCALED = "resized by another scale than in training"
UNPROVEN = "not shown to be better than a trivial predictor"
MAX_ODDS = 2.0  # of a decision against its alternative, below which it is of low certainty: 2 to 1
MAX_RESCALED = 1.25  # beyond the sizes of the training images, as both are resized to one size


def warnings_of(
    winner: Winner, probabilities: np.ndarray, size_hw: tuple[int, ...], pixel_um: PixelUm | None = None
) -> list[str]:
    """Why not to rely on the prediction of one image of this size, in a few words each.

    Args:
        pixel_um: height and width of its pixels, where its file states them.
    """
    reasons = [UNPROVEN] if winner.caution else []
    if probabilities.ndim == 1 and (doubtful := _doubtful(winner, probabilities)):
        reasons.append(f"low certainty: {' or '.join(doubtful) if len(doubtful) > 1 else doubtful[0]}")
    return (
        reasons + other_pixels(pixel_um, winner.pixel_um) + ([RESCALED] if _rescaled(winner, size_hw) else [])
    )


def _doubtful(winner: Winner, p_K: np.ndarray) -> list[str]:
    """The classes between which the decision is not 2 to 1; of several labels those that are near their threshold."""
    classes, calibrated = winner.model.classes, winner.calibrated(p_K)
    p_K = p_K.astype(np.float64) if calibrated is None else calibrated
    if winner.model.task != "multilabel_classification":
        best = float(p_K.max())
        near = np.flatnonzero(p_K * MAX_ODDS > best)
        return [classes[k] for k in near] if len(near) > 1 else []
    can_be = np.isfinite(winner.thresholds)
    from_K = np.where(can_be, winner.thresholds, 0.5)
    if (moved := winner.calibrated(from_K)) is not None:
        from_K = moved
    odds_K = (p_K / (1 - p_K).clip(1e-12)) / (from_K / (1 - from_K).clip(1e-12)).clip(1e-12)
    return [classes[k] for k in np.flatnonzero(can_be & (odds_K < MAX_ODDS) & (odds_K > 1 / MAX_ODDS))]


def other_pixels(size: PixelUm | None, training: PixelUm | None) -> list[str]:
    """The warning of an image whose file states another pixel size than that of the training images; none where one is not known."""
    differs = size is not None and training is not None and not is_same_size(size, training)
    return [OTHER_PIXELS] if differs else []


def other_pixels_sentence(warnings: Sequence[Sequence[str]], training: PixelUm | None) -> list[str]:
    """What these warnings, of every image some, come to."""
    number = sum(OTHER_PIXELS in words for words in warnings)
    if not number or training is None:
        return []
    return [
        f"{of_images(number, len(warnings))} pixels of another size than the training images, which have "
        f"{in_um(training)}, so what they show is larger or smaller than in training, and the predictions may "
        "be wrong: bring them to that pixel size first."
    ]


def _rescaled(winner: Winner, size_hw: tuple[int, ...]) -> bool:
    """Whether the image is brought to the size of the model from another size than any of the training images."""
    if not winner.model.resized or winner.sizes_px is None:
        return False
    return any(
        not least / MAX_RESCALED <= side <= most * MAX_RESCALED
        for side, (least, most) in zip(size_hw, winner.sizes_px, strict=True)
    )


def summary(winner: Winner, warnings: Sequence[Sequence[str]]) -> list[str]:
    """What all warnings come to, a sentence each."""
    sentences = [winner.caution] if winner.caution else []
    unsure = sum(any(word.startswith("low certainty") for word in words) for words in warnings)
    if unsure:
        sentences.append(
            f"{of_images(unsure, len(warnings))} a label that is less certain than {MAX_ODDS:g} to 1: see the column 'warning'."
        )
    sentences += other_pixels_sentence(warnings, winner.pixel_um)
    rescaled = sum(RESCALED in words for words in warnings)
    if rescaled:
        assert winner.sizes_px is not None and winner.model.size_hw is not None  # noqa: PT018
        (low, high), (left, right) = winner.sizes_px
        sizes = f"{left} × {low}" if (low, left) == (high, right) else f"{left} × {low} to {right} × {high}"
        to = f"{winner.model.size_hw[1]} × {winner.model.size_hw[0]}"
        sentences.append(
            f"{of_images(rescaled, len(warnings))} another size than the training images ({sizes} pixels). "
            f"All are resized to {to}, so what they show is larger or smaller than in training, and the predictions "
            "may be wrong: bring them to the size of the training images first, by cutting or by a matching zoom."
        )
    return sentences


def left_out(problems: list[DataError], num_images: int, out: Path) -> FoldwiseError:
    """What is raised at the end: some images were left out, or none is left."""
    num_kept = num_images - len(problems)
    listed = some([f"  {problem.where}: {problem.what}" for problem in problems], 20)
    listed = listed.replace(",   ", "\n  ")
    verb = "was" if len(problems) == 1 else "were"
    what = f"{len(problems)} of {num_images} images {verb} left out:\n{listed}"
    cures = list(dict.fromkeys(problem.cure for problem in problems if problem.cure))[:NUM_CURES]
    if not num_kept:
        return DataError(what, cure=" ".join(cures) or "Name images like those of the training.")
    others = f"The predictions of the other {num_kept} are in {out}."
    return LeftOut(what, cure=" ".join([others, *cures]))
