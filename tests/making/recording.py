"""A task that trains nothing and records what it worked with, at a gate that a test opens; and small data sets to edit."""

import threading
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from zlib import crc32

import numpy as np
from PIL import Image

SIDE = 16


class Gate:
    """Where the first item waits, after it was checked and before it reads anything."""

    def __init__(self):
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self):
        self.reached.set()
        assert self.opened.wait(60)


def recorder(gate):
    """The task: what it reads of its split, its images, its weights file and its code."""

    def record(job):
        gate()
        work = worked_with(job.settings, job.packed, job.split)
        job.beat({"doing": "recorded"})
        return work

    return record


def worked_with(settings, packed, split):
    """What an item of these settings works with, in plain values."""
    training = settings["training"]
    weights, model = Path(training["weights"]), training["model"]["name"]
    segmented = packed.task.endswith("segmentation")
    return {
        "parts": [getattr(split, part).tolist() for part in ("train", "validation", "test")],
        "pixels": [crc32(np.ascontiguousarray(packed.image(case))) for case in range(len(packed))],
        "masks": [crc32(np.ascontiguousarray(packed.target(case))) for case in range(len(packed))]
        if segmented
        else [],
        "labels": packed.labels.tolist(),
        "classes": list(packed.classes),
        "weights": sha256(weights.read_bytes()).hexdigest() if weights.is_file() else None,
        "code": import_module(model.partition(":")[0]).VALUE if ":" in model else None,
        "training": training,
        "seed": settings["seed"],
    }


def picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(1, 255, (SIDE, SIDE), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def masks(root, num=12):
    """Images and masks of values 0, 128 and 255."""
    for place in range(num):
        picture(root / "images" / f"{place}.png", place)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[2:9, 3 : 8 + place % 4], mask[11:14, 2 + place % 5 : 12] = 128, 255
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(root / "masks" / f"{place}.png")


def table(root, num=24):
    """Images with a label, a patient and a part each, in ``labels.csv``."""
    rows = ["image,label,patient,part"]
    for place in range(num):
        picture(root / "images" / f"{place}.png", 100 + place)
        part = ("train", "train", "test", "validation")[place // 2 % 4]
        rows.append(f"{place}.png,{'ab'[place % 2]},p{place // 2},{part}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
