"""The section on loss surfaces: planes, lines and paths around the weights of fits that were looked into."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from foldwise.judging.verdict import ConfigurationResult
from foldwise.judging.wording import in_text
from foldwise.reporting.drawing import surfaces as contours
from foldwise.reporting.drawing.rows import standing
from foldwise.reporting.drawing.surfaces import Curve, Cut, cut_panel, reach
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.training import surface_numbers as numbers
from foldwise.reporting.sections.training.surface_data import embedded
from foldwise.reporting.sections.training.surface_numbers import Look
from foldwise.reporting.wording import count, number, percent

MAX_TURNED = 6  # looks that can be turned; the data of more would make the page heavy
MAX_DRAWN = 12  # looks with drawings and tables
REPLAYED = 1e-5  # a difference of a weight that no drawing can show


def section(data: ReportData) -> dict[str, Any] | None:
    """Every look inside training, the winner's first; None where nobody looked."""
    ranks = {one.id: (place, one) for place, one in enumerate(data.configurations)}
    items = [
        item
        for item in data.auxiliary
        if item.kind == "landscape" and item.done and item.result.get("configuration") in ranks
    ]
    items.sort(key=lambda item: _order(item.result, ranks))
    read = [(item, numbers.read_look(item, ranks[item.result["configuration"]][1].name)) for item in items]
    looks = [look for _, look in read if look is not None]
    unread = [str(item.title or item.item) for item, look in read if look is None]
    if not items:
        return None
    named = _named(looks[:MAX_DRAWN])
    held = {
        "looks": [_shown(look, ranks[look.configuration][1]) for look in named],
        "bar": contours.colour_bar(),
        "data": json.dumps(embedded(named[:MAX_TURNED]), separators=(",", ":")) if named else "",
        "not_turned": max(0, len(named) - MAX_TURNED),
        "left_out": max(0, len(looks) - MAX_DRAWN),
        "unread": unread,
        "curvatures": [title for _, title in numbers.CURVATURES],
        "within": [f"{end:g}" for end in numbers.WITHIN],
    }
    return {"surfaces": held}


def _order(result: Mapping[str, Any], ranks: Mapping[str, tuple[int, Any]]) -> tuple[int, int, int]:
    return ranks[result["configuration"]][0], int(result["repeat"]), int(result["fold"])


def _named(looks: Sequence[Look]) -> list[Look]:
    """Looks of one configuration are told apart by their fold."""
    names = [look.name for look in looks]
    return [
        look
        if names.count(look.name) == 1
        else Look(
            f"{look.name}, {numbers.fit_name(look.result)}", look.configuration, look.result, look.arrays
        )
        for look in looks
    ]


def _shown(look: Look, record: ConfigurationResult) -> dict[str, Any]:
    return {
        "name": look.name,
        "configuration": look.configuration,
        "standing": standing(record),
        "about": _about(look),
        "titles": look.titles,
        "planes": _planes(look),
        "trajectory": _trajectory(look),
        "lines": _lines(look),
        "walk": _walk(look),
        "between": _between(look),
        "numbers": numbers.surface_rows(look),
        "path": numbers.path_rows(look),
        "curvature": numbers.curvature_rows(look),
        "barriers": numbers.barriers(look),
        "missing": numbers.missing_words(look),
        "beyond": _no_better(look),
    }


