"""Temperature: one number by which the logits of a fit are divided, so that its probabilities mean what they say.

It is set on the inner validation of each fit, and changes no decision: the likeliest class stays the likeliest, and a
label at one half stays there. Source: Guo, Pleiss, Sun & Weinberger 2017, arXiv:1706.04599.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit

from foldwise.metrics.outputs import Bools, Floats

COLDEST, HOTTEST = 0.05, 20.0
# A normal prior of variance 1 on log T: where a fit is right about all of a few images, the log-loss alone would take
# every temperature to 0. Of 100 images or more nothing is seen of it.
PRIOR = 1.0
# Of a float32 probability: its logarithm is finite, and no two of them become equal.
LEAST, MOST = 1e-38, 1 - 2**-25


def logits(probabilities: Floats, family: str) -> Floats:
    """(n, K) the logits behind the probabilities: of several labels each one's own; else up to a constant per image."""
    p = np.clip(probabilities.astype(np.float64), LEAST, MOST)
    return np.asarray(logit(p) if family == "multilabel" else np.log(p))


def tempered(probabilities: Floats, temperature: float, family: str) -> Floats:
    """(n, K) the probabilities of the same logits, divided by `temperature`; above 1 they come nearer to each other."""
    cooled = logits(probabilities, family) / temperature
    return np.asarray(expit(cooled) if family == "multilabel" else np.exp(log_softmax(cooled, axis=1)))


def fit_temperature(probabilities: Floats, truth: Bools, family: str) -> float:
    """The temperature, from `COLDEST` to `HOTTEST`, of the least log-loss plus `PRIOR` / 2 * (log T)^2.

    Args:
        probabilities: (n, K) that a fit gave its inner validation.
        truth: (n, K).
        family: ``multilabel``: one temperature for the labels together.
    """
    told = logits(probabilities, family)
    sign = np.where(truth, -1.0, 1.0)

    def loss(log_temperature: float) -> float:
        cooled = told * np.exp(-log_temperature)
        if family == "multilabel":
            wrong = np.logaddexp(0, sign * cooled).sum()
        else:
            wrong = -log_softmax(cooled, axis=1)[truth].sum()
        return float(wrong + PRIOR / 2 * log_temperature**2)

    ends = (float(np.log(COLDEST)), float(np.log(HOTTEST)))
    found = minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-5})
    return float(np.exp(found.x))
