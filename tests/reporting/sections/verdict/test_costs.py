"""The section on costs: energy only where it was measured, and a cell below every heading."""

import pytest
from altered import altered_configurations

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
    held = costs.section(data)["cost"]
    part = render(data).split('<section id="cost">')[1].split("</section>")[0]
    return (
        held,
        part,
        part.split("<thead>")[1].split("</thead>")[0].count("<th "),
        len(held["rows"][0]["cells"]),
    )


def test_energy_has_a_column_a_chart_and_what_was_counted(data):
    held, part, headings, cells = headings_and_cells(data())
    assert headings == cells + 1
    assert len(held["others"]) == 3
    assert "of the whole GPU" in part
    assert any("mWh shared" in row["cells"][5]["note"] for row in held["rows"])


@pytest.mark.parametrize("kind", [None, "the whole GPU"])
def test_without_energy_that_is_said_and_nothing_is_empty(data, kind):
    held, part, headings, cells = headings_and_cells(data(energy_j=None, energy_is=kind))
    assert headings == cells + 1
    assert len(held["others"]) == 2
    assert "Energy was not measured" in part
    assert "of the whole GPU" not in part


def test_times_that_others_lengthened_are_marked_and_no_reason_to_choose(data):
    held, part, _, _ = headings_and_cells(data(sharers=3.0))
    assert "measured while up to 3 programs shared one device" in part
    assert "all configurations" in held["shared"]
    tile = answer._cost(data(sharers=3.0).configurations[0].cost)
    assert "timed while 3 shared it" in tile.note
    assert headings_and_cells(data())[0]["shared"] == ""
