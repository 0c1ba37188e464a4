"""Run folders to look at: real phantom pictures, invented models of stated skill, judged by the real judge."""

import csv
from dataclasses import dataclass, field

import numpy as np
from judged import judge
from numpy_bins import bins_of

from foldwise.data.cache.packing import pack
from foldwise.data.folds.splits import Split, write_splits
from foldwise.data.layouts.layouts import read_dataset
from foldwise.learning.training.fit_files import loss_curve
from foldwise.metrics.pixel_bins import NUM_BINS
from foldwise.runs.folder import RunFolder, write_json
from foldwise.runs.items import Item
from foldwise.runs.plan import Plan
from foldwise.study.configurations import configurations
from foldwise.study.spec import Study
from foldwise.study.training import Choice, stated_loss

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
MARKUP = "<script>alert(1)</script>"


@dataclass(frozen=True)
class Wanted:
    """What the run should be like.

    Attributes:
        skills: one per configuration, in the order of the study; 0 guesses, 3 is nearly perfect.
        failed: (configuration, fold) by place; missing alike.
    """

    kind: str
    compare: dict
    skills: tuple
    title: str
    images: int = 30
    size: int = 64
    folds: int = 3
    epochs: int = 12
    failed: frozenset = frozenset()
    missing: frozenset = frozenset()
    findings: tuple = ()
    rename: dict = field(default_factory=dict)
    seed: int = 3
    energy: bool = False


FINDINGS = (
    {"code": "near_duplicates", "severity": "note", "message": "4 images are near-duplicates of others (2 pairs) and were put in one group each.", "cases": ["a.png", "b.png"], "cure": "Nothing to do; set validate.near_duplicates: ignore to keep them apart."},
    {"code": "rare_class", "severity": "warning", "message": "Class 'vesicles' has only 6 examples, so its scores are uncertain. Two folds have one only.", "cases": ["a.png"], "cure": "Label more images of it, or leave the class out with data.classes."},
    {"code": "size_gives_class_away", "severity": "warning", "message": "The image width alone gives the class away: all pictures of 'gel' are 640 pixels wide.", "cases": [f"gel/gel_{n}.png" for n in range(9)], "cure": "Crop or resize all images alike before labelling, and check again."},
)  # fmt: skip

RUNS = {
    "segmentation6": Wanted("cells", {"model": ["unet", "smp:unet/resnet18", "smp:fpn/efficientnet-b0"], "loss": ["dice_cross_entropy", "focal"]}, (1.0, 0.9, 1.6, 1.4, 1.38, 0.5), "Nuclei and cell bodies", images=36, size=96, findings=FINDINGS[:1]),
    "classification24": Wanted("gels", {"model": ["conv", "resnet", "vit", "timm:resnet18", "timm:mobilenetv3_large_100", "timm:convnext_atto"], "head": ["linear", {"mlp": {"hidden": [512, 256], "dropout": [0.25, 0.5]}}], "optimizer": [{"adam": {"lr": 0.001}}, {"sgd": {"lr": 0.01, "momentum": 0.9}}]}, tuple(0.15 + 0.07 * (n * 7 % 24) for n in range(24)), "Gels against other pictures", images=60, folds=5, epochs=30, findings=FINDINGS, energy=True),
    "multilabel": Wanted("proteins", {"optimizer": ["adam", "sgd", "rmsprop"]}, (1.4, 0.4, 0.8), f"Places of a protein {MARKUP}", images=40, rename={0: MARKUP, 2: "a & b < c"}),
    "failed": Wanted("bacteria", {"loss": ["dice", "focal", "cross_entropy", "binary_cross_entropy"]}, (1.5, 1.2, 0.8, 1.0), "Bacteria, with failures", failed=frozenset({(1, 1), (3, 0), (3, 1), (3, 2)})),
    "incomplete": Wanted("bacteria", {"loss": ["dice", "focal"]}, (1.5, 1.2), "Bacteria, not finished", missing=frozenset({(1, 1), (1, 2)})),
    "single": Wanted("vessels", {}, (1.6,), "Vessels, one configuration"),
    "trivial": Wanted("gels", {"optimizer": ["adam", "sgd"]}, (0.02, 0.0), "Nothing is learnt"),
    "nothing": Wanted("bacteria", {"loss": ["dice", "focal"]}, (1, 1), "All failed", failed=frozenset((c, f) for c in range(2) for f in range(3))),
}  # fmt: skip


