"""The section on thresholds: from what probability on each label is said, and what that is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foldwise.reporting.drawing.many_labels import threshold_panel
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import NOTHING, score

BASELINES = ("all_ones", "commonest")


def section(data: ReportData) -> dict[str, Any] | None:
    """None where the task has no thresholds, or nothing is decided yet."""
    known, winner = data.verdict.get("thresholds"), data.winner
    if not known or winner is None:
        return None
    curves = data.f1_curves.get(known["configuration"], {})
    return {
        "thresholds": {
            "sentence": known["sentence"],
            "rows": [_row(name, held, winner) for name, held in known["classes"].items()],
            "few": any(held["num_matched"] for held in known["classes"].values()),
            "compared": [*_methods(known, winner), *_trivial(data)],
            "panels": [
                (data.classes[k], threshold_panel(f"F1 of {data.classes[k]} by threshold", curve))
                for k, curve in curves.items()
                if curve["folds"]
            ],
            "absent": [data.classes[k] for k, curve in curves.items() if not curve["folds"]],
        }
    }


def _row(name: str, held: Mapping[str, Any], winner: Mapping[str, Any]) -> dict[str, Any]:
    own = winner["per_class"].get(name) or {}
    span = NOTHING if held["low"] is None else f"{score(held['low'])} to {score(held['high'])}"
    return {
        "name": name,
        "median": {"shown": score(held["median"]), "value": held["median"], "note": span},
        "positives": {
            "shown": f"{held['validation_positives']:g}",
            "value": held["validation_positives"],
            "note": "",
        },
        "f1": {"shown": score(own.get("f1")), "value": own.get("f1"), "note": ""},
        "precision": {"shown": score(own.get("precision")), "value": own.get("precision"), "note": ""},
        "recall": {"shown": score(own.get("sensitivity")), "value": own.get("sensitivity"), "note": ""},
        "fallback": _fallback(held),
    }


def _fallback(held: Mapping[str, Any]) -> str:
    """What was done for a label with too few images, and in how many fits."""
    told = [
        (held["num_matched"], "too few"),
        (held["num_never"], "never said"),
    ]
    return "; ".join(f"{words} in {number} of {held['num_fits']} fits" for number, words in told if number)


def _methods(known: Mapping[str, Any], winner: Mapping[str, Any]) -> list[dict[str, Any]]:
    precision = winner["metrics"].get("average_precision_macro", {}).get("estimate")
    return [
        {
            "name": one["method"],
            "sentence": one["sentence"],
            "kind": "winner" if one["method"] == known["method"] else "",
            "f1_macro": score(one["f1_macro"]),
            "f1_micro": score(one["f1_micro"]),
            "ap": score(precision) if one["method"] == known["method"] else "",
        }
        for one in known["compared"]
    ]


def _trivial(data: ReportData) -> list[dict[str, Any]]:
    chosen = [one for one in data.verdict.get("baselines", []) if one["id"] in BASELINES]
    return [
        {"name": one["name"], "sentence": "without looking at the image", "kind": "baseline"}
        | {
            short: score(one["metrics"].get(metric, {}).get("estimate"))
            for short, metric in (
                ("f1_macro", "f1_macro"),
                ("f1_micro", "f1_micro"),
                ("ap", "average_precision_macro"),
            )
        }
        for one in chosen
    ]
