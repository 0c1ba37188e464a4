"""The same two objects written as every format of labels has them: a square with a hole, and a triangle."""

import base64
import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import roifile
from PIL import Image
from small_sets import picture

SIZE = 24, 32  # height, width
SQUARE = [(2, 3), (14, 3), (14, 15), (2, 15)]  # x, y
HOLE = [(5, 6), (5, 11), (10, 11), (10, 6)]
TRIANGLE = [(18.2, 4.1), (29.6, 8.0), (20.3, 19.7)]


def truth() -> np.ndarray:
    """(H, W): 1 in the triangle, 2 in the square around its hole, by asking of each centre of a pixel on its own."""
    mask = np.zeros(SIZE, np.uint8)
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            point = column + 0.5, row + 0.5
            if within(point, SQUARE) and not within(point, HOLE):
                mask[row, column] = 1
            if within(point, TRIANGLE):
                mask[row, column] = 2
    return mask


def within(point: tuple[float, float], corners: list[tuple[float, float]]) -> bool:
    """Whether a point lies in a polygon, by the angle that the corners turn around it."""
    turned, spokes = 0.0, [complex(*corner) - complex(*point) for corner in corners]
    for first, second in zip(spokes, [*spokes[1:], spokes[0]], strict=True):
        turned += np.angle(second / first)
    return abs(turned) > np.pi


def images(folder: Path, number: int = 3) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(number):
        Image.fromarray(picture(k, size=SIZE)).save(folder / f"a{k}.png")
    return [f"a{k}" for k in range(number)]


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """Starts from 0 and lengths, down the columns, one pixel after the other."""
    found: list[tuple[int, int]] = []
    for index, value in enumerate(mask.T.ravel()):
        if value and found and sum(found[-1]) == index:
            found[-1] = found[-1][0], found[-1][1] + 1
        elif value:
            found.append((index, 1))
    return found


def packed(counts: list[int]) -> str:
    """COCO's text of counts, written by its description: differences to the one before last, five bits a letter."""
    text = ""
    for k, count in enumerate(counts):
        number, more = count - (counts[k - 2] if k > 2 else 0), True
        while more:
            bits, number = number & 31, number >> 5
            more = number != (-1 if bits & 16 else 0)
            text += chr((bits | 32 * more) + 48)
    return text


def counts(mask: np.ndarray) -> list[int]:
    numbers, at = [], 0
    for start, length in runs(mask):
        numbers += [start - at, length]
        at = start + length
    return [*numbers, mask.size - at]


def write_coco(root: Path, names: list[str], **changes: object) -> None:
    square = {"segmentation": {"counts": counts(truth() == 1), "size": list(SIZE)}, "category_id": 7}
    triangle = {"segmentation": [list(np.ravel(TRIANGLE))], "category_id": 9}
    content = {
        "images": [{"id": k, "file_name": f"{name}.png"} for k, name in enumerate(names)],
        "categories": [{"id": 7, "name": "square"}, {"id": 9, "name": "triangle"}],
        "annotations": [{"image_id": k, **each} for k in range(len(names)) for each in (square, triangle)],
        **changes,
    }
    (root / "annotations.json").write_text(json.dumps(content))


def write_labelme(root: Path, names: list[str]) -> None:
    # It knows no holes, so that the border goes into the hole and back.
    cut = [*SQUARE, SQUARE[0], *HOLE, HOLE[0]]
    shapes = [
        {"label": "square", "points": cut, "shape_type": "polygon"},
        {"label": "triangle", "points": TRIANGLE, "shape_type": "polygon"},
    ]
    for name in names:
        content = {"imagePath": f"{name}.png", "shapes": shapes, "imageData": base64.b64encode(b"x").decode()}
        (root / "images" / f"{name}.json").write_text(json.dumps(content))


def write_geojson(root: Path, names: list[str]) -> None:
    (root / "annotations").mkdir()
    areas = {"square": ("Polygon", [SQUARE, HOLE]), "triangle": ("MultiPolygon", [[TRIANGLE]])}
    features = [
        {
            "type": "Feature",
            "geometry": {"type": kind, "coordinates": rings},
            "properties": {
                "objectType": "annotation",
                "classification": {"name": name, "color": [255, 0, 0]},
            },
        }
        for name, (kind, rings) in areas.items()
    ]
    for name in names:
        content = {"type": "FeatureCollection", "features": features}
        (root / "annotations" / f"{name}.geojson").write_text(json.dumps(content))


def write_rois(root: Path, names: list[str]) -> None:
    (root / "rois").mkdir()
    cut = [*SQUARE, SQUARE[0], *HOLE, HOLE[0]]
    for name in names:
        with zipfile.ZipFile(root / "rois" / f"{name}.zip", "w") as archive:
            for group, points in ((1, cut), (2, TRIANGLE)):
                roi = roifile.ImagejRoi.frompoints(np.array(points, np.float32))
                roi.group = group
                archive.writestr(f"{group}.roi", roi.tobytes())


def write_runs(root: Path, names: list[str]) -> None:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["ImageId", "ClassId", "EncodedPixels"])
    for name in names:
        for value, label in ((1, "square"), (2, "triangle")):
            cells = (f"{start + 1} {length}" for start, length in runs(truth() == value))
            table.writerow([f"{name}.png", label, " ".join(cells)])
    (root / "train.csv").write_text(text.getvalue())


def write_yolo(root: Path, names: list[str]) -> None:
    (root / "labels").mkdir()
    (root / "data.yaml").write_text("nc: 2\nnames: [triangle, square]\n")
    cut = [*SQUARE, SQUARE[0], *HOLE, HOLE[0]]
    lines = [
        f"{k} " + " ".join(f"{x / SIZE[1]:.9f} {y / SIZE[0]:.9f}" for x, y in corners)
        for k, corners in ((1, cut), (0, TRIANGLE))
    ]
    for name in names:
        (root / "labels" / f"{name}.txt").write_text("\n".join(lines) + "\n")


WRITERS: dict[str, Callable[[Path, list[str]], None]] = {
    "COCO": write_coco,
    "LabelMe": write_labelme,
    "GeoJSON": write_geojson,
    "ImageJ ROI": write_rois,
    "run-length": write_runs,
    "YOLO": write_yolo,
}
