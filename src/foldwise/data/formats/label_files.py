"""The formats of labels that are no pictures: one table that says how a file is recognised, and which objects it holds.

A new format is a reader and a row here; the contract in `tests/data/formats/test_label_files.py` says what a row must do.
"""

from __future__ import annotations

import json
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from foldwise.data.formats.shapes import FOREGROUND, NOT_COUNTED, Ring, Shape, runs_of_cell, runs_of_counts
from foldwise.errors import DataError, FoldwiseError, need
from foldwise.study.yaml_places import parse

MAX_BYTES = 2**29  # of one file, packed or not: a text takes some ten times as much in memory
MAX_ROI_BYTES, MAX_ROIS = 2**24, 100_000
MAX_NAMES = 2**18  # bytes of a list of class names
NAME_LISTS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml", "classes.txt", "obj.names")
# Objects of one image by its name, and how many points and lines, which have no area, were left out.
Objects = tuple[dict[str, list[Shape]], int]


@dataclass(frozen=True)
class LabelFormat:
    """One kind of file with labels.

    Attributes:
        suffixes: in lower case, with their dot.
        is_of_set: whether one file is of all images; else each image has one of its name.
        holds: whether a file, by what is in it, is of this kind; it may raise whatever it meets.
        read: the objects in it, by the name of the image; of a file for one image by an empty one.
    """

    suffixes: tuple[str, ...]
    is_of_set: bool
    holds: Callable[[Path], bool]
    read: Callable[[Path], Objects]


def kind_of(path: Path) -> str | None:
    """The row that a file is of; None where it is of none, or cannot be read."""
    for name, row in LABEL_FORMATS.items():
        try:
            if path.name.lower().endswith(row.suffixes) and path.is_file() and row.holds(path):
                return name
        except Exception:  # whatever is met in a file that others wrote, for a reason of theirs
            continue
    return None


def with_content(root: Path, paths: Iterable[str]) -> Iterator[Path]:
    """Where those files are that are not empty: of YOLO's, an empty one says that an image shows nothing."""
    yield from (path for path in map(root.joinpath, paths) if path.is_file() and path.stat().st_size)


def objects_in(path: Path, kind: str) -> Objects:
    """The objects in a file of labels.

    Raises:
        DataError: it is damaged, too large, or holds what is not read.
    """
    try:
        return LABEL_FORMATS[kind].read(path)
    except DataError as error:
        raise DataError(error.what, where=error.where or str(path), cure=error.cure) from None
    except FoldwiseError:
        raise
    except Exception as error:  # whatever is met in a file that others wrote
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        cure = "Write it again with the program that it is from, or take it out."
        raise DataError(f"the {kind} file cannot be read ({reason})", where=str(path), cure=cure) from None


def _json(path: Path) -> Any:
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"the file is larger than {MAX_BYTES >> 20} MB", cure="Split it by images.")
    return json.loads(path.read_text(encoding="utf-8-sig"))


def _ring(points: Any) -> Ring:
    ring = np.asarray(points, np.float64).reshape(-1, 2)
    if not np.isfinite(ring).all():
        raise ValueError("a corner is no number")
    return ring


# ---- COCO


def _is_coco(path: Path) -> bool:
    content = _json(path)
    is_coco = isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys()
    return is_coco and any("segmentation" in each for each in content["annotations"])


def _coco(path: Path) -> Objects:
    content = _json(path)
    names = {each["id"]: str(each["name"]) for each in content["categories"]}
    files = {each["id"]: str(each["file_name"]) for each in content["images"]}
    objects: dict[str, list[Shape]] = {file: [] for file in files.values()}
    if len(objects) < len(content["images"]):
        raise ValueError("two images have one name, or one id")
    left_out = 0
    for each in content["annotations"]:
        outline = each.get("segmentation")
        name = NOT_COUNTED if each.get("iscrowd") else names[each["category_id"]]
        if not outline:  # a box alone, or key points
            left_out += 1
        elif isinstance(outline, dict):
            runs, size = runs_of_counts(outline["counts"]), outline.get("size")
            shape = Shape(name, runs=runs, of_size=(int(size[0]), int(size[1])) if size else None)
            objects[files[each["image_id"]]].append(shape)
        else:
            objects[files[each["image_id"]]].append(Shape(name, tuple((_ring(part),) for part in outline)))
    return objects, left_out


