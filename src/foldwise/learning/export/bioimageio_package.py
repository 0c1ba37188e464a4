"""The winner as a BioImage.IO package: what its readers run, test tensors, a cover, and who made it under which licence."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import ValidationError
from ruamel.yaml import YAML

from foldwise.data.overlays import displayed, overlay
from foldwise.errors import RunError, SpecError, need
from foldwise.learning.export.graph import EXTRA, IMAGE, OPSET, PROBABILITIES
from foldwise.learning.export.handover import Handover
from foldwise.storage import write_array
from foldwise.text import some

TEST_INPUT, TEST_OUTPUT, COVER, DOCUMENTATION = "test_input.npy", "test_output.npy", "cover.png", "README.md"
DESCRIPTION = "rdf.yaml"
COVER_PX, COVER_BYTES = (512, 256), 500_000  # 2:1, as the format asks
LEAST_PX = 32


def write_package(handover: Handover, path: Path, models: Sequence[Path]) -> None:
    """Write the package, and have the validator of the format read it.

    Args:
        models: an ONNX file, a TorchScript file, or both.

    Raises:
        MissingExtra: bioimageio.spec is not installed.
        SpecError: an author or the licence is none that the format knows.
        RunError: the validator refuses it.
    """
    spec, model = need("bioimageio.spec", EXTRA), need("bioimageio.spec.model.v0_5", EXTRA)
    with TemporaryDirectory(prefix="foldwise-") as scratch:
        folder = Path(scratch)
        first = handover.batches[0][:1].astype(np.float32)
        write_array(folder / TEST_INPUT, first)
        write_array(folder / TEST_OUTPUT, handover.networks(handover.batches[0][:1]))
        _write_cover(handover, folder / COVER)
        (folder / DOCUMENTATION).write_text(handover.card, encoding="utf-8")
        with spec.ValidationContext(perform_io_checks=False, log_warnings=False):
            try:
                described = _described(model, handover, models)
                text = io.StringIO()
                YAML(typ="safe", pure=True).dump(spec.dump_description(described), text)
            except ValidationError as error:
                raise _not_described(error) from None
        # Written here, as the writer of the library leaves every file open that it has read.
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
            package.writestr(DESCRIPTION, text.getvalue())
            for file in (*folder.iterdir(), *models):
                package.write(file, file.name)
    with zipfile.ZipFile(path) as package:
        read = spec.load_description(package, perform_io_checks=False)
        if isinstance(read, spec.InvalidDescr):
            reasons = [str(entry.msg) for each in read.validation_summary.details for entry in each.errors]
            what = f"the validator of BioImage.IO refuses the package: {some(reasons):.600}"
            raise RunError(what, cure="Use another --format, and please report it with this message.")


def _not_described(error: ValidationError) -> SpecError:
    """In one line each: pydantic lists every licence that there is."""
    reasons = [f"{'.'.join(map(str, each['loc']))}: {each['msg']:.120}" for each in error.errors()]
    return SpecError(
        f"the BioImage.IO package cannot be described: {some(reasons)}", cure="Change --author or the title."
    )


def _described(model: Any, handover: Handover, models: Sequence[Path]) -> Any:
    """The ModelDescr: what goes in and comes out, whose it is, and the files."""
    weights: dict[str, Any] = {}
    for path in models:
        if path.suffix == ".onnx":
            weights["onnx"] = model.OnnxWeightsDescr(source=_source(model, path.name), opset_version=OPSET)
        else:
            version = model.Version(torch.__version__.partition("+")[0])
            weights["torchscript"] = model.TorchscriptWeightsDescr(
                source=_source(model, path.name), pytorch_version=version
            )
    inside, outside = _tensors(
        model, handover, flexible=all(handover.any_size.get(path.name) for path in models)
    )
    return model.ModelDescr(
        name=_title(handover.title),
        description=handover.description[:1024],
        authors=[model.Author(name=_plain(author)) for author in handover.authors],
        license=_licence(model, handover.licence),
        documentation=_file(model, DOCUMENTATION),
        covers=[_file(model, COVER)],
        tags=["2d", "segmentation" if handover.ensemble.by_pixel else "classification", "foldwise"],
        inputs=[inside],
        outputs=[outside],
        weights=model.WeightsDescr(**weights),
    )


def _source(model: Any, name: str) -> Any:
    return model.RelativeFilePath(Path(name))


def _file(model: Any, name: str) -> Any:
    return model.FileDescr(source=_source(model, name))


def _title(title: str) -> str:
    """What the format takes as a name: 5 to 128 letters, and few signs."""
    name = " ".join(re.sub(r"[^\w ()\-]+", " ", title).split())[:110]
    return name if len(name) >= 5 else f"foldwise model {name}".strip()


def _licence(model: Any, name: str | None) -> Any:
    try:
        return model.LicenseId(name)
    except ValidationError:
        cure = "Use its SPDX name, such as CC-BY-4.0, MIT or Apache-2.0."
        raise SpecError(
            f"{str(name)[:60]!r} is no licence that BioImage.IO knows", where="--licence", cure=cure
        ) from None


def _tensors(model: Any, handover: Handover, *, flexible: bool) -> tuple[Any, Any]:
    """What goes in and what comes out."""
    saved, by_pixel = handover.winner.model, handover.ensemble.by_pixel
    scale = {} if handover.pixel_um is None else {"unit": "micrometer", "scale": handover.pixel_um}
    sides = dict(zip("yx", handover.batches[0].shape[2:], strict=True))
    spaces = [
        model.SpaceInputAxis(
            id=axis,
            size=model.ParameterizedSize(min=min(LEAST_PX, side), step=1) if flexible else side,
            **scale,
        )
        for axis, side in sides.items()
    ]
    same = [
        model.SpaceOutputAxis(id=axis, size=model.SizeReference(tensor_id=IMAGE, axis_id=axis), **scale)
        for axis in (sides if by_pixel else ())
    ]
    channels = [_plain(name) for name in handover.winner.channels] or [
        f"channel{k}" for k in range(saved.num_channels)
    ]
    image = model.InputTensorDescr(
        id=IMAGE,
        description="The image, in the values of its file: it is normalised inside.",
        axes=[model.BatchAxis(), model.ChannelAxis(channel_names=channels), *spaces],
        test_tensor=_file(model, TEST_INPUT),
        data=model.IntervalOrRatioDataDescr(type="float32", range=(None, None)),
    )
    classes = [_plain(name) for name in saved.classes]
    probabilities = model.OutputTensorDescr(
        id=PROBABILITIES,
        description="The probability of each class, the mean over the networks of all folds.",
        axes=[model.BatchAxis(), model.ChannelAxis(channel_names=classes), *same],
        test_tensor=_file(model, TEST_OUTPUT),
        data=model.IntervalOrRatioDataDescr(type="float32", range=(0.0, 1.0)),
    )
    return image, probabilities


def _plain(name: str) -> str:
    """A name of somebody else on one line."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f]+", " ", name).split())[:200] or "unnamed"


def _write_cover(handover: Handover, path: Path) -> None:
    """2:1: an image, and what is predicted on it, or a second image where it is one label."""
    first = handover.batches[0]
    left, right = (displayed(image) for image in (first[0], first[-1]))
    if handover.ensemble.by_pixel:
        right = overlay(first[0], handover.wanted[0][0].argmax(0).astype(np.uint8))
    width, height = COVER_PX
    cover = Image.new("RGB", COVER_PX)
    for column, picture in enumerate((left, right)):
        tile = Image.fromarray(picture).convert("RGB").resize((width // 2, height), Image.Resampling.BILINEAR)
        cover.paste(tile, (column * width // 2, 0))
    cover.save(path)
    if path.stat().st_size >= COVER_BYTES:  # of noise, which a palette makes small
        cover.quantize(64).save(path)
