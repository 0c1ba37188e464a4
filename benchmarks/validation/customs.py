"""What is done in papers, on the same samples: tests and intervals that foldwise does not use, vectorised over pairs.

Families are corrected by Bonferroni, which is kind to them: many papers correct nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import norm, t, wilcoxon

from benchmarks.validation.designs import FOLDS, Sample

ALPHA = 0.05
APART = 0.05  # a true difference that a test should see
WILCOXON_PAIRS = 12  # neighbours; every pair would take too long


def customary(sample: Sample) -> dict[str, float]:
    """By ``test: measure``, what the usual tests say of one sample."""
    a, b = sample.pairs
    true_P = sample.truth_C[a] - sample.truth_C[b]
    found: dict[str, float] = {}
    for name, difference, error, df in _tests(sample, a, b):
        half = t.ppf(1 - ALPHA / 2, df) * error
        away = np.abs(difference) / np.where(error > 0, error, np.inf)
        p = np.where(error > 0, 2 * t.sf(away, df), np.where(np.abs(difference) > 0, 0.0, 1.0))
        found[f"{name}: pair"] = float((np.abs(difference - true_P) <= half + 1e-12).mean())
        found[f"{name}: pair width"] = float(2 * half.mean())
        found |= _alarms(name, p < ALPHA, sample, p.min() < ALPHA / len(p))
    found |= _wilcoxon(sample)
    return found | _single(sample)


def _alarms(name: str, told_P: np.ndarray, sample: Sample, any_told: bool) -> dict[str, float]:
    """False alarms where there is nothing, and what is seen where there is much."""
    a, b = sample.pairs
    alike, far = sample.alike_P, np.abs(sample.truth_C[a] - sample.truth_C[b]) >= APART
    found = {}
    if alike.any():
        found[f"{name}: alarm"] = float(told_P[alike].mean())
    if alike.all():
        found[f"{name}: family"] = float(any_told)
    if far.any():
        found[f"{name}: power"] = float(told_P[far].mean())
    return found


def fold_scores(sample: Sample) -> np.ndarray:
    """(C, R * K) the mean score of every fold."""
    C, R, _ = sample.scores_CRn.shape
    cell = sample.folds_Rn + FOLDS * np.arange(R)[:, None]
    size = np.bincount(cell.ravel(), minlength=R * FOLDS)
    flat = sample.scores_CRn.reshape(C, -1)
    return np.stack([np.bincount(cell.ravel(), weights=row, minlength=R * FOLDS) for row in flat]) / size


def _tests(
    sample: Sample, a: np.ndarray, b: np.ndarray
) -> Iterator[tuple[str, np.ndarray, np.ndarray, float]]:
    """Name, difference, standard error and degrees of freedom, over pairs."""
    folds = fold_scores(sample)
    J = folds.shape[1]
    means, covariance = folds.mean(axis=1), np.cov(folds)
    variance = _of_differences(covariance, a, b)
    yield "t on folds", means[a] - means[b], np.sqrt(variance / J), J - 1
    # Nadeau & Bengio 2003: 1 / J becomes 1 / J + n_test / n_train.
    corrected = np.sqrt(variance * (1 / J + 1 / (FOLDS - 1)))
    yield "corrected t on folds", means[a] - means[b], corrected, J - 1
    images = sample.scores_CRn.mean(axis=1)
    n = images.shape[1]
    means, covariance = images.mean(axis=1), np.cov(images)
    yield "t on images", means[a] - means[b], np.sqrt(_of_differences(covariance, a, b) / n), n - 1


def _of_differences(covariance: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum(covariance[a, a] + covariance[b, b] - 2 * covariance[a, b], 0.0)


def _wilcoxon(sample: Sample) -> dict[str, float]:
    """The signed-rank test on fold scores, of neighbours only."""
    folds = fold_scores(sample)
    C = len(folds)
    a, b = sample.pairs
    kept = np.flatnonzero((b == a + 1) & (a % 2 == 0) | (C == 2))[:WILCOXON_PAIRS]
    difference = folds[a[kept]] - folds[b[kept]]
    some = np.abs(difference).sum(axis=1) > 1e-12
    told = np.zeros(len(kept), dtype=bool)
    with np.errstate(all="ignore"):
        told[some] = np.array([wilcoxon(row.round(9)).pvalue for row in difference[some]]) < ALPHA
    alike, far = sample.alike_P[kept], np.abs(sample.truth_C[a] - sample.truth_C[b])[kept] >= APART
    found = {}
    if alike.any():
        found["Wilcoxon on folds: alarm"] = float(told[alike].mean())
    if far.any():
        found["Wilcoxon on folds: power"] = float(told[far].mean())
    return found


def _single(sample: Sample) -> dict[str, float]:
    """Mean +- t over fold scores, and mean +- 1.96 standard errors over images."""
    folds, images = fold_scores(sample), sample.scores_CRn.mean(axis=1)
    ways = (
        ("t on folds", folds, float(t.ppf(1 - ALPHA / 2, folds.shape[1] - 1))),
        ("normal on images", images, float(norm.ppf(1 - ALPHA / 2))),
    )
    found = {}
    for name, values, quantile in ways:
        half = quantile * values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
        miss = np.abs(values.mean(axis=1) - sample.truth_C)
        found[f"{name}: single"] = float((miss <= half + 1e-12).mean())
        found[f"{name}: single width"] = float(2 * half.mean())
    return found