# ---- LabelMe


def _is_labelme(path: Path) -> bool:
    content = _json(path)
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def _labelme(path: Path) -> Objects:
    shapes, left_out = [], 0
    for each in _json(path)["shapes"]:
        kind, points = each.get("shape_type") or "polygon", _ring(each["points"])
        if kind == "mask":
            cure = "Turn its masks into polygons, or export the labels as PNG (labelme_export_json)."
            raise DataError("a label is a mask within the file, which is not read", cure=cure)
        if kind == "rectangle":
            (x0, y0), (x1, y1) = points[0], points[-1] if len(points) == 2 else points[2]
            points = _ring([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
        elif kind == "circle":
            angles = np.linspace(0, 2 * np.pi, 256, endpoint=False)
            radius = np.hypot(*(points[1] - points[0]))
            points = points[0] + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
        elif kind != "polygon":
            left_out += 1
            continue
        shapes.append(Shape(str(each["label"]), ((points,),)))
    return {"": shapes}, left_out


# ---- QuPath's GeoJSON


def _features(path: Path) -> list[dict[str, Any]]:
    content = _json(path)
    if isinstance(content, dict):
        content = content["features"] if content["type"] == "FeatureCollection" else [content]
    if not all(each.get("type") == "Feature" for each in content):
        raise ValueError("no features")
    return list(content)


def _geojson(path: Path) -> Objects:
    shapes, left_out = [], 0
    for each in _features(path):
        geometry, about = each["geometry"], (each.get("properties") or {}).get("classification") or {}
        name = str(about.get("name") or FOREGROUND)
        parts = {"Polygon": [geometry.get("coordinates")], "MultiPolygon": geometry.get("coordinates")}
        if geometry["type"] not in parts:
            left_out += 1
            continue
        areas = tuple(tuple(_ring(ring) for ring in part) for part in parts[geometry["type"]])
        # QuPath marks classes that do not count by a star.
        shapes.append(Shape(NOT_COUNTED if name == "Ignore*" else name, areas))
    return {"": shapes}, left_out


# ---- ImageJ's ROIs


def _rois(path: Path) -> Iterator[bytes]:
    if path.suffix.lower() == ".roi":
        if path.stat().st_size > MAX_ROI_BYTES:
            raise DataError("the file is larger than any ROI", cure="Save the ROIs again from ImageJ.")
        yield path.read_bytes()
        return
    with zipfile.ZipFile(path) as archive:
        entries = [each for each in archive.infolist() if each.filename.lower().endswith(".roi")]
        too_large = any(each.file_size > MAX_ROI_BYTES for each in entries)
        if too_large or len(entries) > MAX_ROIS or sum(each.file_size for each in entries) > MAX_BYTES:
            raise DataError("the archive holds more than ROIs can", cure="Save the ROIs again from ImageJ.")
        yield from (archive.read(each) for each in entries)


def _holds_rois(path: Path) -> bool:
    return any(content[:4] == b"Iout" for content in _rois(path))


def _imagej(path: Path) -> Objects:
    roifile = need("roifile", "formats")
    kinds, shapes, left_out = roifile.ROI_TYPE, [], 0
    with_area = {kinds.POLYGON, kinds.RECT, kinds.OVAL, kinds.FREEHAND, kinds.TRACED}
    rois = [roifile.ImagejRoi.frombytes(content) for content in _rois(path)]
    has_groups = any(roi.group for roi in rois)
    for roi in rois:
        if roi.roitype not in with_area:
            left_out += 1
            continue
        rings = tuple(_ring(ring) for ring in roi.coordinates(multi=True))
        shapes.append(Shape(f"group {roi.group}" if has_groups else FOREGROUND, (rings,)))
    return {"": shapes}, left_out


# ---- runs of pixels in a table, as Kaggle has them

RUN_COLUMNS = ("encodedpixels", "rle", "rle_mask", "mask_rle", "annotation", "segmentation")
CLASS_COLUMNS = ("classid", "class_id", "class", "label", "category")
NAME_COLUMNS = ("imageid", "image_id", "image", "id", "img", "filename", "file_name", "file")
JOINED_COLUMNS = ("image_label", "imageid_classid", "image_class")  # a.jpg_Fish


def _rows(path: Path) -> Iterator[tuple[str, str, str]]:
    """Of every row the name of the image, that of the class, and the runs; ValueError where the table is another."""
    import csv

    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"the table is larger than {MAX_BYTES >> 20} MB", cure="Split it by images.")
    csv.field_size_limit(max(csv.field_size_limit(), 2**24))
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = {name.casefold(): name for name in reader.fieldnames or () if name}
        runs, joined, image, kind = (
            next((columns[name] for name in names if name in columns), None)
            for names in (RUN_COLUMNS, JOINED_COLUMNS, NAME_COLUMNS, CLASS_COLUMNS)
        )
        if runs is None or (joined is None and image is None):
            raise ValueError("no columns of images and runs")
        for row in reader:
            name, label = (
                row[joined].rsplit("_", 1) if joined else (row[str(image)], row[kind] if kind else "")
            )
            yield name, label or FOREGROUND, row[runs] or ""


def _holds_runs(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.readline(4096).decode("utf-8-sig", "replace").casefold()
    if not any(name in head for name in RUN_COLUMNS):
        return False
    return any(len(runs_of_cell(cell)) for _, _, cell in _rows(path))


def _runs(path: Path) -> Objects:
    objects: dict[str, list[Shape]] = defaultdict(list)
    for name, label, cell in _rows(path):
        runs = runs_of_cell(cell)
        objects[name] += [Shape(label, runs=runs)] if len(runs) else []
    return dict(objects), 0


# ---- YOLO's polygons


def _polygons(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Of every line the number of the class, and what follows it; ValueError where it is no label of YOLO."""
    if path.stat().st_size > MAX_ROI_BYTES:
        raise DataError("the file is larger than labels of an image are", cure="Export the labels again.")
    with path.open(encoding="utf-8-sig") as file:
        for line in filter(str.strip, file):
            first, *rest = line.split()
            numbers = np.array(rest, np.float64)
            if len(numbers) < 4 or len(numbers) % 2 or not ((numbers >= 0) & (numbers <= 1)).all():
                raise ValueError("a line is not a class and corners from 0 to 1")
            yield int(first), numbers


def _yolo_names(folder: Path) -> dict[int, str]:
    """Class names by their numbers, of the nearest list of them at most two folders up; none where there is none."""
    places = (folder, folder.parent, folder.parent.parent)
    path = next((path for folder in places for name in NAME_LISTS if (path := folder / name).is_file()), None)
    return _names_in(path, path.stat().st_mtime_ns) if path else {}


@lru_cache(maxsize=8)  # thousands of files have one list
def _names_in(path: Path, changed: int) -> dict[int, str]:
    text = path.read_bytes()[:MAX_NAMES].decode("utf-8-sig", "replace")
    if path.suffix not in (".yaml", ".yml"):
        return dict(enumerate(filter(None, map(str.strip, text.splitlines()))))
    content = parse(text, name=str(path)).value
    names = content.get("names") if isinstance(content, dict) else None
    pairs = names.items() if isinstance(names, dict) else enumerate(names or ())
    return {int(number): str(name) for number, name in pairs}


def _yolo(path: Path) -> Objects:
    names, shapes, left_out = _yolo_names(path.parent), [], 0
    for number, corners in _polygons(path):
        if names and number not in names:
            cure = f"The names are {', '.join(names.values())}; mend the label or the list of names."
            raise DataError(f"there is no name for class {number}", cure=cure)
        if len(corners) == 4:  # a box
            left_out += 1
            continue
        shapes.append(Shape(names.get(number, f"class {number}"), ((_ring(corners),),), are_shares=True))
    return {"": shapes}, left_out


LABEL_FORMATS: dict[str, LabelFormat] = {
    "COCO": LabelFormat((".json",), True, _is_coco, _coco),
    "LabelMe": LabelFormat((".json",), False, _is_labelme, _labelme),
    "GeoJSON": LabelFormat((".geojson", ".json"), False, lambda path: bool(_features(path)), _geojson),
    "ImageJ ROI": LabelFormat((".zip", ".roi"), False, _holds_rois, _imagej),
    "run-length": LabelFormat((".csv",), True, _holds_runs, _runs),
    "YOLO": LabelFormat((".txt",), False, lambda path: next(_polygons(path), None) is not None, _yolo),
}
LABEL_SUFFIXES = tuple({suffix for row in LABEL_FORMATS.values() for suffix in row.suffixes})
