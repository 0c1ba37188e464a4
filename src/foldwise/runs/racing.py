"""A race: configurations that are shown not to be best are trained no further, so that a plan opens look by look.

The plan holds every item from the start. Those of later blocks are held back until the results of the block before were
looked at, and what a look rules out (`judging/race.py`) is spared. A ruling is a function of the results of the block:
it is written down under a name that says of which fits, is the same whoever makes it, and another edit of the study,
whose fits are others, finds no ruling of this name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Literal

from foldwise.errors import RunError, SpecError
from foldwise.foreign import checked_id
from foldwise.runs.items import KINDS, Item
from foldwise.sealed import read_record
from foldwise.study.configurations import Configuration
from foldwise.study.spec import Study
from foldwise.text import count

Split = tuple[int, int]  # repeat and fold, from 0
# Of the error that a verdict may make: spread over the looks, and no more used by its comparison at the end.
SHARE_OF_ALPHA = 0.2
ALWAYS_LEFT = 2  # configurations that are trained in full: a winner needs something to be compared with
# From look to look: each costs error and makes workers wait for each other, and the first ones save most.
GROWTH = 1.5
FIRST_FOLDS = 2  # of one fold nobody knows what is luck of a run
VERSION = 1  # raised when a look would rule out others
# Images or groups tested before anything is ruled out: of fewer, tests of means promise too much.
LEAST_UNITS = 20


@dataclass(frozen=True)
class Ruling:
    """What one look has ruled out.

    Attributes:
        out: p values by configuration.
        failed: items that failed, for which a configuration was not looked at.
    """

    out: Mapping[str, float]
    failed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Race:
    """When it is looked, what may be concluded, and what was.

    Attributes:
        id: changes with all that can change a ruling, but for fits and their results.
        looks: the last repeat and fold that each look knows of, in order.
        alpha: the error of one look.
        exempt: configurations that are trained in full because something else needs them.
        rulings: one for each look that was made.
        later: items that come after the next look.
        spared: items that are not done, since their configuration is ruled out.
    """

    id: str
    looks: tuple[Split, ...]
    alpha: float
    exempt: tuple[str, ...] = ()
    rulings: tuple[Ruling, ...] = ()
    later: tuple[Item, ...] = field(default=(), repr=False)
    spared: tuple[Item, ...] = field(default=(), repr=False)

    @property
    def stopped(self) -> dict[str, Split]:
        """By configuration that is ruled out, the last split it was trained on."""
        made = zip(self.looks, self.rulings, strict=False)
        return {name: look for look, ruling in made for name in ruling.out}

    @property
    def next_look(self) -> Split | None:
        """None where nothing more is looked at before the end."""
        return self.looks[len(self.rulings)] if len(self.rulings) < len(self.looks) else None


def looks_of(units: Sequence[int], repeats: int) -> tuple[Split, ...]:
    """When a study looks: after ever larger parts of the first repeat, then after ever more repeats; never at the end.

    Args:
        units: images, or groups, that are tested in the first folds of a repeat: of one, of two, and so on to all.
        repeats: of the study.
    """
    folds, looks = len(units), list[Split]()
    number = FIRST_FOLDS
    while number <= folds:
        if units[number - 1] >= LEAST_UNITS and (number < folds or repeats > 1):
            looks.append((0, number - 1))
        number = folds if number < folds <= _next(number) else _next(number)
    number = 1 if folds > 1 else 2  # one split trained once tells nothing of the luck of a run
    done = {look[0] for look in looks if look[1] == folds - 1}
    while number < repeats:
        if number - 1 not in done and units[-1] >= LEAST_UNITS:
            looks.append((number - 1, folds - 1))
        number = _next(number)
    return tuple(looks)


def _next(number: int) -> int:
    return max(number + 1, math.ceil(GROWTH * number))


def plan_race(
    study: Study, configurations: Sequence[Configuration], units: Sequence[int], *, where: str | None = None
) -> Race:
    """The race of a study, before it has begun.

    Args:
        study: which asks for one.
        configurations: of the study; the A/A test trains the first one again, and needs all of its fits.
        units: as of `looks_of`.
        where: the study asks for it.

    Raises:
        SpecError: there is nothing to look at before the end, or nothing that could be ruled out.
    """
    judge, validation = study.judge, study.validate_
    looks = looks_of(units, validation.repeats)
    if len(configurations) <= ALWAYS_LEFT or not looks:
        raise _no_race(len(configurations), units, where or "validate.race")
    each = judge.alpha * SHARE_OF_ALPHA / len(looks)
    exempt = tuple(row.id for row in configurations[:1] if validation.num_copies)
    # All but the fits and their results that rulings depend on.
    by = [judge.metric, judge.thresholds, judge.tolerance_px, VERSION]
    key = json.dumps([looks, each, exempt, by])
    return Race(f"race-{sha256(key.encode()).hexdigest()[:16]}", looks, each, exempt)


def _no_race(num_configurations: int, units: Sequence[int], where: str) -> SpecError:
    if num_configurations <= ALWAYS_LEFT:
        what = f"a race of {count(num_configurations, 'configuration')} can rule none out: {ALWAYS_LEFT} are always trained in full"
        return SpecError(what, where=where, cure="Compare more, or leave validate.race out.")
    looked = (
        f"a race looks after {FIRST_FOLDS} folds in which {LEAST_UNITS} images (or groups of them) are tested"
    )
    if units[-1] < LEAST_UNITS:
        what = f"{looked}, and all folds together test {units[-1]}"
        return SpecError(what, where=where, cure="Leave validate.race out.")
    what = f"{looked}, or after two trainings of a single split, and here nothing comes after that"
    return SpecError(what, where=where, cure="Set validate.repeats to 3, or leave validate.race out.")


def opened(items: Iterable[Item], race: Race, folder: Path) -> tuple[tuple[Item, ...], Race]:
    """The items of a plan that may be done, and its race by the rulings that lie in a folder.

    Args:
        items: all of the plan, whatever was ruled.
        folder: of the race; a ruling that is damaged or missing is as if it had not been made, and is made again.
    """
    every = tuple(items)
    fits = [item for item in every if item.kind == "fit"]
    race = replace(race, rulings=(), later=(), spared=())
    while race.next_look is not None and num_racing(fits, race) > ALWAYS_LEFT:
        ruling = _read(folder / ruling_name(fits, race))
        if ruling is None:
            break
        race = replace(race, rulings=(*race.rulings, ruling))
    state = _states(every, race, ends=num_racing(fits, race) <= ALWAYS_LEFT)
    parts: dict[str, tuple[Item, ...]] = {
        name: tuple(item for item in every if state[item.id] == name) for name in ("open", "later", "spared")
    }
    return parts["open"], replace(race, later=parts["later"], spared=parts["spared"])


def num_racing(fits: Sequence[Item], race: Race) -> int:
    """Configurations that are not ruled out."""
    return len({fit.settings["configuration"] for fit in fits} - race.stopped.keys())


def looked_at(fits: Iterable[Item], race: Race) -> list[Item]:
    """The fits of the next look: all up to it, of the configurations that still race."""
    assert race.next_look is not None
    stopped, last = race.stopped, race.next_look
    return [fit for fit in fits if fit.settings["configuration"] not in stopped and split_of(fit) <= last]


def split_of(item: Item) -> Split:
    """The repeat and the fold of an item."""
    return item.settings["repeat"], item.settings["fold"]


def ruling_name(fits: Iterable[Item], race: Race) -> str:
    """The file of the ruling of the next look: of these very fits."""
    ids = sorted(fit.id for fit in looked_at(fits, race))
    return f"{len(race.rulings):04d}-{sha256('/'.join(ids).encode()).hexdigest()[:16]}.json"


def _read(path: Path) -> Ruling | None:
    try:
        record = read_record(path)[0]
        out = {checked_id(name, "configuration"): float(p) for name, p in record["out"].items()}
        return Ruling(out, tuple(map(str, record["failed"])))
    except (RunError, KeyError, TypeError, ValueError, AttributeError):
        return None


def forget_rulings(rulings: Iterable[Path], retried: Iterable[str]) -> None:
    """Delete the rulings that were made without one of these items, which failed: done again, it may change them."""
    again = set(retried)
    for path in rulings:
        ruling = _read(path)
        if ruling is not None and again & set(ruling.failed):
            path.unlink(missing_ok=True)


State = Literal["open", "later", "spared"]


def _states(items: Sequence[Item], race: Race, *, ends: bool) -> dict[str, State]:
    """Of every item by its id, whether it may be done, comes later, or never."""
    stopped, is_over = race.stopped, ends or race.next_look is None
    state: dict[str, State] = {}
    needed: dict[str, set[State]] = {}
    for item in reversed(items):  # what needs another item comes after it in a plan
        configuration, kind = item.settings.get("configuration"), KINDS[item.kind]
        if item.kind == "fit":
            if configuration in stopped and split_of(item) > stopped[configuration]:
                own: State = "spared"
            else:
                own = "open" if is_over or split_of(item) <= (race.next_look or ()) else "later"
        elif kind.is_auxiliary and (configuration is not None or kind.runs_alone):
            # Of those that were stopped there are too few fits; and speed is measured when nothing is to come.
            own = "spared" if configuration in stopped else "open" if is_over else "later"
        else:  # what others need, and what belongs to no configuration
            wanted = needed.get(item.id, {"open"})
            own = "open" if "open" in wanted else "later" if "later" in wanted else "spared"
        state[item.id] = own
        for need in item.needs:
            needed.setdefault(need, set()).add(own)
    return state
