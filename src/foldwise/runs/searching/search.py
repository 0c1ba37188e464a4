"""Searches: which trials a plan begins with, what is proposed next, and which configuration of a fold is trained in the end.

Each arm is searched in each fold by itself, and is told only what the inner validation of that fold says. So the test
images of a fold have no part in the choice of what is tested on them, and its score is as honest as that of a
configuration which nobody chose (docs/statistics.md). A proposal is a function of the results before it: it is the same
whoever makes it, and two workers that make one at once write the same file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any

from foldwise.errors import RunError
from foldwise.runs.folder import RunFolder
from foldwise.runs.items import FIT_VERSION, Item
from foldwise.runs.plan import (
    HALVED_BY,
    Plan,
    Search,
    SearchTrial,
    choice_name,
    num_promoted,
    proposal_name,
    skipped,
)
from foldwise.runs.planning import auxiliary_items, trained_items
from foldwise.runs.searching.samplers import TrialOutcome, propose
from foldwise.sealed import seal
from foldwise.study.configurations import Configuration, configurations, in_arm
from foldwise.study.search_space import Values, drawn
from foldwise.study.spec import Searching, Study
from foldwise.study.training import Task

Split = tuple[int, int, str]


class Outdated(RunError):
    """Searches were planned with another study than the one that lies here now."""


def plan_searches(
    study: Study, arms: Sequence[Configuration], *, task: Task, packed_digest: str, splits: Sequence[Split]
) -> Plan:
    """The plan of a study with a search, by the first trials of every arm in every fold; see `make_plan`."""
    assert study.search is not None
    items: dict[str, Item] = {}
    searches = []
    # An equal share of the hours for every arm in every fold.
    hours = study.search.hours
    seconds = None if hours is None else hours * 3600 / (len(splits) * len(arms))
    for split in splits:
        for arm in arms:
            about = {"task": task, "packed": packed_digest, "split": split}
            search = replace(_new_search(study, study.search, arm, about), seconds=seconds)
            for number in range(min(search.in_flight, search.num_trials)):
                trial, own = _trial(study, arm, search, number, {}, **about)
                search = replace(search, trials=(*search.trials, trial))
                items |= {item.id: item for item in own}
            searches.append(search)
    # Features first, which fits of all folds share.
    ordered = sorted(items.values(), key=lambda item: item.kind != "features")
    trials = [item for item in ordered if item.kind == "trial"]
    return Plan((*ordered, *auxiliary_items(study, arms, trials)), tuple(arms), tuple(searches))


def _new_search(study: Study, searching: Searching, arm: Configuration, about: Mapping[str, Any]) -> Search:
    repeat, fold, digest = about["split"]
    key = [arm.id, repeat, fold, digest, about["packed"], about["task"], FIT_VERSION]
    key += [study.seed, study.threads, study.judge.select, study.judge.tolerance_px]
    return Search(
        id=f"search-{sha256(json.dumps(key).encode()).hexdigest()[:16]}",
        configuration=arm.id,
        repeat=repeat,
        fold=fold,
        num_trials=searching.configurations,
        seconds=None,
        in_flight=searching.in_flight,
        halving=searching.halving,
    )


def _trial(
    study: Study,
    arm: Configuration,
    search: Search,
    number: int,
    results: Mapping[str, Mapping[str, Any]],
    **about: Any,
) -> tuple[SearchTrial, list[Item]]:
    """Trial `number` of a search, and the items that it takes; only results of trials that are not in flight count."""
    assert study.search is not None
    settled = number - search.in_flight + 1
    earlier = [
        TrialOutcome(dict(trial.values), score_of(results.get(trial.item, {})))
        if trial.number < settled
        else TrialOutcome(dict(trial.values), None, is_settled=False)
        for trial in search.trials[:number]
    ]
    values = propose(study.search.space, study.search.sampler, seed=search.id, number=number, earlier=earlier)
    row, name = _configured(study, arm, values), f"trial {number + 1}"
    if not search.halving:
        items = trained_items(study, row, trial=name, **about)
    else:
        epochs = -(-row.training.epochs // HALVED_BY)
        part = replace(row, training=row.training.model_copy(update={"epochs": epochs}))
        *before, item = trained_items(study, part, trial=f"{name}, in part", **about)
        items = [*before, replace(item, settings=item.settings | {"part": epochs / row.training.epochs})]
    return SearchTrial(number, values, items[-1].id), items


def _configured(study: Study, arm: Configuration, values: Values) -> Configuration:
    """The arm with the training of one configuration of its space."""
    assert study.search is not None
    return in_arm(study, arm, drawn(study.search.space, lambda name, parameter: values[name]))


def score_of(result: Mapping[str, Any]) -> float | None:
    """What a trial reached on the inner validation, higher is better; None where it has failed, or reached no number."""
    if result.get("status") != "done" or result["value"] is None:
        return None
    value = float(result["value"])
    return (value if result["higher_is_better"] else -value) if math.isfinite(value) else None


def advance(folder: RunFolder) -> bool:
    """Write down what can be proposed now, before anybody trains it; whether the plan has more items for it.

    Raises:
        MissingExtra: Optuna is not installed.
        Outdated: the study is another one than that of the plan.
    """
    plan = folder.load_plan()
    if not any(search.num_to_come for search in plan.searches):
        return False
    study, results = folder.load_study(), folder.outcomes()
    failed = {name for name, result in results.items() if result["status"] == "failed"}
    settled = results.keys() | {item.id for item in skipped(plan, failed)}
    now = _Now(folder, study, plan, results, settled)
    # A study that is being laid over this folder comes before its plan, and says nothing to the searches of that before it.
    arms = {arm.id for arm in configurations(study)}
    open_searches = [search for search in plan.searches if search.num_to_come]
    if not all(search.configuration in arms and now.is_of_study(search) for search in open_searches):
        what = (
            "the study, or the code that it names, is not what the searches of this folder were planned with"
        )
        raise Outdated(what, where=str(folder.plan), cure="Run the study again: what is done stays done.")
    grown = [now.advanced(search) for search in open_searches]
    return any(grown)


@dataclass(frozen=True)
class _Now:
    """A run as it is when somebody asks its searches for more: results by item id, and which items are settled."""

    folder: RunFolder
    study: Study
    plan: Plan
    results: Mapping[str, Mapping[str, Any]]
    settled: Collection[str]

    def is_of_study(self, search: Search) -> bool:
        """Whether the study would begin this search, too."""
        searching = self.study.search
        if searching is None:
            return False
        return _new_search(self.study, searching, self._arm(search), self._about(search)).id == search.id

    def _arm(self, search: Search) -> Configuration:
        return next(arm for arm in self.plan.configurations if arm.id == search.configuration)

    def _about(self, search: Search) -> dict[str, Any]:
        """What all trainings of a fold share, by its first trial."""
        first = next(item for item in self.plan.items if item.id == search.trials[0].item).settings
        split = (search.repeat, search.fold, first["split"])
        return {"task": first["task"], "packed": first["packed"], "split": split}

    def advanced(self, search: Search) -> bool:
        """Propose for a search what can be, and in the end what it chose; whether there was anything."""
        arm, about = self._arm(search), self._about(search)
        before = len(search.trials)
        while self._may_propose(search):
            number = len(search.trials)
            trial, items = _trial(self.study, arm, search, number, self.results, **about)
            self._write(search, proposal_name(number), {"trial": asdict(trial)}, items)
            search = replace(search, trials=(*search.trials, trial))
        if len(search.trials) > before or not self._all_settled(search.trials):
            return len(search.trials) > before
        if search.halving and not search.promoted and (best := by_score(search.trials, self.results)):
            self._promote(search, arm, best[: num_promoted(len(search.trials))], about)
            return True
        if not self._all_settled(search.promoted):
            return False
        chosen, items = best_trial(search, self.results), []
        if chosen is not None:
            row = _configured(self.study, arm, dict(chosen.values))
            items = trained_items(self.study, row, **about)
        end = {"fit": items[-1].id if items else None, "num_trials": len(search.trials)}
        self._write(search, choice_name(search, "end"), end, items)
        return bool(items)

    def _promote(
        self, search: Search, arm: Configuration, best: Sequence[SearchTrial], about: Mapping[str, Any]
    ) -> None:
        """Have the best trials of a search trained in full."""
        promoted, items = list[SearchTrial](), list[Item]()
        for trial in best:
            row = _configured(self.study, arm, dict(trial.values))
            items += trained_items(self.study, row, trial=f"trial {trial.number + 1}", **about)
            promoted.append(replace(trial, item=items[-1].id))
        value = {"trials": [asdict(trial) for trial in promoted]}
        self._write(search, choice_name(search, "promoted"), value, items)

    def _may_propose(self, search: Search) -> bool:
        number = len(search.trials)
        if search.seconds is not None and seconds_spent(search, self.results) >= search.seconds:
            return False
        waited_for = search.trials[: max(0, number - search.in_flight + 1)]
        return number < search.num_trials and self._all_settled(waited_for)

    def _all_settled(self, trials: Sequence[SearchTrial]) -> bool:
        return all(trial.item in self.settled for trial in trials)

    def _write(self, search: Search, name: str, value: Mapping[str, Any], items: Sequence[Item]) -> None:
        """Write down what a search says, whole; several who do so at once write the same."""
        whole = dict(value) | {"items": [asdict(item) for item in items]}
        seal(self.folder.proposals(search.id) / name, whole, ())


def best_trial(search: Search, results: Mapping[str, Mapping[str, Any]]) -> SearchTrial | None:
    """The best of the trials that were trained in full; None where all failed."""
    return next(iter(by_score(search.in_full, results)), None)


def by_score(trials: Sequence[SearchTrial], results: Mapping[str, Mapping[str, Any]]) -> list[SearchTrial]:
    """Trials by their score on the inner validation, the best first and the earliest of equals; without failed ones.

    What was proposed twice was trained once, and is listed once.
    """
    different = {trial.item: trial for trial in reversed(trials)}.values()
    scored = [(trial, score_of(results.get(trial.item, {}))) for trial in different]
    reached = [(-score, trial) for trial, score in scored if score is not None]
    return [trial for _, trial in sorted(reached, key=lambda pair: (pair[0], pair[1].number))]


def seconds_spent(search: Search, results: Mapping[str, Mapping[str, Any]]) -> float:
    """What the trials of a search took to train and to validate."""
    costs = (
        results.get(item, {}).get("cost") or {}
        for item in {trial.item for trial in (*search.trials, *search.promoted)}
    )
    return float(sum(cost.get("train_s", 0.0) + cost.get("evaluate_s", 0.0) for cost in costs))
