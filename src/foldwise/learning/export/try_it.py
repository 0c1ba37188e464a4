"""The winner as one HTML file: it runs in a browser, offline, and no image leaves the computer."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from foldwise.errors import RunError, SpecError
from foldwise.learning.export.handover import Handover
from foldwise.learning.export.onnx_file import OnnxModel
from foldwise.learning.export.ort_web import NOTICE, ort_web
from foldwise.learning.export.page_html import as_png, page, unpacked
from foldwise.learning.export.proof import Predictor

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
        data={"ort-script": runtime.script, "ort-wasm": runtime.wasm, "model": graph},
        runs="'wasm-unsafe-eval' blob:",
        examples=examples,
        notice=NOTICE,
    )
    path.write_text(text, encoding="utf-8")


def run_try_it(path: Path, threads: int) -> Predictor:
    """The ONNX file that a page holds."""
    with TemporaryDirectory(prefix="foldwise-") as scratch:
        model = Path(scratch) / "model.onnx"
        model.write_bytes(unpacked(path.read_text(encoding="utf-8"), "model"))
        return OnnxModel(model, threads=threads)
