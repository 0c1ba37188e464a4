"""The formats that a winner can leave in: one table that says of each how it is written and how it is run for its proof."""

from __future__ import annotations

import shutil
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tifffile
import torch

from foldwise.errors import RunError, refuse_without
from foldwise.learning.export import standalone
from foldwise.learning.export.bioimageio_package import write_package
from foldwise.learning.export.graph import (
    EXTRA,
    Ensemble,
    OnnxModel,
    in_plain_operations,
    quietly,
    write_graph,
)
from foldwise.learning.export.handover import Handover
from foldwise.learning.export.proof import Predictor
from foldwise.learning.export.try_it import refuse_for_browsers, run_try_it, write_try_it

MODEL, SCRIPT, TORCHSCRIPT, PACKAGE = "model.onnx", "predict.py", "model.torchscript.pt", "bioimageio.zip"
TRY_IT = "try-it.html"


@dataclass(frozen=True)
class Exporter:
    """One format.

    Attributes:
        file: what is written.
        title: what it is and who reads it.
        write: writes the file into a folder, in which those of the formats it is `made_of` lie.
        run: the file in the folder as a callable from images to probabilities, by what its readers run it with.
        modules: what has to be installed.
        made_of: formats that come before it.
        resizes: whether it brings images to the size of the model itself.
        asks: attributes of `Handover` that have to be there, with the option that brings them.
        refuse: raises what speaks against this model in this format, before anything is written.
        by_default: whether it is written where no format is named.
    """

    file: str
    title: str
    write: Callable[[Handover, Path], None]
    run: Callable[[Path, int], Predictor]
    modules: tuple[str, ...] = ()
    made_of: tuple[str, ...] = ()
    resizes: bool = False
    asks: Mapping[str, str] = field(default_factory=dict)
    refuse: Callable[[Handover], None] = lambda _: None
    by_default: bool = True

    def lacks(self, handover: Handover) -> list[str]:
        """Options without which it cannot be written."""
        return [option for name, option in self.asks.items() if not getattr(handover, name)]

    def refuse_without_modules(self) -> None:
        """Raise MissingExtra where a module is not installed."""
        for module in self.modules:
            refuse_without(module, EXTRA)


def _write_onnx(handover: Handover, folder: Path) -> None:
    how: dict[str, Any] = {"threads": handover.threads, "about": handover.about}
    write_graph(handover.ensemble, handover.batches[0], folder / MODEL, handover.networks, **how)


def _run_onnx(folder: Path, threads: int) -> Predictor:
    return OnnxModel(folder / MODEL, threads=threads)


def write_torchscript(ensemble: Ensemble, images_NCHW: np.ndarray, path: Path) -> None:
    """Trace `ensemble` on two of the images; torch says that TorchScript will end, and still writes it.

    Raises:
        RunError: a user's own network decides by sizes or values, of which a trace takes only what the images take.
    """
    example = torch.from_numpy(np.concatenate([images_NCHW[:1], images_NCHW[-1:]]).astype(np.float32))
    with quietly(), in_plain_operations(), torch.no_grad(), warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always", torch.jit.TracerWarning)
        traced = torch.jit.trace(ensemble, (example,), check_trace=False)
    doubts = [str(each.message).splitlines()[0] for each in met if each.category is torch.jit.TracerWarning]
    if ensemble.is_own and doubts:
        what = f"the network decides by sizes or values, which a trace cannot follow ({doubts[0]:.160})"
        raise RunError(what, cure="Use another format.")
    with quietly():
        torch.jit.save(traced, str(path))


def run_torchscript(path: Path) -> Predictor:
    """The file as a callable, images in the values of their files to probabilities."""
    with quietly():
        module = torch.jit.load(str(path))

    @torch.no_grad()
    def run(images_NCHW: np.ndarray) -> np.ndarray:
        outputs: np.ndarray = module(torch.from_numpy(images_NCHW.astype(np.float32))).numpy()
        return outputs

    return run


def _write_torchscript(handover: Handover, folder: Path) -> None:
    write_torchscript(handover.ensemble, handover.batches[0], folder / TORCHSCRIPT)


