"""The 24 rows of the first seed study as its table has them, and verdicts to check sentences against."""

import itertools

import numpy as np
import pandas as pd
from judged import judge_files

from foldwise.judging.claim_check.check import check
from foldwise.judging.external.options import ScoreOptions
from foldwise.judging.verdict import Verdict

# Per cent of 22 test images: right ones of hardware x network x head x optimiser, in the order of the table.
RIGHT = {
    ("cpu", "resnet18"): (18, 15, 18, 20),
    ("cpu", "vgg16"): (15, 11, 17, 17),
    ("cpu", "mobilenet-v3"): (12, 12, 14, 15),
    ("gpu", "resnet18"): (18, 20, 19, 21),
    ("gpu", "vgg16"): (16, 17, 17, 17),
    ("gpu", "mobilenet-v3"): (15, 17, 14, 16),
}
TRAINING_MIN = {"resnet18": (5.88, 0.32), "vgg16": (40.26, 0.57), "mobilenet-v3": (3.42, 0.34)}
HEADER = (
    "model_id,hardware_type,pretrained_model,classifier_head,opt_alg,training_time_mins,accuracy,conf_mat"
)


def seed_table():
    """The table of the seed study as CSV: one row per configuration, no score of any image."""
    lines, number = [HEADER], 0
    for (hardware, network), right in RIGHT.items():
        for (head, optimizer), many in zip(
            itertools.product(("single", "multi"), ("adam", "sgd")), right, strict=True
        ):
            number += 1
            minutes = TRAINING_MIN[network][hardware == "gpu"]
            matrix = f'"[[{many - 11}, {22 - many}], [0, 11]]"'
            lines.append(
                f"{number},{hardware},{network},{head},{optimizer},{minutes},{100 * many / 22:.2f}%,{matrix}"
            )
    return "\n".join(lines) + "\n"


def verdict_of(path, skills, *, cases=60, repeats=3, seed=0, **asked):
    """The verdict of `foldwise judge` on scores of configurations that are named by their levels: ``unet/mlp``."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(0, 0.05, cases)
    columns = ("network", "head")[: 1 + next(iter(skills)).count("/")]
    rows = [
        (*name.split("/"), repeat, case, float(np.clip(skill + hard[case] + rng.normal(0, 0.03), 0, 1)))
        for name, skill in skills.items()
        for repeat in range(repeats)
        for case in range(cases)
    ]
    pd.DataFrame(rows, columns=[*columns, "repeat", "case", "dice"]).to_csv(path, index=False)
    return Verdict.load(judge_files([path], ScoreOptions(configuration=columns, score=("dice",), **asked)))


def verdicts(table, text, **options):
    """The verdict of every sentence that claims something."""
    return [one.verdict for one in check(table, text, **options).findings]
