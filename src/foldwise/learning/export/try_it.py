"""The winner as one HTML file: it runs in a browser, offline, by onnxruntime, and no image leaves the computer."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from hashlib import sha512
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from foldwise.data.novelty import (
    ENOUGH,
    FULL_PX,
    LEVEL,
    LIKE,
    MIN_GROUPS,
    NAMED,
    NUM_LEVELS,
    NUM_NEAREST,
    PATCH_PX,
    PATCHES,
    TrainingImages,
    word_of,
)
from foldwise.errors import MissingExtra, RunError, SpecError
from foldwise.learning.export.graph import OnnxModel
from foldwise.learning.export.handover import Handover
from foldwise.learning.export.page_html import as_png, page, unpacked
from foldwise.learning.export.proof import Predictor
from foldwise.storage import cache_root, written_whole

MAX_MODEL_BYTES = 2**28  # as text of base64, browsers take up to 2**29 letters
MAX_PX = 2**24  # of an image: 4096 × 4096; WebAssembly has 4 GB for all
LEAD = "The model is in this file and runs in your browser. It needs no network, and no image leaves this computer."
READS = "PNG, JPEG, BMP, GIF and WebP of 8 bits are read; TIFF is not."


def refuse_for_browsers(handover: Handover) -> None:
    """Raise SpecError where a browser cannot read the images of the model; get what runs it, or raise MissingExtra."""
    model, where = handover.winner.model, "--format"
    cure = "Use another format, or foldwise app, which reads all that foldwise reads."
    if handover.winner.channels:
        what = f"a page takes one file an image, and the model one file per channel ({', '.join(handover.winner.channels)})"
        raise SpecError(what, where=where, cure=cure)
    if model.dtype != "uint8" or model.num_channels not in (1, 3):
        what = f"browsers decode grey and colour of 8 bits, and the model takes {model.num_channels} channels of {model.dtype}"
        raise SpecError(what, where=where, cure=cure)
    ort_web(handover.ort_web)


def write_try_it(handover: Handover, path: Path, model: Path) -> None:
    """Write the page around an ONNX file.

    Raises:
        SpecError, MissingExtra: see `refuse_for_browsers`.
        RunError: the model is too large for a page.
    """
    refuse_for_browsers(handover)
    graph, runtime = model.read_bytes(), ort_web(handover.ort_web)
    if len(graph) > MAX_MODEL_BYTES:
        what = f"the model has {len(graph) / 1e6:,.0f} MB, more than a browser reads from a page"
        raise RunError(what, cure="Use another format.")
    any_size = handover.any_size.get(model.name, False)
    size = handover.winner.model.size_hw or (None if any_size else handover.batches[0].shape[2:])
    examples = [as_png(image) for batch in handover.batches for image in batch][: handover.examples]
    text = page(
        handover.winner,
        title=handover.title,
        card=handover.card,
        lead=LEAD,
        reads=READS,
        engine="in_browser.js",
        facts={"anySize": any_size, "size": size, "maxPixels": MAX_PX},
        data={"ort-script": runtime.script, "ort-wasm": runtime.wasm, "model": graph}
        | rule_of(handover.winner.training_images),
        runs="'wasm-unsafe-eval' blob:",
        examples=examples,
        notice=NOTICE,
    )
    path.write_text(text, encoding="utf-8")


def rule_of(images: TrainingImages) -> dict[str, bytes]:
    """What the page compares images with, as JSON for `novelty.js`; nothing of too few training images."""
    if images.num_groups < MIN_GROUPS:
        return {}
    numbers_NF, (middle, spread, there) = images.numbers_NF, images.scale
    distances, weights = images.usual
    columns, total = np.flatnonzero(there).tolist(), numbers_NF.shape[1]
    rule = {
        "full": FULL_PX, "patch": PATCH_PX, "patches": PATCHES, "levels": NUM_LEVELS, "nearest": NUM_NEAREST, "named": NAMED,
        "level": LEVEL, "enough": ENOUGH, "like": LIKE, "groups": images.num_groups,
        "there": columns, "middle": middle.tolist(), "spread": spread.tolist(), "scaled": ((numbers_NF[:, there] - middle) / spread).tolist(),
        "low": numbers_NF[:, there].min(0).tolist(), "high": numbers_NF[:, there].max(0).tolist(),
        "distances": distances.tolist(), "weights": weights.tolist(),
        "words": [[word_of(number, more=more, total=total) for more in (True, False)] for number in columns],
    }  # fmt: skip
    return {"training": json.dumps(rule).encode()}


def run_try_it(path: Path, threads: int) -> Predictor:
    """The ONNX file that a page holds."""
    with TemporaryDirectory(prefix="foldwise-") as scratch:
        model = Path(scratch) / "model.onnx"
        model.write_bytes(unpacked(path.read_text(encoding="utf-8"), "model"))
        return OnnxModel(model, threads=threads)


NAME, VERSION = "onnxruntime-web", "1.30.0"
FILE = f"{NAME}-{VERSION}.tgz"
SHA512 = (
    "ab4cbe26baedba45d2cec05610c71c55fa97db92d19a8b171c5f8269126683ca"
    "590a5cdc57bb2f35ce2b298de32f4d956fb42644c0ecd528a0a91e025c07ca61"
)
SCRIPT, WASM = "package/dist/ort.wasm.bundle.min.mjs", "package/dist/ort-wasm-simd-threaded.wasm"
MAX_BYTES = 2**28  # the package has 27 MB
DOWNLOAD_S = 600
# What the MIT licence asks to be passed on with every copy.
NOTICE = f"""{NAME} {VERSION}, in this file. MIT License. Copyright (c) Microsoft Corporation.

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""


