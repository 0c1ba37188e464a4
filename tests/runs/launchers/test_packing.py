"""How many workers there are: decided by what was measured, in made-up time, over many made-up crews."""

import random

import pytest
from simulated_crew import START_S, World, item

from foldwise.runs.folder import RunFolder
from foldwise.runs.launchers.launcher import Crew
from foldwise.runs.launchers.packing import CONTEXT_MB, MARGIN, Ceiling, Fixed, Post
from foldwise.runs.plan import lane_of

GPU = Post("accelerator", "GPU-0")


def fits(number, mb, *, seconds=20, first=0, **options):
    return tuple(item(f"fit-{first + n}", curve=[mb / 2] + [mb] * seconds, **options) for n in range(number))


def numbers(world, post):
    """How many workers of a post there were, second by second."""
    return [sum(there == post for there, _ in staff.values()) for staff in world.log]


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize(
    ("mb", "capacity_mb", "others_mb"), [(1000, 8e3, 0), (3000, 24e3, 5e3), (500, 80e3, 0)]
)
def test_packing_reaches_the_number_that_memory_bears_and_none_is_refused(mb, capacity_mb, others_mb, tells):
    world = World(fits(60, float(mb)), {"GPU-0": capacity_mb}, most=16, tells=tells, others_mb=others_mb)
    world.run()
    bears = min(16, int(MARGIN * (capacity_mb - others_mb) / (mb + CONTEXT_MB)))
    assert max(numbers(world, GPU)) == bears
    assert sorted(numbers(world, GPU))[len(world.log) // 2] == bears
    assert numbers(world, GPU)[: START_S + 2] == [1] * (START_S + 2)  # until something was measured
    assert world.refused == []


def test_an_over_eager_raise_is_corrected_and_costs_no_item():
    """What was measured first is small; what comes later is large, and grows late."""
    small, large = fits(8, 500.0, configuration="a"), fits(8, 5000.0, configuration="b", first=8)
    world = World((*small, *large), {"GPU-0": 12e3}, most=16)
    world.run()
    assert {result["status"] for result in world.outcomes.values()} == {"done"}
    assert world.refused  # it was over-eager
    assert len({name for name, _ in world.refused}) == len(world.refused)  # nothing was refused twice
    assert all(sharing > 1 for _, sharing in world.refused)
    assert len(world.refused) < 8  # and learned from it


def test_what_is_too_large_alone_fails_alone_and_the_rest_is_done():
    world = World((*fits(6, 1000.0), *fits(1, 9000.0, configuration="b", first=6)), {"GPU-0": 8e3})
    world.run()
    failed = {name for name, result in world.outcomes.items() if result["status"] == "failed"}
    assert failed == {"fit-6"}
    assert world.refused[-1] == ("fit-6", 1)


def test_nobody_comes_beside_what_is_done_again_alone():
    """While it is, others become ready, which wait until it is done."""
    late = item("late", "shallow", curve=[0.0] * 90)
    large = item("large", curve=[1000.0] * 10 + [7000.0] * 100, configuration="b")
    after = fits(4, 1000.0, first=3, needs=["late"])
    world = World(
        (late, *fits(1, 1000.0, seconds=60), large, *fits(2, 1000.0, seconds=60, first=1), *after),
        {"GPU-0": 8e3},
        8,
    )
    world.run()
    assert [(name, sharing > 1) for name, sharing in world.refused] == [("large", True)]
    assert world.outcomes["large"]["status"] == "done"


def test_what_runs_alone_does_so():
    speeds = tuple(item(f"measure-{n}", "measure", curve=[3000.0] * 5) for n in range(2))
    world = World((*speeds, *fits(6, 1000.0)), {"GPU-0": 8e3})
    world.run()
    for staff in world.log:
        doing = [name for _, name in staff.values() if name]
        assert len(doing) == 1 or not [name for name in doing if name.startswith("measure")]
        if any(name.startswith("measure") for name in doing):
            assert sum(post == GPU for post, _ in staff.values()) == 1


def test_a_number_that_is_stated_is_there_at_once_on_all_devices():
    world = World(fits(12, 100.0), {"GPU-0": 8e3, "GPU-1": 8e3}, most=None, workers=4)
    world.run()
    assert numbers(world, GPU)[0] == numbers(world, Post("accelerator", "GPU-1"))[0] == 2


def made_up(seed):
    """Some crew: devices, configurations with memory of their own, items that wait for others, and for processors."""
    chance = random.Random(seed)
    capacity = chance.choice([8e3, 16e3, 80e3])
    groups = {f"c{n}": chance.uniform(0.02, 0.6) * capacity for n in range(chance.randint(1, 4))}
    items = []
    for n in range(chance.randint(1, 25)):
        name = chance.choice(list(groups))
        mb, seconds = groups[name], chance.randint(2, 30)
        late = chance.random() < 0.3  # much of it is taken at the end only
        curve = [mb * (0.2 if late and s < seconds - 2 else 1.0) for s in range(seconds)]
        fits_before = [i.id for i in items if i.kind == "fit"]  # nothing needs how fast another is
        needs = [chance.choice(fits_before)] if fits_before and chance.random() < 0.3 else []
        kind = chance.choices(["fit", "shallow", "measure"], [8, 2, 0.5])[0]
        device = {"device": "cpu"} if kind == "fit" and chance.random() < 0.2 else {}
        items.append(item(f"i{n}", kind, needs=needs, curve=curve, configuration=name, **device))
    devices = {f"GPU-{n}": capacity for n in range(chance.randint(1, 3))}
    most = chance.choice([None, 1, 4, 16])
    return World(
        tuple(items),
        devices,
        most,
        chance.randint(2, 6),
        chance.random() < 0.5,
        chance.choice([0.0, 0.2 * capacity]),
    )


@pytest.mark.parametrize("seed", range(200))
def test_every_item_of_any_crew_is_settled_and_none_waits_for_the_other_kind(seed):
    world = made_up(seed)
    alone_s = sum(len(item.settings["curve"]) + START_S + 3 for item in world.items)
    assert (
        world.run() <= 3 * alone_s
    )  # no deadlock, and no worse than one after the other, with all that was refused
    # What fits into a device is done; nothing is refused again when it is alone there.
    room = next(iter(world.capacity_mb.values())) - world.others_mb - 500.0
    too_large = {i.id for i in world.items if max(i.settings["curve"]) > room and lane_of(i, "auto") != "cpu"}
    failed = {name for name, result in world.outcomes.items() if result["status"] == "failed"}
    assert failed <= too_large
    most = max(world.most or world.workers, len(world.capacity_mb))
    kinds = {i.id: lane_of(i, "auto") for i in world.items}
    for staff in world.log:
        assert len(staff) <= most + 1  # one for processors is there even where devices have all
        assert all(name is None or kinds[name] == post.only for post, name in staff.values())


@pytest.mark.parametrize("seed", range(30))
def test_what_needs_no_accelerator_never_waits_for_what_does(seed):
    chance = random.Random(seed)
    cpu = tuple(item(f"shallow-{n}", "shallow", curve=[0.0] * chance.randint(1, 5)) for n in range(10))
    world = World((*fits(10, 3000.0, seconds=100), *cpu), {"GPU-0": 8e3}, most=chance.choice([1, 2, 8]))
    world.run()
    last = max(
        second
        for second, staff in enumerate(world.log)
        for _, name in staff.values()
        if name and name.startswith("shallow")
    )
    assert last <= sum(len(item.settings["curve"]) + 2 for item in cpu) + START_S + 2


def test_one_of_several_that_is_killed_makes_them_fewer_until_items_are_done(tmp_path, monkeypatch):
    done = [0]
    monkeypatch.setattr("foldwise.runs.launchers.packing.progress", lambda folder: done[0])
    ceiling = Ceiling(RunFolder(tmp_path), 8)
    ceiling.killed(beside=7)
    assert ceiling.look() == 4
    ceiling.killed(beside=3)
    assert ceiling.look() == 2
    ceiling.killed(beside=0)  # alone: whatever it died of, it was not for others
    assert ceiling.look() == 2
    done[0] = 1
    assert [ceiling.look(), ceiling.look()] == [3, 3]
    done[0] = 9
    assert ceiling.look() == 4


def test_processors_get_as_many_as_the_crew_has(tmp_path):
    fixed = Fixed(Crew(RunFolder(tmp_path), 3))
    assert fixed.first() == [Post()] * 3
    assert fixed.look({}).wanted == {Post(): 3}
