"""What is left and what can be done, against the rules written down plainly, whatever happened in between; and at what cost."""

from done_so_far import DoneSoFar, can_be_done
from hypothesis import given
from hypothesis import strategies as st

from foldwise.runs import agenda as agenda_module
from foldwise.runs.agenda import MAX_TRIES, NUM_PROBES, POLL_S, SHARED_POLL_S, Agenda, rest_s
from foldwise.runs.items import Item
from foldwise.runs.leases import LEASE_S
from foldwise.runs.plan import Plan


def chain(*needs, kinds=None):
    """Items 0, 1, 2 ... with what each needs, which comes before it."""
    kinds = kinds or ["fit"] * len(needs)
    items = (
        Item(f"i{n}", kinds[n], tuple(f"i{m}" for m in own), f"item {n}", {}) for n, own in enumerate(needs)
    )
    return Plan(tuple(items), ())


def plain_rules(plan, done, failed, waits=()):
    """Ids that are left, and of these the ready ones: looked up anew, item by item."""
    lost = set()
    for item in plan.items:
        if item.id not in failed and any(need in failed or need in lost for need in item.needs):
            lost.add(item.id)
    left = [item for item in plan.items if item.id not in {*done, *failed, *lost, *waits}]
    return {item.id for item in left}, {item.id for item in left if all(need in done for need in item.needs)}


def offered(agenda):
    ids, is_over = [], False
    while not is_over:
        is_over = not agenda.has_free
        for item in agenda.choices():
            ids.append(item.id)
            agenda.was_had(item)
        is_over = is_over or not agenda.has_free
    return ids


@st.composite
def histories(draw):
    number = draw(st.integers(1, 9))
    needs = [draw(st.sets(st.integers(0, n - 1), max_size=2)) if n else set() for n in range(number)]
    what = st.sampled_from(["done", "failed", "put away", "met", "look"])
    return chain(*needs), draw(st.lists(st.tuples(what, st.integers(0, number - 1)), max_size=25))


@given(histories())
def test_it_says_what_the_plain_rules_say_after_any_history(history):
    plan, events = history
    folder = DoneSoFar()
    agenda = Agenda(folder, plan)
    for what, place in events:
        item = plan.items[place]
        if what in ("done", "failed"):
            folder.put(item.id, failed=what == "failed")
        elif what == "put away" and item.id in folder.number:
            folder.put_away(item.id)
        elif what == "met" and item.id in folder.number:
            agenda.settled(item)
        elif what == "look":
            agenda.look(now=True)
    agenda.look(now=True)
    left, ready = plain_rules(
        plan, folder.number.keys() - folder.failed, folder.failed & folder.number.keys()
    )
    assert {plan.items[place].id for place in agenda.left} == left
    assert set(offered(agenda)) == ready
    assert agenda.is_done() is (not left)


def test_alone_the_order_is_that_of_the_plan():
    plan = chain(*[()] * 150)
    assert offered(Agenda(DoneSoFar(), plan, draw=lambda: 0.99))[0] == "i0"
    agenda, done = Agenda(DoneSoFar(), plan), []
    for _ in plan.items:
        item = next(agenda.choices())
        agenda.was_free()
        agenda.settled(item)
        done.append(item)
    assert done == list(plan.items)


def test_what_waits_for_a_device_is_left_to_others_and_what_others_do_of_it_frees_what_needs_it():
    plan, folder = chain((), (0,), ()), DoneSoFar()
    agenda = Agenda(folder, plan, {"i0"})
    agenda.look()
    assert offered(agenda) == ["i2"]
    folder.put("i0")
    agenda.look(now=True)
    assert "i1" in offered(agenda)


def test_nothing_is_measured_while_anything_else_is_to_be_done_or_being_done():
    plan = chain((), (), (), kinds=["measure", "fit", "measure"])
    assert [item.id for item in can_be_done(plan)] == ["i1"]
    assert [item.id for item in can_be_done(plan, done=["i1"])] == ["i0"]
    assert [item.id for item in can_be_done(plan, failed=["i1"])] == ["i0"]
    assert can_be_done(plan, done=["i0", "i1", "i2"]) == []


