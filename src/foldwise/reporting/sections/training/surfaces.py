"""The section on loss surfaces: planes, lines and paths around the weights of fits that were looked into."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from foldwise.reporting.drawing.rows import standing
from foldwise.reporting.drawing.surfaces import (
    Curve,
    Cut,
    Plane,
    Trail,
    colour_bar,
    contour_panel,
    cut_panel,
    reach,
)
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.training import surface_numbers as numbers
from foldwise.reporting.sections.training.looks import done_looks, read_look
from foldwise.reporting.sections.training.surface_numbers import Surfaces, surfaces_of
from foldwise.reporting.wording import count, fit_name, number, percent
from foldwise.runs.landscapes import RISES_WITHIN
from foldwise.sealed import Damaged
from foldwise.text import in_text

MAX_TURNED = 6  # looks that can be turned; the data of more would make the page heavy
MAX_DRAWN = 12  # looks with drawings and tables
REPLAYED = 1e-5  # a difference of a weight that no drawing can show
Figure = dict[str, Any]


def section(data: ReportData) -> dict[str, Any] | None:
    """Every look inside training, the winner's first; None where nobody looked."""
    items = done_looks(data)
    if not items:
        return None
    looks, unread = [], []
    configurations = [item.result["configuration"] for item in items]
    for item, configuration in zip(items, configurations, strict=True):
        name = data.names[configuration]
        if configurations.count(configuration) > 1:  # told apart by their fold
            name += f", {fit_name(item.result)}"
        look = None
        with suppress(Damaged):  # one damaged file costs one look: the others are shown, and it is named
            look = read_look(item, "surfaces.npz", name)
        surfaces = None if look is None else surfaces_of(look)
        if surfaces is None:
            unread.append(str(item.title or item.item))
        else:
            looks.append(surfaces)
    # Those of the best configurations: looks come in their order.
    drawn, turned = looks[:MAX_DRAWN], looks[:MAX_TURNED]
    kinds = {result.id: standing(result) for result in data.configurations}
    return {
        "surfaces": {
            "looks": [_block(surfaces) | {"standing": kinds[surfaces.configuration]} for surfaces in drawn],
            "bar": colour_bar(),
            "data": json.dumps(numbers.embedded(turned), separators=(",", ":")) if turned else "",
            "not_turned": max(0, len(drawn) - MAX_TURNED),
            "left_out": max(0, len(looks) - MAX_DRAWN),
            "unread": unread,
            "curvatures": list(numbers.CURVATURES.values()),
            "within": [f"{end:g}" for end in RISES_WITHIN],
        }
    }


def _block(surfaces: Surfaces) -> dict[str, Any]:
    return {
        "name": surfaces.name,
        "configuration": surfaces.configuration,
        "about": _about(surfaces),
        "titles": surfaces.titles,
        "planes": _planes(surfaces),
        "trajectory": _trajectory(surfaces),
        "lines": _lines(surfaces),
        "walk": _walk(surfaces),
        "between": _between(surfaces),
        "numbers": numbers.surface_rows(surfaces),
        "path": numbers.path_rows(surfaces),
        "curvature": numbers.curvature_rows(surfaces),
        "barriers": numbers.barriers(surfaces),
        "missing": numbers.missing_words(surfaces),
        "beyond": _no_better(surfaces),
    }


def _about(surfaces: Surfaces) -> str:
    """Which fit, by which images, and whether the replay was the fit again."""
    result = surfaces.result
    trained = result.get("trained_with")
    parts = [
        f"{fit_name(result).capitalize()}, {count(int(result['images']), 'image')} of the "
        f"{result.get('images_from', 'training part')}, without augmentation or dropout.",
        f"Trained with {in_text(surfaces.titles[int(trained)])}." if trained is not None else "",
        f"Chosen epoch: {result['chosen_epoch']} of {surfaces.epochs[-1]}.",
        "Batch-norm statistics were measured anew at every point."
        if result.get("norm") == "batch norm"
        else "",
        _replayed(result.get("replay") or {}),
    ]
    return " ".join(part for part in parts if part)


def _replayed(replay: Mapping[str, Any]) -> str:
    """Whether what is shown is the very fit of the leaderboard."""
    if not replay:
        return ""
    if replay.get("equal"):
        return "The training was run again for this, and ended with the same weights, bit for bit."
    largest = number(replay.get("largest_difference"))
    if largest is not None and largest <= REPLAYED:
        return f"The training was run again for this; no weight differs by more than {largest:.1g}."
    amount = "an unknown amount" if largest is None else f"up to {largest:.2g}"
    return (
        f"The training was run again for this, and its weights differ from those of the fit by {amount}: "
        "what is shown is a twin of the fit, trained alike, and not the fit itself."
    )


def _no_better(surfaces: Surfaces) -> str:
    """Which criteria have no common scale."""
    titles = zip(surfaces.titles, surfaces.comparable_L, strict=True)
    names = [in_text(title) for title, comparable in titles if not comparable]
    if not names:
        return ""
    return (
        f"By {' and '.join(names)} this solution is no better than the trivial predictor, so there is no common "
        "scale; drawings show the rise as a share of the range of the chosen epoch’s plane."
    )


def _planes(surfaces: Surfaces) -> list[dict[str, Any]]:
    """Of the first, the chosen and the last epoch, a panel per criterion."""
    alpha = surfaces.arrays["alpha"]
    scaled_ELGG = surfaces.scaled(np.asarray(surfaces.arrays["surface"]), axis=1)
    rows = []
    for index in sorted({0, surfaces.chosen, len(surfaces.epochs) - 1}):
        epoch = surfaces.epochs[index]
        heading = f"Epoch {epoch}" + (", before training" if epoch == 0 else "")
        heading += ", chosen" if index == surfaces.chosen else ""
        figures = []
        for title, values in zip(surfaces.titles, scaled_ELGG[index], strict=True):
            words = f"{title} in the random plane, epoch {epoch}, {surfaces.name}"
            figures.append(_figure(title, contour_panel(words, Plane(alpha, alpha, values))))
        rows.append({"heading": heading, "figures": figures})
    return rows