def _about(look: Look) -> str:
    """Which fit, by which images, and whether the replay was the fit again."""
    result = look.result
    trained = result.get("trained_with")
    parts = [
        f"{numbers.fit_name(result).capitalize()}, {count(int(result['images']), 'image')} of the "
        f"{result.get('images_from', 'training part')}, without augmentation or dropout.",
        f"Trained with {in_text(look.titles[int(trained)])}." if trained is not None else "",
        f"Chosen epoch: {result['chosen_epoch']} of {look.epochs[-1]}.",
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
    told = "an unknown amount" if largest is None else f"up to {largest:.2g}"
    return (
        f"The training was run again for this, and its weights differ from those of the fit by {told}: "
        "what is shown is a twin of the fit, trained alike, and not the fit itself."
    )


def _no_better(look: Look) -> str:
    """Which criteria have no common scale."""
    names = [title for title, known in zip(look.titles, look.comparable_L, strict=True) if not known]
    if not names:
        return ""
    return (
        f"By {' and '.join(in_text(name) for name in names)} this solution is no better than the trivial predictor, so there is no common scale; "
        "drawings show the rise as a share of the range of the chosen epoch’s plane."
    )


def _planes(look: Look) -> list[dict[str, Any]]:
    """Of the first, the chosen and the last epoch, a panel per criterion."""
    alpha = look.arrays["alpha"]
    scaled_ELGG = look.scaled(np.asarray(look.arrays["surface"]), axis=1)
    rows = []
    for place in sorted({0, look.chosen, len(look.epochs) - 1}):
        epoch = look.epochs[place]
        heading = f"Epoch {epoch}" + (", before training" if epoch == 0 else "")
        heading += ", chosen" if place == look.chosen else ""
        figures = [
            {
                "caption": title,
                "drawing": contours.contour_panel(
                    f"{title} in the random plane, epoch {epoch}, {look.name}",
                    contours.Plane(alpha, alpha, scaled_ELGG[place, one]),
                ),
                "note": "",
            }
            for one, title in enumerate(look.titles)
        ]
        rows.append({"heading": heading, "figures": figures})
    return rows


def _trajectory(look: Look) -> dict[str, Any] | None:
    """The path of training in its own plane, on every criterion; None where it was not kept."""
    arrays = look.arrays
    if "plane" not in arrays or "path" not in arrays:
        return None
    shares, null = arrays["shares"].tolist(), arrays["null_shares"].tolist()
    epochs = [int(epoch) for epoch in arrays["path_epochs"]]
    chosen = int(look.result["chosen_epoch"])
    trail = contours.Trail(arrays["path"], epochs, chosen if chosen in epochs else None)
    scaled_LGG = look.scaled(np.asarray(arrays["plane"]), axis=0)
    titles = [f"axis {k + 1}: {percent(shares[k])} (walk: {percent(null[k])})" for k in range(2)]
    figures = [
        {
            "caption": title,
            "drawing": contours.contour_panel(
                f"{title} in the plane of the path of training, {look.name}",
                contours.Plane(arrays["plane_x"], arrays["plane_y"], scaled_LGG[one]),
                x_title=f"{titles[0]} →",
                y_title=f"{titles[1]} →",
                trail=trail,
            ),
            "note": "",
        }
        for one, title in enumerate(look.titles)
    ]
    both, by_chance = sum(shares), sum(null)
    return {
        "figures": figures,
        "words": f"The plane holds {percent(both)} of how the weights moved; of a random walk with as many steps, "
        f"which goes nowhere, such a plane holds {percent(by_chance)}.",
        "farthest": percent(float(np.nanmax(arrays["path_residual"]))),
    }


def _figures(
    look: Look, cuts: Sequence[Cut], x_title: str, what: str, notes: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """A panel per criterion, all on one vertical scale."""
    ends = reach(cuts)
    return [
        {
            "caption": title,
            "drawing": cut_panel(f"{title} {what}, {look.name}", cut, ends, x_title=x_title),
            "note": notes[place] if notes else "",
        }
        for place, (title, cut) in enumerate(zip(look.titles, cuts, strict=True))
    ]


def _lines(look: Look) -> dict[str, Any]:
    """Median and range over the directions at the chosen epoch; dashed, what stale batch-norm statistics make of it."""
    arrays = look.arrays
    scaled_DLP = look.scaled(np.asarray(arrays["lines"][look.chosen]), axis=1)
    stale_LP = look.scaled(np.asarray(arrays["stale"]), axis=0) if "stale" in arrays else None
    cuts = []
    for place in range(len(look.titles)):
        over = scaled_DLP[:, place]
        whole = np.isfinite(over).all(
            axis=0
        )  # a median of what is left would hide that a direction has no number
        gap = np.where(whole, 0.0, np.nan)
        curves = [Curve(np.median(np.where(whole, over, 0), axis=0) + gap, "series hue0", "median")]
        if stale_LP is not None:
            words = "one direction, batch-norm statistics of training"
            curves.append(Curve(stale_LP[place], "series stale", words))
        band = np.stack([over.min(axis=0), over.max(axis=0)]) + gap
        cuts.append(Cut(arrays["line_alpha"], curves, band))
    return {
        "figures": _figures(look, cuts, "step along the direction →", "along random directions"),
        "directions": count(scaled_DLP.shape[0], "random direction"),
        "stale": stale_LP is not None,
    }


def _walk(look: Look) -> list[dict[str, Any]]:
    """The straight line from the weights before training to the chosen ones."""
    if "walk" not in look.arrays:
        return []
    scaled_LP = look.scaled(np.asarray(look.arrays["walk"]), axis=0)
    marks = ((0.0, "start"), (1.0, "chosen"))
    cuts = [Cut(look.arrays["walk_t"], [Curve(one, "series hue0")], marks=marks) for one in scaled_LP]
    return _figures(look, cuts, "from start (0) to the chosen epoch (1) →", "on the line from start to end")


def _between(look: Look) -> dict[str, Any] | None:
    """The straight lines to fits of the same configuration on other folds or repeats; None where there is none."""
    arrays, others = look.arrays, look.result.get("between", [])
    if not others or "between" not in arrays or not len(arrays["between"]):
        return None
    scaled_MLP = look.scaled(np.asarray(arrays["between"]), axis=1)
    names = [numbers.fit_name(one) for one in others]
    cuts = [
        Cut(
            arrays["between_t"],
            [Curve(scaled_MLP[m, place], f"series hue{m}", f"to {name}") for m, name in enumerate(names)],
        )
        for place in range(len(look.titles))
    ]
    heights = [[numbers.brief(one["barrier"][place]) for one in others] for place in range(len(look.titles))]
    notes = [f"barrier {' and '.join(told)}" for told in heights]
    return {
        "figures": _figures(
            look, cuts, "from this fit (0) to the other (1) →", "on the line to other fits", notes
        ),
        "key": [(m, name) for m, name in enumerate(names)],
    }
