"""Items beside the fits of a made run: robustness checks and shallow baselines."""

from dataclasses import replace

import numpy as np

from foldwise.runs.folder import read_json, write_json
from foldwise.runs.items import Item

TASKS = (
    "binary_classification",
    "multiclass_classification",
    "multilabel_classification",
    "multiclass_segmentation",
)


BLUR, NOISE = [0.0, 2.0], [0.0, 0.1, 0.4]


def asking(folder, **keys):
    """The same run, of a study that asks for more."""
    write_json(folder.study_record, read_json(folder.study_record) | keys)
    return folder


def add(folder, items):
    """More items in the plan; what each is to have made is a function of nothing, or None while it is missing."""
    plan = folder.load_plan()
    folder.save_plan(replace(plan, items=(*plan.items, *(item for item, _ in items))))
    for item, make in items:
        if make is not None:
            folder.done(item.id).mkdir(parents=True)
            result = make(folder.done(item.id)) or {"status": "done", "error": None}
            write_json(folder.done(item.id) / "result.json", result)


def scores_of(folder, item):
    with np.load(folder.done(item.id) / "scores.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def worse(arrays, seed):
    """The same cases with other outputs: those of other images, or of a segmentation every class taken for another."""
    if "confusion" in arrays:
        turned = {name: np.roll(arrays[name], 1, axis=-1) for name in ("confusion", "histogram")}
        return turned | {name: 2 * arrays[name] for name in ("log_loss_sum", "brier_sum")}
    order = np.random.default_rng(seed).permutation(len(arrays["case"]))
    return {"probabilities": arrays["probabilities"][order]}


def asked_about_worse_images(folder, *, leave_out=()):
    made = []
    for number, fit in enumerate(folder.load_plan().items):
        settings = {key: fit.settings[key] for key in ("configuration", "repeat", "fold")}
        item = Item(f"robustness-{number}", "robustness", (fit.id,), f"robustness of {fit.title}", settings)

        def make(path, fit=fit, number=number):
            own = scores_of(folder, fit)
            parts = [own if place == 0 else worse(own, [number, place]) for place in range(6)]
            arrays = {
                name: np.stack([part[name] for part in parts]).reshape(2, 3, *own[name].shape)
                for name in parts[1]
            }
            np.savez(path / "scores.npz", case=own["case"], **arrays)

        made.append((item, None if number in leave_out else make))
    add(folder, made)
    return asking(folder, robustness={"blur_px": BLUR, "noise": NOISE})


def with_baselines(folder, like, *, name="random_forest", leave_out=()):
    """A baseline that says what configuration `like` (by place) said."""
    fits = [item for item in folder.load_plan().items if item.kind == "fit"]
    chosen = fits[like].settings["configuration"]
    baseline = {"name": name, "options": {"trees": 50}}
    made = []
    for number, fit in enumerate(fit for fit in fits if fit.settings["configuration"] == chosen):
        settings = {"repeat": fit.settings["repeat"], "fold": fit.settings["fold"], "baseline": baseline}
        item = Item(f"shallow-{name}-{number}", "shallow", (), f"{name} · fold {number + 1}", settings)

        def make(path, fit=fit):
            np.savez(path / "scores.npz", **scores_of(folder, fit))
            return {"status": "done", "error": None, "cost": {"train_s": 3.0}}

        made.append((item, None if number in leave_out else make))
    add(folder, made)
    return asking(folder, baselines=[*read_json(folder.study_record).get("baselines", []), baseline])
