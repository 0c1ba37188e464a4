"""The winner on new images: each fold's network is asked, and their probabilities are averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from foldwise.csv_cells import TableWriter
from foldwise.data.formats.pixels import Pixels, Step, plane, resize_image, resize_mask
from foldwise.data.formats.reading import as_image, read_pixels
from foldwise.data.formats.steps import refuse_doubtful, what_was_done
from foldwise.data.overlays import overlay
from foldwise.errors import DataError, FoldwiseError
from foldwise.learning.checkpoints.saved import Winner, load_winner
from foldwise.learning.checkpoints.winner import digest_of_networks
from foldwise.learning.export.proof import Predictor
from foldwise.learning.prediction_files import (
    MASKS,
    OVERLAYS,
    RECORD,
    TABLE,
    channel_places,
    check_submission,
    images_to_predict,
    png_names,
    refuse_to_replace,
    summary,
    warnings_of,
    write_submission,
)
from foldwise.learning.resuming import Answered, Journal, image_digest, settings_digest
from foldwise.learning.runtimes import pick_runtime
from foldwise.learning.training.devices import pick_device, steady
from foldwise.storage import write_json, written_whole
from foldwise.text import some

CHANNELS = {1: "gray", 3: "rgb"}  # new files are brought to these; other counts must match as they are
WARNING = "warning"  # the last column: why not to rely on this row; empty where there is nothing to say
BATCH_PX, BATCH_IMAGES = 2**20, 64  # at most so much goes through a network at once


class LeftOut(DataError):
    """Some images could not be predicted; the predictions of the others are written."""


@dataclass(frozen=True)
class ImagePrediction:
    """One new image and what the winner says of it.

    Attributes:
        probabilities: (K,), or (K, h, w) at the size in which the networks see the image.
    """

    name: str
    image_CHW: np.ndarray
    probabilities: np.ndarray


def predict_images(  # noqa: PLR0913 - each is an option of the command
    winner: Path,
    images: Path,
    out: Path,
    *,
    device: str = "auto",
    runtime: str = "auto",
    flips: bool = False,
    submission: Path | None = None,
    warn: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Path:
    """Predict every image of a folder, at any depth, or one image; `out`, which gets ``predictions.csv``.

    ``predictions.json`` says how many they are, what answered, what it had reached, and a digest of the networks.

    Classification: the probability of every class, a row per image, and the same calibrated, where the winner has a
    temperature. Segmentation: the share of each class, and under ``masks/`` a PNG of class indices (0 and 255 of two
    classes), under ``overlays/`` a picture to look at, each with the name and place of its image.

    An image that this model, asked in this way, has answered about in `out` already is not asked about again.

    Args:
        winner: the folder that `make_winner` made.
        runtime: one of `runtimes.RUNTIMES`.
        flips: whether the mirror images are asked about as well, and the mean is taken.
        out: is made if it is not there; earlier predictions in it are replaced, and nothing else.
        submission: a CSV file to write besides, see `write_submission`; of several labels only.
        warn: is given what to know before relying on the predictions, a sentence each; the last column of the table
            says which images it is about.
        progress: is given how many images are done, and of how many.

    Raises:
        RunError: there is no winner.
        SpecError: a submission of a task that has no several labels, files of somebody else that would be replaced, or a
            runtime that cannot be used.
        MissingExtra: the runtime that was asked for is not installed.
        DataError: there is no image, or none could be predicted.
        LeftOut: some could not be predicted, which is said when all others are written.
    """
    names, problems = images_to_predict(images)
    picked = pick_device(device)
    # The same probabilities each time they are asked for.
    with steady(0, torch.get_num_threads(), picked):
        loaded = load_winner(winner, picked)
        if submission is not None:
            check_submission(loaded.model.task)
        places = channel_places(loaded.channels, images, names)
        segments = loaded.model.task.endswith("segmentation")
        pngs = [f"{part}/{png}" for png in png_names(list(places)).values() for part in (MASKS, OVERLAYS)]
        refuse_to_replace(out, pngs if segments else (), submission)
        out.mkdir(parents=True, exist_ok=True)
        num_images = len(places) + len(problems)
        root = images.parent if images.is_file() else images
        chosen = pick_runtime(runtime, loaded, winner, device=picked, num_images=len(places), flips=flips)
        how = {"runtime": runtime, "device": picked.type, "flips": flips, "foldwise": version("foldwise")}
        job = _Job(loaded, root, places, out, Journal(out, settings_digest(winner, how)))
        given = job.done(chosen, problems, progress)
        _write_table(loaded, given, out, submission)
    warnings = [each.warnings for each in given.values()]
    steps = {name: each.steps for name, each in given.items()}
    done = {"images": num_images - len(problems), "winner": digest_of_networks(winner)}
    about = {"runtime": chosen.sentence(), "model": loaded.score, "flips": flips}
    write_json(out / RECORD, {"foldwise": version("foldwise"), **about, **done})
    for message in [*summary(loaded, warnings), *what_was_done(steps)]:
        warn(message)
    if problems:
        raise _left_out(problems, num_images, out)
    return out


@dataclass(frozen=True)
class _Job:
    """Images to predict, by name and place, and where to."""

    winner: Winner
    root: Path
    places: dict[str, str]
    out: Path
    journal: Journal

    def done(
        self, runtime: Predictor, problems: list[DataError], progress: Callable[[int, int], None]
    ) -> dict[str, Answered]:
        """What is said of every image that can be used, in their order; what was said before is not asked again."""
        digests = {name: image_digest(self.root, place) for name, place in self.places.items()}
        before = {
            name: self.journal.answer(name, digests[name], files) for name, files in self._files.items()
        }
        given = {name: answer for name, answer in before.items() if answer is not None}
        rest = {name: place for name, place in self.places.items() if name not in given}
        if rest:  # a table that a stopped command leaves would be of other images
            (self.out / TABLE).unlink(missing_ok=True)
        steps: dict[str, tuple[Step, ...]] = {}
        progress(len(given), len(self.places))
        how: dict[str, Any] = {"runtime": runtime, "problems": problems, "steps": steps}
        for prediction in predicted(self.winner, self.root, rest, **how):
            name = prediction.name
            answer = self._answer(prediction, steps[name])
            self.journal.add(name, digests[name], answer)
            given[name] = answer
            progress(len(given), len(self.places))
        return {name: given[name] for name in self.places if name in given}

    @cached_property
    def _files(self) -> dict[str, tuple[str, ...]]:
        """The mask and the picture of every image, below `out`; none of a classification."""
        if not self.winner.model.task.endswith("segmentation"):
            return dict.fromkeys(self.places, ())
        names = png_names(list(self.places))
        return {name: (f"{MASKS}/{png}", f"{OVERLAYS}/{png}") for name, png in names.items()}

    def _answer(self, prediction: ImagePrediction, steps: tuple[Step, ...]) -> Answered:
        winner, p = self.winner, prediction.probabilities
        warnings = tuple(warnings_of(winner, p, prediction.image_CHW.shape[1:]))
        files = self._files[prediction.name]
        if files:
            cells = self._masks(prediction, files)
            return Answered(
                (prediction.name, *files, *cells, "; ".join(warnings)), warnings, (), steps, files
            )
        labels = tuple(winner.decided(p))
        decided = "; ".join(winner.model.classes[index] for index in labels)
        by_kind = [p] if winner.temperature is None else [p, winner.calibrated(p)]
        numbers = (f"{value:.6f}" for p_K in by_kind for value in p_K)
        row = (prediction.name, decided, *numbers, "; ".join(warnings))
        return Answered(row, warnings, labels, steps)

    def _masks(self, prediction: ImagePrediction, files: tuple[str, ...]) -> list[str]:
        """Write the mask and the picture; the mean probability of what is drawn, and the share of every class."""
        labels_HW, num = mask_of(prediction), len(self.winner.model.classes)
        drawn = labels_HW * np.uint8(255) if num == 2 else labels_HW
        for file, pixels in zip(files, (drawn, overlay(prediction.image_CHW, labels_HW)), strict=True):
            with written_whole(self.out / file, durable=False) as scratch:
                Image.fromarray(pixels).save(scratch, "PNG")
        shares = np.bincount(labels_HW.ravel(), minlength=num) / labels_HW.size
        certainty = prediction.probabilities.max(0).mean()
        return [f"{certainty:.6f}", *(f"{share:.6f}" for share in shares)]


def _left_out(problems: list[DataError], num_images: int, out: Path) -> FoldwiseError:
    """What is raised at the end: some images were left out, or none is left."""
    num_kept = num_images - len(problems)
    listed = some([f"  {problem.where}: {problem.what}" for problem in problems], 20)
    listed = listed.replace(",   ", "\n  ")
    verb = "was" if len(problems) == 1 else "were"
    what = f"{len(problems)} of {num_images} images {verb} left out:\n{listed}"
    if not num_kept:
        return DataError(what, cure="See what each of them needs.")
    return LeftOut(what, cure=f"The predictions of the other {num_kept} are in {out}.")


def predicted(
    winner: Winner,
    root: Path,
    places: dict[str, str],
    *,
    runtime: Predictor,
    problems: list[DataError],
    steps: dict[str, tuple[Step, ...]],
) -> Iterator[ImagePrediction]:
    """What the winner says of each image, by name and place; those it cannot read go to `problems`.

    What decoding did to the others goes to `steps`.
    """

    def read() -> Iterator[tuple[str, np.ndarray]]:
        for name, file in places.items():
            try:
                pixels, image_CHW = _read(root, file, winner, name)
            except DataError as error:
                problems.append(DataError(error.what, where=name, cure=error.cure))
                continue
            steps[name] = pixels.steps
            yield name, image_CHW

    return answers(winner, runtime, read())


def answers(
    winner: Winner, runtime: Predictor, images: Iterable[tuple[str, np.ndarray]]
) -> Iterator[ImagePrediction]:
    """What a runtime says of images (C, H, W) as the model knows them, by name, in batches of one size."""
    waiting: list[tuple[str, np.ndarray, np.ndarray]] = []

    def answered() -> Iterator[ImagePrediction]:
        means = runtime(np.stack([fed for _, _, fed in waiting]))
        for (name, image_CHW, _), mean in zip(waiting, means, strict=True):
            yield ImagePrediction(name, image_CHW, mean)
        waiting.clear()

    for name, image_CHW in images:
        fed = as_fed(winner, image_CHW)
        # One image at a time, most of the time goes into starting each layer: measured, 9 times as much.
        most = min(BATCH_IMAGES, BATCH_PX // (fed.shape[1] * fed.shape[2]))
        if waiting and (len(waiting) >= most or waiting[0][2].shape != fed.shape):
            yield from answered()
        waiting.append((name, image_CHW, fed))
    if waiting:
        yield from answered()


def some_fed(winner: Winner, images: Path, most: int) -> list[np.ndarray]:
    """Up to `most` images of a folder, evenly from the first to the last, as they are fed to the networks (C, H, W).

    Raises:
        DataError: there is none, or one cannot be used.
    """
    places = channel_places(winner.channels, images, images_to_predict(images)[0])
    root, names = images.parent if images.is_file() else images, list(places)
    chosen = np.unique(np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int))
    read = (_read(root, places[names[index]], winner, names[index])[1] for index in chosen)
    return [as_fed(winner, image_CHW) for image_CHW in read]


def as_fed(winner: Winner, image_CHW: np.ndarray) -> np.ndarray:
    """The image at the size that the networks work at."""
    model = winner.model
    return resize_image(image_CHW, model.size_hw) if model.resized and model.size_hw else image_CHW


def _read(root: Path, file: str, winner: Winner, name: str) -> tuple[Pixels, np.ndarray]:
    """The image with the channels, the value type and the size that the model knows, and the file that it is made of."""
    return as_trained_on(read_pixels(root, file, winner.decoding), winner, file=file, name=name)


def as_trained_on(pixels: Pixels, winner: Winner, *, file: str, name: str) -> tuple[Pixels, np.ndarray]:
    """The decoded image (C, H, W) with the channels that the model knows; DataError where it cannot be used."""
    model = winner.model
    if winner.channels:
        alone = len(winner.channels) == 1
        image_CHW = plane(pixels, where=file) if alone else pixels.values
    else:
        channels = CHANNELS.get(model.num_channels, "native")
        pixels, image_CHW = as_image(pixels, channels, where=file)
    refuse_doubtful(pixels.steps, winner.decoding, where=name)
    num_channels, height, width = image_CHW.shape
    if num_channels != model.num_channels:
        what = f"the image has {num_channels} channels, the model was trained on {model.num_channels}"
        raise DataError(what, where=name)
    if str(image_CHW.dtype) != model.dtype:
        raise DataError(
            f"the image holds {image_CHW.dtype} values, the model was trained on {model.dtype}",
            where=name,
            cure="Save it with the bit depth of the training images.",
        )
    if not np.isfinite(image_CHW).all():
        raise DataError("the image holds values that are not finite (NaN or infinite)", where=name)
    segments = model.task.endswith("segmentation")
    if not segments and not model.resized and model.size_hw and (height, width) != model.size_hw:
        size = f"{model.size_hw[1]}×{model.size_hw[0]}"
        raise DataError(
            f"the image is {width}×{height} pixels, the model was trained on images of {size} as they were",
            where=name,
            cure="Bring it to that scale and size first; or state data.size in the study, and sizes are adjusted.",
        )
    return pixels, image_CHW


def _write_table(winner: Winner, given: dict[str, Answered], out: Path, submission: Path | None) -> None:
    """``predictions.csv``, whole, and a submission if one is asked.

    Classification: image, decision, probabilities as they are and calibrated. Segmentation: the mean probability of what
    is drawn, and the share of every class.
    """
    classes = winner.model.classes
    if winner.model.task.endswith("segmentation"):
        head = ["image", "mask", "overlay", "certainty", *(f"share_{name}" for name in classes)]
    else:
        kinds = ["probability"] if winner.temperature is None else ["probability", "calibrated"]
        head = ["image", "predicted", *(f"{kind}_{name}" for kind in kinds for name in classes)]
    with written_whole(out / TABLE) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        rows = TableWriter(file)
        rows.row([*head, WARNING])
        for each in given.values():
            rows.row(each.row)
    if submission is not None:
        write_submission(submission, {name: each.labels for name, each in given.items()})


def mask_of(prediction: ImagePrediction) -> np.ndarray:
    """The classes (H, W) uint8 at the size of the file."""
    # Decided first and brought to the size of the file after, so that a mask holds classes only.
    height, width = prediction.image_CHW.shape[1:]
    return resize_mask(prediction.probabilities.argmax(0).astype(np.uint8), (height, width))
