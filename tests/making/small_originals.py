"""The data sets of the source table in their exact original layout, with few and small images."""

import csv
import io
import zipfile

import numpy as np
from PIL import Image

from foldwise.data.public.conversions import STAINS
from foldwise.data.public.volumes import SPLITS

ANY = np.random.default_rng(5)


def picture(path, size=(12, 16), channels=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = size if channels == 1 else (*size, channels)
    Image.fromarray(ANY.integers(0, 256, shape, np.uint8)).save(path)


def mask(path, size=(12, 16), values=(0, 255)):
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = ANY.choice(np.array(values, np.uint8), size)
    drawn.flat[: len(values)] = values
    Image.fromarray(drawn).save(path)


def fives(root):
    top = root / "FIVES A Fundus Image Dataset for AI-based Vessel Segmentation"
    for part, names in {"train": ["1_A", "2_D", "3_G", "10_N"], "test": ["1_A", "2_N"]}.items():
        for name in names:
            picture(top / part / "Original" / f"{name}.png")
            mask(top / part / "Ground truth" / f"{name}.png")


def bdello(root):
    for k in range(3):
        picture(root / "Cleaned" / "images" / f"frame {k}.png", channels=1)
        mask(root / "Cleaned" / "masks" / f"frame {k}.png")


def neurons(root):
    for name in ("Mar31bS2C1R2_VLPAGr_200x_y", "MAR38S1C3R1_LHR_20_o", "Mar38S2C1R1_DMl_200x_o", "39"):
        picture(root / "all_images" / "images" / f"{name}.png")
        mask(root / "all_masks" / "masks" / f"{name}.png")


def gels(root):
    top = root / "Gel-Electrophoresis-Image-Classification-81e0ed5"
    for k in (1, 2, 11):
        picture(top / "dataset" / "gel" / f"gel_{k}.jpg")
        picture(top / "dataset" / "not_gel" / f"not_gel_{k}.jpg", channels=1)
    picture(top / "test_images" / "gel" / "gel_1.jpg")
    picture(top / "test_images" / "not_gel" / "not_gel_11.jpg", channels=1)
    (top / "README.md").write_text("gels")


def isbi2012(root):
    top = root / "pytorch-unet-segmentation-69169d8" / "data"
    for part, num in {"train": 27, "val": 3}.items():
        for k in range(num):
            picture(top / part / "images" / f"{k}.png", channels=1)
            mask(top / part / "masks" / f"{k}.png")
    mask(top / "test" / "masks" / "0.png")


def optic_disc(root):
    for folder, name in (("tr_images", "a_1"), ("tr_images", "b_1"), ("ts_images", "c_1")):
        wide = 2 * 1072 if name == "b_1" else 30
        picture(root / "data" / folder / f"{name}.png", (20, wide))
        mask(root / "data" / "clean_masks" / f"{name}.png", (20, wide), (0, 20, 21, 255))


def mtneuro(root):
    root.mkdir(parents=True, exist_ok=True)
    for part, (first, last) in SPLITS.items():
        shape = (4 * (last - first), 8, 8)
        images = ANY.integers(0, 256, shape, np.uint8)
        images[:, 0, 0] = np.repeat([10, 20, 30, 40], last - first)  # which region a slice is of
        np.save(root / f"task2_2D_4class{part}images.npy", images)
        np.save(root / f"task2_2D_4class{part}labels.npy", ANY.integers(0, 4, shape).astype(np.uint64))


def protein_atlas(root, targets=("16 0", "7 1 2 0", "5", "27")):
    rows = []
    for k, target in enumerate(targets):
        name = f"0007{k}df0-bbc3-11e8-b2bc-ac1f6b6435d0"
        rows.append(f"{name},{target}")
        for place, colour in enumerate(STAINS):
            path = root / "train" / f"{name}_{colour}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((16, 16), 50 * place + k, np.uint8)).save(path)
    (root / "train.csv").write_text("\n".join(["Id,Target", *rows]) + "\n")
    (root / "sample_submission.csv").write_text("Id,Predicted\nx,0\n")
    picture(root / "test" / "x_green.png", channels=1)


ORIGINALS = {
    "fives": fives,
    "bdello": bdello,
    "neurons": neurons,
    "gels": gels,
    "isbi2012": isbi2012,
    "optic_disc": optic_disc,
    "mtneuro": mtneuro,
    "mtneuro_zi": mtneuro,
    "protein_atlas": protein_atlas,
}


def original(name, tmp_path):
    root = tmp_path / "original"
    ORIGINALS[name](root)
    return root


def zipped(folder):
    """The bytes of a zip of a folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


def rows(folder, name="metadata.csv"):
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))
