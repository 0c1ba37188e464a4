"""The section on costs: energy only where it was measured, and a cell below every heading."""

import re

import pytest
from altered import altered_configurations

from foldwise.judging.verdict_configurations import ConfigurationResult
from foldwise.reporting.report import render
from foldwise.reporting.report_data import gather
from foldwise.reporting.sections.verdict import answer, costs


@pytest.fixture(scope="module")
def data(runs):
    """A run with energies, its costs as a test changes them."""
    data = gather(runs["classification24"])
    return lambda **cost: altered_configurations(
        data, lambda record: record | {"cost": record["cost"] | cost}
    )


def headings_and_cells(data):
    """The section as values and as HTML, and how many headings and cells the table of all has."""
    held = costs.section(data)["cost"]
    part = render(data).split('<section id="cost">')[1].split("</section>")[0]
    head = part.split("<thead>")[-1].split("</thead>")[0]
    return held, part, head.count("<th "), len(held["rows"][0]["cells"])


def test_energy_has_a_column_a_chart_and_what_was_counted(data):
    held, part, headings, cells = headings_and_cells(data())
    assert headings == cells + 1
    assert held["headings"] == ["ms/image", "training", "peak memory", "parameters", "energy"]
    assert len(held["panels"]) == 5
    assert "of the whole GPU" in part
    assert any("mWh shared" in row["cells"][5]["note"] for row in held["rows"])


@pytest.mark.parametrize("kind", [None, "the whole GPU"])
def test_without_energy_that_is_said_and_nothing_is_empty(data, kind):
    held, part, headings, cells = headings_and_cells(data(energy_j=None, energy_is=kind))
    assert headings == cells + 1
    assert len(held["panels"]) == 4
    assert "Energy was not measured" in part
    assert "of the whole GPU" not in part


def test_the_front_has_letters_in_the_charts_and_in_the_table(data):
    held, part, _, _ = headings_and_cells(data())
    letters = [row["letter"] for row in held["marked"]]
    assert letters == [chr(ord("A") + place) for place in range(len(letters))]
    assert held["marked"][0]["standing"] == "winner"
    for front, panel in zip(data().verdict.cost_fronts, held["panels"], strict=True):
        names = {row["name"]: row["letter"] for row in held["marked"]}
        shown = set(re.findall(r'class="name strong letter">([A-Z]+)<', str(panel)))
        members = {names[data().names[member.id]] for member in front.members}
        assert shown == members | {"A"}
        hollow = sum(member.not_better_than is not None for member in front.members)
        assert len(re.findall(r'class="mark [^"]*hollow"', str(panel))) == hollow
        assert str(panel).count('class="mark') == len(front.values)
    assert all(len(row["cells"]) == 1 + len(held["headings"]) for row in held["marked"])
    assert data().verdict.cost_sentences[0].split(" answers")[0] in part


def test_letters_cover_no_mark_and_no_other_letter_where_there_is_room():
    result = ConfigurationResult.model_construct(verdict="worse", could_be_best=False, id="c")
    places = [costs.Spot(result, 100 + 40 * place, 100 + 20 * place, True, False) for place in range(4)]
    drawn = costs._letters([(letter, place) for letter, place in zip("ABCD", places, strict=True)], places)
    assert len(drawn) == 4
    boxes = [
        (float(x), float(y) - 9, float(x) + 8, float(y) + 2)
        for x, y in (re.search(r'x="([\d.]+)" y="([\d.]+)"', str(letter)).groups() for letter in drawn)
    ]
    marks = [(place.x - 5, place.y - 5, place.x + 5, place.y + 5) for place in places]
    for place, box in enumerate(boxes):
        others = boxes[:place] + boxes[place + 1 :] + marks
        assert all(costs._overlap(box, other) == 0 for other in others)


def test_a_hopeless_configuration_squeezes_no_other(data):
    best = data().verdict.configurations[0].estimate

    def far_below(record):
        return (
            record | {"estimate": -50.0, "low": -51.0, "high": -49.0}
            if record["verdict"] == "worse"
            else record
        )

    held = costs.section(altered_configurations(data(), far_below))["cost"]
    drawn = str(held["panels"][0])
    assert "triangle" not in drawn
    ticks = [float(tick) for tick in re.findall(r'text-anchor="end">(-?[\d.]+)<', drawn)]
    assert ticks
    assert min(ticks) > best - 2


def test_one_configuration_has_a_table_and_no_chart(runs):
    held = costs.section(gather(runs["single"]))["cost"]
    assert (held["panels"], held["marked"][0]["letter"], held["sentences"]) == ([], "A", ())


def test_times_that_others_lengthened_are_marked_and_no_reason_to_choose(data):
    held, part, _, _ = headings_and_cells(data(sharers=3.0))
    assert "measured while up to 3 programs shared one device" in part
    assert "all configurations" in held["shared"]
    tile = answer._cost(data(sharers=3.0).configurations[0].cost)
    assert "timed while 3 shared it" in tile.note
    assert headings_and_cells(data())[0]["shared"] == ""
    kinds = [front.cost for front in data(sharers=3.0).verdict.cost_fronts]
    assert kinds == ["memory_mb", "parameters"]
