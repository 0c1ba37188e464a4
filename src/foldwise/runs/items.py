"""Items of work, and the table of their kinds: what they are called, what they take, and the version of their results.

A kind is a row of `KINDS` here, a row of `TASKS` in `pipeline/worker.py`, which does it, and a function in `planning.py`,
which plans it.
"""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from foldwise.study.own_code import identity, with_code
from foldwise.study.training import Training
from foldwise.text import count

# What a settings dictionary carries for people and tables, and no task computes with.
LABELS = ("configuration", "part")
TRAININGS = {"training", "encoder"}  # settings that are a training, or a part of one
FIT_VERSION = 6
TRAINED = ("fit", "trial")  # kinds that train a configuration on a fold

# Seconds for the filters of a million pixels, and to learn from the usual pixels of one channel; measured on one core.
FILTERS_S, LEARNING_S = 1.6, {"logistic_regression": 2.0, "random_forest": 8.0, "boosted_trees": 3.0}
NUM_PACES = 3  # of a speed measurement at each batch size: training, its limit, inference

# Of a landscape.
MAX_STEPS = 20  # checkpoints of the path of training
LANCZOS_STEPS, HUTCHINSON_DRAWS = 20, 10
PASSES_PER_PRODUCT = 5  # a product with the Hessian takes about so many forward passes
PASSES_PER_POINT = 2  # the criteria and the statistics of batch norm take about as long as the pass itself
SECONDS_PER_POINT = 1e-3  # of one point, beside the images
# `images: auto`: at most so many, and so many pixels together, but at least so many. A mask tells of every pixel,
# a label only of an image, so that fewer masks are enough, and their networks cost more for each.
MAX_IMAGES = 64
AUTO = {"segmentation": (2**15, 4), "classification": (2**17, 16)}  # pixels, fewest images


@dataclass(frozen=True)
class Item:
    """One piece of work: a function of its settings and of what it needs, and nothing else.

    Attributes:
        id: its kind and 16 hex digits.
        kind: a row of `KINDS`.
        needs: ids of the items that must be done before.
        title: for people; no part of the id.
        settings: plain values, as they go through JSON.
    """

    id: str
    kind: str
    needs: tuple[str, ...]
    title: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class Rates:
    """What costs are estimated from: the speed of each configuration on this machine, and the size of the data.

    Attributes:
        seconds_per_fit, seconds_per_test: by configuration; a test is one pass over a test fold.
        seconds_shared: by item id, of what fits share: features and pretraining.
        million_pixels: of all images, each pixel counted in every channel.
        num_train, num_test: images of a training part and of a test fold.
        pixels: of one image.
    """

    seconds_per_fit: Mapping[str, float] = field(default_factory=dict)
    seconds_per_test: Mapping[str, float] = field(default_factory=dict)
    seconds_shared: Mapping[str, float] = field(default_factory=dict)
    million_pixels: float = 0.0
    channels: int = 1
    num_train: int = 0
    num_test: int = 0
    pixels: int = 0


@dataclass(frozen=True)
class Kind:
    """What is known of every item of a kind.

    Attributes:
        noun: what one is called.
        seconds: about what one takes.
        version: raised when results change, so that items are done again.
        is_auxiliary: whether the verdict on the configurations does without it.
        runs_alone: whether it is done while nothing else is.
        on_cpu: whether it leaves an accelerator alone, whatever device is asked for.
    """

    noun: str
    seconds: Callable[[Item, Rates], float]
    version: int = 1
    is_auxiliary: bool = True
    runs_alone: bool = False
    on_cpu: bool = False


def make_item(kind: str, settings: dict[str, Any], *, needs: Sequence[str] = (), title: str) -> Item:
    """An item with its id."""
    return Item(item_id(kind, settings, needs, KINDS[kind].version), kind, tuple(needs), title, settings)


def is_itself(item: Item) -> bool:
    """Whether the id of an item is that of its settings, and of the weights file and the own code they name, as these are now."""
    return item.id == item_id(item.kind, item.settings, item.needs, KINDS[item.kind].version)


def is_of_features(item_id: str) -> bool:
    """Whether an id is that of the features of a frozen encoder."""
    return item_id.startswith("features-")


def item_id(kind: str, settings: Mapping[str, Any], needs: Sequence[str], version: int) -> str:
    """The kind and 16 hex digits of all that can change the result of an item; files and own code count by their content."""
    counted = with_code({key: value for key, value in settings.items() if key not in LABELS})
    for key in TRAININGS & counted.keys():
        own = identity(Training.model_validate(settings[key]))
        counted[key] = {name: own[name] for name in settings[key] if name in own}
    # The key is called step for the sake of run folders that are there: another name would change every id.
    whole = {"kind": kind, "settings": counted, "needs": list(needs), "step": version}
    canonical = json.dumps(whole, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"{kind}-{sha256(canonical.encode()).hexdigest()[:16]}"


def label(item: Item) -> dict[str, Any]:
    """What every result says of its item, and when it was written."""
    wanted = ("configuration", "repeat", "fold", "seed")
    own = {key: item.settings[key] for key in wanted if key in item.settings}
    finished = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"item": item.id, "kind": item.kind, "title": item.title} | own | {"finished": finished}


