"""Looks inside training of known shape: bowls that sink over the epochs, written as `foldwise look` writes them."""

import numpy as np

from foldwise.runs.auxiliary import AuxiliaryItem
from foldwise.runs.folder import write_json

CRITERIA = (("cross_entropy", "Cross-entropy", "loss"), ("focal", "Focal loss", "loss"), ("dice", "Dice loss", "loss"), ("error", "1 − Dice", "error"))  # fmt: skip
TRIVIAL = np.array([0.7, 0.18, 0.95, 0.9])


def bowl(alpha_x, alpha_y, epoch, last, place):
    """A bowl of the criterion at that place: steeper later, with a ripple, saturating for the error."""
    x, y = np.meshgrid(alpha_x, alpha_y)
    done = 1 - np.exp(-3 * epoch / max(last, 1))
    floor = TRIVIAL[place] * (1.02 - 0.9 * done)
    raised = (0.4 + 2.2 * done) * (x**2 + 1.7 * y**2 + 0.5 * x * y) + 0.12 * np.sin(5 * x + place) * np.sin(
        4 * y
    )
    grown = np.expm1(raised) if place < 2 else np.tanh(raised)
    return floor + TRIVIAL[place] * 0.9 * grown


def rises(alpha, surface, centre):
    """By epoch and criterion, how far the mean of a plane within three distances is above its centre."""
    far, planes = np.hypot(alpha[None, :], alpha[:, None]), surface.astype(np.float64)
    means = [np.nanmean(planes[..., far <= within + 1e-6], axis=-1) for within in (0.25, 0.5, 1.0)]
    return (np.stack(means, axis=-1) - centre[..., None]).tolist()


def make_look(folder, fit, *, points=21, epochs=(0, 2, 5, 8, 12), chosen=8, directions=5, absent=0, batch_norm=True, between=2, criteria=CRITERIA):  # fmt: skip
    """Write surfaces.npz and result.json into a folder; the item as the report sees it.

    Args:
        fit: `configuration`, `repeat` and `fold` of the fit that is looked into.
        absent: points of the last plane that are no finite number.
    """
    folder.mkdir(parents=True)
    alpha, last, wanted = np.linspace(-1, 1, points), max(epochs), range(len(criteria))
    surface = np.array([[bowl(alpha, alpha, epoch, last, place) for place in wanted] for epoch in epochs])
    surface[-1].reshape(len(criteria), -1)[:, :absent] = np.nan
    middle = points // 2
    line_alpha = np.linspace(-1, 1, 51)
    rng = np.random.default_rng(0)
    tilts = 1 + 0.3 * rng.uniform(-1, 1, directions)
    lines = np.array([[[bowl(line_alpha * tilt, np.zeros(1), epoch, last, place)[0] for place in wanted] for tilt in tilts] for epoch in epochs])  # fmt: skip
    steps = np.linspace(0, 1, 13)
    path = np.stack([-4 * (1 - steps) ** 1.5, 1.4 * np.sin(np.pi * steps)], axis=1)
    plane_x, plane_y = np.linspace(-5, 1, points), np.linspace(-0.8, 2.2, points)
    plane = np.array([bowl(plane_x / 4, plane_y / 4, last, last, place) for place in wanted])
    walk_t = np.linspace(-0.2, 1.2, 51)
    walk = np.array([bowl((walk_t - 1) * 1.2, np.zeros(1), last, last, place)[0] for place in wanted])
    between_t = np.linspace(0, 1, 51)
    hills = np.array([[TRIVIAL[place] * (0.1 + (0.6 - 0.2 * m) * np.sin(np.pi * between_t)) for place in wanted] for m in range(between)])  # fmt: skip
    arrays = {
        "epochs": np.array(epochs, np.int32), "alpha": alpha, "surface": surface,
        "centre": surface[:, :, middle, middle], "trivial": TRIVIAL[: len(criteria)], "line_alpha": line_alpha, "lines": lines,
        "path_epochs": np.linspace(0, last, 13).round().astype(np.int32), "path": path, "path_residual": 0.4 * (1 - steps),
        "path_true": np.tile(np.linspace(0.7, 0.1, 13)[:, None], len(criteria)), "path_projected": np.tile(np.linspace(0.6, 0.1, 13)[:, None], len(criteria)),
        "shares": np.array([0.71, 0.14]), "null_shares": np.array([0.61, 0.15]),
        "plane_x": plane_x, "plane_y": plane_y, "plane": plane, "walk_t": walk_t, "walk": walk,
        "between_t": between_t, "between": hills,
    }  # fmt: skip
    if batch_norm:
        arrays["stale"] = np.array([bowl(line_alpha * 1.5, np.zeros(1), chosen, last, place)[0] for place in wanted])  # fmt: skip
    arrays = {key: held if held.dtype == np.int32 else held.astype(np.float32) for key, held in arrays.items()}  # fmt: skip
    np.savez(folder / "surfaces.npz", **arrays)
    result = {
        "item": folder.name, "kind": "landscape", "status": "done", "error": None, "fit": "fit-0", **fit, "chosen_epoch": chosen,
        "criteria": [dict(zip(("name", "title", "kind"), one, strict=True)) for one in criteria], "trained_with": 0,
        "images": 64, "images_from": "training part", "norm": "batch norm" if batch_norm else "none",
        "replay": {"equal": True, "largest_difference": 0.0}, "seconds": 21.0,
        "curvature": [{"epoch": epoch, "top_eigenvalue": 12.5 + epoch, "top_eigenvalue_converged": epoch != last, "lowest_eigenvalue": -0.8, "trace": 240.0, "trace_se": 11.0, "sam_sharpness": 0.031, "average_sharpness": 0.0042} for epoch in epochs],
        "between": [{"repeat": 0, "fold": 1 + m, "barrier": hills[m].max(axis=1).tolist()} for m in range(between)],
        "direction_spread": lines.mean(axis=3).std(axis=1).tolist(), "rises": rises(arrays["alpha"], arrays["surface"], arrays["centre"]),
    }  # fmt: skip
    write_json(folder / "result.json", result)
    return AuxiliaryItem("landscape", {}, result, folder, folder.name, f"look at {fit['configuration']}")


def with_looks(data, root, number=1, **options):
    """The data of a run, and looks at the first fits of its best configurations."""
    from dataclasses import replace

    known = list(data.names)[:number]
    looks = [
        make_look(root / f"look-{place}", {"configuration": one, "repeat": 0, "fold": 0}, **options)
        for place, one in enumerate(known)
    ]
    return replace(data, auxiliary=[*data.auxiliary, *looks])
