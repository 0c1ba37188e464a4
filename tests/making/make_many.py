"""Reports of studies far larger than any that is trained here: a real run, its numbers repeated with noise."""

from dataclasses import replace

import numpy as np
from altered import altered

from foldwise.reporting.report import render
from foldwise.reporting.report_data import gather


def many(folder, *, configurations, fits):
    """The page of a run as if it had so many configurations of so many fits each; of its pictures, those it has."""
    data, rng = gather(folder), np.random.default_rng(7)
    first = [record for record in data.verdict.dump()["configurations"] if record["estimate"] is not None]
    results_of = {
        like["id"]: [fit for fit in data.results if fit.get("configuration") == like["id"]] for like in first
    }
    records, results, like_of = [], [], {}
    for place in range(configurations):
        like, own = first[place % len(first)], f"c-{place:010x}"
        records.append(another(like, own, place, configurations, fits, rng))
        like_of[own] = like["id"]
        alike = results_of[like["id"]]
        results += [
            {**alike[fit % len(alike)], "configuration": own, "repeat": fit // 5, "fold": fit % 5}
            for fit in range(fits)
        ]
    answer = data.verdict.answer.model_dump() | {
        key: records[0][at] for key, at in (("configuration", "id"), ("name", "name"))
    }
    silent = dict.fromkeys(("calibration", "textbook", "boundary", "robustness")) | {"cost_fronts": ()}
    larger = altered(
        data, configurations=records, folds=5, repeats=max(fits // 5, 1), answer=answer, **silent
    )
    curves = spread(data.curves, ("image_scores", "decisions"), like_of)
    curves = spread(curves, ("roc", "pr", "confusion"), dict(list(like_of.items())[:6]))
    larger = replace(
        larger,
        results=results,
        curves=curves,
        auxiliary=(),
        probabilities=lambda configuration: data.probabilities(like_of[configuration]),
    )
    return render(spread(larger, ("predictions", "folders", "snapshots", "trainings"), like_of))


def another(like, own, place, configurations, fits, rng):
    """A configuration like one of the run, under another name and with other numbers."""
    estimate = float(like["estimate"] * (1 - 0.4 * place / configurations))
    name = f"{like['name']} · lr {0.1 / (place + 1):.6f} · wd {place % 7}"
    levels = {"learning rate": f"{0.1 / (place + 1):.6f}", "weight decay": str(place % 7)}
    folds = [
        {"repeat": fit // 5, "fold": fit % 5, "score": estimate + float(rng.normal(0, 0.02))}
        for fit in range(fits)
    ]
    return like | {
        "id": own,
        "name": name,
        "levels": like["levels"] | levels,
        "estimate": estimate,
        "folds": folds,
        "low": estimate - 0.05,
        "high": estimate + 0.04,
        "num_done": fits,
        "num_planned": fits,
        "verdict": "winner" if place == 0 else "could be best" if place < 9 else "worse",
        "cost": like["cost"] | {"latency_ms": 1.0 + 40 * float(rng.random())},
    }


def spread(values, names, like_of):
    """The same with what each of its mappings has of a configuration for all that are like it."""
    changed = {}
    for name in names:
        own = getattr(values, name)
        changed[name] = {new: own[old] for new, old in like_of.items() if old in own}
    return replace(values, **changed)