def make_run(root, wanted):
    """Write a run folder as `foldwise run` leaves it, and judge it; the folder and its packed images."""
    phantom = {"kind": wanted.kind, "images": wanted.images, "size": wanted.size, "seed": 1}
    train = (
        {"epochs": wanted.epochs} if "model" in wanted.compare else {"model": "conv", "epochs": wanted.epochs}
    )
    study = Study.model_validate(
        {
            "study": "tiny",
            "title": wanted.title,
            "data": {"phantom": phantom},
            "compare": wanted.compare,
            "train": train,
            "validate": {"folds": wanted.folds},
        }
    )
    dataset = read_dataset(study.data, base=root, group="auto")
    packed = pack(dataset, study.data)
    classes = tuple(wanted.rename.get(k, name) for k, name in enumerate(dataset.classes))
    folder, chosen = RunFolder(root), configurations(study)
    splits = _splits(wanted, dataset)
    items = [_item(one, split, dataset.task, packed.digest, split.fold) for split in splits for one in chosen]
    root.mkdir(parents=True, exist_ok=True)
    _write_asked(folder, study, dataset, classes, wanted)
    write_splits(folder.splits, splits, dataset)
    folder.save_plan(Plan(tuple(items), chosen))
    for item, (place, split) in zip(items, [(p, s) for s in splits for p in range(len(chosen))], strict=True):
        if (place, split.fold) not in wanted.missing:
            _write_done(folder.done(item.id), item, packed, split, wanted, place)
    judge(folder)
    return folder, packed


def _splits(wanted, dataset):
    groups = sorted({case.group or case.name for case in dataset.cases})
    dealt = {
        name: place % wanted.folds
        for place, name in enumerate(np.random.default_rng(wanted.seed).permutation(groups).tolist())
    }
    fold_of = np.array([dealt[case.group or case.name] for case in dataset.cases])
    return tuple(
        Split(
            0,
            fold,
            np.flatnonzero(fold_of != fold)[4:],
            np.flatnonzero(fold_of != fold)[:4],
            np.flatnonzero(fold_of == fold),
        )
        for fold in range(wanted.folds)
    )


def _item(one, split, task, digest, fold):
    settings = {
        "training": one.training.model_dump(mode="json"),
        "configuration": one.id,
        "task": task,
        "packed": digest,
        "split": f"{fold:016x}",
    }
    settings |= {
        "repeat": split.repeat,
        "fold": split.fold,
        "seed": 1000 + split.fold,
        "threads": 1,
        "select": "auto",
    }
    return Item(
        f"fit-{one.id[2:]}{split.repeat:02x}{split.fold:04x}",
        "fit",
        (),
        f"{one.name} · fold {split.fold + 1}",
        settings,
    )


def _write_asked(folder, study, dataset, classes, wanted):
    asked = study.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    import io

    from ruamel.yaml import YAML

    text = io.StringIO()
    YAML().dump(asked, text)
    folder.study_file.write_text(text.getvalue(), encoding="utf-8")
    folder.save_study(study)
    with folder.cases.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for case in dataset.cases:
            labels = " ".join(str(label) for label in case.labels)
            rows.writerow(
                [
                    case.index,
                    case.name,
                    case.image,
                    case.mask or "",
                    labels,
                    case.group or case.name,
                    wanted.size,
                    wanted.size,
                    "L",
                    "PNG",
                    "0",
                ]
            )
    write_json(
        folder.audit,
        {
            "findings": wanted.findings,
            "statements": dataset.statements,
            "layout": dataset.layout,
            "task": dataset.task,
            "classes": classes,
        },
    )
    packages = {"torch": "2.15.0", "timm": "1.0.31", "numpy": "2.3.0"}
    write_json(
        folder.environment,
        {
            "foldwise": "0.1.0",
            "commit": "0123456789ab",
            "python": "3.11.9",
            "platform": "Linux",
            "processor": "a processor",
            "packages": packages,
            "seed": 0,
            "threads": 1,
            "packed_digest": "f" * 16,
            "study_digest": "a" * 16,
            "splits_digest": "b" * 16,
        },
    )


def _write_done(path, item, packed, split, wanted, place):
    path.mkdir(parents=True)
    known = {key: item.settings[key] for key in ("configuration", "repeat", "fold", "seed")}
    result = {"item": item.id, "kind": "fit", "status": "done", "error": None} | known
    if (place, split.fold) in wanted.failed:
        message = (
            "the loss is not a number after epoch 3: lower the learning rate, or check the images for NaN"
        )
        result |= {
            "status": "failed",
            "error": {
                "type": "RuntimeError",
                "message": message,
                "traceback": 'Traceback (most recent call last):\n  File "train.py", line 9\nRuntimeError: '
                + message,
            },
        }
        write_json(path / "result.json", result)
        return
    rng, skill = np.random.default_rng([wanted.seed, place, split.fold]), wanted.skills[place]
    loss = stated_loss(Choice.model_validate(item.settings["training"]["loss"]), packed.task)
    write_json(path / "result.json", result | _told(rng, skill, wanted, place) | {"loss": str(loss)})
    if (curve := loss_curve(loss, packed.task)) is not None:
        np.savez(path / "loss_curve.npz", **curve)
    if packed.task.endswith("segmentation"):
        masks, arrays = _segmented(packed, split.test, skill, wanted, rng)
        np.savez_compressed(path / "predictions.npz", **masks)
    else:
        arrays = {"probabilities": _labelled(packed, split.test, skill, wanted, rng)}
        arrays |= {"validation_case": split.validation.astype(np.int32)}
        arrays |= {"validation_probabilities": _labelled(packed, split.validation, skill, wanted, rng)}
    np.savez(path / "scores.npz", case=split.test.astype(np.int32), **arrays)


