"""The effect of every factor: means, differences, costs, and a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from foldwise.judging.judgement import Judgement
from foldwise.judging.statistics.design import CONFIGURED, COVARIATES, TUNED, Factor, is_full
from foldwise.judging.statistics.differences import FactorialScores, IntervalOptions
from foldwise.judging.statistics.effects import Effect, LevelContrast, Shares, effect, shares, views
from foldwise.judging.verdict_configurations import TIMED, ConfigurationResult
from foldwise.judging.verdict_sections import (
    FactorEffect,
    FactorsSection,
    LevelMean,
    LevelPair,
    MatchedSet,
    VarianceShare,
)
from foldwise.judging.wording import series, show
from foldwise.metrics.outputs import Floats
from foldwise.text import count

COST_KEYS = ("train_s", "shared_features_s", "shared_pretrain_s", "latency_ms", "peak_memory_mb", "energy_j")
TIMES = {"train_s": "training took", "latency_ms": "an image takes"}
WORTH_SAYING = 1.2  # times as long
INVISIBLE = 5e-5  # a difference that four digits do not show
VIEWS = {
    CONFIGURED: "As configured (the mean over the settings of each)",
    TUNED: "As tuned (the best setting of each, chosen by the same scores, which flatters those with more settings)",
}


def factors_section(
    factors: Sequence[Factor],
    judgement: Judgement,
    configurations: Sequence[ConfigurationResult],
    *,
    by: str = "",
) -> FactorsSection | None:
    """What every factor does, over the configurations that are complete; None where there is no factor.

    The factors are those of which the configurations that are compared have two or more levels. `by` names the part of the
    study that all configurations have, where some were ruled out after it.
    """
    if not factors:
        return None
    compared, decisive = judgement.comparable, judgement.decisive
    folds = judgement.scored[compared[0]].unit_folds
    assert decisive is not None
    assert folds is not None
    scores = FactorialScores(decisive.values, folds, decisive.variance)
    costs = {configuration.id: configuration.cost for configuration in configurations}
    # A cost of 0 was not measured; its logarithm would decide every mean. Nor is a time compared that others lengthened.
    paid = {
        key: np.array(
            [
                np.nan if key in TIMED and costs[id].sharers else getattr(costs[id], key) or np.nan
                for id in compared
            ]
        )
        for key in COST_KEYS
    }
    judge, origin = judgement.judge, shares(factors, scores)
    options = IntervalOptions(judge.alpha, judge.equivalent_within, lambda: judgement.pairs)
    return FactorsSection(
        full=is_full(factors, len(compared)),
        num_compared=len(compared),
        num_planned=len(configurations),
        noise=origin.noise if origin else None,
        shares=_shares(origin) if origin else None,
        sentence=_sentence(factors, origin, compared=len(compared), by=by),
        factors=tuple(
            _effect(effect(factors, factor, view, scores, options), judgement, paid, factors=factors)
            for factor in factors
            for view in views(factors, factor, scores.estimate)
        ),
    )


def _shares(origin: Shares) -> tuple[VarianceShare, ...] | None:
    """The largest first, the rest last; a term that cannot be told from others has no share."""
    if not origin.of:
        return None
    # The empty term is the rest: interactions of three or more factors.
    ordered = sorted(origin.of.items(), key=lambda part: (not part[0], -part[1]))
    aliased = [(term, None) for term in origin.aliased if len(term) == 1]
    return tuple(VarianceShare(factors=term, share=share) for term, share in (*ordered, *aliased))


def _sentence(factors: Sequence[Factor], origin: Shares | None, *, compared: int, by: str) -> str:
    """Where the differences between configurations come from, and what the grid lacks."""
    sentences = []
    if by:
        sentences.append(
            f"Factors are compared by {by}, which all configurations have: of those that were trained further, only good "
            "settings of each level are left."
        )
    if not is_full(factors, compared):
        sentences.append(
            f"Only {compared} of {int(np.prod([len(factor.levels) for factor in factors]))} combinations can be compared: "
            "means are those of a model in which the effects of the factors add up."
        )
    if origin is not None and not origin.of:
        noisy = f"{100 * min(origin.noise, 1.0):.0f} %"
        sentences.append(
            f"Between-configuration differences are mostly noise ({noisy}), so none is traced to a factor."
        )
    elif origin is not None:
        term, share = max(origin.of.items(), key=lambda part: part[1])
        sentences.append(
            f"Freed from noise, about {100 * share:.0f} % of the differences between configurations come from {_term(term)}."
        )
    return " ".join(sentences)


def _term(term: Sequence[str]) -> str:
    if len(term) == 2:
        return f"the interaction of {term[0]} and {term[1]}"
    return term[0] if term else "interactions of three or more factors"


def _effect(
    effect: Effect, judgement: Judgement, paid: Mapping[str, Floats], *, factors: Sequence[Factor]
) -> FactorEffect:
    sign, name = judgement.sign, effect.factor.name
    levels = tuple(_level(effect, v, sign, paid) for v in range(len(effect.view.labels)))
    return FactorEffect(
        factor=name,
        view=effect.view.name or None,  # type: ignore[arg-type]
        covariate=name in COVARIATES,
        sentence=_in_words(effect, levels, judgement.confidence),
        levels=levels,
        pairs=tuple(_pair(pair, effect, sign) for pair in effect.contrasts),
        others=tuple(factor.name for factor in factors if factor.name != name),
        sets=tuple(
            MatchedSet(levels=cell, scores=(sign * scores).tolist()) for cell, scores in effect.sets.items()
        ),
    )


def _level(effect: Effect, v: int, sign: int, paid: Mapping[str, Floats]) -> LevelMean:
    weights = effect.weights[v]
    return LevelMean(
        level=effect.view.labels[v],
        settings=tuple(effect.view.settings(effect.factor, v)),
        mean=float(sign * effect.means[v]),
        cost={key: _geometric(weights, costs) for key, costs in paid.items() if not np.isnan(costs).all()},
    )


def _geometric(weights: Floats | None, costs: Floats) -> float | None:
    """The marginal mean of costs on a logarithmic scale, so that levels compare by ratios; None where one is unknown."""
    if weights is None or np.isnan(costs[np.abs(weights) > 1e-9]).any():
        return None
    return float(np.exp(weights @ np.log(np.where(np.isnan(costs), 1.0, costs))))


def _pair(pair: LevelContrast, effect: Effect, sign: int) -> LevelPair:
    ends = sorted(sign * end for end in (pair.low, pair.high) if end is not None)
    return LevelPair(
        a=effect.view.labels[pair.a],
        b=effect.view.labels[pair.b],
        difference=None if pair.difference is None else sign * pair.difference,
        low=ends[0] if ends else None,
        high=ends[1] if ends else None,
        p=pair.p,
        conclusion=pair.conclusion or ("not estimable" if pair.difference is None else "not tested"),
        agree=pair.agree,
        matched=pair.matched,
    )


def _in_words(effect: Effect, levels: Sequence[LevelMean], confidence: str) -> str:
    """The factor in one or two sentences."""
    name, labels = effect.factor.name, effect.view.labels
    estimable = [pair for pair in effect.contrasts if pair.difference is not None]
    if not estimable:
        return f"{name} changes only together with other factors here: its effect cannot be told from theirs."
    few = len(labels) == 2
    sentence = _two(estimable[0], labels, confidence) if few else _many(estimable, labels, confidence)
    if effect.view.name:
        sentence = f"{VIEWS[effect.view.name]}: {sentence}"
    if name in COVARIATES:
        sentence = " ".join([COVARIATES[name], sentence, *_ratios(levels)])
    return sentence


def _two(pair: LevelContrast, labels: Sequence[str], confidence: str) -> str:
    a, b = labels[pair.a], labels[pair.b]
    by = f"{show(pair.difference or 0.0)}{_interval(pair, confidence)}"
    agree = f" {pair.agree} of {count(pair.matched, 'matched pair agrees', 'matched pairs agree')}."
    agree = agree if pair.matched > 1 and pair.difference else ""
    if pair.conclusion == "better":
        return f"{a} is better than {b} by {by}.{agree}"
    if pair.conclusion == "equivalent":
        return f"{a} and {b} are equivalent: they differ by {by}."
    if pair.conclusion is None:
        return f"{a} has a better mean than {b}, by {by}; nothing is tested.{agree}"
    return f"{a} and {b} cannot be told apart: they differ by {by}.{agree}"


def _many(pairs: Sequence[LevelContrast], labels: Sequence[str], confidence: str) -> str:
    """The best level, what it is better than, and from what it cannot be told apart."""
    best = pairs[0].a
    own = [pair for pair in pairs if pair.a == best]
    worse = [pair for pair in own if pair.conclusion == "better"]
    alike = [labels[pair.b] for pair in own if pair.conclusion == "equivalent"]
    undecided = [labels[pair.b] for pair in own if pair.conclusion == "not distinguishable"]
    if not any(pair.conclusion for pair in pairs):
        return f"{labels[best]} has the best mean; nothing is tested."
    clauses = []
    if worse:
        listed = ", ".join(
            f"{labels[pair.b]} by {show(pair.difference or 0.0)}{_interval(pair, confidence)}"
            for pair in worse[:3]
        )
        clauses.append(f"is better than {listed}" + (f" and {len(worse) - 3} more" if worse[3:] else ""))
    if alike:
        clauses.append(f"is equivalent to {_and(alike)}")
    if undecided:
        clauses.append(f"cannot be told apart from {_and(undecided)}")
    first = f"{labels[best]} has the best mean; it " if not worse else f"{labels[best]} "
    others = [pair for pair in pairs if pair.a != best and pair.conclusion == "better"]
    rest = f" Among the others, {count(len(others), 'pair is', 'pairs are')} told apart." if others else ""
    return first + "; it ".join(clauses) + "." + rest


def _and(names: Sequence[str]) -> str:
    shown = [*names[:3], f"{len(names) - 3} more"] if names[4:] else list(names)
    return series(shown)


def _interval(pair: LevelContrast, confidence: str) -> str:
    """`` (95 % interval 0.01 to 0.06)``, in the direction of better."""
    if pair.low is None or pair.high is None or max(abs(pair.low), abs(pair.high)) < INVISIBLE:
        return ""
    return f" ({confidence} interval {show(pair.low)} to {show(pair.high)})"


def _ratios(levels: Sequence[LevelMean]) -> Iterator[str]:
    """How many times as long one level takes as another, where it is worth saying."""
    for key, words in TIMES.items():
        measured = [(cost, level.level) for level in levels if (cost := level.cost.get(key))]
        if not measured:
            continue
        (slow, slowest), (fast, fastest) = (
            choose(measured, key=lambda pair: pair[0]) for choose in (max, min)
        )
        if slow / fast >= WORTH_SAYING:
            times = f"{slow / fast:.1f}" if slow / fast < 9.95 else f"{slow / fast:.0f}"
            yield f"With {slowest}, {words} {times} times as long as with {fastest}."
