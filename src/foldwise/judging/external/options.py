"""What a user states of scores from elsewhere, and the usual names by which the rest is recognised."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from foldwise.errors import SpecError, unknown
from foldwise.metrics.names import plain

NONE = "none"  # an option with this value: no such column is to be used
# By what a column holds, the likeliest name first; names are compared without case, spaces and signs.
USUAL = {
    "configuration": ("configuration", "config", "algorithm", "alg", "algo", "model", "method", "network", "classifier"),
    "case": ("case", "image", "img", "file", "subject", "sample", "scan", "volume", "id"),
    "score": ("score", "value"),
    "repeat": ("repeat", "repetition", "rep", "seed", "run"),
    "fold": ("fold", "cvfold"),
    "group": ("group", "patient", "animal", "donor", "subject"),
    "task": ("task",),
    "measure": ("metric", "measure", "metricname", "scorename"),
}  # fmt: skip
ENDINGS = ("id", "name", "nr", "no", "number")  # image_id, filename


@dataclass(frozen=True)
class ScoreOptions:
    """What is stated; the rest is recognised.

    Attributes:
        configuration: columns that together name what is compared.
        case, repeat, fold, group: a column, or `NONE` where there is to be none.
        score: a column of scores, or of a wide table several, one per configuration.
        task: which task of a table of several.
        metric: what the scores are called, or of scores of a run which metric is judged.
        higher_is_better, bounded: None: by the name and the values of the scores.
        one_scale: scores that look like two scales, such as fractions and per cent, are on one.
        equivalent_within: None: 0.01 for scores between 0 and 1, else 0.
        alpha: 1 - confidence.
        textbook: also the tests that reviewers ask for.
    """

    configuration: tuple[str, ...] = ()
    case: str | None = None
    score: tuple[str, ...] = ()
    repeat: str | None = None
    fold: str | None = None
    group: str | None = None
    task: str | None = None
    metric: str | None = None
    higher_is_better: bool | None = None
    bounded: bool | None = None
    one_scale: bool = False
    equivalent_within: float | None = None
    alpha: float = 0.05
    textbook: bool = False


def _stem(name: str) -> str:
    """The same without an ending that means nothing: ``image``."""
    plain_name = plain(name)
    return next(
        (plain_name.removesuffix(end) for end in ENDINGS if plain_name.endswith(end) and plain_name != end),
        plain_name,
    )


@dataclass(frozen=True)
class Roles:
    """Which column of a table holds what; None where none does.

    Attributes:
        measure: what tells several metrics apart that have a row each.
        idle: columns of a usual name for which ``none`` is stated.
    """

    configuration: tuple[str, ...]
    case: str | None
    score: tuple[str, ...]
    repeat: str | None
    fold: str | None
    group: str | None
    task: str | None
    measure: str | None = None
    idle: tuple[str, ...] = ()

    @property
    def taken(self) -> set[str]:
        """Columns that have a role."""
        single = (self.case, self.repeat, self.fold, self.group, self.task, self.measure)
        return {*self.configuration, *self.score, *(name for name in single if name)}


def roles_of(columns: Sequence[str], options: ScoreOptions, *, where: str) -> Roles:
    """The role of every column that is stated, or has a usual name and is not stated for something else.

    Raises:
        SpecError: a column that is stated is not there, or is stated for the scores and for something else.
    """
    roles: dict[str, tuple[str, ...]] = {role: _stated(options, role) for role in USUAL}
    stated = [name for names in roles.values() for name in names]
    for name in stated:
        if name not in columns and name != NONE:
            raise unknown(name, columns, f"column of {where}")
    for role in roles.keys() - {"score"}:
        both = set(roles[role]) & set(roles["score"]) - {NONE}
        if both:
            what = f"the column {min(both)!r} is stated for the scores and for the {role}"
            raise SpecError(what, cure="State another column for one of them, or leave it out.")
    free = [name for name in columns if name not in stated]
    idle: list[str] = []
    for role, names in roles.items():
        if not names:
            roles[role] = _usual(role, free)
            free = [name for name in free if name not in roles[role]]
        elif names == (NONE,):
            roles[role] = ()
            idle += _usual(role, free)
    single = {
        role: roles[role][0] if roles[role] else None
        for role in ("case", "repeat", "fold", "group", "task", "measure")
    }
    return Roles(configuration=roles["configuration"], score=roles["score"], idle=tuple(idle), **single)


def _stated(options: ScoreOptions, role: str) -> tuple[str, ...]:
    """The columns that are stated for a role; a task or a metric that is stated is not a column."""
    stated = None if role in ("task", "measure") else getattr(options, role)
    return (stated,) if isinstance(stated, str) else stated or ()


def _usual(role: str, free: Iterable[str]) -> tuple[str, ...]:
    """The free column with the likeliest of the usual names, if any."""
    rank = {name: position for position, name in enumerate(USUAL[role])}
    ranked = [(min(rank.get(plain(name), 99), rank.get(_stem(name), 99)), name) for name in free]
    best = min(ranked, key=lambda pair: pair[0], default=(99, ""))
    return (best[1],) if best[0] < 99 else ()
