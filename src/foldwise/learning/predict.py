"""The winner on new images: each fold's network is asked, and their probabilities are averaged."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from foldwise.data.formats.formats import pixel_um
from foldwise.data.formats.pixels import PixelUm, Step, resize_image, resize_mask
from foldwise.data.formats.reading import channel_files
from foldwise.data.formats.steps import what_was_done
from foldwise.data.formats.windows import large_image
from foldwise.data.overlays import overlay
from foldwise.errors import DataError
from foldwise.learning.checkpoints.saved import Winner, load_winner
from foldwise.learning.checkpoints.winner import digest_of_networks, settings_digest, why_unknown
from foldwise.learning.large_images import large_among, write_large
from foldwise.learning.model_inputs import as_fed, read_as_trained_on, read_resized
from foldwise.learning.prediction_files import (
    RECORD,
    TABLE,
    answered_row,
    channel_places,
    files_of,
    images_to_predict,
    left_out,
    refuse_to_replace,
    summary,
    warnings_of,
    write_table,
)
from foldwise.learning.probability_files import ProbabilityKind, kind_of, write_probabilities
from foldwise.learning.resuming import Answered, Journal, image_digest
from foldwise.learning.runtimes import pick_runtime
from foldwise.learning.training.devices import pick_device, steady
from foldwise.storage import write_json, written_whole

if TYPE_CHECKING:
    from foldwise.learning.export.proof import Predictor

BATCH_PX, BATCH_IMAGES = 2**20, 64  # at most so much goes through a network at once
Progress = Callable[[float, int], None]


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
    probabilities: str | None = None,
    submission: Path | None = None,
    warn: Callable[[str], None] = lambda _: None,
    progress: Progress = lambda *_: None,
    doing: Callable[[str], None] = lambda _: None,
) -> Path:
    """Predict every image of a folder, at any depth, or one image; `out`, with ``predictions.csv`` and ``.json``.

    Classification: the probability of every class, and calibrated where the winner has a temperature. Segmentation: the
    share of each class, under ``masks/`` a PNG of class indices (0 and 255 of two classes), under ``overlays/`` a picture.
    Large images go part by part, their masks as TIFFs. What the same model and settings wrote to `out` is not done again.

    Args:
        winner, out: the folder that `make_winner` made; a folder, in which earlier predictions are replaced and nothing else.
        runtime, submission: one of `runtimes.RUNTIMES`; a CSV file to write besides, see `write_submission`.
        flips, probabilities: whether mirror images are predicted, too; of masks, a kind of `PROBABILITIES` to write.
        warn, doing: called with what to know; with what is being done, such as the tile of a large image.
        progress: called with how many images are done, parts as a fraction, and of how many.

    Raises:
        FoldwiseError: there is no winner or no image, the runtime cannot be used, or files of somebody else are in `out`.
        LeftOut: some could not be predicted, which is said when all others are written.
    """
    (names, problems), picked = images_to_predict(images), pick_device(device)
    with steady(0, torch.get_num_threads(), picked):  # the same probabilities each time
        loaded = load_winner(winner, picked)
        kind = kind_of(probabilities, loaded.model.task)
        places = channel_places(loaded.channels, images, names)
        root = images.parent if images.is_file() else images
        large = large_among(loaded, root, places, problems)
        files = files_of(loaded, places, large, kind)
        refuse_to_replace(out, chain.from_iterable(files.values()), submission, loaded.model.task)
        chosen = pick_runtime(runtime, loaded, winner, device=picked, num_images=len(places), flips=flips)
        how = {"runtime": runtime, "device": picked.type, "flips": flips, "probabilities": probabilities}
        journal = Journal(out, settings_digest(winner, how | {"foldwise": version("foldwise")}))
        job = _Job(loaded, root, places, out, journal, files, large, picked, flips, kind, doing)
        answered = job.done(chosen, problems, progress)
        write_table(loaded, answered, out, submission)
    predicted_by = {"runtime": chosen.sentence(), "flips": flips, "images": len(answered)}
    write_json(out / RECORD, _record(loaded, winner, kind, probabilities) | predicted_by)
    _tell(loaded, answered, problems, out, warn)
    return out


def _record(winner: Winner, folder: Path, kind: ProbabilityKind | None, name: str | None) -> dict[str, Any]:
    """What predictions are of, for a program that reads them."""
    about = {"kind": name, "one_is": kind.scale, "classes": winner.model.classes} if kind else None
    stated: dict[str, Any] = {"foldwise": version("foldwise"), "model": winner.score}
    stated |= {"winner": digest_of_networks(folder)}
    stated |= dict(zip(["unlike"], why_unknown(winner.training_images), strict=False))
    return stated | ({"probabilities": about} if about else {})


def _tell(
    winner: Winner,
    answered: dict[str, Answered],
    problems: list[DataError],
    out: Path,
    warn: Callable[[str], None],
) -> None:
    """Warn of what to know before relying on the predictions, and raise where images were left out."""
    warnings = {name: image.warnings for name, image in answered.items()}
    steps = {name: image.steps for name, image in answered.items()}
    unlike = winner.training_images.sentence(warnings)
    for message in (*summary(winner, list(warnings.values())), *unlike, *what_was_done(steps)):
        warn(message)
    if problems:
        raise left_out(problems, len(answered) + len(problems), out)


@dataclass(frozen=True)
class _Job:
    """Images to predict, by name and place, and where to; `large` ones are read in windows."""

    winner: Winner
    root: Path
    places: dict[str, str]
    out: Path
    journal: Journal
    files: dict[str, tuple[str, ...]]
    large: dict[str, tuple[int, ...]]
    device: torch.device
    flips: bool
    kind: ProbabilityKind | None
    doing: Callable[[str], None]

    def done(self, runtime: Predictor, problems: list[DataError], progress: Progress) -> dict[str, Answered]:
        """What is said of every image that can be used, in their order; what was said before is not asked again."""
        self.doing("reading the files")
        digests = {name: image_digest(self.root, file) for name, file in self.places.items()}
        before = {name: self.journal.answer(name, digests[name], files) for name, files in self.files.items()}
        answered = {name: answer for name, answer in before.items() if answer is not None}
        rest = {name: file for name, file in self.places.items() if name not in answered}
        if rest:  # a table that a stopped command leaves would be of other images
            (self.out / TABLE).unlink(missing_ok=True)
        steps: dict[str, tuple[Step, ...]] = {}
        self.doing("")
        progress(len(answered), len(self.places))
        how: dict[str, Any] = {"runtime": runtime, "problems": problems, "steps": steps}
        # Masks are drawn part by part; an image that is resized goes with the others once it is.
        by_parts = {name: digests[name] for name in rest if name in self.large and self.files[name]}
        usual = {name: file for name, file in rest.items() if name not in by_parts}
        predictions = predicted(self.winner, self.root, usual, resized=self.large, **how)
        answers = (self._answer(each, steps[each.name]) for each in predictions)

        def part_done(share: float) -> None:
            progress(len(answered) + share, len(self.places))

        for answer in chain(answers, self._in_parts(by_parts, problems, part_done)):
            name = answer.row[0]
            self.journal.add(name, digests[name], answer)
            answered[name] = answer
            progress(len(answered), len(self.places))
        self.journal.forget_unfinished()
        return {name: answered[name] for name in self.places if name in answered}

    def _in_parts(
        self, digests: dict[str, str], problems: list[DataError], progress: Callable[[float], None]
    ) -> Iterator[Answered]:
        """What is said of large images, by name and digest, one after the other."""
        winner = self.winner
        for name, digest in digests.items():
            files, size_um = self.files[name], self._pixel_um(name)
            how: dict[str, Any] = {
                "device": self.device,
                "flips": self.flips,
                "kind": self.kind,
                "pixel_um": size_um,
            }
            how |= {"progress": progress, "doing": partial(self._tile, name, digest)}
            how |= {"unfinished": self.journal.unfinished(name, digest)}
            try:
                with large_image(self.root / self.places[name], winner.decoding) as windows:
                    if windows is None:
                        raise DataError("the image was changed meanwhile", cure="Predict it again.")
                    drawn = write_large(winner, windows, name, [self.out / file for file in files], **how)
                    size_hw = windows.shape_CHW[1:]
            except DataError as error:
                problems.append(DataError(error.what, where=name, cure=error.cure))
                continue
            usual = warnings_of(winner, np.zeros((1, 1, 1)), size_hw, size_um)
            cells = [f"{value:.6f}" for value in (drawn.certainty, *drawn.shares)]
            yield answered_row((name, *files, *cells), usual, drawn.novelty, steps=drawn.steps, files=files)

    def _tile(self, name: str, digest: str, words: str) -> None:
        self.doing(f"{name}: {words}")
        self.journal.note(name, digest, words)

    def _answer(self, prediction: ImagePrediction, steps: tuple[Step, ...]) -> Answered:
        winner, p = self.winner, prediction.probabilities
        size_um = self._pixel_um(prediction.name)
        size_hw = self.large.get(prediction.name, prediction.image_CHW.shape[1:])
        warnings = warnings_of(winner, p, size_hw, size_um)
        novelty = winner.training_images.novelty(as_fed(winner, prediction.image_CHW))
        files = self.files[prediction.name]
        if files:
            cells = (prediction.name, *files, *self._masks(prediction, files, size_um))
            return answered_row(cells, warnings, novelty, steps=steps, files=files)
        labels = tuple(winner.decided(p))
        decided = "; ".join(winner.model.classes[index] for index in labels)
        by_kind = [p] if winner.temperature is None else [p, winner.calibrated(p)]
        numbers = (f"{value:.6f}" for p_K in by_kind for value in p_K)
        row = (prediction.name, decided, *numbers)
        return answered_row(row, warnings, novelty, steps=steps, labels=labels)

    def _pixel_um(self, name: str) -> PixelUm | None:
        return pixel_um(self.root / channel_files(self.places[name])[0])

    def _masks(self, prediction: ImagePrediction, files: tuple[str, ...], um: PixelUm | None) -> list[str]:
        """Write the mask, with its pixel size, and the picture; the mean probability of what is drawn, and class shares."""
        labels_HW, num = mask_of(prediction), len(self.winner.model.classes)
        drawn = labels_HW * np.uint8(255) if num == 2 else labels_HW
        dpi: dict[str, Any] = {"dpi": (25400 / um[1], 25400 / um[0])} if um is not None else {}
        for file, pixels in zip(files[:2], (drawn, overlay(prediction.image_CHW, labels_HW)), strict=True):
            with written_whole(self.out / file, durable=False) as scratch:
                Image.fromarray(pixels).save(scratch, "PNG", **(dpi if pixels is drawn else {}))
        if self.kind:
            p_KHW = resize_image(prediction.probabilities, labels_HW.shape)
            write_probabilities(self.out / files[2], self.kind, p_KHW, self.winner.model.classes, um)
        shares = np.bincount(labels_HW.ravel(), minlength=num) / labels_HW.size
        certainty = prediction.probabilities.max(0).mean()
        return [f"{certainty:.6f}", *(f"{share:.6f}" for share in shares)]


def predicted(
    winner: Winner,
    root: Path,
    places: dict[str, str],
    *,
    runtime: Predictor,
    problems: list[DataError],
    steps: dict[str, tuple[Step, ...]],
    resized: Collection[str] = (),
) -> Iterator[ImagePrediction]:
    """What the winner says of each image, by name and place; those it cannot read go to `problems`.

    What decoding did to the others goes to `steps`. Large images may be `resized` as they are read.
    """

    def images() -> Iterator[tuple[str, np.ndarray]]:
        for name, file in places.items():
            try:
                read = read_resized if name in resized else read_as_trained_on
                pixels, image_CHW = read(root, file, winner, name)
            except DataError as error:
                problems.append(DataError(error.what, where=name, cure=error.cure))
                continue
            steps[name] = pixels.steps
            yield name, image_CHW

    return answers(winner, runtime, images())


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


def mask_of(prediction: ImagePrediction) -> np.ndarray:
    """The classes (H, W) uint8 at the size of the file."""
    # Decided first and brought to the size of the file after, so that a mask holds classes only.
    height, width = prediction.image_CHW.shape[1:]
    return resize_mask(prediction.probabilities.argmax(0).astype(np.uint8), (height, width))
