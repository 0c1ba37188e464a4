"""Trained models on images they did not see: those of another source, or of one test fold; each score with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from foldwise.judging.judgement import Judgement, Terms, terms_of
from foldwise.judging.scores.fits import PlannedFit
from foldwise.judging.scores.rows import CLASSIFICATION_KEYS, SEGMENTATION_KEYS, Rows, read_rows, truth_of
from foldwise.judging.scores.scoring import Scored, score, table_of
from foldwise.judging.sections.boundary import with_boundaries
from foldwise.judging.statistics.intervals import Spread, interval
from foldwise.judging.statistics.run_moments import scale_of
from foldwise.judging.statistics.run_variance import score_run_variance
from foldwise.judging.verdict_configurations import MetricEstimate
from foldwise.judging.verdict_sections import ExternalSection
from foldwise.judging.wording import with_interval
from foldwise.metrics.influence import Units
from foldwise.metrics.outputs import Floats, Outputs
from foldwise.metrics.ranking import MIN_POSITIVES
from foldwise.metrics.table import Metric
from foldwise.resources import on_one_blas_thread
from foldwise.runs.folder import RunFolder, read_json
from foldwise.runs.paths import external_scores
from foldwise.sealed import read_table
from foldwise.sealed_arrays import read_arrays
from foldwise.text import count, in_text


def external_section(
    laid_out: Path, rows: Rows, judgement: Judgement, configuration: str | None = None
) -> ExternalSection | None:
    """What a configuration's models score; None where there is no external set, or they have not been asked about it yet.

    Args:
        laid_out: of the external set, with ``set.json``, ``cases.csv`` and the answers of models.
        configuration: the winner by default.
    """
    winner = configuration or next(iter(judgement.comparable), None)
    if winner is None:
        return None
    fits = rows.done(winner, rows.repeats[0])
    outputs = external_scores(laid_out, (fit.item for fit in fits))
    if outputs is None or not outputs.is_dir():
        return None
    external = _External.of(laid_out, rows)
    together = _scored([external.outputs(outputs / "together.npz", rows, fits)], external, rows, judgement)
    alone = [external.outputs(outputs / f"model-{k}.npz", rows, [fit]) for k, fit in enumerate(fits)]
    models = _scored(alone, external, rows, judgement)
    metrics = {
        name: _estimate(metric, together, models, external, alpha=judgement.judge.alpha)
        for name, metric in judgement.metrics.items()
        if metric.needs != "boundary"
    }
    section = ExternalSection(
        path=str(read_json(laid_out / "set.json")["path"]),
        configuration=winner,
        name=rows.by_id[winner].name,
        num_models=len(fits),
        num_images=len(external.names),
        num_groups=external.units.count if external.units.grouped else None,
        metric=judgement.metric.name,
        metrics=metrics,
        by_model=tuple(own for _, _, own in models.folds),
        sentence="",
    )
    return section.model_copy(update={"sentence": _sentence(section, judgement)})


@on_one_blas_thread
def judged_fold(folder: RunFolder, configuration: str, fold: int) -> str:
    """What the network of one fold, from 0, of the first repeat reached on its test images, in a sentence."""
    study = folder.load_study()
    rows = with_boundaries(study, read_rows(folder), folder)
    done = rows.done(configuration, rows.repeats[0])
    # Who predicts with a fold has its network, so it is done.
    return _fold_sentence(rows, terms_of(study, rows), next(fit for fit in done if fit.fold == fold))


def _fold_sentence(rows: Rows, terms: Terms, fit: PlannedFit) -> str:
    """What the network of one fold reached on its test images, with an interval for this trained network.

    The interval counts the images (or groups) drawn, as that of one model on an external set does: nothing of the test
    fold was trained or chosen on. What another training would give is not in it.
    """
    tested, name = rows.splits_of[fit.repeat, fit.fold].test, terms.metric.name
    units = Units.from_groups(rows.groups, tested)
    scored = score([(0, rows.fold_outputs(fit))], units, decides=terms.metric, classes=rows.classes)
    table = table_of(terms.metric, [scored], units, num_cases=len(tested), alpha=terms.judge.alpha)
    low, high = table.intervals[0]
    # As a fold's score stands in the verdict.
    own = MetricEstimate(
        estimate=scored.folds[0][2], low=low, high=high, num_undefined=scored.num_undefined[name]
    )
    title = f"{rows.by_id[fit.configuration].name}, fold {fit.fold + 1} alone"
    if own.estimate is None:
        return f"{title}: not scored"
    reached = f"{in_text(terms.metric.title)} {with_interval(own, terms.confidence)}"
    images = _images(len(tested), units.count if units.grouped else None, "test image")
    return f"{title}: {reached} on the {images} of its fold; this holds for these trained weights"


@dataclass(frozen=True)
class _External:
    """The images of the external set: their names, groups and, but for masks, their truth (n, K)."""

    names: tuple[str, ...]
    units: Units
    truth: Any

    @classmethod
    def of(cls, laid_out: Path, rows: Rows) -> _External:
        cases = read_table(laid_out / "cases.csv")
        truth = None if rows.family == "segmentation" else truth_of(cases, len(rows.classes))
        units = Units.from_groups([case["group"] for case in cases])
        return cls(tuple(case["name"] for case in cases), units, truth)

    def outputs(self, path: Path, rows: Rows, fits: Sequence[PlannedFit]) -> Outputs:
        """What models say of every image; decided, of several labels, at the mean of the thresholds of `fits`."""
        keys = SEGMENTATION_KEYS if rows.family == "segmentation" else CLASSIFICATION_KEYS
        whole = read_arrays(path, ("case", *keys))
        case = whole.pop("case").astype(np.int64)
        if self.truth is not None:
            whole |= {"truth": self.truth, "probabilities": whole["probabilities"].astype(np.float64)}
            present_NK = self.truth
        else:
            present_NK = whole["confusion"].sum(axis=2) > 0
        if rows.thresholds is not None:
            limits = [rows.thresholds_of(fit, rows.thresholds).thresholds for fit in fits]
            whole["thresholds"] = np.tile(np.mean(limits, axis=0), (len(case), 1))
        absent = set(np.flatnonzero(~present_NK.any(axis=0)).tolist())
        if rows.family == "segmentation":
            absent.discard(0)
        rare = [k for k, column in enumerate(present_NK.T) if self.units.rarer(column, case) < MIN_POSITIVES]
        outputs = Outputs(rows.family, case, np.zeros(len(case), np.int64), **whole)
        unranked = tuple(rare) if self.truth is not None else ()
        return replace(outputs, unscored=tuple(sorted(absent | set(rows.unscored))), unranked=unranked)


def _scored(outputs: Sequence[Outputs], external: _External, rows: Rows, judgement: Judgement) -> Scored:
    """The scores of models as if each were a repeat: all of them have seen the same images."""
    numbered = list(enumerate(outputs))
    return score(numbered, external.units, decides=judgement.metric, classes=rows.classes)


def _estimate(
    metric: Metric, together: Scored, models: Scored, external: _External, *, alpha: float
) -> MetricEstimate:
    """The score of all models together; its interval counts the images drawn and, of several models, their luck."""
    num_cases, name = len(external.names), metric.name
    table = table_of(metric, [together], external.units, num_cases=num_cases, alpha=alpha)
    (spread,), (ends,) = table.spreads, table.intervals
    if spread is not None:
        ends = interval(
            metric.interval, with_luck_of_models(spread, models.values[name], metric), alpha=alpha
        )
    low, high = ends
    undefined = together.num_undefined[name]
    return MetricEstimate(estimate=together.estimates[name], low=low, high=high, num_undefined=undefined)


def with_luck_of_models(spread: Spread, values_MG: Floats, metric: Metric) -> Spread:
    """The spread with what another training of all models would add.

    The mean of M models is taken for their mean probabilities, whose luck is no greater. They were trained in M folds, so
    that their training sets overlap: Nadeau and Bengio 2003, as for the mean over folds. Of one model nothing is known.
    """
    num_models = len(values_MG)
    if num_models < 2 or not np.isfinite(values_MG).all():
        return spread
    scores_CRn = values_MG[None] * (1 if metric.higher_is_better else -1)
    folds_Rn = np.zeros(values_MG.shape, np.int64)
    runs = score_run_variance(
        scores_CRn, folds_Rn, np.zeros(1), scale=scale_of(scores_CRn, metric.oriented_bounds)
    )
    run = float(runs.used[0]) * (1 / num_models + 1 / (num_models - 1))
    image, total = spread.image_variance, spread.image_variance + run
    parts = image**2 / max(spread.df, 1) + run**2 / max(runs.df, 1)
    df = min(total**2 / parts, spread.df) if parts > 0 else spread.df
    return replace(spread, run_variance=run, df=df)


def _sentence(section: ExternalSection, judgement: Judgement) -> str:
    own, metric = section.metrics.get(section.metric), judgement.metric
    images = _images(section.num_images, section.num_groups, "image")
    models = "its model" if section.num_models == 1 else f"its {section.num_models} models together"
    where = f"On the external set ({images}), scored once, {section.name}"
    if own is None or own.estimate is None:
        return f"{where} has no {in_text(metric.title)}."
    reach = "; this holds for these trained weights" if section.num_models == 1 else ""
    reached = with_interval(own, judgement.confidence)
    return f"{where} ({models}) reaches {in_text(metric.title)} {reached}{reach}."


def _images(number: int, groups: int | None, noun: str) -> str:
    """``20 images in 5 groups``."""
    return count(number, noun) + (f" in {count(groups, 'group')}" if groups else "")
