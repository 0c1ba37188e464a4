"""A trained model put to use from Python: it predicts, is scored elsewhere, is exported and tried; each is a method of `Run`, too.

```python
run = foldwise.open("runs/cells")
run.predict("new_images", "predictions")
run.export(formats=["onnx"], configuration="unet", fold=2)
```
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldwise.interface.calls import PathLike, RunLike, as_called, public

if TYPE_CHECKING:
    from foldwise.learning.on_arrays import Model
    from foldwise.pipeline.evaluating import Evaluation
    from foldwise.pipeline.exporting import Export


def _trusts(run: RunLike, trust_code: bool) -> bool:
    return trust_code or getattr(run, "trust_code", False)


@public
def predict(  # noqa: PLR0913 - each is an option of the command
    run: RunLike,
    images: PathLike,
    out: PathLike,
    *,
    device: str = "auto",
    runtime: str = "auto",
    configuration: str | None = None,
    fold: int | None = None,
    flips: bool = False,
    pictures: bool = False,
    probabilities: str | None = None,
    submission: PathLike | None = None,
    trust_code: bool = False,
    progress: Callable[[float, int], None] = lambda *_: None,
) -> Path:
    """The winner of a run on new images: a CSV of probabilities, or masks and overlays; the folder of both.

    What to know before relying on the predictions is warned of.

    Args:
        run: a run, its folder, or the folder of a model that was handed over.
        images: a folder of new images, or one image.
        out: where the predictions go.
        device: auto, cpu, cuda or mps.
        runtime: auto, torch or onnxruntime.
        configuration: of the run, by its name or (the beginning of) its id; the winner by default.
        fold: the network of this fold alone, from 1; the mean of all by default.
        flips: take the mean over the image and its mirror images.
        pictures: draw them too, as ``pictures.html`` and ``pictures.png``.
        probabilities: of masks, also a file for each image: ``uint16`` or ``float32``, as OME-TIFF, or ``npy``.
        submission: of several labels, a CSV file of ``Id,Predicted`` with the indices of the labels.
        trust_code: whether own code that the folder names may be run.
        progress: called with how many images are done, a part of a large one as a fraction, and of how many.

    Raises:
        DataError: some images cannot be used, which is said when all others are predicted.
        RunError: the run has no such model yet, or it needs own code that nobody trusts.
        SpecError: there is no such configuration, fold or runtime; or files of somebody else would be replaced.
    """
    from foldwise.pipeline import hand_over

    how: dict[str, Any] = {"device": device, "runtime": runtime, "flips": flips, "pictures": pictures}
    how |= {"probabilities": probabilities, "submission": _path(submission)}
    how |= {"trust_code": _trusts(run, trust_code), "progress": progress}
    choice = hand_over.ModelChoice(configuration, fold)
    with _warned_at_the_end() as warn:
        hand_over.predict(Path(run), Path(images), Path(out), choice, warn=warn, **how)
    return Path(out)


def _path(stated: PathLike | None) -> Path | None:
    return None if stated is None else Path(stated)


@contextmanager
def _warned_at_the_end() -> Iterator[Callable[[str], None]]:
    """Takes notes, of which the caller of a public function is warned when all is written, even if some could not be."""
    notes: list[str] = []
    try:
        yield notes.append
    finally:
        for note in notes:
            # Below: this, the end of the with, the public function, and what checks its call.
            warnings.warn(as_called(note, "predict"), stacklevel=5)


@public
def load(
    run: RunLike,
    *,
    configuration: str | None = None,
    fold: int | None = None,
    flips: bool = False,
    device: str = "auto",
    runtime: str = "auto",
    trust_code: bool = False,
) -> Model:
    """A trained model: called with an array, or a list of them, it gives labels or masks, and probabilities.

    The numbers are those of `predict`, whose arguments these are.

    ```python
    model = foldwise.load("runs/cells")
    model(image).probabilities
    ```
    """
    from foldwise.pipeline import hand_over

    choice = hand_over.ModelChoice(configuration, fold)
    how: dict[str, Any] = {"device": device, "runtime": runtime, "flips": flips}
    return hand_over.load(Path(run), choice, trust_code=_trusts(run, trust_code), **how)


@public
def evaluate(
    run: RunLike,
    images: PathLike,
    out: PathLike | None = None,
    *,
    configuration: str | None = None,
    device: str = "auto",
    trust_code: bool = False,
    **labels: Any,
) -> Evaluation:
    """Scores with intervals on a labelled folder of another source, and its worst images.

    Args:
        run: a run, or its folder.
        images: the folder, laid out in any way that a study reads.
        out: gets the page, the scores as JSON and a row per image; ``<run>-on-<folder>`` by default.
        configuration: by name or id; the winner by default.
        device: auto, cpu, cuda or mps.
        trust_code: whether own code that the folder names may be run.
        labels: where its labels are, as in ``data.external``, such as ``masks="labels"``.

    Raises:
        RunError: the run has no winner yet, or the configuration has no network.
        SpecError: `out` holds something else; there is no such key.
        DataError: the images cannot be read, or do not go with the study, or some are in it.
    """
    from foldwise.pipeline import evaluating

    how: dict[str, Any] = {"configuration": configuration, "labels": labels, "device": device}
    to = None if out is None else Path(out)
    return evaluating.evaluate(Path(run), Path(images), to, trust_code=_trusts(run, trust_code), **how)


@public
def export(  # noqa: PLR0913 - each is an option of the command
    run: RunLike,
    out: PathLike | None = None,
    *,
    formats: Sequence[str] = (),
    configuration: str | None = None,
    fold: int | None = None,
    images: PathLike | None = None,
    authors: Sequence[str] = (),
    licence: str | None = None,
    pixel_size: float | None = None,
    ort_web: PathLike | None = None,
    examples: int = 0,
    trust_code: bool = False,
) -> Export:
    """A model for other programs: ONNX and a script, TorchScript, a BioImage.IO package, a page; each proven, with a card.

    Args:
        run: a run, its folder, or the folder of a model that was handed over.
        out: gets the files, in place of an earlier export; ``<run>-export`` by default, and a stated configuration and fold.
        formats: ``onnx``, ``script``, ``torchscript``, ``bioimageio``, ``try-it``; by default all but the last that can be.
        configuration: of the run, by its name or (the beginning of) its id; the winner by default.
        fold: the network of this fold alone, from 1; the mean of all by default.
        images: a folder of images to prove the formats on; the test images of the run by default.
        authors: of the model, by name.
        licence, pixel_size: of the model, as SPDX writes it; the side of a training image's pixel, in µm.
        ort_web, examples: of ``try-it``: onnxruntime-web as npm packs it, which npm is asked for by default; how many
            test images it may show to anybody.
        trust_code: whether own code that the folder names may be run.

    Raises:
        SpecError: a format does not exist, lacks an author or a licence, or `out` holds something else.
        MissingExtra: a package that a format needs is not installed.
        RunError: there is no such model, there are no images for the proof, or a format that is stated is refused.
    """
    from foldwise.pipeline import exporting, hand_over

    options = exporting.ExportOptions(
        formats=tuple(formats),
        choice=hand_over.ModelChoice(configuration, fold),
        images=_path(images),
        authors=tuple(authors),
        licence=licence,
        pixel_um=pixel_size,
        ort_web=_path(ort_web),
        examples=examples,
    )
    exported = exporting.export(Path(run), _path(out), options, trust_code=_trusts(run, trust_code))
    left_out = {name: as_called(why, "export") for name, why in exported.left_out.items()}
    return replace(exported, left_out=left_out)


class App:
    """A page on this computer on which images are dropped on a model, until it is stopped; a notebook shows its address.

    Attributes:
        address: of the page; who does not know it is not answered.
    """

    def __init__(self, serving: ExitStack, address: str) -> None:
        self._serving, self.address = serving, address

    def stop(self) -> None:
        """Serve the page no longer; once is enough."""
        self._serving.close()

    def __enter__(self) -> str:
        return self.address

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"a page at {self.address} on this computer only, until .stop()"

    def _repr_html_(self) -> str:
        return f'<a href="{self.address}" target="_blank">{self.address}</a> on this computer only, until .stop()'


@public
def app(run: RunLike, *, port: int = 0, device: str = "auto", trust_code: bool = False) -> App:
    """A page on this computer: drop images on the winner, see what it says and which training images are like them.

    It is served at once and until it is stopped, or Python ends.

    ```python
    with foldwise.app("runs/cells") as address:
        ...
    ```

    Args:
        run: a run, its folder, or the folder of a model that was handed over.
        port: 0 takes a free one.
        device: auto, cpu, cuda or mps.
        trust_code: whether own code that the folder names may be run.

    Raises:
        RunError: there is no winner, it needs own code that nobody trusts, or the port is taken.
        SpecError: the winner takes one file per channel.
    """
    from foldwise.pipeline.trying import trying

    serving = ExitStack()
    how: dict[str, Any] = {"device": device, "port": port, "trust_code": _trusts(run, trust_code)}
    return App(serving, serving.enter_context(trying(Path(run), **how)))
