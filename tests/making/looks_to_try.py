"""Looks small enough to be done in a moment: a fit, and the look into it."""

import json

import fits_to_try
import numpy as np
from fits_to_try import SPLIT, settings, tiny
from jobs import job

from foldwise.insight.landscape_item import landscape_item

ABOUT = {
    "epochs": 3, "points": 3, "directions": 1, "images": 4, "losses": [], "standard": True, "fit": "fit-a",
    "others": [], "metric": "auto",
}  # fmt: skip


def fitted(folder, task, *, packed=None, inputs=None, seeds=None, **training):
    """A fit with the result.json that a worker writes."""
    result, _ = fits_to_try.fit(folder, task, packed=packed, inputs=inputs, seeds=seeds, **training)
    whole = result | {"status": "done", "repeat": 0, "fold": 0}
    (folder / "result.json").write_text(json.dumps(whole), encoding="utf-8")
    return whole


def looked(
    folder, task, *, packed=None, inputs=None, about=None, seeds=None, beat=lambda _: None, **training
):
    """Look into the fit of `inputs` called fit-a; the result and the arrays of every file."""
    folder.mkdir(parents=True)
    named = {} if seeds is None else dict(zip(("seed", "encoder_seed"), seeds, strict=True))
    asked = settings(task, **training) | named
    own = asked["training"]["loss"]
    asked |= {"landscape": ABOUT | {"losses": [own]} | (about or {})}
    made = job(asked, folder, packed=packed or tiny(task), split=SPLIT, inputs=inputs, beat=beat)
    result = landscape_item(made)
    arrays = {}
    for path in folder.glob("*.npz"):
        with np.load(path, allow_pickle=False) as file:
            arrays[path.stem] = dict(file)
    return json.loads(json.dumps(result, allow_nan=False)), arrays