def _told(rng, skill, wanted, place):
    epochs = []
    for epoch in range(1, wanted.epochs + 1):
        train = 1.2 * np.exp(-epoch / (4 + 2 * skill)) + 0.05 + rng.normal(0, 0.01)
        inner = (
            0.9 * np.exp(-epoch / 5) + 0.3 - 0.08 * skill + 0.012 * max(0, epoch - 6) + rng.normal(0, 0.02)
        )
        epochs.append(
            {
                "epoch": epoch,
                "train_loss": train,
                "val_loss": inner,
                "val_score": 1 - inner * 0.6,
                "lr": 0.001,
                "seconds": 0.4,
            }
        )
    best = 1 + int(np.argmin([row["val_loss"] for row in epochs]))
    cost = {
        "train_s": 8 + 9.3 * place + rng.uniform(0, 2),
        "evaluate_s": 0.6,
        "shared_features_s": 41.4 if place == 1 else None,
        "parameters": 400_000 * (1 + place * 2),
        "trainable_parameters": 5_000,
        "peak_memory_mb": 420.0 + 70 * place,
        "energy_j": 300.0 * 1.4**place if wanted.energy else None,
        "energy_is": "the whole GPU" if wanted.energy else None,
        "shared_energy_j": 55.0 if wanted.energy and place == 1 else None,
        "latency_ms": 2.2 * 1.31 ** (place * 5 % 13),
        "device": "cpu",
        "device_name": "a processor of 2 cores",
        "precision": "fp32",
        "batch_size": 16,
        "batch_halvings": 0,
        "threads": 1,
    }
    return {
        "epochs": epochs,
        "best_epoch": best,
        "select": "log_loss",
        "cost": cost,
        "warnings": ["no sample weight"] if place == 0 else [],
        "versions": {},
        "finished": "2026-01-01T00:00:00+00:00",
    }


def _smooth(rng, shape):
    coarse = rng.normal(size=(*shape[:-2], shape[-2] // 6 + 2, shape[-1] // 6 + 2))
    return np.repeat(np.repeat(coarse, 6, axis=-2), 6, axis=-1)[..., : shape[-2], : shape[-1]]


def _segmented(packed, test, skill, wanted, rng):
    K, masks = len(packed.classes), {}
    parts = {key: [] for key in ("confusion", "histogram", "log_loss_sum", "brier_sum", "pixels")}
    for case in test:
        truth = packed.target(int(case))
        hard = np.random.default_rng([wanted.seed, int(case)])
        true = np.eye(K)[truth].transpose(2, 0, 1)
        noise = (
            0.8 * _smooth(hard, true.shape) * hard.uniform(0.3, 1.6)
            + 0.5 * _smooth(rng, true.shape)
            + 0.3 * rng.normal(size=true.shape)
        )
        powers = np.exp(2.2 * skill * true + noise)
        said = powers / powers.sum(axis=0)
        chosen = said.argmax(axis=0).astype(np.uint8)
        masks[str(int(case))] = chosen
        confusion, histogram = np.zeros((K, K), np.int64), np.zeros((K, 2, NUM_BINS), np.int32)
        np.add.at(confusion, (truth.ravel(), chosen.ravel()), 1)
        for k in range(K):
            np.add.at(
                histogram[k],
                ((truth == k).ravel().astype(int), bins_of(said[k]).ravel()),
                1,
            )
        values = (
            confusion,
            histogram,
            -np.log((said * true).sum(axis=0)).sum(),
            ((said - true) ** 2).sum(),
            truth.size,
        )
        for key, value in zip(parts, values, strict=True):
            parts[key].append(value)
    return masks, {key: np.array(values) for key, values in parts.items()}


def _labelled(packed, test, skill, wanted, rng):
    K, rows = len(packed.classes), []
    several = packed.task.startswith("multilabel")
    for case in test:
        hard = np.random.default_rng([wanted.seed, int(case)])
        true = packed.labels[case] * 2.0 - 1 if several else np.eye(K)[packed.labels[case]]
        powers = np.exp(2 * skill * true + 0.9 * hard.normal(size=K) + 0.4 * rng.normal(size=K))
        rows.append(powers / (1 + powers) if several else powers / powers.sum())
    return np.array(rows, dtype=np.float32)
