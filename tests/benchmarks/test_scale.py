"""What an item may ask of a file system, as counts that no machine changes; and the simulation of many workers."""

import pytest

from benchmarks.calls import requests
from benchmarks.scale import Drawing, simulate, told
from benchmarks.trivial_items import plan_of
from benchmarks.what_items_cost import count, table
from foldwise.pipeline.worker import TASKS
from foldwise.runs.agenda import Agenda

CHANGES = ("write", "mkdir", "rename", "remove")


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    fit = TASKS["fit"]
    yield count(tmp_path_factory.mktemp("calls"))
    TASKS["fit"] = fit


def test_an_item_keeps_to_its_budget_of_calls_and_of_inodes(calls):
    """Ceilings: what costs more is to pay for it elsewhere, or to say why in docs/scale.md."""
    of_an_item = calls.of_an_item
    assert requests(of_an_item) <= 52
    assert sum(of_an_item[kind] for kind in CHANGES) <= 15
    assert of_an_item["sync"] <= 4  # its file, its result, its folder, and the folder of all
    assert of_an_item["list"] <= 5
    assert calls.inodes <= 3.2  # its folder, its file, its result; some are of the run
    assert calls.bytes < 3000


def test_what_waits_and_what_is_in_vain_asks_for_little(calls):
    assert requests(calls.look) <= 3
    assert requests(calls.done) <= 7
    assert requests(calls.held) <= 12
    assert requests(calls.beat) <= 5
    assert requests(calls.start) <= 10
    assert calls.held["write"] == calls.done["write"] == calls.look["write"] == 0


def test_every_step_is_a_line_of_the_table(calls):
    lines = table(calls).splitlines()
    assert len(lines) == 11
    assert lines[0].split()[-1] == "requests"
    assert lines[-2].split()[-1] == str(requests(calls.of_an_item))


class ByAgenda:
    """A worker of the simulation that chooses by a real `Agenda`, whose folder is the simulated one."""

    def __init__(self, world, worker, chance, plan):
        self.world, self.worker, self.plan = world, worker, plan
        clock = lambda: self.worker.now  # noqa: E731
        self.agenda = Agenda(self, plan, clock=clock, draw=chance.random)
        self.place = {item.id: place for place, item in enumerate(plan.items)}

    def committed(self):
        now = self.worker.now
        self.worker.now = self.world.ask(now, self.world.listing(now), "listings")
        return {item.id: 1 for place, item in enumerate(self.plan.items) if self.world.done_s[place] <= now}

    def leased(self):
        self.worker.now = self.world.ask(self.worker.now, 1 + -(-len(self.world.running) // 150), "listings")
        return [self.plan.items[place].id for place in self.world.running]

    def result(self, item_id):
        return {"status": "done"}

    def choices(self):
        self.agenda.look()
        return (self.place[item.id] for item in self.agenda.choices())

    def was_had(self, place):
        self.agenda.was_had(self.plan.items[place])

    def settled(self, place):
        self.agenda.settled(self.plan.items[place])

    def was_free(self):
        self.agenda.was_free()

    def is_done(self):
        return self.agenda.is_done(now=True)


@pytest.fixture(scope="module")
def both(calls):
    plan = plan_of(600)
    makers = {
        "agenda": lambda world, worker, chance: ByAgenda(world, worker, chance, plan),
        "drawing": lambda world, worker, chance: Drawing(world, worker, chance.random),
    }
    return {
        name: [
            simulate(600, 30, calls=calls, seconds=20.0, starts_s=1.0, seed=seed, chooser=maker)
            for seed in range(3)
        ]
        for name, maker in makers.items()
    }


def asked(outcomes, why):
    return sum(outcome.world.by_reason[why] for outcome in outcomes)


@pytest.mark.parametrize(
    ("why", "tolerance"),
    [
        ("items", 0.001),
        ("claims", 0.001),
        ("beats", 0.05),
        ("looks", 0.1),
        ("listings", 0.25),
        ("tries in vain", 0.25),
    ],
)
def test_the_rules_written_down_for_many_workers_ask_for_what_agendas_ask_for(both, why, tolerance):
    assert asked(both["drawing"], why) == pytest.approx(asked(both["agenda"], why), rel=tolerance)


def test_all_items_are_done_once_and_about_as_fast_as_they_can_be(both):
    for outcome in (*both["drawing"], *both["agenda"]):
        assert len(outcome.world.order) == 600
        assert not outcome.world.running
        assert all(worker.ended for worker in outcome.workers)
        assert outcome.last_item_s < 2.0 * 600 * 20 / 30


def test_hundreds_of_workers_stay_far_below_what_a_server_bears_and_hardly_meet(calls):
    outcome = simulate(6_000, 100, calls=calls, seconds=60.0, starts_s=1.0)
    assert "requests a second" in told(outcome, 6_000)
    seconds = outcome.last_item_s
    assert sum(outcome.world.asked.values()) / seconds < 1_000
    assert sum(worker.tries for worker in outcome.workers) < 2.5 * 6_000  # nearly all of them at the end
    assert max(worker.first_item_s for worker in outcome.workers) < 3.0
    assert max(worker.now for worker in outcome.workers) - seconds < 60


def test_a_seed_gives_the_same_simulation(calls):
    one, other = (simulate(200, 10, calls=calls, seconds=5.0, starts_s=1.0) for _ in range(2))
    assert one.world.order == other.world.order
