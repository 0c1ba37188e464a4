"""A tiny run folder as `foldwise run` leaves it, with invented outputs: what the judge and the report start from."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy_bins import bins_of

from foldwise.data.cases import Case, Dataset
from foldwise.data.folds.splits import Split, write_splits
from foldwise.metrics.pixel_bins import NUM_BINS
from foldwise.runs.folder import RunFolder, write_json
from foldwise.runs.items import Item
from foldwise.runs.plan import Plan
from foldwise.study.configurations import Configuration
from foldwise.study.reading import open_study
from foldwise.study.training import Training

CLASSES = {
    "binary_classification": ("no", "yes"),
    "multiclass_classification": ("round", "long", "branched"),
    "multilabel_classification": ("nucleus", "membrane", "fibre"),
    "binary_segmentation": ("background", "cell"),
    "multiclass_segmentation": ("background", "nucleus", "cytoplasm"),
}
COLUMNS = (
    "index",
    "name",
    "image",
    "mask",
    "labels",
    "group",
    "width",
    "height",
    "mode",
    "format",
    "pixel_digest",
)
SIDE = 16


@dataclass(frozen=True)
class Wanted:
    """What a made-up run should be like.

    Attributes:
        skills: one configuration each; 0 is guessing, 3 is nearly perfect.
        group_size: cases per group; 1: none are grouped.
        failed, missing: (configuration, repeat, fold) by place.
        judge: lines of the study under `judge`.
        epochs: that were asked for.
    """

    task: str = "binary_classification"
    skills: tuple[float, ...] = (0.5, 2.0)
    num_cases: int = 48
    group_size: int = 1
    folds: int = 3
    repeats: int = 1
    seed: int = 0
    failed: tuple[tuple[int, int, int], ...] = ()
    missing: tuple[tuple[int, int, int], ...] = ()
    judge: str = "{}"
    epochs: int = 20


def make_run(root: Path, wanted: Wanted | None = None) -> RunFolder:
    """Write a run folder: study, cases, audit, splits, plan, and a result with scores of every fit that is done."""
    wanted = wanted or Wanted()
    rng = np.random.default_rng(wanted.seed)
    folder = RunFolder(root)
    root.mkdir(parents=True, exist_ok=True)
    cases, truth = _cases(wanted, rng)
    splits = _splits(wanted, rng)
    configurations = tuple(_configuration(place, wanted.epochs) for place in range(len(wanted.skills)))
    items = [_item(one, split, wanted) for split in splits for one in configurations]
    _write_asked(folder, wanted, cases, splits)
    folder.save_plan(Plan(tuple(items), configurations))
    for item in items:
        place = [one.id for one in configurations].index(item.settings["configuration"])
        at = (place, item.settings["repeat"], item.settings["fold"])
        if at in wanted.missing:
            continue
        split = next(one for one in splits if (one.repeat, one.fold) == at[1:])
        _write_done(
            folder.done(item.id), item, _outputs(wanted, truth, split, place), failed=at in wanted.failed
        )
    return folder


def _cases(wanted, rng):
    K, n = len(CLASSES[wanted.task]), wanted.num_cases
    group_of = np.arange(n) // wanted.group_size
    if wanted.task == "multilabel_classification":
        truth = rng.random((n, K)) < 0.4
        labels = [tuple(np.flatnonzero(row).tolist()) for row in truth]
    elif wanted.task.endswith("segmentation"):
        truth, labels = _masks(rng, n, K), [()] * n
    else:
        truth = rng.permutation(np.arange(n) % K)
        labels = [(int(label),) for label in truth]
    names = [(f"images/{index:03}.png", f"g{group_of[index]}") for index in range(n)]
    return [Case(i, name, name, None, labels[i], group) for i, (name, group) in enumerate(names)], truth


def _masks(rng, n, K):
    """Discs of class 1 with a core of class 2; every eighth image is empty."""
    y, x = np.mgrid[:SIDE, :SIDE]
    masks = np.zeros((n, SIDE, SIDE), dtype=np.uint8)
    for i in range(n):
        if i % 8:
            away = np.hypot(y - rng.uniform(5, 11), x - rng.uniform(5, 11))
            masks[i][away < rng.uniform(3, 5)] = 1
            masks[i][away < 2] = K - 1
    return masks


def _splits(wanted, rng):
    groups = -(-wanted.num_cases // wanted.group_size)
    splits = []
    for repeat in range(wanted.repeats):
        fold_of = (rng.permutation(groups) % wanted.folds)[np.arange(wanted.num_cases) // wanted.group_size]
        for fold in range(wanted.folds):
            known = np.flatnonzero(fold_of != fold)
            splits.append(
                Split(
                    repeat,
                    fold,
                    known[len(known) // 5 :],
                    known[: len(known) // 5],
                    np.flatnonzero(fold_of == fold),
                )
            )
    return tuple(splits)


def _configuration(place, epochs):
    rate = 0.001 * 10**place if place < 10 else place + 0.5  # no option may be beyond 10^8
    training = Training.model_validate(
        {"model": "conv", "optimizer": {"adam": {"lr": rate}}, "epochs": epochs}
    )
    level = f"adam (lr {rate:g})"
    return Configuration(f"c-{place:010x}", level, {"optimizer": level}, training)


def _item(one, split, wanted):
    training = one.training.model_dump(mode="json")
    settings = {
        "training": training,
        "configuration": one.id,
        "task": wanted.task,
        "packed": "0" * 16,
        "split": "0" * 16,
    }
    settings |= {"repeat": split.repeat, "fold": split.fold, "seed": 1, "threads": 1, "select": "auto"}
    place = f"{one.id[-4:]}{split.repeat:06x}{split.fold:06x}"
    return Item(f"fit-{place}", "fit", (), f"{one.name} · fold {split.fold + 1}", settings)


def _write_asked(folder, wanted, cases, splits):
    study = f"study: tiny\ndata: {{path: images}}\ncompare: {{optimizer: [adam]}}\ntrain: {{model: conv}}\njudge: {wanted.judge}\n"
    folder.study_file.write_text(study, encoding="utf-8")
    folder.save_study(open_study(folder.study_file).study)
    with folder.cases.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for case in cases:
            labels = " ".join(str(label) for label in case.labels)
            rows.writerow(
                [case.index, case.name, case.image, "", labels, case.group, SIDE, SIDE, "L", "PNG", "0"]
            )
    classes = CLASSES[wanted.task]
    write_json(
        folder.audit,
        {"findings": [], "statements": [], "layout": "table", "task": wanted.task, "classes": list(classes)},
    )
    dataset = Dataset(Path("images"), wanted.task, classes, tuple(cases), "table", (), None)
    write_splits(folder.splits, splits, dataset)


def _outputs(wanted, truth, split, place):
    # Noise of an image is shared by all configurations: hard images are hard for all.
    shared = np.random.default_rng([wanted.seed, split.repeat, 0])
    own = np.random.default_rng([wanted.seed, split.repeat, split.fold, place + 1])
    K, test, skill = len(CLASSES[wanted.task]), split.test, wanted.skills[place]
    if wanted.task.endswith("segmentation"):
        hard = shared.normal(size=(wanted.num_cases, K, SIDE, SIDE))[test]
        logits = (
            skill * 2 * np.eye(K)[truth[test]].transpose(0, 3, 1, 2) + hard + own.normal(0, 0.3, hard.shape)
        )
        return _segmented(truth[test], logits) | {"case": test.astype(np.int32)}
    hard = shared.normal(size=(wanted.num_cases, K))
    said, validation = (
        _classified(wanted, truth, hard, cases, skill, own) for cases in (test, split.validation)
    )
    told = {"validation_case": split.validation.astype(np.int32), "validation_probabilities": validation}
    return {"case": test.astype(np.int32), "probabilities": said} | told


def _classified(wanted, truth, hard, cases, skill, own):
    multilabel, K = wanted.task.startswith("multilabel"), hard.shape[1]
    target = truth[cases] * 2.0 - 1 if multilabel else np.eye(K)[truth[cases]] * 2
    powers = np.exp(skill * target + hard[cases] + own.normal(0, 0.3, hard[cases].shape))
    said = powers / (1 + powers) if multilabel else powers / powers.sum(axis=1, keepdims=True)
    return said.astype(np.float32)


def _segmented(truth, logits):
    n, K = logits.shape[:2]
    said = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    chosen = said.argmax(axis=1)
    confusion = np.zeros((n, K, K), dtype=np.int64)
    histogram = np.zeros((n, K, 2, NUM_BINS), dtype=np.int32)
    for i in range(n):
        np.add.at(confusion[i], (truth[i].ravel(), chosen[i].ravel()), 1)
        for k in range(K):
            place = bins_of(said[i, k]).ravel()
            np.add.at(histogram[i, k], ((truth[i] == k).ravel().astype(int), place), 1)
    onehot = np.eye(K)[truth].transpose(0, 3, 1, 2)
    log_loss = -np.log(np.clip((said * onehot).sum(axis=1), 1e-7, 1)).sum(axis=(1, 2))
    brier = ((said - onehot) ** 2).sum(axis=(1, 2, 3))
    pixels = np.full(n, SIDE * SIDE, dtype=np.int64)
    return {
        "confusion": confusion,
        "histogram": histogram,
        "log_loss_sum": log_loss,
        "brier_sum": brier,
        "pixels": pixels,
    }


def _write_done(path, item, arrays, *, failed):
    path.mkdir(parents=True)
    known = {key: item.settings[key] for key in ("configuration", "repeat", "fold", "seed")}
    result = {"item": item.id, "kind": "fit", "status": "failed" if failed else "done", "error": None} | known
    if failed:
        result["error"] = {"type": "RuntimeError", "message": "the loss is not a number", "traceback": ""}
        write_json(path / "result.json", result)
        return
    epochs = [
        {"epoch": e, "train_loss": 1 / e, "val_loss": 1 / e, "val_score": 1 / e, "lr": 0.001, "seconds": 0.1}
        for e in range(1, 21)
    ]
    cost = {
        "train_s": 2.0,
        "evaluate_s": 0.5,
        "parameters": 1000,
        "trainable_parameters": 1000,
        "peak_memory_mb": None,
    }
    cost |= {
        "latency_ms": 1.5,
        "device": "cpu",
        "device_name": "a processor",
        "precision": "fp32",
        "batch_size": 16,
    }
    cost |= {"batch_halvings": 0, "threads": 1}
    more = {
        "epochs": epochs,
        "best_epoch": 12,
        "select": "log_loss",
        "cost": cost,
        "warnings": [],
        "versions": {},
    }
    write_json(path / "result.json", result | more | {"finished": "2026-01-01T00:00:00+00:00"})
    np.savez(path / "scores.npz", **arrays)
