"""The rows of a run: which fits are done, their outputs for every case, and the truth of the cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from foldwise.data.folds.splits import Split, cases_tested, read_splits, unscored_classes
from foldwise.errors import RunError
from foldwise.judging.scores.fits import PlannedFit, planned_fit, unplanned_fit
from foldwise.judging.scores.recent import Recent, size_of_arrays, size_of_outputs
from foldwise.judging.scores.thresholds import (
    THRESHOLDS,
    LabelThresholds,
    ValidationOutputs,
    choose_thresholds,
)
from foldwise.metrics.influence import Units
from foldwise.metrics.outputs import FAMILIES, Bools, Floats, Ints, Outputs
from foldwise.metrics.ranking import MIN_POSITIVES
from foldwise.processes import collecting_later
from foldwise.runs.auxiliary import AuxiliaryItem, read_auxiliary
from foldwise.runs.folder import RunFolder, read_json
from foldwise.runs.plan import Plan, Search
from foldwise.runs.racing import Race
from foldwise.sealed import read_table
from foldwise.sealed_arrays import read_arrays
from foldwise.study.configurations import Configuration

CLASSIFICATION_KEYS = ("probabilities",)
SEGMENTATION_KEYS = ("confusion", "histogram", "log_loss_sum", "brier_sum")


@dataclass(frozen=True)
class BoundaryScores:
    """Boundary scores of predicted masks: by item ``nsd`` and ``hd95`` (n, K), in the order of its test cases."""

    tolerance_px: float
    of: Mapping[str, Mapping[str, Floats]]


@dataclass(frozen=True)
class Rows:
    """Everything the judge looks at. Arrays stay on disk until `outputs` asks for them.

    Attributes:
        task, classes: as recognised in the data; of a segmentation the first class is the background.
        names: of every case.
        truth: (n, K) bool, None for segmentation.
        groups: the final group of every case.
        units: tested images, or groups of them where some group has more than one.
        splits: every repeat and fold.
        fits: planned fits in plan order.
        auxiliary: the planned items that are no fit.
        thresholds: a row of `THRESHOLDS`; None where the likeliest class is taken.
        boundaries: boundary scores; None where the study does not ask for them.
        searches: of every configuration in every fold, where the study searches.
        trials: their results, by item, of those that have one; they decide which fit is judged, and are no scores.
        race: by which some configurations are trained no further; None where all are trained in full.
    """

    task: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    truth: Bools | None
    groups: tuple[str, ...]
    units: Units
    splits: tuple[Split, ...]
    configurations: tuple[Configuration, ...]
    fits: tuple[PlannedFit, ...]
    auxiliary: tuple[AuxiliaryItem, ...] = ()
    thresholds: str | None = None
    boundaries: BoundaryScores | None = None
    searches: tuple[Search, ...] = ()
    trials: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    race: Race | None = None
    # Thresholds by fit and method, kept so that they are computed once.
    cuts: dict[tuple[str, str], LabelThresholds] = field(default_factory=dict, compare=False)
    recent: Recent = field(default_factory=Recent, compare=False)

    @property
    def family(self) -> str:
        """``binary``, ``multiclass``, ``multilabel`` or ``segmentation``."""
        return FAMILIES[self.task]

    @property
    def repeats(self) -> tuple[int, ...]:
        """The numbers of the repeats."""
        return tuple(sorted({split.repeat for split in self.splits}))

    @cached_property
    def by_id(self) -> dict[str, Configuration]:
        """The configurations by their ids."""
        return {configuration.id: configuration for configuration in self.configurations}

    @property
    def num_folds(self) -> int:
        """Test parts of a repeat; 1 of a single split that is given."""
        return len({split.fold for split in self.splits})

    @cached_property
    def tested(self) -> Ints:
        """The cases that are scored, sorted: all of them, but for a single split that is given."""
        return cases_tested(self.splits)

    @cached_property
    def presence(self) -> Bools:
        """(n, K) whether an image has a class; of an image whose mask no fit has read yet, taken as true."""
        if self.truth is not None:
            return self.truth
        present = np.ones((len(self.names), len(self.classes)), dtype=bool)
        tested = {(fit.repeat, fit.fold): fit for fit in self.fits if fit.status == "done"}
        for fit in tested.values():
            arrays = self.scores_of(fit, ("case", "confusion"))
            present[arrays["case"]] = arrays["confusion"].sum(axis=2) > 0
        return present

    @cached_property
    def unscored(self) -> tuple[int, ...]:
        """Classes that cannot be learned and tested in every fold: shown, but in no average over classes."""
        first = 1 if self.family == "segmentation" else 0
        return tuple(k for k in unscored_classes(self.splits, self.presence, self.groups) if k >= first)

    @cached_property
    def num_having(self) -> tuple[int, ...]:
        """Units with each class, or without it, whichever are fewer; empty for segmentation."""
        if self.truth is None:
            return ()
        return tuple(self.units.rarer(column, self.tested) for column in self.truth[self.tested].T)

    def fits_of(self, configuration: str) -> list[PlannedFit]:
        """The planned fits of a configuration, by id, ordered by repeat and fold."""
        return self._by_configuration.get(configuration, [])

    @cached_property
    def _by_configuration(self) -> dict[str, list[PlannedFit]]:
        by_id: dict[str, list[PlannedFit]] = {}
        for fit in sorted(self.fits, key=lambda fit: (fit.repeat, fit.fold)):
            by_id.setdefault(fit.configuration, []).append(fit)
        return by_id

    def done(self, configuration: str, repeat: int | None = None) -> list[PlannedFit]:
        """The fits of a configuration that are done, of one repeat or of all."""
        fits = [fit for fit in self.fits_of(configuration) if fit.status == "done"]
        return [fit for fit in fits if repeat in (None, fit.repeat)]

    def auxiliary_of(self, kind: str) -> list[AuxiliaryItem]:
        """The auxiliary items of a kind, in plan order."""
        return [item for item in self.auxiliary if item.kind == kind]

    def complete(self, configuration: str) -> bool:
        """Whether every fold of every repeat is done, so that the configuration can be compared."""
        fits = self.fits_of(configuration)
        return bool(fits) and all(fit.status == "done" for fit in fits)

    def outputs(self, configuration: str, repeat: int) -> Outputs | None:
        """The outputs of a configuration in a repeat, from the folds that are done; None where none is.

        Raises:
            RunError: a scores file is damaged.
        """
        done = self.done(configuration, repeat)
        return self._outputs_of(done) if done else None

    def _outputs_of(self, fits: Sequence[PlannedFit]) -> Outputs:
        # By what they are made with, too: `replace` gives the same files other boundaries, and another family none.
        made_with = (self.thresholds, id(self.boundaries))
        key = ("outputs", *made_with, *(fit.path for fit in fits))
        outputs: Outputs = self.recent.get(key, lambda: _joined(fits, self), size_of_outputs)
        return outputs

    def scores_of(self, fit: PlannedFit, names: Sequence[str]) -> dict[str, Any]:
        """These arrays of the scores of a fit.

        Raises:
            RunError: the file is damaged, or lacks one of them.
        """
        arrays = self.all_scores_of(fit)
        if any(name not in arrays for name in names):
            return read_arrays(fit.path / "scores.npz", names)  # which says what is wrong with it
        return {name: arrays[name] for name in names}

    def all_scores_of(self, fit: PlannedFit) -> Mapping[str, Any]:
        """The scores of a fit, whose file is not read again while it can be kept."""
        path = fit.path / "scores.npz"
        arrays: Mapping[str, Any] = self.recent.get(("file", path), lambda: read_arrays(path), size_of_arrays)
        return arrays

    def probabilities(self, configuration: str) -> dict[int, Floats]:
        """Case index -> (K,) probabilities of a configuration in the first repeat, from the folds that are done."""
        done = self.done(configuration, self.repeats[0])
        read = [self.scores_of(fit, ("case", "probabilities")) for fit in done]
        by_case: dict[int, Floats] = {}
        for arrays in read:
            by_case |= dict(
                zip(arrays["case"].tolist(), arrays["probabilities"].astype(np.float64), strict=True)
            )
        return dict(sorted(by_case.items()))

    def outputs_by_repeat(self, configuration: str) -> list[tuple[int, Outputs]]:
        """Repeats in which some fold of a configuration is done, with its outputs."""
        every = ((repeat, self.outputs(configuration, repeat)) for repeat in self.repeats)
        return [(repeat, outputs) for repeat, outputs in every if outputs is not None]

    def num_tested(self, configuration: str) -> int:
        """Cases of all repeats that a configuration has scores of."""
        return sum(len(self.splits_of[fit.repeat, fit.fold].test) for fit in self.done(configuration))

    @cached_property
    def splits_of(self) -> dict[tuple[int, int], Split]:
        """The splits by repeat and fold."""
        return {(split.repeat, split.fold): split for split in self.splits}

    def thresholds_of(self, fit: PlannedFit, method: str) -> LabelThresholds:
        """The thresholds of a fit by a row of `THRESHOLDS`, from its validation part and nothing else."""
        if (fit.item, method) not in self.cuts:
            self.cuts[fit.item, method] = THRESHOLDS[method].decide(self.validation_outputs(fit))
        return self.cuts[fit.item, method]

    def validation_outputs(self, fit: PlannedFit) -> ValidationOutputs:
        """What a fit may know of the labels when its thresholds are set."""
        assert self.truth is not None
        read = self.scores_of(fit, ("validation_case", "validation_probabilities"))
        probabilities = read["validation_probabilities"].astype(np.float64)
        truth = self.truth[read["validation_case"]]
        return ValidationOutputs(probabilities, truth, self._shares[fit.repeat, fit.fold])

    @cached_property
    def _shares(self) -> dict[tuple[int, int], Floats]:
        """By repeat and fold, (K,) the share of each class in all images that fits learn from."""
        assert self.truth is not None
        return {
            key: self.truth[np.concatenate([split.train, split.validation])].mean(axis=0)
            for key, split in self.splits_of.items()
        }

    def fold_outputs(self, fit: PlannedFit) -> Outputs:
        """The outputs of one fit on its test fold."""
        return self._outputs_of([fit])


@collecting_later()
def read_rows(folder: RunFolder, plan: Plan | None = None) -> Rows:
    """The rows of a run folder; needs no image, no cache and no torch.

    Raises:
        RunError: the folder lacks what `foldwise run` writes before the work.
    """
    plan = folder.load_plan() if plan is None else plan
    for path in (folder.cases, folder.audit, folder.splits, folder.study_record):
        if not path.exists():
            raise RunError(
                f"{path.name} is missing", where=str(folder.root), cure="Run the study again; it writes it."
            )
    audit = read_json(folder.audit)
    task, classes = str(audit["task"]), tuple(audit["classes"])
    cases = read_table(folder.cases)
    groups, splits = tuple(case["group"] for case in cases), read_splits(folder.splits)
    later, spared = (plan.race.later, plan.race.spared) if plan.race else ((), ())
    return Rows(
        task=task,
        classes=classes,
        names=tuple(case["name"] for case in cases),
        truth=None if FAMILIES[task] == "segmentation" else truth_of(cases, len(classes)),
        groups=groups,
        units=Units.from_groups(groups, cases_tested(splits)),
        splits=splits,
        thresholds=choose_thresholds(folder.load_study().judge.thresholds, FAMILIES[task]),
        configurations=tuple(plan.configurations),
        fits=(
            *(planned_fit(folder, item) for item in (*plan.items, *later) if item.kind == "fit"),
            *(planned_fit(folder, item, spared=True) for item in spared if item.kind == "fit"),
            *(unplanned_fit(folder, search) for search in plan.searches if search.fit is None),
        ),
        auxiliary=read_auxiliary(folder, plan),
        searches=plan.searches,
        race=plan.race,
        trials={
            trial.item: result
            for search in plan.searches
            for trial in (*search.trials, *search.promoted)
            if (result := folder.result(trial.item)) is not None
        },
    )


def truth_of(cases: Sequence[Mapping[str, str]], num_classes: int) -> Bools:
    """(n, K) whether each case of cases.csv has each class."""
    truth = np.zeros((len(cases), num_classes), dtype=bool)
    for row, case in enumerate(cases):
        truth[row, [int(label) for label in case["labels"].split()]] = True
    return truth


def _joined(fits: Sequence[PlannedFit], rows: Rows) -> Outputs:
    keys = SEGMENTATION_KEYS if rows.family == "segmentation" else CLASSIFICATION_KEYS
    read = [rows.scores_of(fit, ("case", *keys)) for fit in fits]
    case = np.concatenate([arrays["case"] for arrays in read]).astype(np.int64)
    sizes = [len(arrays["case"]) for arrays in read]
    fold = np.repeat([fit.fold for fit in fits], sizes)
    # By case, so that configurations and repeats line up whatever the order of their folds.
    order = np.argsort(case, kind="stable")
    whole: dict[str, Any] = {key: np.concatenate([arrays[key] for arrays in read])[order] for key in keys}
    if rows.truth is not None:
        whole["truth"] = rows.truth[case[order]]
        # Stored as float32 to halve the files; sums over many images need more.
        whole["probabilities"] = whole["probabilities"].astype(np.float64)
    if rows.thresholds is not None:
        limits = [rows.thresholds_of(fit, rows.thresholds).thresholds for fit in fits]
        whole["thresholds"] = np.repeat(limits, sizes, axis=0)[order]
    if rows.boundaries is not None:
        scored = [rows.boundaries.of[fit.item] for fit in fits]
        whole |= {name: np.concatenate([own[name] for own in scored])[order] for name in ("nsd", "hd95")}
    unranked = tuple(k for k, number in enumerate(rows.num_having) if number < MIN_POSITIVES)
    outputs = Outputs(rows.family, case[order], fold[order].astype(np.int64), **whole)
    return replace(outputs, unscored=rows.unscored, unranked=unranked)