def failure(kind: str, message: str, traceback: str = "") -> dict[str, Any]:
    """What the result of an item says that failed."""
    return {"status": "failed", "error": {"type": kind, "message": message, "traceback": traceback}}


def count_kinds(items: Iterable[Item]) -> str:
    """How many items of each kind there are: ``24 fits, 5 shallow baselines, 1 preview``."""
    numbers = Counter(item.kind for item in items)
    return ", ".join(count(numbers[kind], row.noun) for kind, row in KINDS.items() if numbers[kind])


def seconds_of(items: Iterable[Item], rates: Rates) -> float:
    """About what items take together, one after the other."""
    return float(sum(KINDS[item.kind].seconds(item, rates) for item in items))


def num_images(wanted: int | str, *, task: str, pixels: int, available: int) -> int:
    """How many images of the training part a landscape is computed on.

    Args:
        wanted: a number, or auto.
        pixels: of one image.
        available: images of the training part; no more than these.
    """
    if not isinstance(wanted, int):
        budget, least = AUTO["segmentation" if task.endswith("segmentation") else "classification"]
        wanted = min(MAX_IMAGES, max(least, budget // max(pixels, 1)))
    return min(wanted, available)


def _fit_s(item: Item, rates: Rates) -> float:
    return rates.seconds_per_fit[item.settings["configuration"]]


def _trial_s(item: Item, rates: Rates) -> float:
    return float(item.settings.get("part", 1) * _fit_s(item, rates))


def _shared_s(item: Item, rates: Rates) -> float:
    return rates.seconds_shared.get(item.id, 0.0)


def _shallow_s(item: Item, rates: Rates) -> float:
    learning = LEARNING_S.get(item.settings["baseline"]["name"], 0.0)
    return rates.million_pixels * FILTERS_S + rates.channels * learning


def _robustness_s(item: Item, rates: Rates) -> float:
    conditions = len(item.settings["blur_px"]) * len(item.settings["noise"])
    return float(conditions * rates.seconds_per_test[item.settings["configuration"]])


def _landscape_s(item: Item, rates: Rates) -> float:
    """The training once more, then every point of every surface, then curvature."""
    settings, detail = item.settings, item.settings["landscape"]
    name = settings["configuration"]
    epochs = detail["epochs"] if isinstance(detail["epochs"], int) else len(detail["epochs"]) + 3
    surfaces = (epochs + 1) * detail["points"] ** 2
    along = 2 * detail["points"] + 1
    lines = along * (epochs * detail["directions"] + 2 + len(detail["others"])) + 2 * MAX_STEPS
    products = epochs * (LANCZOS_STEPS + HUTCHINSON_DRAWS) * PASSES_PER_PRODUCT
    about = {"task": settings["task"], "pixels": rates.pixels, "available": rates.num_train}
    images = num_images(detail["images"], **about)
    # Where the encoder is shared, only the head is computed, which takes no time to speak of.
    shared = any(map(is_of_features, item.needs))
    per_image = 0.0 if shared else rates.seconds_per_test[name] / max(rates.num_test, 1)
    passes: int = surfaces + lines + products
    return rates.seconds_per_fit[name] + passes * (PASSES_PER_POINT * images * per_image + SECONDS_PER_POINT)


def _measure_s(item: Item, rates: Rates) -> float:
    return float(NUM_PACES * len(item.settings["batch_sizes"]) * item.settings["seconds"])


# In the order in which they are counted for people.
KINDS = {
    "fit": Kind("fit", _fit_s, version=FIT_VERSION, is_auxiliary=False),
    "trial": Kind("trial", _trial_s, version=FIT_VERSION, is_auxiliary=False),
    # Since version 2 the rows of images of different sizes are in the order of the cases.
    "features": Kind("encoder pass", _shared_s, version=2, is_auxiliary=False),
    "pretrain": Kind("pretraining", _shared_s, version=2, is_auxiliary=False),
    "shallow": Kind("shallow baseline", _shallow_s, version=2, on_cpu=True),
    "aa_test": Kind("A/A fit", _fit_s, version=FIT_VERSION),
    "robustness": Kind("robustness check", _robustness_s),
    "landscape": Kind("landscape", _landscape_s),
    "preview": Kind("preview", lambda item, rates: 0.0, version=2, on_cpu=True),
    "measure": Kind("speed measurement", _measure_s, version=2, runs_alone=True),
}
