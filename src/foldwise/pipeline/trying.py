"""`foldwise app`: a page on this computer on which images are dropped on the winner."""

from __future__ import annotations

import hmac
import json
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np

from foldwise.errors import DataError, FoldwiseError, SpecError
from foldwise.learning.checkpoints.winner import decoded_images
from foldwise.learning.export.handover import weights_licence
from foldwise.pipeline.devices import refuse_device
from foldwise.pipeline.hand_over import own_code_of, winner_of
from foldwise.pipeline.model_card import card_facts, model_card
from foldwise.pipeline.options import UNWATCHED, Watch
from foldwise.reporting.loopback import Handler, listening
from foldwise.runs.folder import RunFolder

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed
    from foldwise.learning.nearest import Neighbours
    from foldwise.learning.predict import ImagePrediction
    from foldwise.learning.runtimes import TorchRuntime

MAX_BYTES = 2**28  # of an image file
THUMBNAIL_PX, PICTURE_PX = 160, 2048
LEAD = "The model runs in foldwise on this computer. Images go there, and nowhere else, and are not kept."
READS = "All kinds of image files that foldwise predict reads, one file an image."
# What may stand behind the last dots of a file's name, for the readers that go by it.
_SUFFIX = re.compile(r"(\.[a-z0-9]{1,6}){1,2}$")


@contextmanager
def trying(
    run: Path, *, device: str = "auto", port: int = 0, trust_code: bool = False, watch: Watch = UNWATCHED
) -> Iterator[str]:
    """The page of a winner, for as long as the context lasts; its address, part of which nobody can guess.

    Args:
        run: a run folder, or the folder of a model that was handed over.
        port: 0 takes a free one.
        trust_code: whether own code that the folder names may be run.
        watch: is told what is being done.

    Raises:
        RunError: there is no winner, it needs own code that nobody trusts, or the port is taken.
        SpecError: the winner takes one file per channel.
    """
    refuse_device(device)
    winner = winner_of(run)
    with own_code_of(winner, trust_code):
        tried = _made(winner, None if winner == run else RunFolder.open(run), device, watch)
    token = secrets.token_urlsafe(16)
    with listening(_handler(tried, token), port) as address:
        yield f"{address}{token}/"


def _made(winner: Path, folder: RunFolder | None, device: str, watch: Watch) -> Tried:
    from foldwise.learning.checkpoints.saved import load_winner
    from foldwise.learning.export.page_html import page
    from foldwise.learning.nearest import Neighbours
    from foldwise.learning.runtimes import TorchRuntime
    from foldwise.learning.training.devices import pick_device

    picked = pick_device(device)
    loaded = load_winner(winner, picked)
    if loaded.channels:
        what = f"the model takes one file per channel ({', '.join(loaded.channels)}), and a page takes one file an image"
        raise SpecError(what, where=str(winner), cure="Use foldwise predict.")
    facts = card_facts(winner, folder, loaded, weights_licence(loaded.model.training))
    runtime, packed = TorchRuntime(loaded, picked), decoded_images(folder) if folder else None
    neighbours = None
    if packed is not None:
        watch.say("Looking at the training images, to find the nearest ones")
        neighbours = Neighbours(runtime, packed, progress=watch.show)
    parts: dict[str, Any] = {
        "facts": {"maxBytes": MAX_BYTES},
        "data": {},
        "lead": LEAD,
        "reads": READS,
        "accept": "",
    }
    html = page(
        loaded, title=facts.title, card=model_card(facts), engine="by_server.js", connect="'self'", **parts
    )
    return Tried(runtime, html, neighbours, [row["name"] for row in facts.cases])