@dataclass(frozen=True)
class OrtWeb:
    """What a browser runs ONNX files with: a module of JavaScript, and WebAssembly."""

    script: bytes
    wasm: bytes


def ort_web(stated: Path | None = None) -> OrtWeb:
    """The files of the package: from `stated`, from the cache, or by `npm pack`, in this order.

    Args:
        stated: what `npm pack` left.

    Raises:
        SpecError: `stated` is not that package in that version.
        MissingExtra: it is neither stated nor in the cache, and npm is not there or cannot get it.
    """
    if stated is not None:
        return _files(_checked(stated, where="--ort-web"))
    cached = cache_root() / NAME / FILE
    if not cached.is_file() or sha512(cached.read_bytes()).hexdigest() != SHA512:
        package = _packed_by_npm()
        with written_whole(cached) as scratch:
            scratch.write_bytes(package)
    return _files(cached.read_bytes())


def _checked(path: Path, *, where: str) -> bytes:
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise SpecError(f"{path} is no npm package", where=where, cure=_cure())
    package = path.read_bytes()
    if sha512(package).hexdigest() != SHA512:
        what = f"{path} is not {NAME} {VERSION}: its digest is another, and no other version was tried"
        raise SpecError(what, where=where, cure=_cure())
    return package


def _cure() -> str:
    return f"On a computer with npm: npm pack {NAME}@{VERSION}; then --ort-web {FILE}."


def _packed_by_npm() -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        what = (
            f"a page that runs the model needs {NAME} {VERSION}, and npm, which brings it, is not installed"
        )
        raise MissingExtra(what, cure=_cure())
    with TemporaryDirectory(prefix="foldwise-") as scratch:
        words = [npm, "pack", f"{NAME}@{VERSION}", "--ignore-scripts", "--pack-destination", scratch]
        try:
            ended = subprocess.run(
                words, cwd=scratch, capture_output=True, text=True, timeout=DOWNLOAD_S, check=False
            )
            reason = (ended.stderr.strip() or "no reason").splitlines()[-1]
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = str(error)
        path = Path(scratch) / FILE
        if not path.is_file():
            raise MissingExtra(f"npm cannot get {NAME} {VERSION} ({reason:.200})", cure=_cure())
        return _checked(path, where="npm")


def _files(package: bytes) -> OrtWeb:
    with tarfile.open(fileobj=BytesIO(package), mode="r:gz") as archive:
        files = [archive.extractfile(name) for name in (SCRIPT, WASM)]
        script, wasm = (file.read() if file is not None else b"" for file in files)
    return OrtWeb(script, wasm)
