"""Reports of studies far larger than any that is trained here: a real run, its numbers repeated with noise."""

import copy
from dataclasses import replace

import numpy as np

from foldwise.reporting.report import render
from foldwise.reporting.report_data import gather


def many(folder, *, configurations, fits):
    """The page of a run as if it had so many configurations of so many fits each; of its pictures, those it has."""
    told, rng = gather(folder), np.random.default_rng(7)
    first = [one for one in told.configurations if one.get("estimate") is not None]
    own = {one["id"]: [fit for fit in told.results if fit.get("configuration") == one["id"]] for one in first}
    rows, results, trainings, alike = [], [], {}, {}
    for place in range(configurations):
        like = first[place % len(first)]
        one = copy.deepcopy(like)
        one["id"] = f"c-{place:010x}"
        one["name"] = f"{like['name']} · lr {0.1 / (place + 1):.6f} · wd {place % 7}"
        one["levels"] = {
            **like["levels"],
            "learning rate": f"{0.1 / (place + 1):.6f}",
            "weight decay": str(place % 7),
        }
        one["estimate"] = float(like["estimate"] * (1 - 0.4 * place / configurations))
        one["folds"] = [
            {
                **like["folds"][0],
                "repeat": fit // 5,
                "fold": fit % 5,
                "score": one["estimate"] + float(rng.normal(0, 0.02)),
            }
            for fit in range(fits)
        ]
        one["low"], one["high"] = one["estimate"] - 0.05, one["estimate"] + 0.04
        one["num_done"] = one["num_planned"] = fits
        one["verdict"] = "winner" if place == 0 else "could be best" if place < 9 else "worse"
        one["cost"] = {**(like.get("cost") or {}), "latency_ms": 1.0 + 40 * float(rng.random())}
        rows.append(one)
        alike[one["id"]] = like["id"]
        trainings[one["id"]] = told.trainings[like["id"]]
        results += [
            {
                **own[like["id"]][fit % len(own[like["id"]])],
                "configuration": one["id"],
                "repeat": fit // 5,
                "fold": fit % 5,
            }
            for fit in range(fits)
        ]
    verdict = {**told.verdict, "configurations": rows, "folds": 5, "repeats": max(fits // 5, 1)}
    verdict["answer"] = {**told.verdict["answer"], "configuration": rows[0]["id"], "name": rows[0]["name"]}
    verdict["calibration"] = verdict["textbook"] = verdict["boundary"] = verdict["robustness"] = None
    spread = {
        name: {one: held[alike[one]] for one in alike if alike[one] in held}
        for name, held in (
            (name, getattr(told, name))
            for name in ("image_scores", "probabilities", "predictions", "decided", "folders", "snapshots")
        )
    }
    few = {
        name: {one: getattr(told, name)[alike[one]] for one in list(alike)[:6]}
        for name in ("roc", "pr", "confusion")
    }
    return render(
        replace(told, verdict=verdict, results=results, trainings=trainings, auxiliary=(), **spread, **few)
    )
