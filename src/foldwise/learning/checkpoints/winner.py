"""What leaves a finished run: its winner as a folder that stands alone, and its fits as event files of TensorBoard.

Importing this needs no torch, since a report makes both.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from foldwise.data.cache.packed import Packed, open_packed
from foldwise.data.folds.splits import read_splits
from foldwise.data.novelty import MAX_IMAGES, MIN_GROUPS, NONE, UNLIKE_P, VERSION, TrainingImages, numbers_of
from foldwise.errors import FoldwiseError, RunError, need
from foldwise.foreign import checked_id
from foldwise.sealed import CURES, damaged, read_json, read_record, read_table, seal, verified
from foldwise.sealed_arrays import read_arrays
from foldwise.storage import folder_replaced
from foldwise.study.imports import find, own_file
from foldwise.study.own_code import CODE, content_of
from foldwise.text import count

if TYPE_CHECKING:  # only a type here
    from foldwise.runs.folder import RunFolder

MODEL, WEIGHTS, ENCODER = "model.json", "weights.safetensors", "encoder.safetensors"
GRAPH = "onnx"  # a folder in that of the winner: its networks as one graph, once somebody has asked for it
SCHEMA = 1
# In that of the winner: their numbers, with which new images are compared.
TRAINING_IMAGES = "training_images.npz"
THRESHOLD = 0.5  # of each of several labels, where the verdict says none
SCALARS = {"train_loss": "loss/training", "val_loss": "loss/validation", "lr": "learning rate"}
LONGEST_NAME = 80  # of a folder of event files


class Estimated(Protocol):
    """A configuration with its estimate, as the verdict has it."""

    id: str
    levels: dict[str, str]
    estimate: float | None


@dataclass(frozen=True)
class Decision:
    """What the judge settled about a winner; all of it may be unknown.

    Attributes:
        answer: of the verdict, to be shown beside predictions.
        thresholds: of several labels: ``method``, and ``values``, one for each class, None for one that is never predicted.
        temperature: by which logits are divided.
        caution: why not to rely on it, where it is not shown to be better than a trivial predictor.
        score: what it reached, and on what, in a sentence.
    """

    answer: Mapping[str, Any] | None = None
    thresholds: Mapping[str, Any] | None = None
    temperature: float | None = None
    caution: str | None = None
    score: str | None = None


@dataclass(frozen=True)
class Seen:
    """The files that the winner was trained on.

    Attributes:
        channels: what names the files of the channels, in the order that the models know; none for whole images.
        sizes_px: the least and the greatest height and width, before they were resized: ((40, 60), (80, 90)); or None.
        decoding: what the study states of what files say of their own pixels; empty where it states nothing.
        code: module -> file of own code that the networks are built by.
        pixel_um: height and width of a pixel; None where nothing states it, or files differ.
        numbers: arrays by which new images are compared with those of the training; empty where they are not known.
    """

    channels: Sequence[str] = ()
    sizes_px: tuple[tuple[int, int], tuple[int, int]] | None = None
    decoding: Mapping[str, str | None] = field(default_factory=dict)
    code: Mapping[str, Path] = field(default_factory=dict)
    pixel_um: tuple[float, float] | None = None
    numbers: Mapping[str, np.ndarray] = field(default_factory=dict)


def make_winner(done: list[Path], out: Path, *, decision: Decision = Decision(), seen: Seen = Seen()) -> Path:
    """Copy the models of the winning configuration's fits into `out`, whole or not at all; `out`.

    Args:
        done: the done folders of its fits; those that failed hold no model and are left out.
        out: the winner's folder; what was there is replaced.
        decision: of the judge, written beside the models.
        seen: what it was trained on.

    Raises:
        RunError: none of the fits left a model.
    """
    fits = [folder for folder in done if (folder / MODEL).is_file()]
    if not fits:
        raise RunError(
            "none of the winner's fits left a model",
            cure="Mend what foldwise status names, and do it again with foldwise run --retry.",
        )
    with folder_replaced(out) as scratch:
        members = [_copy(folder, number, scratch) for number, folder in enumerate(fits)]
        stated = asdict(decision) | asdict(replace(seen, numbers={}))
        stated |= {"code": _copy_code(seen.code, scratch / CODE)}
        del stated["numbers"]
        if seen.numbers:
            np.savez(scratch / TRAINING_IMAGES, **seen.numbers)  # type: ignore[arg-type]
        record = {"schema": SCHEMA, **stated, "members": members}
        seal(scratch / MODEL, record, [path for path in scratch.iterdir() if path.is_file()])
        if (out / GRAPH).is_dir() and digest_of_networks(out) == digest_of_networks(scratch):
            shutil.copytree(out / GRAPH, scratch / GRAPH)
    return out


def _copy_code(code: Mapping[str, Path], folder: Path) -> dict[str, str]:
    """Copy own code to where the names of its modules lead; file below the folder -> digest."""
    copied = {}
    for module, path in code.items():
        stem = Path(*module.split("."))
        name = stem / path.name if path.name == "__init__.py" else stem.with_suffix(".py")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
        copied[name.as_posix()] = content_of(folder / name)
    return copied


def copied_code(folder: Path) -> Path | None:
    """Where the own code of a winner's networks lies beside it; None where there is none. Nothing of it is run.

    Raises:
        RunError: it is not what was copied, or a module in it would take the place of another one.
    """
    code, stated = folder / CODE, read_json(folder / MODEL).get("code") or {}
    if not stated and not code.exists():
        return None
    there = {path.relative_to(code).as_posix(): path for path in code.rglob("*") if not path.is_dir()}
    if {name: content_of(path) for name, path in there.items()} != stated:
        what = "the own code that came with the model is not what was copied when it was made"
        raise RunError(what, where=str(code), cure=CURES[MODEL])
    for name in sorted({Path(name).parts[0].removesuffix(".py") for name in there}):
        spec = find(name, {})
        if spec is not None and spec.origin and own_file(spec) is None:  # of Python itself, or installed
            what = f"the own code that came with the model would take the place of the module {name!r}"
            raise RunError(what, where=str(code), cure="Rename the module, and train the model again.")
    return code


def decoded_images(folder: RunFolder) -> Packed | None:
    """The images of a run; None where they are not in the cache any more."""
    with suppress(RunError, KeyError):
        return open_packed(str(read_json(folder.environment)["packed_digest"]))
    return None


def numbers_of_training(
    folder: RunFolder, before: Sequence[Path], fold: int | None = None
) -> dict[str, np.ndarray]:
    """By what new images are compared with those that a configuration, or its network of one fold, was trained on.

    Of many images as many as `MAX_IMAGES`, evenly drawn. Empty where the images are not in the cache.

    Args:
        before: folders of winners; what one of them has of the same images is not made again.
        fold: of the first repeat, from 0; all by default.
    """
    splits = [
        split for split in read_splits(folder.splits) if split.repeat == 0 and fold in (None, split.fold)
    ]
    cases = np.unique(np.concatenate([part for split in splits for part in (split.train, split.validation)]))
    cases = np.sort(np.random.default_rng(0).permutation(cases)[:MAX_IMAGES])
    if not folder.environment.is_file():
        return {}
    key = np.array(f"{VERSION}/{read_json(folder.environment).get('packed_digest')}")
    for winner in before:
        with suppress(FoldwiseError):
            made = read_arrays(winner / TRAINING_IMAGES, ("key", "cases", "numbers", "groups"))
            rows = np.searchsorted(made["cases"], cases).clip(max=len(made["cases"]) - 1)
            if made["key"] == key and (made["cases"][rows] == cases).all():
                return made | {name: made[name][rows] for name in ("cases", "numbers", "groups")}
    packed = decoded_images(folder)
    if packed is None:
        return {}
    names = [row["group"] or f"\0{index}" for index, row in enumerate(read_table(folder.cases))]
    groups = np.unique(names, return_inverse=True)[1][cases]
    numbers = np.array([numbers_of(packed.image(int(case))) for case in cases])
    return {"key": key, "cases": cases, "numbers": numbers, "groups": groups}


def training_images(folder: Path) -> TrainingImages:
    """Those of the winner in `folder`, to compare new ones with; none where they were not there when it was laid out."""
    path = folder / TRAINING_IMAGES
    # One that was sealed and is gone is damage, which reading it says.
    if not path.is_file() and TRAINING_IMAGES not in read_record(folder / MODEL)[1]:
        return NONE
    arrays = read_arrays(path, ("numbers", "groups"))
    numbers, groups = arrays["numbers"], arrays["groups"]
    if numbers.ndim != 2 or numbers.dtype != np.float64 or groups.shape != (len(numbers),):
        raise damaged(path, "the file holds no numbers of images")
    return TrainingImages(numbers, groups)


def settings_digest(model: Path, settings: Mapping[str, Any]) -> str:
    """What is another once a model, the judge's word on it, or how it is asked is another."""
    # The record of a model holds the digests of its weights.
    stated = (model / MODEL).read_bytes() + json.dumps(settings, sort_keys=True).encode()
    return sha256(stated).hexdigest()[:16]


