"""Predict images with model.onnx: needs onnxruntime, numpy, pillow and, for TIFF files, tifffile; nothing of foldwise.

    pip install onnxruntime numpy pillow tifffile
    python predict.py IMAGES --out predictions

IMAGES is an image or a folder of images (PNG, JPEG, BMP, GIF, WEBP, TIFF). Files are read as `foldwise predict` reads
them: upright, palettes as their colours, without alpha, brought to grey or colour, resized where the model asks for it.
Read by `foldwise predict` alone, and refused here: PNGs of 16-bit colour, compressed TIFFs where imagecodecs is not
installed, stacks, and images of one file per channel.

Written: predictions.csv, with a row per image; of a segmentation also masks/, PNGs of class indices (0 and 255 of two
classes).
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
LEAST, MOST = 1e-38, 1 - 2**-25  # of a probability whose logarithm is taken
FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")  # how cells begin that spreadsheets would run
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class ExportedModel:
    """A model.onnx of foldwise.

    Attributes:
        task, classes: what it predicts.
        thresholds: of several labels: the probability from which on each is said.
        temperature: that logits are divided by for calibrated probabilities; None where there is none.
    """

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            Path(path).read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        about = self.session.get_modelmeta().custom_metadata_map
        self.task: str = about["task"]
        self.classes: list[str] = json.loads(about["classes"])
        self.thresholds: list[float | None] = json.loads(about["thresholds"])
        self.temperature: float | None = json.loads(about["temperature"])
        self.dtype: str = about["dtype"]
        self.num_channels: int = json.loads(about["num_channels"])
        self.size_hw: list[int] | None = json.loads(about["size_hw"])
        self.resized: bool = json.loads(about["resized"])
        self.segments = self.task.endswith("segmentation")
        self.several = self.task.startswith("multilabel")

    def probabilities(self, image_CHW: np.ndarray) -> np.ndarray:
        """Of an image as `read` gives it: (K,), or (K, H, W) at the size that the model works at."""
        fed = (
            resized(image_CHW, (self.size_hw[0], self.size_hw[1]))
            if self.resized and self.size_hw
            else image_CHW
        )
        (outputs,) = self.session.run(None, {"image": fed[None].astype(np.float32)})
        p: np.ndarray = outputs[0]
        return p

    def read(self, path: Path) -> np.ndarray:
        """The image (C, H, W) with the channels and the value type that the model knows; ValueError where it has others."""
        image_CHW = decoded(path)
        if self.num_channels == 3 and len(image_CHW) == 1:
            image_CHW = np.repeat(image_CHW, 3, axis=0)
        if self.num_channels == 1 and len(image_CHW) == 3:
            image_CHW = grey(image_CHW)
        if len(image_CHW) != self.num_channels or str(image_CHW.dtype) != self.dtype:
            takes = f"{self.num_channels} channels of {self.dtype}"
            raise ValueError(
                f"it has {len(image_CHW)} channels of {image_CHW.dtype}, and the model takes {takes}"
            )
        if not np.isfinite(image_CHW).all():
            raise ValueError("it holds values that are not finite")
        return image_CHW

    def decided(self, p_K: np.ndarray) -> list[str]:
        """The likeliest class, or all labels at their threshold or above."""
        if not self.several:
            return [self.classes[int(p_K.argmax())]]
        limits = [np.inf if value is None else value for value in self.thresholds]
        return [name for name, p, limit in zip(self.classes, p_K, limits, strict=True) if p >= limit]

    def calibrated(self, p_K: np.ndarray) -> np.ndarray | None:
        """(K,) the probabilities at the temperature; None where there is none."""
        if self.temperature is None:
            return None
        p = np.clip(p_K.astype(np.float64), LEAST, MOST)
        if self.several:
            return np.asarray(1 / (1 + np.exp(-(np.log(p) - np.log1p(-p)) / self.temperature)))
        logits = np.log(p) / self.temperature
        powers = np.exp(logits - logits.max())
        return np.asarray(powers / powers.sum())


def decoded(path: Path) -> np.ndarray:
    """(C, H, W) uint8, uint16 or float32; ValueError where that would lose something."""
    if path.suffix.lower() in {".tif", ".tiff"}:
        return _tiff(path)
    with Image.open(path) as image:
        if image.format == "PNG" and path.read_bytes()[24] == 16:
            if image.mode not in {"I;16", "I;16B", "I"}:
                raise ValueError("a PNG of 16-bit colour is read by foldwise predict alone: save it as TIFF")
            return np.asarray(image).astype(np.uint16)[None]
        upright = ImageOps.exif_transpose(image)
        if upright.mode == "1":
            upright = upright.convert("L")
        if upright.mode == "P":
            colours = upright.convert("RGBA" if "transparency" in upright.info else "RGB").convert("RGB")
            image_CHW = np.moveaxis(np.asarray(colours), -1, 0)
            return image_CHW[:1] if (image_CHW == image_CHW[:1]).all() else image_CHW
        if upright.mode not in {"L", "LA", "RGB", "RGBA"}:
            raise ValueError(f"the colour mode {upright.mode} is not read: save it as grey or RGB")
        values = np.asarray(upright)
    image_CHW = values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)
    return image_CHW[: {2: 1, 4: 3}.get(len(image_CHW), len(image_CHW))]


def _tiff(path: Path) -> np.ndarray:
    import tifffile

    with tifffile.TiffFile(path) as file:
        page, series = file.pages.first, file.series
        photometric = getattr(page.photometric, "name", "")
        turned = int(page.tags.valueof(274, 1)) != 1
        if len(series) != 1 or photometric in {"PALETTE", "SEPARATED", "CIELAB", "MINISWHITE"} or turned:
            raise ValueError(
                "a TIFF of this kind is read by foldwise predict alone: save it as plain grey or RGB"
            )
        values = np.squeeze(series[0].asarray())
        axes = "".join(
            name for name, n in zip(series[0].axes, series[0].shape, strict=True) if n > 1 or name in "YX"
        )
        num_extra = len(page.extrasamples)
    if axes in {"YXS", "YXC"}:
        values = np.moveaxis(values, -1, 0)
    elif axes == "YX":
        values = values.reshape(1, *values.shape[-2:])
    elif axes not in {"SYX", "CYX"}:
        raise ValueError(f"the TIFF is a stack (axes {axes}), not one picture")
    if photometric == "RGB" and len(values) == 3 + num_extra:
        values = values[:3]
    if values.dtype == np.bool_:
        values = values.astype(np.uint8) * np.uint8(255)
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    if native.dtype in (np.float16, np.float64):
        native = native.astype(np.float32)
    if native.dtype not in (np.uint8, np.uint16, np.float32):
        raise ValueError(
            f"values of {native.dtype} are read by foldwise predict alone: save them as uint16 or float32"
        )
    return np.ascontiguousarray(native)


def grey(image_3HW: np.ndarray) -> np.ndarray:
    """(1, H, W), rounded, in its dtype."""
    grey_1HW: np.ndarray = (image_3HW.astype(np.float64) * np.array(LUMA)[:, None, None]).sum(
        0, keepdims=True
    )
    if image_3HW.dtype.kind == "u":
        grey_1HW = np.rint(grey_1HW)
    return grey_1HW.astype(image_3HW.dtype)


def resized(image_CHW: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """The image at another size, bilinear with antialiasing, in its own dtype."""
    if image_CHW.shape[1:] == tuple(size_hw):
        return image_CHW
    size_wh = size_hw[1], size_hw[0]
    planes = [Image.fromarray(np.ascontiguousarray(plane, np.float32)) for plane in image_CHW]
    values = np.stack([np.asarray(plane.resize(size_wh, Image.Resampling.BILINEAR)) for plane in planes])
    if image_CHW.dtype.kind == "u":
        values = np.rint(values).clip(0, np.iinfo(image_CHW.dtype).max)
    return values.astype(image_CHW.dtype)


def predict(model: ExportedModel, images: Path, out: Path) -> int:
    """Predict an image, or all below a folder; how many could not be read, which are named."""
    root = images.parent if images.is_file() else images
    below = [path for path in sorted(images.rglob("*")) if _is_image(path, out)]
    files = [images] if images.is_file() else below
    out.mkdir(parents=True, exist_ok=True)
    failed, pngs = 0, _png_names([path.relative_to(root).as_posix() for path in files])
    with (out / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow([_cell(name) for name in _header(model)])
        for path in files:
            name = path.relative_to(root).as_posix()
            try:
                image_CHW = model.read(path)
                p = model.probabilities(image_CHW)
            except Exception as error:  # whatever is met in a file: the others are predicted all the same
                print(f"{name} is left out: {error}", file=sys.stderr)
                failed += 1
                continue
            size_hw, png = image_CHW.shape[1:], pngs[name]
            row = _masked(model, p, size_hw, out, png) if model.segments else _labelled(model, p)
            rows.writerow([_cell(cell) for cell in [name, *row]])
    return failed


def _png_names(names: list[str]) -> dict[str, str]:
    """The mask of each image: its own name with another suffix, or one more where two would share it."""
    short = {name: Path(name).with_suffix(".png").as_posix() for name in names}
    times = Counter(png.casefold() for png in short.values())
    return {name: png if times[png.casefold()] == 1 else f"{name}.png" for name, png in short.items()}


def _is_image(path: Path, out: Path) -> bool:
    return path.is_file() and path.name.lower().endswith(SUFFIXES) and not path.is_relative_to(out)


def _header(model: ExportedModel) -> list[str]:
    if model.segments:
        return ["image", "mask", "certainty", *(f"share_{name}" for name in model.classes)]
    kinds = ["probability"] if model.temperature is None else ["probability", "calibrated"]
    return ["image", "predicted", *(f"{kind}_{name}" for kind in kinds for name in model.classes)]


def _labelled(model: ExportedModel, p_K: np.ndarray) -> list[Any]:
    calibrated = model.calibrated(p_K)
    numbers = [*p_K, *(() if calibrated is None else calibrated)]
    return ["; ".join(model.decided(p_K)), *(f"{value:.6f}" for value in numbers)]


def _masked(
    model: ExportedModel, p_KHW: np.ndarray, size_hw: tuple[int, ...], out: Path, png: str
) -> list[Any]:
    labels_HW = p_KHW.argmax(0).astype(np.uint8)
    if labels_HW.shape != tuple(size_hw):
        shape = (size_hw[1], size_hw[0])
        labels_HW = np.asarray(Image.fromarray(labels_HW).resize(shape, Image.Resampling.NEAREST))
    target = out / "masks" / png
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels_HW * np.uint8(255) if len(model.classes) == 2 else labels_HW).save(target)
    shares = np.bincount(labels_HW.ravel(), minlength=len(model.classes)) / labels_HW.size
    return [f"masks/{png}", f"{p_KHW.max(0).mean():.6f}", *(f"{share:.6f}" for share in shares)]


def _cell(cell: Any) -> Any:
    """A cell that spreadsheets do not run: what begins like a formula, and is no number, gets an apostrophe before it."""
    text = str(cell)
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Predict images with a model of foldwise.")
    parser.add_argument("images", type=Path, help="an image, or a folder of images")
    parser.add_argument("--out", type=Path, required=True, help="a folder for the predictions")
    parser.add_argument("--model", type=Path, default=Path(__file__).with_name("model.onnx"))
    parser.add_argument("--threads", type=int, default=0, help="of the processor; all by default")
    options = parser.parse_args()
    failed = predict(ExportedModel(options.model, options.threads), options.images, options.out)
    print(f"predictions: {options.out}")
    return 3 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