def _run_torchscript(folder: Path, _: int) -> Predictor:
    return run_torchscript(folder / TORCHSCRIPT)


def _write_script(_: Handover, folder: Path) -> None:
    shutil.copyfile(str(standalone.__file__), folder / SCRIPT)


class _Uncompiled(SourceFileLoader):
    """Leaves no compiled form beside what it loads."""

    def set_data(self, *_: object, **__: object) -> None:
        """Nothing."""


def _run_script(folder: Path, threads: int) -> Predictor:
    """The script as it lies there, on image files: what it reads of them is proven as well."""
    name, path = "foldwise_predict_alone", str(folder / SCRIPT)
    spec = spec_from_file_location(name, path, loader=_Uncompiled(name, path))
    assert spec is not None and spec.loader is not None  # noqa: PT018
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.ExportedModel(folder / MODEL, threads)

    def run(images_NCHW: np.ndarray) -> np.ndarray:
        with TemporaryDirectory(prefix="foldwise-") as scratch:
            outputs = []
            for image_CHW in images_NCHW:
                pages = image_CHW[0] if len(image_CHW) == 1 else image_CHW
                axes = "YX" if pages.ndim == 2 else "CYX"
                # As plain planes: three channels of 8 bits are colour all the same.
                tifffile.imwrite(
                    Path(scratch) / "a.tif", pages, photometric="minisblack", metadata={"axes": axes}
                )
                outputs.append(model.probabilities(model.read(Path(scratch) / "a.tif")))
        return np.stack(outputs)

    return run


def _write_bioimageio(handover: Handover, folder: Path) -> None:
    others = [name for name in (MODEL, TORCHSCRIPT) if (folder / name).is_file()]
    write_package(handover, folder / PACKAGE, [folder / name for name in others])


def _run_bioimageio(folder: Path, threads: int) -> Predictor:
    """The ONNX file in a package, or the TorchScript file where there is none."""
    with TemporaryDirectory(prefix="foldwise-") as scratch, zipfile.ZipFile(folder / PACKAGE) as package:
        names = package.namelist()
        name = next(name for suffix in (".onnx", ".pt") for name in names if name.endswith(suffix))
        file = Path(package.extract(name, scratch))
        return OnnxModel(file, threads=threads) if name.endswith(".onnx") else run_torchscript(file)


def _write_try_it(handover: Handover, folder: Path) -> None:
    write_try_it(handover, folder / TRY_IT, folder / MODEL)


def _run_try_it(folder: Path, threads: int) -> Predictor:
    return run_try_it(folder / TRY_IT, threads)


EXPORTERS: dict[str, Exporter] = {
    "onnx": Exporter(
        MODEL,
        "ONNX, for onnxruntime and most other programs",
        _write_onnx,
        _run_onnx,
        ("onnx", "onnxruntime"),
    ),
    "script": Exporter(
        SCRIPT,
        "a script that predicts with model.onnx and needs onnxruntime, numpy, pillow and tifffile only",
        _write_script,
        _run_script,
        ("onnxruntime",),
        made_of=("onnx",),
        resizes=True,
    ),
    "torchscript": Exporter(
        TORCHSCRIPT,
        "TorchScript, for QuPath, Fiji and other programs with libtorch; torch has announced its end",
        _write_torchscript,
        _run_torchscript,
    ),
    "bioimageio": Exporter(
        PACKAGE,
        "a BioImage.IO package, for Fiji (deepImageJ), QuPath, ilastik and napari",
        _write_bioimageio,
        _run_bioimageio,
        ("bioimageio.spec", "onnxruntime"),
        made_of=("onnx", "torchscript"),
        asks={"authors": "--author", "licence": "--licence"},
    ),
    "try-it": Exporter(
        TRY_IT,
        "a page that runs the model in a browser, offline",
        _write_try_it,
        _run_try_it,
        ("onnx", "onnxruntime"),
        made_of=("onnx",),
        refuse=refuse_for_browsers,
        by_default=False,  # 6 MB and more, of which npm may have to bring a part
    ),
}