class Tried:
    """A winner, its page, and what it says of an image, one at a time.

    Attributes:
        neighbours: the training images; None where they are not in the cache.
        names: of the training images.
    """

    def __init__(
        self, runtime: TorchRuntime, page: str, neighbours: Neighbours | None, names: list[str]
    ) -> None:
        self.runtime, self.page, self.neighbours, self.names = runtime, page, neighbours, names
        self.lock = threading.Lock()

    def predict(self, content: bytes, name: str) -> dict[str, Any]:
        """What the page shows of a file, as `predict` has it.

        Raises:
            DataError: it cannot be read, or is no image for this model.
        """
        from foldwise.learning.predict import predicted

        problems: list[DataError] = []
        with TemporaryDirectory(prefix="foldwise-") as scratch:
            ending = _SUFFIX.search(name.lower())
            file = f"image{ending[0] if ending else ''}"
            (Path(scratch) / file).write_bytes(content)
            how: dict[str, Any] = {"runtime": self.runtime, "problems": problems, "steps": {}}
            predictions = list(predicted(self.runtime.winner, Path(scratch), {file: file}, **how))
        if problems:
            raise problems[0]
        return self._shown(predictions[0])

    def _shown(self, prediction: ImagePrediction) -> dict[str, Any]:
        from foldwise.learning.export.page_html import as_png
        from foldwise.learning.model_inputs import as_fed
        from foldwise.learning.prediction_files import warnings_of

        winner, image_CHW, p = self.runtime.winner, prediction.image_CHW, prediction.probabilities
        novelty = winner.training_images.novelty(as_fed(winner, image_CHW))
        height, width = image_CHW.shape[1:]
        shown: dict[str, Any] = {
            "width": width,
            "height": height,
            "picture": as_png(image_CHW, PICTURE_PX),
            "unlikeP": novelty.p,
            "warnings": [*warnings_of(winner, p, image_CHW.shape[1:]), *novelty.warning],
            **self._near(image_CHW),
        }
        if winner.model.task.endswith("segmentation"):
            return shown | _masked(prediction, len(winner.model.classes))
        calibrated = winner.calibrated(p)
        return shown | {
            "probabilities": [float(value) for value in p],
            "calibrated": None if calibrated is None else [float(value) for value in calibrated],
            "decided": winner.decided(p),
        }

    def _near(self, image_CHW: np.ndarray) -> dict[str, Any]:
        if self.neighbours is None:
            return {"near": [], "nearNote": "The training images are not in the cache of this computer."}
        from foldwise.learning.export.page_html import as_png

        packed = self.neighbours.packed
        near = [
            {
                "picture": as_png(packed.image(other.case), THUMBNAIL_PX),
                "name": self.names[other.case],
                "label": _label(packed, other.case),
                "similarity": other.similarity,
            }
            for other in self.neighbours.nearest(image_CHW)
        ]
        return {"near": near, "nearNote": self.neighbours.sentence()}


def _masked(prediction: ImagePrediction, num_classes: int) -> dict[str, Any]:
    from PIL import Image

    from foldwise.learning.export.page_html import png_address
    from foldwise.learning.predict import mask_of

    labels_HW = mask_of(prediction)
    shares = np.bincount(labels_HW.ravel(), minlength=num_classes) / labels_HW.size
    certainty = float(prediction.probabilities.max(0).mean())
    return {
        "mask": png_address(Image.fromarray(labels_HW)),
        "shares": shares.tolist(),
        "certainty": certainty,
    }


def _label(packed: Packed, case: int) -> str:
    """What an image of the training set shows, in words; empty of one with a mask."""
    if packed.task.endswith("segmentation"):
        return ""
    label = packed.labels[case]
    if packed.task.startswith("multilabel"):
        return "; ".join(packed.classes[k] for k in np.flatnonzero(label)) or "no label"
    return packed.classes[int(label)]


def _handler(tried: Tried, token: str) -> type[Handler]:
    class TryPages(Handler):
        """The page, and what it sends; all else is not there for who does not know the token."""

        def get(self) -> None:
            """The page."""
            if self._is(f"/{token}/"):
                self.answer(200, "text/html", tried.page)
            else:
                super().get()

        def post(self) -> None:
            """What the winner says of the file that is sent."""
            self.close_connection = True  # whatever of the body is not read is gone with it
            if not self._is(f"/{token}/predict"):
                self.answer(404, "text/plain", "There is no such page.")
                return
            length = self.headers.get("Content-Length", "")
            if not length.isascii() or not length.isdecimal():
                self._refuse(411, "its length was not sent.")
            elif int(length) > MAX_BYTES:
                self._refuse(413, f"it has more than {MAX_BYTES / 1e6:,.0f} MB. Use foldwise predict.")
            else:
                self._predict(int(length))

        def _is(self, path: str) -> bool:
            return hmac.compare_digest(self.path.encode(), path.encode())

        def _predict(self, length: int) -> None:
            with tried.lock:  # the memory of one image, and not of many
                content = self.rfile.read(length)
                if len(content) < length:
                    self._refuse(400, "it was not sent to its end.")
                    return
                try:
                    shown = tried.predict(content, unquote(self.headers.get("X-Name", ""))[-200:])
                except FoldwiseError as error:
                    self._refuse(422, f"{error.what}. {error.cure or ''}".strip())
                except Exception as error:  # the page goes on, whatever is met in a file
                    reason = (str(error).strip() or "no reason").splitlines()[0]
                    self._refuse(500, f"{type(error).__name__}: {reason:.200}")
                else:
                    self.answer(200, "application/json", json.dumps(shown))

        def _refuse(self, code: int, why: str) -> None:
            self.answer(code, "application/json", json.dumps({"problem": why}))

    return TryPages
