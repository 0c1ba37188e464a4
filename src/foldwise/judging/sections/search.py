"""What a search did: how much each arm tried, what each fold chose by its validation part, and what may be said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from foldwise.judging.scores.rows import Rows
from foldwise.judging.verdict import VerdictWarning
from foldwise.judging.verdict_sections import SearchArm, SearchChoice, SearchSection
from foldwise.metrics.table import METRICS
from foldwise.runs.plan import HALVED_BY, Search
from foldwise.runs.searching.search import best_trial, seconds_spent
from foldwise.study.configurations import Configuration
from foldwise.study.search_space import described, edges, spoken
from foldwise.study.spec import Searching, Study
from foldwise.text import count, in_text, some


def search_section(study: Study, rows: Rows) -> SearchSection | None:
    """The searches of all configurations; None where the study does not search."""
    searching = study.search
    if searching is None:
        return None
    selects = (str(result["select"]) for result in rows.trials.values() if "select" in result)
    chosen_by = next(selects, None)
    return SearchSection(
        sampler=searching.sampler,
        space={key: described(written) for key, written in searching.space.items()},
        trials_per_fold=searching.configurations,
        hours=searching.hours,
        in_flight=searching.in_flight,
        halving=searching.halving,
        chosen_by=chosen_by,
        reproducible=searching.hours is None,
        sentence=_sentence(searching, chosen_by),
        arms=tuple(_arm(row, searching, rows) for row in rows.configurations),
    )


def _sentence(searching: Searching, chosen_by: str | None) -> str:
    tried = count(searching.configurations, "trial")
    within = f"at most {tried} within {searching.hours:g} hours" if searching.hours is not None else tried
    stopped = (
        f" All but the best third of them were stopped after 1/{HALVED_BY} of their epochs, rounded up: these were not evaluated, and "
        "slow starters are among them."
        if searching.halving
        else ""
    )
    by = in_text(METRICS[chosen_by].title) if chosen_by in METRICS else "its score"
    return (
        f"Every configuration was tuned in every fold by itself: of {within}, the best by {by} on the validation part was "
        "trained again and tested once. No test image had a part in the choice, so the scores are free of its luck. "
        "They are those of tuned configurations: no setting was compared with another, and what was not tried was not evaluated."
        f"{stopped}"
    )


def _arm(configuration: Configuration, searching: Searching, rows: Rows) -> SearchArm:
    searches = [search for search in rows.searches if search.configuration == configuration.id]
    items = {
        trial.item for search in searches for trial in search.trials
    }  # what is proposed twice is trained once
    states = Counter(rows.trials[item]["status"] for item in items if item in rows.trials)
    return SearchArm(
        configuration=configuration.id,
        name=configuration.name,
        num_tried=states["done"],
        num_failed=states["failed"],
        num_stopped=sum(_num_stopped(search) for search in searches if search.halving),
        num_to_come=sum(
            search.num_trials - sum(trial.item in rows.trials for trial in search.trials)
            for search in searches
            if not search.has_ended
        ),
        seconds=sum(seconds_spent(search, rows.trials) for search in searches),
        chosen=tuple(_choice(search, searching, rows) for search in searches if search.fit is not None),
    )


def _num_stopped(search: Search) -> int:
    """Trials that no more epochs were given to; none before that is decided."""
    return len({trial.item for trial in search.trials}) - len(search.promoted) if search.promoted else 0


def _choice(search: Search, searching: Searching, rows: Rows) -> SearchChoice:
    trial = best_trial(search, rows.trials)
    assert trial is not None  # the search has chosen it
    values = dict(trial.values)
    return SearchChoice(
        repeat=search.repeat,
        fold=search.fold,
        trial=trial.number,
        validation=float(rows.trials[trial.item]["value"]),
        values=spoken(searching.space, values),
        at_edge=tuple(edges(searching.space, values)),
    )


def search_short(rows: Rows) -> VerdictWarning | None:
    """Where searches that have ended chose among fewer trials than was asked for: some failed, or the hours were over."""
    ended = [search for search in rows.searches if search.has_ended]
    num_planned = sum(search.num_trials for search in ended)
    missing = num_planned - sum(len(search.trials) for search in ended)
    failed = sum(
        rows.trials.get(trial.item, {}).get("status") == "failed"
        for search in ended
        for trial in search.trials
    )
    if not failed and not missing:
        return None
    parts = [f"{failed} failed"] if failed else []
    parts += (
        [f"{missing} {'was' if missing == 1 else 'were'} not begun before search.hours were over"]
        if missing
        else []
    )
    cures = ["Read what the failed ones say (foldwise status), and narrow search.space."] if failed else []
    cures += ["Set search.hours higher."] if missing else []
    message = f"Of {count(num_planned, 'trial')}, {' and '.join(parts)}: settings were chosen among fewer."
    return VerdictWarning(code="SHORT_SEARCH", message=message, cure=" ".join(cures))


def search_edge(section: SearchSection | None, winner: str | None) -> VerdictWarning | None:
    """Where most folds of the winner chose a value at the same edge of its range."""
    arm = next((arm for arm in section.arms if arm.configuration == winner), None) if section else None
    if arm is None:
        return None
    near = Counter(name for choice in arm.chosen for name in choice.at_edge)
    names: Sequence[str] = [name for name, number in near.items() if 2 * number > len(arm.chosen)]
    if not names:
        return None
    verb = "lies" if len(names) == 1 else "lie"
    message = f"In most folds {some(names, 3)} of the winner {verb} at an end of the range that was searched: a value beyond it may be better."
    return VerdictWarning(code="EDGE_OF_GRID", message=message, cure="Widen the range in search.space.")
