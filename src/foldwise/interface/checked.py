"""What the check of a study says: what was recognised, what will run, what it shares, and what it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from foldwise.interface.terminal import SIGNS, console, hang, plain_table, say_message
from foldwise.text import broken, count, duration, takes

if TYPE_CHECKING:
    from foldwise.data.cases import Finding
    from foldwise.pipeline.preflight import Costs
    from foldwise.pipeline.preparing import Prepared
    from foldwise.runs.plan import Plan
    from foldwise.study.spec import Study

WIDTH_OF_NUMBERS = 34  # columns that the numbers of the table of configurations take
MAX_NAMES = 10  # of classes in a line
# Of training: workers wait for each other at every look, and of less there is little to spare.
WORTH_A_RACE_S = 1200.0
WORTH_SAYING_S = 300.0
HARDLY_ANY = 0.01


def say_findings(out: Console, findings: tuple[Finding, ...]) -> None:
    """Every finding with its cure, the gravest first."""
    order = list(SIGNS)
    for finding in sorted(findings, key=lambda finding: order.index(finding.severity)):
        say_message(out, SIGNS[finding.severity], finding.message, code=finding.code, cure=finding.cure)


def say_check(prepared: Prepared, costs: Costs, *, workers: int, brief: bool = False) -> None:
    """What was recognised, what will run, what it shares, what it takes, and every warning with its cure.

    Args:
        prepared: the study and its data.
        costs: the estimate for each configuration.
        workers: how many will work at a time.
        brief: without the table of configurations.
    """
    out, study, plan = console(), prepared.study, prepared.plan
    say_title(study, out)
    for statement in prepared.dataset.statements:
        hang(out, Text("  "), Text(statement))
    groups = len(set(prepared.audit.groups))
    grouped = f" in {groups} groups" if groups < len(prepared.packed) else ""
    names = prepared.dataset.classes
    classes = ", ".join(names) if len(names) <= MAX_NAMES else f"{len(names)} classes"
    images = f"{count(len(prepared.packed), 'image')}{grouped}; {_plain(prepared.dataset.task)}: {classes}"
    hang(out, Text("  "), Text(images))
    say_findings(out, prepared.audit.findings)
    for note in costs.notes:
        hang(out, Text("  · ", "dim"), Text(note))
    if not brief:
        _say_configurations(out, prepared, costs)
    shape = f"{count(len(plan.configurations), 'configuration')} × {count(study.validate_.folds, 'fold')}"
    if study.validate_.repeats > 1:
        shape += f" × {study.validate_.repeats} repeats"
    out.print()
    hang(out, Text("Plan:     "), Text(f"{shape}{_fits(plan)}{_shared(plan)}{_auxiliary(plan)}"))
    for line in _first_proposals(prepared):
        hang(out, Text("          "), Text(line))
    hang(out, Text("Estimate: "), Text(_estimate(costs, workers, plan)))
    if race := _race(prepared, costs):
        hang(out, Text("Race:     "), Text(race))
    if foreseen := _foreseen(prepared):
        hang(out, Text("Can tell: "), Text(foreseen))
    out.print()


def _race(prepared: Prepared, costs: Costs) -> str | None:
    """What a race would spare, or that of the study; None where there is too little to be spared, or nothing is known."""
    from foldwise.judging.statistics.racing import SPREAD

    fits, is_asked = (
        [item for item in prepared.plan.items if item.kind == "fit"],
        prepared.plan.race is not None,
    )
    seconds = sum(costs.of[fit.settings["configuration"]].seconds_per_fit for fit in fits)
    share = _share_spared(prepared) if is_asked or seconds >= WORTH_A_RACE_S else None
    if share is None:
        return None
    even = f"where configurations lie evenly from the best down to {SPREAD:g} below it"
    spares = f"spares about {duration(share * seconds)} of {duration(seconds)} of training {even}, and next to nothing where all are alike"
    if share < HARDLY_ANY:
        few = "with so few images and runs only what lies farther behind is ruled out early"
        return f"it is expected to spare nothing {even}: {few}." if is_asked else None
    if is_asked:
        return f"it {spares}."
    offered = "validate: {race: true} would train what is shown not to be best no further"
    return f"{offered}. That {spares}. The verdict is as sure." if share * seconds >= WORTH_SAYING_S else None


def _share_spared(prepared: Prepared) -> float | None:
    """The share of fits that a race is expected to spare; None where there can be none, or nothing is known beforehand."""
    from foldwise.data.folds.splits import units_tested
    from foldwise.judging.statistics.power import Data, planned
    from foldwise.judging.statistics.racing import expected_share
    from foldwise.runs.racing import ALWAYS_LEFT, SHARE_OF_ALPHA, looks_of

    study, splits, groups = prepared.study, prepared.splits, prepared.audit.groups
    units, number = units_tested(splits, groups), len(prepared.configurations)
    looks = looks_of(units, study.validate_.repeats)
    data = Data.tested(prepared.dataset, groups, splits)
    assumed = planned(study, data, num_configurations=number, folds=len(units))
    if study.search or number <= ALWAYS_LEFT or not looks or assumed is None:
        return None
    return expected_share(*assumed, looks, units, alpha=study.judge.alpha * SHARE_OF_ALPHA / len(looks))


def _foreseen(prepared: Prepared) -> str | None:
    from foldwise.judging.statistics.power import Data, before_training

    return before_training(
        prepared.study,
        Data.tested(prepared.dataset, prepared.audit.groups, prepared.splits),
        num_configurations=len(prepared.configurations),
        folds=len({split.fold for split in prepared.splits}),
    )


def say_title(study: Study, out: Console | None = None) -> None:
    """What the study is called."""
    (out or console()).print(Text(study.title or study.study, "bold"))


def _estimate(costs: Costs, workers: int, plan: Plan) -> str:
    core_s, memory_mb = costs.seconds(plan), costs.memory_mb()
    # Of a search no more than it has in flight.
    workers = min(workers, len(plan.items))
    spared = plan.race is not None  # by how much nobody knows beforehand
    cores = f"{duration(core_s)} of one core" if core_s >= 1 else "less than 1 s of one core"
    memory = f"{memory_mb:,.0f} MB a worker beside the program itself"
    where = "machines like this one" if costs.elsewhere else "this machine"
    return f"{takes(core_s / workers, at_most=spared)} with {count(workers, 'worker')} on {where} ({cores}); {memory}"


def _fits(plan: Plan) -> str:
    """`` = 12 fits``; of a search the trials, too."""
    from foldwise.runs.plan import num_promoted

    if not plan.searches:
        return f" = {count(sum(item.kind == 'fit' for item in plan.items), 'fit')}"
    search, fits = plan.searches[0], len(plan.searches)
    notes = [] if search.seconds is None else [f"no more after {duration(search.seconds)} of training"]
    full = num_promoted(search.num_trials) if search.halving else 0
    notes += [f"the best {full} of them in all of their epochs"] if full else []
    tried = count(search.num_trials, "trial") + (f" ({'; '.join(notes)})" if notes else "")
    each = f"{tried} and then the fit that was chosen"
    trials = count(fits * (search.num_trials + full), "trial")
    return f", in each {each} = {trials} and {count(fits, 'fit')}"


def _first_proposals(prepared: Prepared) -> list[str]:
    """What searches begin with in their first fold: ``first trial of conv: lr 0.00316, batch_size 8``."""
    from foldwise.runs.searching.samplers import num_points
    from foldwise.study.search_space import spoken

    searching, lines = prepared.study.search, []
    for arm in prepared.configurations if searching is not None else ():
        search = next(search for search in prepared.plan.searches if search.configuration == arm.id)
        assert searching is not None
        words = spoken(searching.space, dict(search.trials[0].values))
        listed = ", ".join(f"{name} {word}" for name, word in words.items())
        lines.append(f"first trial of {arm.name}: {listed}")
    if searching is not None and (number := num_points(searching.space)) < searching.configurations:
        what = f"the space holds {number} configurations, fewer than {count(searching.configurations, 'trial')}: what is proposed again is not trained again"
        return [*lines[:MAX_NAMES], what]
    return lines[:MAX_NAMES]


def _plain(task: str) -> str:
    return task.replace("_", " ")


def _shared(plan: Plan) -> str:
    from foldwise.runs.items import TRAINED

    text = ""
    for kind, noun, many in (("features", "pass", "of frozen encoders"), ("pretrain", "pretraining", "")):
        number = sum(item.kind == kind for item in plan.items)
        fits = [item for item in plan.items if item.kind in TRAINED]
        sharing = sum(any(need.startswith(f"{kind}-") for need in item.needs) for item in fits)
        if number:
            text += f"; {count(number, noun)} {many}".rstrip() + f" shared by {count(sharing, 'fit')}"
    return text


def _auxiliary(plan: Plan) -> str:
    """``; beside them 9 shallow baselines, 1 preview``."""
    from foldwise.runs.items import KINDS, count_kinds

    auxiliary = count_kinds(item for item in plan.items if KINDS[item.kind].is_auxiliary)
    return f"; beside them {auxiliary}" if auxiliary else ""


def _say_configurations(out: Console, prepared: Prepared, costs: Costs) -> None:
    table = plain_table("configuration", "parameters", "one fit", "memory")
    # A name is broken where it would push the numbers out of the terminal; a log has room for all of it.
    room = 1000 if out.soft_wrap else max(out.width - WIDTH_OF_NUMBERS, 20)
    for configuration in prepared.configurations:
        cost = costs.of[configuration.id]
        numbers = f"{cost.parameters:,}", duration(cost.seconds_per_fit), f"{cost.memory_mb:,.0f} MB"
        table.add_row(Text(broken(configuration.name, room)), *numbers)
    out.print()
    out.print(table)
