"""The answer in one breath, written from the numbers and honest in every state a study can be in."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isfinite, log10
from typing import Any

from foldwise.judging.cautions import Facts, counted
from foldwise.judging.metrics import Metric
from foldwise.judging.rows import Rows

Record = dict[str, Any]


def state(
    rows: Rows,
    comparable: Sequence[str],
    records: Sequence[Record],
    baselines: Sequence[Record],
    metric: Metric,
) -> str:
    """Which of the answers a study can give; see docs/verdict.md."""
    if not any(fit.status == "done" for fit in rows.fits):
        return "nothing_done"
    if not comparable or any(fit.status == "missing" for fit in rows.fits):
        return "incomplete"
    if beaten_by_none(records[0], baselines, metric):
        return "not_better_than_trivial"
    if len(comparable) == 1:
        return "single_configuration"
    return "several_tied" if sum(record["could_be_best"] for record in records) > 1 else "clear_winner"


def best_trivial(baselines: Sequence[Record], metric: Metric) -> Record | None:
    """The trivial predictor with the best estimate; None where none could be scored."""
    known = [row for row in baselines if row["estimate"] is not None and isfinite(row["estimate"])]
    if not known:
        return None
    pick = max if metric.higher_is_better else min
    return pick(known, key=lambda row: float(row["estimate"]))


def beaten_by_none(winner: Record, baselines: Sequence[Record], metric: Metric) -> bool:
    """Whether the winner's interval (its estimate, without one) reaches down to the best trivial predictor."""
    trivial = best_trivial(baselines, metric)
    if trivial is None:
        return False
    low, high = winner["low"], winner["high"]
    worst = low if metric.higher_is_better else high
    if worst is None or not isfinite(worst):
        worst = winner["estimate"]
    sign = 1 if metric.higher_is_better else -1
    return bool(sign * worst <= sign * trivial["estimate"])


def answer(told: str, records: Sequence[Record], baselines: Sequence[Record], facts: Facts) -> Record:
    """The winner, its numbers, and the sentence that says how sure it is."""
    winner, compared = records[0], facts.comparison
    ranked = [record for record in records if record["verdict"] in ("winner", "could be best", "worse")]
    num_tied = sum(record["could_be_best"] for record in ranked) - 1
    return {
        "configuration": winner["id"],
        "name": winner["name"],
        "estimate": winner["estimate"],
        "low": winner["low"],
        "high": winner["high"],
        "sentence": _sentence(told, ranked, baselines, facts),
        "num_ruled_out": len(ranked) - 1 - num_tied,
        "num_tied": num_tied,
        "minimal_detectable_difference": compared.minimal_detectable_difference if compared else None,
    }


def _sentence(told: str, ranked: Sequence[Record], baselines: Sequence[Record], facts: Facts) -> str:
    winner, metric = ranked[0], facts.metric
    reached = f"{_lower(metric.title)} {_scored(winner, _sure(facts))} on {_on(facts.rows)}"
    if told == "not_better_than_trivial":
        trivial = best_trivial(baselines, metric)
        assert trivial is not None
        return (
            f"Nothing here is shown to be better than a trivial predictor ({trivial['name']}, {show(trivial['estimate'])}): "
            f"the best configuration, {winner['name']}, reaches {reached}."
        )
    if told == "incomplete":
        done, planned = sum(fit.status == "done" for fit in facts.rows.fits), len(facts.rows.fits)
        return f"The study is not finished ({done} of {planned} fits are done). So far {winner['name']} leads with {reached}."
    if told == "single_configuration":
        return f"{winner['name']} reaches {reached}. There is nothing it could be compared with."
    return _compared(told, ranked, reached, facts)


def _compared(told: str, ranked: Sequence[Record], reached: str, facts: Facts) -> str:
    winner, others = ranked[0], len(ranked) - 1
    if facts.comparison is None:
        return f"{winner['name']} has the best estimate, {reached}, but the data is too small for a test: no difference is claimed."
    detectable = show(facts.comparison.minimal_detectable_difference)
    if told == "clear_winner":
        rivals = "The other configuration is" if others == 1 else f"All {others} other configurations are"
        return (
            f"Use {winner['name']}: {reached}. {rivals} worse beyond chance, with {_sure(facts)} confidence."
        )
    tied = sum(record["could_be_best"] for record in ranked) - 1
    if others == 1:
        rest = "but the other configuration could be the best as well"
    elif tied == others:
        rest = f"but all {others} other configurations could be the best as well"
    else:
        out = counted(others - tied, "is", "are")
        rest = f"but {tied} of the {others} other configurations could be the best as well; {out} ruled out"
    first = f"No single winner: {winner['name']} has the best estimate, {reached}, {rest}."
    return f"{first} A difference below about {detectable} could not have been seen with this data."


def _on(rows: Rows) -> str:
    return (
        f"images of unseen groups ({rows.units.count} groups)"
        if rows.units.grouped
        else f"unseen images ({len(rows.names)} images)"
    )


def _sure(facts: Facts) -> str:
    return f"{100 * (1 - facts.study.judge.alpha):g} %"


def _scored(record: Record, sure: str) -> str:
    low, high = record["low"], record["high"]
    if low is None or high is None or not (isfinite(low) and isfinite(high)):
        return f"{show(record['estimate'])} (no interval: too few images)"
    digits = decimals((high - low) / 2)
    return f"{record['estimate']:.{digits}f} ({sure} interval {low:.{digits}f} to {high:.{digits}f})"


def decimals(half_width: float) -> int:
    """Digits after the point that an interval of this half width leaves worth printing: 2 to 4."""
    return min(max(ceil(-log10(half_width)), 2), 4) if half_width > 0 else 3


def show(value: float) -> str:
    """A score or a difference of scores, to two digits that count."""
    return f"{value:.{decimals(abs(value) / 3)}f}" if abs(value) < 0.1 else f"{value:.2f}"


def _lower(title: str) -> str:
    # AUROC, F1, IoU and Dice keep their capitals.
    return (
        title[0].lower() + title[1:]
        if title[1:2].islower() and not title.startswith(("Dice", "Brier"))
        else title
    )