def _figure(caption: str, drawn: Any, note: str = "") -> Figure:
    return {"caption": caption, "drawing": drawn, "note": note}


def _trajectory(surfaces: Surfaces) -> dict[str, Any] | None:
    """The path of training in its own plane, on every criterion; None where it was not written."""
    arrays = surfaces.arrays
    if "plane" not in arrays or "path" not in arrays:
        return None
    shares, null = arrays["shares"].tolist(), arrays["null_shares"].tolist()
    epochs = [int(epoch) for epoch in arrays["path_epochs"]]
    chosen = int(surfaces.result["chosen_epoch"])
    trail = Trail(arrays["path"], epochs, chosen if chosen in epochs else None)
    scaled_LGG = surfaces.scaled(np.asarray(arrays["plane"]), axis=0)
    axes = [f"axis {k + 1}: {percent(shares[k])} (walk: {percent(null[k])}) →" for k in range(2)]
    figures = []
    for title, values in zip(surfaces.titles, scaled_LGG, strict=True):
        words = f"{title} in the plane of the path of training, {surfaces.name}"
        plane = Plane(arrays["plane_x"], arrays["plane_y"], values)
        figures.append(
            _figure(title, contour_panel(words, plane, x_title=axes[0], y_title=axes[1], trail=trail))
        )
    both, by_chance = sum(shares), sum(null)
    return {
        "figures": figures,
        "words": f"The plane holds {percent(both)} of how the weights moved; of a random walk with as many steps, "
        f"which goes nowhere, such a plane holds {percent(by_chance)}.",
        "farthest": percent(float(np.nanmax(arrays["path_residual"]))),
    }


def _figures(
    surfaces: Surfaces, cuts: Sequence[Cut], x_title: str, what: str, notes: Sequence[str] = ()
) -> list[Figure]:
    """A panel per criterion, all on one vertical scale."""
    # Criteria can be compared only where their panels share a scale.
    ends = reach(cuts)
    return [
        _figure(
            title,
            cut_panel(f"{title} {what}, {surfaces.name}", cut, ends, x_title=x_title),
            notes[k] if notes else "",
        )
        for k, (title, cut) in enumerate(zip(surfaces.titles, cuts, strict=True))
    ]


def _lines(surfaces: Surfaces) -> dict[str, Any]:
    """Median and range over the directions at the chosen epoch; dashed, what stale batch-norm statistics make of it."""
    arrays = surfaces.arrays
    scaled_DLP = surfaces.scaled(np.asarray(arrays["lines"][surfaces.chosen]), axis=1)
    stale_LP = surfaces.scaled(np.asarray(arrays["stale"]), axis=0) if "stale" in arrays else None
    cuts = []
    for k in range(len(surfaces.titles)):
        over_DP = scaled_DLP[:, k]
        # A median of those directions that have a number would hide that others have none.
        whole = np.isfinite(over_DP).all(axis=0)
        gap = np.where(whole, 0.0, np.nan)
        curves = [Curve(np.median(np.where(whole, over_DP, 0), axis=0) + gap, "series hue0", "median")]
        if stale_LP is not None:
            words = "one direction, batch-norm statistics of training"
            curves.append(Curve(stale_LP[k], "series stale", words))
        band = np.stack([over_DP.min(axis=0), over_DP.max(axis=0)]) + gap
        cuts.append(Cut(arrays["line_alpha"], curves, band))
    return {
        "figures": _figures(surfaces, cuts, "step along the direction →", "along random directions"),
        "directions": count(scaled_DLP.shape[0], "random direction"),
        "stale": stale_LP is not None,
    }


def _walk(surfaces: Surfaces) -> list[dict[str, Any]]:
    """The straight line from the weights before training to the chosen ones."""
    if "walk" not in surfaces.arrays:
        return []
    scaled_LP = surfaces.scaled(np.asarray(surfaces.arrays["walk"]), axis=0)
    marks = ((0.0, "start"), (1.0, "chosen"))
    cuts = [
        Cut(surfaces.arrays["walk_t"], [Curve(values, "series hue0")], marks=marks) for values in scaled_LP
    ]
    return _figures(
        surfaces, cuts, "from start (0) to the chosen epoch (1) →", "on the line from start to end"
    )


def _between(surfaces: Surfaces) -> dict[str, Any] | None:
    """The straight lines to fits of the same configuration on other folds or repeats; None where there is none."""
    arrays, others = surfaces.arrays, surfaces.result.get("between", [])
    if not others or "between" not in arrays or not len(arrays["between"]):
        return None
    scaled_MLP = surfaces.scaled(np.asarray(arrays["between"]), axis=1)
    names = [fit_name(record) for record in others]
    cuts, notes = [], []
    for k in range(len(surfaces.titles)):
        curves = [Curve(scaled_MLP[m, k], f"series hue{m}", f"to {name}") for m, name in enumerate(names)]
        cuts.append(Cut(arrays["between_t"], curves))
        notes.append("barrier " + " and ".join(numbers.brief(record["barrier"][k]) for record in others))
    x_title, what = "from this fit (0) to the other (1) →", "on the line to other fits"
    return {"figures": _figures(surfaces, cuts, x_title, what, notes), "key": list(enumerate(names))}
