"""Tables of scores as other programs write them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

# The 24 rows of summary of the first seed study: 22 test images each, none of which has a score of its own.
SUMMARY_ROWS = """model_id,hardware_type,pretrained_model,classifier_head,opt_alg,training_time_mins,accuracy,roc_auc
1,cpu,resnet18,single,adam,5.88,81.82%,81.82%
2,cpu,resnet18,single,sgd,5.88,68.18%,68.18%
3,cpu,resnet18,multi,adam,5.88,81.82%,81.82%
4,cpu,resnet18,multi,sgd,3.71,90.91%,90.91%
16,gpu,resnet18,multi,sgd,0.32,95.45%,95.45%
"""


def fixture():
    """The pipeline fixture of the design as a long table: 6 configurations, 2 repeats, 20 images, 4 folds."""
    c, r, i = (axis.ravel() for axis in np.meshgrid(range(6), range(2), range(20), indexing="ij"))
    score = ((7 * c + 5 * r + 3 * i + c * i) % 11) / 10 + 0.02 * c
    fold = (i + r * (i // 4)) % 4
    columns = {
        "configuration": [f"c{one}" for one in c],
        "repeat": r,
        "fold": fold,
        "case": i,
        "score": score,
    }
    return pd.DataFrame(columns).assign(group=[f"g{one // 4}" for one in i])


def wide(num_cases=40, skills=(1.2, 1.6, 1.1, -1.0), seed=0):
    """A spreadsheet: one row per image, a column for each of a few networks, and a patient of four images."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(size=num_cases)
    scores = {
        f"net {place}": (1 / (1 + np.exp(-(skill + hard + rng.normal(0, 0.5, num_cases))))).round(4)
        for place, skill in enumerate(skills)
    }
    cases = {"image": [f"img_{one:03}" for one in range(num_cases)]}
    return pd.DataFrame(cases | scores | {"patient": [f"P{one // 4}" for one in range(num_cases)]})


def long(table):
    """The same scores, one row each, with a factor that two networks share."""
    nets = [name for name in table.columns if name.startswith("net")]
    rows = table.melt(["image", "patient"], nets, "model", "dice")
    return rows.assign(rate=rows["model"].map(dict(zip(nets, ("0.1", "0.1", "0.01", "0.01"), strict=True))))


def write(path: Path, table, **options):
    """A table as a CSV file; its path."""
    table.to_csv(path, index=False, **options)
    return path


def write_summary(path: Path, dice_by_case, folder="labels"):
    """A summary.json of nnU-Net: case -> label -> Dice, nan where the label is neither there nor predicted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cases = [
        {
            "metrics": {label: {"Dice": dice, "IoU": dice / 2, "n_ref": 7} for label, dice in labels.items()},
            "prediction_file": f"{path.parent}/{case}.nii.gz",
            "reference_file": f"{folder}/{case}.nii.gz",
        }
        for case, labels in dice_by_case.items()
    ]
    path.write_text(
        json.dumps({"foreground_mean": {}, "mean": {}, "metric_per_case": cases}), encoding="utf-8"
    )
    return path
