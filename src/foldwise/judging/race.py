"""A race as the judge sees it: the ruling of a look, what is still known of those ruled out, and the section of the verdict.

A look compares what all configurations that still race have in common, image by image, by the metric that decides;
`statistics/racing.py` says which of them that rules out. What it says of them afterwards is made of these fits alone, so
that nothing is ever compared with more images or runs than both have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np

from foldwise.data.folds.splits import cases_tested
from foldwise.judging.judgement import Judgement, judge_rows, scores_of, terms_of, with_values
from foldwise.judging.scores.rows import Rows, read_rows
from foldwise.judging.scores.scoring import best_first
from foldwise.judging.sections.boundary import choose_tolerance, with_boundaries
from foldwise.judging.sections.standings import difference_of, interval_of
from foldwise.judging.statistics.racing import InterimScores, ruled_out
from foldwise.judging.verdict_configurations import Standing
from foldwise.judging.verdict_sections import RaceLook, RaceSection
from foldwise.metrics.influence import Units
from foldwise.resources import on_one_blas_thread
from foldwise.runs.folder import RunFolder
from foldwise.runs.plan import skipped
from foldwise.runs.racing import ALWAYS_LEFT, Race, Ruling, Split, looked_at, ruling_name
from foldwise.sealed import seal
from foldwise.study.spec import Study
from foldwise.text import count


@on_one_blas_thread
def look(folder: RunFolder) -> bool:
    """Rule on a block of fits once all of them are settled, and write it down; whether the plan has more items for it.

    Raises:
        RunError: scores of the run are damaged.
    """
    plan = folder.load_plan()
    race = plan.race
    if race is None or race.next_look is None or not race.later:
        return False
    # Of those that are ruled out everything was settled before: what is open is what was looked at, and this block.
    fits = [item for item in plan.items if item.kind == "fit"]
    (done, failed), block = folder.settled(), looked_at(fits, race)
    without = {item.id for item in skipped(plan, failed)}
    if any(fit.id not in done and fit.id not in failed and fit.id not in without for fit in block):
        return False
    ruling = ruling_on(folder.load_study(), read_rows(folder, plan), race, folder)
    # Who cannot be looked at since something failed is not ruled out for it. What failed is what may be tried again.
    causes = {need for fit in block for need in (fit.id, *fit.needs) if need in failed}
    record = {"out": dict(ruling.out), "failed": sorted(causes)}
    every = [*fits, *(item for item in (*race.later, *race.spared) if item.kind == "fit")]
    seal(folder.proposals(race.id) / ruling_name(every, race), record, ())
    return True


def ruling_on(study: Study, rows: Rows, race: Race, folder: RunFolder | None = None) -> Ruling:
    """What the next look of a race rules out, by what all that still race have in common."""
    assert race.next_look is not None
    part = up_to(rows, race.next_look)
    if folder is not None and choose_tolerance(study.judge, rows.family) is not None:
        part = with_boundaries(study, part, folder)
    scored = scores_of(study, part, [row.id for row in rows.configurations if part.complete(row.id)])
    terms = replace(terms_of(study, part), num_folds=rows.num_folds)
    # In an order that is not that of the study: on which draws fall to whom nothing should turn.
    ids = best_first(with_values(scored, terms.metric), scored, terms.metric)
    if not ids:
        return Ruling({})
    table = terms.table_of(terms.metric, [scored[id] for id in ids])
    folds = scored[ids[0]].unit_folds
    if table.variance is None or folds is None:
        return Ruling({})
    seen = InterimScores(
        table.values, folds, rows.num_folds, table.variance.pair_floor, table.metric.oriented_bounds
    )
    exempt = [c for c, id in enumerate(ids) if id in race.exempt]
    # Those that failed somewhere race on, and count among those that are left.
    others = len(rows.configurations) - len(race.stopped) - len(ids)
    lost = ruled_out(seen, alpha=race.alpha, least_left=max(ALWAYS_LEFT - others, 1), exempt=exempt)
    return Ruling({ids[c]: p for c, p in lost.items()})


def up_to(rows: Rows, last: Split) -> Rows:
    """The rows of all splits up to this repeat and fold, and the units that are tested in them."""
    splits = tuple(split for split in rows.splits if (split.repeat, split.fold) <= last)
    fits = tuple(fit for fit in rows.fits if (fit.repeat, fit.fold) <= last)
    part = replace(rows, splits=splits, fits=fits, units=Units.from_groups(rows.groups, cases_tested(splits)))
    part.__dict__["unscored"] = rows.unscored  # the classes that count are those of the study
    return part


class Looks:
    """What the looks of a race had before them, judged again for the verdict.

    Args:
        study: what it judges by.
        rows: of the whole run.
        winner: id of the best configuration of those that are complete; None while there is none.
    """

    def __init__(self, study: Study, rows: Rows, winner: str | None) -> None:
        self.study, self.rows, self.winner = study, rows, winner
        self.stopped: Mapping[str, Split] = rows.race.stopped if rows.race else {}
        self._at: dict[Split, Judgement] = {}

    def at(self, look: Split) -> Judgement:
        """The judgement of what a look had before it."""
        if look not in self._at:
            part = up_to(self.rows, look)
            self._at[look] = judge_rows(self.study, part, num_folds=self.rows.num_folds)
        return self._at[look]

    @property
    def common_words(self) -> str:
        """What `common` is of; empty where nothing was ruled out."""
        return after(self.rows, min(self.stopped.values())) if self.stopped else ""

    @property
    def early(self) -> dict[str, tuple[Judgement, Standing]]:
        """Of every configuration that was ruled out, the judgement of that look and what is known of it."""
        return {name: (self.at(look), self.standing_of(name)) for name, look in self.stopped.items()}

    @cached_property
    def common(self) -> Judgement | None:
        """Of the fits that all configurations have; None where none was ruled out."""
        return self.at(min(self.stopped.values())) if self.stopped else None

    def standing_of(self, configuration: str) -> Standing:
        """What is known of one that was ruled out, by the fits that it has.

        The difference is to the winner on the same images and folds, and holds together with all pairs of that look.
        """
        assert self.rows.race is not None
        judgement = self.at(self.stopped[configuration])
        ids, comparison = judgement.comparable, judgement.comparison
        if configuration not in ids or comparison is None:  # scores were damaged since
            return Standing(verdict="ruled out early")
        c = ids.index(configuration)
        against = ids.index(self.winner) if self.winner in ids else comparison.winner
        rival = comparison.ruled_out_by(c)
        p = {name: p for ruling in self.rows.race.rulings for name, p in ruling.out.items()}
        return Standing(
            verdict="ruled out early",
            **interval_of(judgement, c),
            **difference_of(judgement, c, against),
            p=p[configuration],
            ruled_out_by=ids[against if rival is None else rival],
        )


def spent_by(race: Race | None) -> float:
    """The error that the looks of a race may have made, together."""
    return race.alpha * len(race.looks) if race else 0.0


def race_section(looks: Looks) -> RaceSection | None:
    """What the looks ruled out and spared; None where nothing races."""
    rows, race = looks.rows, looks.rows.race
    if race is None:
        return None
    spared = [fit for fit in rows.fits if fit.status == "spared"]
    seconds = [_seconds(rows, fit.configuration) for fit in spared]
    made = tuple(_look(rows, race, number) for number in range(len(race.rulings)))
    return RaceSection(
        alpha=race.alpha,
        spent=spent_by(race),
        num_looks=len(race.looks),
        looks=made,
        num_ruled_out=len(race.stopped),
        num_spared=len(spared),
        seconds_spared=None if None in seconds else sum(filter(None, seconds)),
        sentence=_sentence(rows, race, len(spared)),
    )


def _look(rows: Rows, race: Race, number: int) -> RaceLook:
    before = {name for ruling in race.rulings[:number] for name in ruling.out}
    part = up_to(rows, race.looks[number])
    racing = [row.id for row in rows.configurations if row.id not in before]
    return RaceLook(
        repeat=race.looks[number][0],
        fold=race.looks[number][1],
        after=after(rows, race.looks[number]),
        num_units=part.units.count,
        num_compared=sum(part.complete(id) for id in racing),
        ruled_out=tuple(race.rulings[number].out),
    )


def after(rows: Rows, look: Split) -> str:
    """When a look was: ``2 of 5 folds``, ``1 of 3 repeats``."""
    repeat, fold = look
    if fold + 1 < rows.num_folds:
        return f"{fold + 1} of {count(rows.num_folds, 'fold')}" + (
            " of the first repeat" if len(rows.repeats) > 1 else ""
        )
    return f"{repeat + 1} of {count(len(rows.repeats), 'repeat')}"


def _seconds(rows: Rows, configuration: str) -> float | None:
    """What training a fold of a configuration took on average."""
    costs = [fit.result.get("cost", {}).get("train_s") for fit in rows.done(configuration)]
    measured = [float(cost) for cost in costs if cost is not None]
    return float(np.mean(measured)) if measured else None


def _sentence(rows: Rows, race: Race, num_spared: int) -> str:
    looks, out = len(race.looks), len(race.stopped)
    made = count(len(race.rulings), "look") if len(race.rulings) < looks else f"all {count(looks, 'look')}"
    if looks == 1:
        made = "the one look" if race.rulings else "no look yet"
    ruled = (
        f"{count(out, 'configuration was', 'configurations were')} shown not to be best and trained no further, which spares "
        f"{num_spared} of {count(len(rows.fits), 'fit')}"
        if out
        else "nothing was ruled out"
    )
    return (
        f"A race: by {made} on the way, {ruled}. What is known of those ruled out is of the fits that they have, and their "
        "differences are to the winner on the same images and folds. The looks may use up a fifth of the error that the "
        "verdict may make, and the comparison at the end has what is left."
    )