def test_a_look_opens_only_what_others_need_and_again_only_what_is_new():
    plan, folder = chain((), *[(0,)] * 500), DoneSoFar(done=[f"i{n}" for n in range(400)])
    agenda = Agenda(folder, plan)
    agenda.look()
    assert folder.opened == ["i0"]
    folder.put("i450")
    agenda.look(now=True)
    assert folder.opened == ["i0"]
    assert len(agenda.left) == 100


def test_listings_take_a_share_of_the_time():
    times = iter(range(1000))
    folder = DoneSoFar()
    agenda = Agenda(folder, chain(()), share=0.1, clock=lambda: float(next(times)))
    for _ in range(100):  # by this clock every listing takes a second
        agenda.look()
    assert 5 <= folder.listings <= 13


def test_after_tries_in_vain_it_draws_from_more_and_after_others_from_fewer():
    agenda = Agenda(DoneSoFar(), chain(*[()] * 100))
    assert agenda.window == 1
    tries = agenda.choices()
    for _ in range(4):
        agenda.was_had(next(tries))
    assert agenda.window == 16
    for _ in range(30):
        agenda.was_free()
    assert agenda.window == 1


def test_hundreds_of_workers_that_begin_together_begin_with_different_items():
    plan = chain(*[()] * 20_000)
    first = {next(Agenda(DoneSoFar(), plan).choices()).id for _ in range(10)}
    assert len(first) >= 7


def test_of_what_others_have_a_few_are_tried_at_a_look_and_all_again_when_a_lease_may_have_ended():
    moment = [0.0]
    agenda = Agenda(DoneSoFar(), chain(*[()] * 50), clock=lambda: moment[0])
    assert len(set(offered(agenda))) == 50
    assert not agenda.has_free
    assert len(offered(agenda)) == NUM_PROBES
    moment[0] = LEASE_S + 1
    again = [item.id for item in agenda.choices() if agenda.was_had(item) is None]
    assert len(set(again)) == MAX_TRIES  # and the others after a rest


def test_rests_are_short_here_and_on_a_network_between_3_and_10_s_and_never_the_same():
    here = [rest_s(waited, shared=False) for waited in (0, 10, 1000) for _ in range(50)]
    assert 0.8 * POLL_S <= min(here) <= max(here) <= 1.25 * POLL_S
    shared = [rest_s(waited, shared=True) for waited in (0, 50, 1000) for _ in range(50)]
    assert 0.8 * SHARED_POLL_S[0] <= min(shared) <= max(shared) <= 10.0
    assert len(set(shared)) > 100
    assert rest_s(50, shared=True, draw=lambda: 0.5) > rest_s(0, shared=True, draw=lambda: 0.5)
    assert SHARED_POLL_S[1] > agenda_module.POLL_SHARE * 50


def test_who_does_one_kind_of_items_is_done_with_these_and_leaves_the_others():
    folder, plan = DoneSoFar(), chain((), (), (0,), (1,))
    agenda = Agenda(folder, plan, theirs=["i0", "i3"])
    assert offered(agenda) == ["i1"]
    folder.put("i0")  # by others, which frees one of ours
    folder.put("i1")
    agenda.look(now=True)
    assert offered(agenda) == ["i2"]
    folder.put("i2")
    agenda.look(now=True)
    assert agenda.is_done()


def test_what_needs_a_failed_item_is_lost_through_items_of_others():
    folder, plan = DoneSoFar(), chain((), (0,), (1,))
    agenda = Agenda(folder, plan, theirs=["i1"])
    folder.put("i0", failed=True)
    agenda.look(now=True)
    assert agenda.is_done()


def test_what_runs_alone_waits_for_what_others_do():
    folder, plan = DoneSoFar(), chain((), (), kinds=["measure", "shallow"])
    agenda = Agenda(folder, plan, theirs=["i1"])
    assert offered(agenda) == []
    folder.put("i1")
    agenda.look(now=True)
    assert offered(agenda) == ["i0"]


def test_what_is_put_off_is_tried_after_the_others_and_again_at_the_next_look():
    agenda = Agenda(DoneSoFar(), chain((), ()))
    for item in agenda.choices():
        agenda.put_off(item.id)
    assert agenda.window == 1.0  # no other worker was met
    assert sorted(item.id for item in agenda.choices()) == ["i0", "i1"]
