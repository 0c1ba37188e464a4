"""Samplers: what proposes the next configuration, from what came out of those before.

Optuna is asked and told in memory, and anew for every proposal: what it knows is rebuilt from our results each time, so
that a proposal is a function of them and of a seed, whoever makes it, and whenever.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from types import ModuleType
from typing import Any

from foldwise.errors import choose, need
from foldwise.study.search_space import Parameter, Range, Values, drawn

SEEDS = 2**31
# Of a proposal that was made before: a space of few choices would else be tried in vain, and one that is used up must end.
MAX_ASKED_AGAIN = 10


@dataclass(frozen=True)
class TrialOutcome:
    """What is known of an earlier trial: its score, higher is better; None where it failed or is still to come."""

    values: Values
    score: float | None
    is_settled: bool = True


# What makes a sampler of Optuna, of the module and a seed. Those that keep a state beside the trials, such as low-discrepancy
# sequences, would begin anew with every proposal; the Gaussian process takes seconds for each.
SAMPLERS: dict[str, Callable[[ModuleType, int], Any]] = {
    # Several parameters together, and as if those in flight had done badly, so that no two look at the same spot.
    "tpe": lambda optuna, seed: optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True),
    "random": lambda optuna, seed: optuna.samplers.RandomSampler(seed=seed),
}


def check_sampler(name: str, *, where: str | None = None) -> None:
    """Refuse a sampler that does not exist, or cannot be asked here.

    Raises:
        SpecError: there is none of that name.
        MissingExtra: Optuna is not installed.
    """
    choose(SAMPLERS, name, "sampler", where=where)
    need("optuna", "search")


def num_points(space: Mapping[str, Any]) -> float:
    """How many different configurations a space holds; infinity where a range has neither whole ends nor steps."""
    return math.prod(
        _num_points({"each": part} if isinstance(part, list) else part) for part in space.values()
    )


def _num_points(value: Any) -> float:
    if isinstance(value, list):
        return math.prod(map(_num_points, value))
    if not isinstance(value, dict):
        return 1
    if value.keys() == {"each"}:
        return sum(map(_num_points, value["each"]))
    if "low" not in value:
        return math.prod(map(_num_points, value.values()))
    stated = Range(**value)
    step = stated.step or (1 if stated.is_whole else None)
    return math.inf if step is None else math.floor((stated.high - stated.low) / step + 1e-9) + 1


def propose(
    space: Mapping[str, Any], sampler: str, *, seed: str, number: int, earlier: Sequence[TrialOutcome]
) -> Values:
    """The values of trial `number`: of a space and of the trials before it, and of nothing else.

    Args:
        sampler: a row of `SAMPLERS`.
        seed: any text.
        earlier: in their order; more of them than have settled are as good as none.
    """
    before = [outcome.values for outcome in earlier]
    values: Values = {}
    for attempt in range(MAX_ASKED_AGAIN):
        key = sha256(f"{seed}/{number}/{attempt}".encode()).digest()
        values = _asked(space, sampler, int.from_bytes(key[:8], "big") % SEEDS, earlier)
        if values not in before:
            break
    return values


def _asked(space: Mapping[str, Any], sampler: str, seed: int, earlier: Sequence[TrialOutcome]) -> Values:
    optuna = need("optuna", "search")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        # Of parts that Optuna calls experimental; what they do here is what the tests of the samplers say.
        warnings.simplefilter("ignore")
        study = optuna.create_study(direction="maximize", sampler=SAMPLERS[sampler](optuna, seed))
        for outcome in earlier:
            study.add_trial(_as_trial(optuna, space, outcome))
        trial, values = study.ask(), dict[str, float | int]()

        def pick(name: str, parameter: Parameter) -> float | int:
            values[name] = trial._suggest(name, _distribution(optuna, parameter))
            return values[name]

        drawn(space, pick)
    return values


def _as_trial(optuna: ModuleType, space: Mapping[str, Any], outcome: TrialOutcome) -> Any:
    distributions: dict[str, Any] = {}

    def pick(name: str, parameter: Parameter) -> float | int:
        distributions[name] = _distribution(optuna, parameter)
        return outcome.values[name]

    drawn(space, pick)
    states = optuna.trial.TrialState
    state = (
        states.RUNNING
        if not outcome.is_settled
        else states.FAIL
        if outcome.score is None
        else states.COMPLETE
    )
    return optuna.trial.create_trial(
        params=dict(outcome.values), distributions=distributions, state=state, value=outcome.score
    )


def _distribution(optuna: ModuleType, parameter: Parameter) -> Any:
    kinds = optuna.distributions
    if not isinstance(parameter, Range):
        return kinds.CategoricalDistribution(tuple(range(len(parameter.options))))
    if parameter.is_whole:
        step = int(parameter.step or 1)
        return kinds.IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log, step=step)
    return kinds.FloatDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)
