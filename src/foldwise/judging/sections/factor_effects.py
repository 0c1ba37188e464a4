"""What the verdict says of every factor: means, differences, costs, and a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from foldwise.judging.scores.rows import Rows
from foldwise.judging.sections.configurations import Judgement
from foldwise.judging.statistics.design import CONFIGURED, COVARIATES, TUNED, Factor, factors_of, is_full
from foldwise.judging.statistics.effects import Asked, Contrast, Effect, Scores, Shares, effect, shares, views
from foldwise.judging.wording import show
from foldwise.metrics.outputs import Floats
from foldwise.study.spec import Study
from foldwise.text import count

COST_KEYS = ("train_s", "shared_features_s", "shared_pretrain_s", "latency_ms", "peak_memory_mb", "energy_j")
TIMES = {"train_s": "training took", "latency_ms": "an image takes"}
WORTH_SAYING = 1.2  # times as long
INVISIBLE = 5e-5  # a difference that four digits do not show
VIEWS = {
    CONFIGURED: "As configured (the mean over the settings of each)",
    TUNED: "As tuned (the best setting of each, chosen by the same scores, which flatters those with more settings)",
}
Record = dict[str, Any]


def mattered(
    study: Study, rows: Rows, known: Judgement, records: Sequence[Mapping[str, Any]]
) -> Record | None:
    """What mattered, over the configurations that are complete; None where fewer than two levels can be compared.

    Args:
        study: says what was asked.
        rows: of the run.
        known: the numbers of the verdict.
        records: of the configurations, with their costs.
    """
    by_id = {one.id: one for one in rows.configurations}
    compared = [by_id[one] for one in known.comparable]
    factors = factors_of(study, compared) if len(compared) > 1 else ()
    if not factors:
        return None
    asked = Asked(study.seed, study.judge.alpha, study.judge.equivalent_within)
    return what_mattered(factors, known, records, asked=asked, num_planned=len(rows.configurations))


def what_mattered(
    factors: Sequence[Factor],
    known: Judgement,
    records: Sequence[Mapping[str, Any]],
    *,
    asked: Asked,
    num_planned: int,
) -> Record:
    """The same of factors that are known already; there is one at least, of the configurations that are compared."""
    compared = known.comparable
    decisive, folds = known.tables[known.metric.name], known.scored[compared[0]].unit_folds
    assert folds is not None
    scores = Scores(decisive.values, folds, decisive.known)
    costs = {record["id"]: record["cost"] for record in records}
    paid = {key: np.array([costs[one].get(key) or np.nan for one in compared]) for key in COST_KEYS}
    parts = shares(factors, scores)
    told = list(_effects(factors, scores, asked))
    return {
        "full": is_full(factors, len(compared)),
        "num_compared": len(compared),
        "num_planned": num_planned,
        "noise": parts.noise if parts else None,
        "shares": _shares(factors, parts) if parts else None,
        "sentence": _sentence(factors, parts, compared=len(compared)),
        "factors": [_record(one, known.sign, paid, sure=_sure(asked), factors=factors) for one in told],
    }


def _effects(factors: Sequence[Factor], scores: Scores, asked: Asked) -> Iterator[Effect]:
    for factor in factors:
        for view in views(factors, factor, scores.estimate):
            yield effect(factors, factor, view, scores, asked)


def _sure(asked: Asked) -> str:
    return f"{100 * (1 - asked.alpha):g} %"


def _shares(factors: Sequence[Factor], parts: Shares) -> list[Record] | None:
    """The largest first, the rest last; a term that cannot be told from others has no share."""
    if not parts.of:
        return None
    ordered = sorted(parts.of.items(), key=lambda part: (not part[0], -part[1]))
    made = [{"factors": list(term), "share": share} for term, share in ordered]
    return made + [{"factors": list(term), "share": None} for term in parts.aliased if len(term) == 1]


def _sentence(factors: Sequence[Factor], parts: Shares | None, *, compared: int) -> str:
    """Where the differences between configurations come from, and what the grid lacks."""
    said = []
    if not is_full(factors, compared):
        said.append(
            f"Only {compared} of {int(np.prod([len(one.levels) for one in factors]))} combinations can be compared: "
            "means are those of a model in which the effects of the factors add up."
        )
    if parts is None:
        return " ".join(said)
    if not parts.of:
        noisy = f"{100 * min(parts.noise, 1.0):.0f} %"
        said.append(
            f"Between-configuration differences are mostly noise ({noisy}), so none is traced to a factor."
        )
        return " ".join(said)
    largest = sorted(parts.of.items(), key=lambda part: -part[1])
    first, share = largest[0]
    said.append(
        f"Freed from noise, about {100 * share:.0f} % of the differences between configurations come from {_term(first)}."
    )
    return " ".join(said)


def _term(term: Sequence[str]) -> str:
    if len(term) == 2:
        return f"the interaction of {term[0]} and {term[1]}"
    return term[0] if term else "interactions of three or more factors"


def _record(
    one: Effect, sign: int, paid: Mapping[str, Floats], *, sure: str, factors: Sequence[Factor]
) -> Record:
    others = [factor.name for factor in factors if factor.name != one.factor.name]
    levels = [_level(one, place, sign, paid) for place in range(len(one.view.labels))]
    return {
        "factor": one.factor.name,
        "view": one.view.name or None,
        "covariate": one.factor.name in COVARIATES,
        "sentence": _said(one, levels, sure),
        "levels": levels,
        "pairs": [_pair(pair, one, sign) for pair in one.contrasts],
        "others": others,
        "sets": [
            {"levels": list(cell), "scores": (sign * scores).tolist()} for cell, scores in one.sets.items()
        ],
    }


def _level(one: Effect, place: int, sign: int, paid: Mapping[str, Floats]) -> Record:
    weights = one.weights[place]
    return {
        "level": one.view.labels[place],
        "settings": one.view.settings(one.factor, place),
        "mean": float(sign * one.means[place]),
        "cost": {key: _geometric(weights, costs) for key, costs in paid.items() if not np.isnan(costs).all()},
    }


def _geometric(weights: Floats | None, costs: Floats) -> float | None:
    """The marginal mean of costs on a logarithmic scale, so that levels compare by ratios; None where one is unknown."""
    if weights is None or np.isnan(costs[np.abs(weights) > 1e-9]).any():
        return None
    return float(np.exp(weights @ np.log(np.where(np.isnan(costs), 1.0, costs))))


def _pair(pair: Contrast, one: Effect, sign: int) -> Record:
    ends = sorted(sign * end for end in (pair.low, pair.high) if end is not None)
    return {
        "a": one.view.labels[pair.a],
        "b": one.view.labels[pair.b],
        "difference": None if pair.difference is None else sign * pair.difference,
        "low": ends[0] if ends else None,
        "high": ends[1] if ends else None,
        "p": pair.p,
        "conclusion": pair.conclusion or ("not estimable" if pair.difference is None else "not tested"),
        "agree": pair.agree,
        "matched": pair.matched,
    }


def _said(one: Effect, levels: Sequence[Record], sure: str) -> str:
    """The factor in one or two sentences."""
    name, labels = one.factor.name, one.view.labels
    known = [pair for pair in one.contrasts if pair.difference is not None]
    if not known:
        return f"{name} changes only together with other factors here: its effect cannot be told from theirs."
    said = _two(known[0], labels, sure) if len(labels) == 2 else _many(known, labels, sure)
    if one.view.name:
        said = f"{VIEWS[one.view.name]}: {said}"
    if name in COVARIATES:
        said = " ".join([COVARIATES[name], said, *_ratios(levels)])
    return said


def _two(pair: Contrast, labels: Sequence[str], sure: str) -> str:
    a, b = labels[pair.a], labels[pair.b]
    by = f"{show(pair.difference or 0.0)}{_interval(pair, sure)}"
    agree = f" {pair.agree} of {count(pair.matched, 'matched pair agrees', 'matched pairs agree')}."
    agree = agree if pair.matched > 1 and pair.difference else ""
    if pair.conclusion == "better":
        return f"{a} is better than {b} by {by}.{agree}"
    if pair.conclusion == "equivalent":
        return f"{a} and {b} are equivalent: they differ by {by}."
    if pair.conclusion is None:
        return f"{a} has a better mean than {b}, by {by}; nothing is tested.{agree}"
    return f"{a} and {b} cannot be told apart: they differ by {by}.{agree}"


def _many(known: Sequence[Contrast], labels: Sequence[str], sure: str) -> str:
    """The best level, what it is better than, and from what it cannot be told apart."""
    best = known[0].a
    own = [pair for pair in known if pair.a == best]
    worse = [pair for pair in own if pair.conclusion == "better"]
    alike = [labels[pair.b] for pair in own if pair.conclusion == "equivalent"]
    open_ = [labels[pair.b] for pair in own if pair.conclusion == "not distinguishable"]
    if not any(pair.conclusion for pair in known):
        return f"{labels[best]} has the best mean; nothing is tested."
    parts = []
    if worse:
        listed = ", ".join(
            f"{labels[pair.b]} by {show(pair.difference or 0.0)}{_interval(pair, sure)}" for pair in worse[:3]
        )
        parts.append(f"is better than {listed}" + (f" and {len(worse) - 3} more" if worse[3:] else ""))
    if alike:
        parts.append(f"is equivalent to {_and(alike)}")
    if open_:
        parts.append(f"cannot be told apart from {_and(open_)}")
    first = f"{labels[best]} has the best mean; it " if not worse else f"{labels[best]} "
    others = [pair for pair in known if pair.a != best and pair.conclusion == "better"]
    rest = f" Among the others, {count(len(others), 'pair is', 'pairs are')} told apart." if others else ""
    return first + "; it ".join(parts) + "." + rest


def _and(names: Sequence[str]) -> str:
    kept = [*names[:3], f"{len(names) - 3} more"] if names[4:] else list(names)
    return ", ".join(kept[:-1]) + f" and {kept[-1]}" if len(kept) > 1 else kept[0]


def _interval(pair: Contrast, sure: str) -> str:
    """`` (95 % interval 0.01 to 0.06)``, in the direction of better."""
    if pair.low is None or pair.high is None or max(abs(pair.low), abs(pair.high)) < INVISIBLE:
        return ""
    return f" ({sure} interval {_signed(pair.low)} to {_signed(pair.high)})"


def _signed(value: float) -> str:
    return show(value).replace("-", "−")


def _ratios(levels: Sequence[Record]) -> Iterator[str]:
    """How many times as long one level takes as another, where it is worth saying."""
    for key, words in TIMES.items():
        known = [one for one in levels if one["cost"].get(key)]
        slow, fast = (
            [max, min][place](known, key=lambda one: one["cost"][key], default=None) for place in (0, 1)
        )
        if slow is None or fast is None:
            continue
        ratio = slow["cost"][key] / fast["cost"][key]
        if ratio >= WORTH_SAYING:
            times = f"{ratio:.1f}" if ratio < 9.95 else f"{ratio:.0f}"
            yield f"With {slow['level']}, {words} {times} times as long as with {fast['level']}."