def digest_of_networks(folder: Path) -> str | None:
    """What is another once a network of the winner in `folder` is; None where its files are not sealed, or damaged."""
    try:
        record, seals = read_record(folder / MODEL)
        weights = [seals[name].sha256 for member in record["members"] for name in member["weights"]]
        stated = json.dumps([record["members"], weights], sort_keys=True)
    except (RunError, LookupError, TypeError):
        return None
    return sha256(stated.encode()).hexdigest()


def _copy(fit: Path, number: int, scratch: Path) -> dict[str, Any]:
    """One member: its weights copied, an encoder that fits share only once; its record."""
    model = read_json(fit / MODEL)
    files = [f"member-{number}.safetensors"]
    shutil.copyfile(verified(fit / WEIGHTS), scratch / files[0])
    if model["encoder_from"] is not None:
        shared = f"{checked_id(model['encoder_from'], 'encoder', where=str(fit / MODEL))}.safetensors"
        if not (scratch / shared).exists():
            shutil.copyfile(verified(fit.parent / model["encoder_from"] / ENCODER), scratch / shared)
        files.append(shared)
    return {"fit": fit.name, "weights": files, "model": model}


def write_events(folder: RunFolder, metric: str, configurations: Sequence[Estimated], out: Path) -> int:
    """Write every fit that is done, and the settings and scores of every configuration; the number of fits.

    A fit is a run ``<configuration>/repeat 1 fold 2`` with its losses, its validation score and its learning rate by
    epoch. A configuration is a run with its levels as hyperparameters, and its estimate of the deciding metric.

    Raises:
        MissingExtra: TensorBoard is not installed.
        RunError: the folder holds event files already, which TensorBoard would mix with these.
    """
    need("tensorboard", "tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    if out.exists() and (not out.is_dir() or any(out.rglob("events.out.tfevents.*"))):
        what = "holds event files already" if out.is_dir() else "is a file"
        raise RunError(f"{out} {what}", where="--tensorboard", cure="Name a new folder.")
    plan, fits = folder.load_plan(), 0
    names = {row.id: _named(number, row.name) for number, row in enumerate(plan.configurations, 1)}
    for item in plan.items:
        result = folder.result(item.id)
        if item.kind != "fit" or result is None or result["status"] != "done":
            continue
        run = f"repeat {result['repeat'] + 1} fold {result['fold'] + 1}"
        titles = SCALARS | {"val_score": f"score/{result.get('select') or 'validation'}"}
        with SummaryWriter(str(out / names[result["configuration"]] / run)) as writer:
            for record, (key, title) in product(result["epochs"], titles.items()):
                if record.get(key) is not None:
                    writer.add_scalar(title, float(record[key]), int(record["epoch"]))
        fits += 1
    for configuration in configurations:
        if configuration.estimate is not None and configuration.id in names:
            with SummaryWriter(str(out / names[configuration.id])) as writer:
                _write_settings(writer, configuration.levels, metric, configuration.estimate)
    return fits


def _named(number: int, name: str) -> str:
    """A folder for a configuration: its number keeps names apart that are cut."""
    # Names may hold what no file system takes, and be longer than it takes.
    plain = re.sub(r"[^\w.,=()+-]+", " ", name)
    return f"{number:03d} {plain[:LONGEST_NAME].strip()}"


def _write_settings(writer: Any, levels: Mapping[str, Any], metric: str, estimate: float) -> None:
    from torch.utils.tensorboard.summary import hparams

    plain = {
        str(factor): level if isinstance(level, (int, float, bool)) else str(level)
        for factor, level in levels.items()
    }
    for summary in hparams(plain, {f"estimate/{metric}": estimate}):
        writer.file_writer.add_summary(summary)
    writer.add_scalar(f"estimate/{metric}", estimate, 0)


def why_unknown(images: TrainingImages) -> list[str]:
    """Why nobody knows whether an image is unlike the training images of a model; nothing where it is known."""
    if images.num_groups >= MIN_GROUPS:
        return []
    why = f"{count(images.num_groups, 'group')} of them (or images, where none are grouped) are too few to say what is usual: at least {MIN_GROUPS}"
    if not images.num_groups:
        why = "their numbers are not with the model; foldwise report RUN lays the winner out anew, with them"
    return [
        f"Whether an image is unlike the training images is not known, and tables have no {UNLIKE_P}: {why}."
    ]
