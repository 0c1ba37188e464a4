"""The section on speed: panels, lines, the limit, what could not be measured, and names that are no HTML."""

import pytest
from altered import altered
from make_run import MARKUP

from foldwise.judging.verdict_configurations import Cost
from foldwise.reporting.drawing.curves import speed_panel
from foldwise.reporting.report import render
from foldwise.reporting.report_data import gather
from foldwise.reporting.sections.verdict.costs import peak_memory
from foldwise.reporting.sections.verdict.speed import section, speed_words


def pace(median):
    return {"median": median, "low": 0.9 * median, "high": 1.2 * median, "repeats": 5}


def point(size, train, limit, **changes):
    known = {"train": pace(train), "limit": pace(limit), "inference": pace(3 * train), "problem": None}
    return {"batch_size": size, "peak_memory_mb": 10.0 * size} | known | changes


def empty(size, problem):
    nothing = dict.fromkeys(("train", "limit", "inference", "peak_memory_mb"))
    return {"batch_size": size, "problem": problem} | nothing


def row(cache, points, **changes):
    known = {
        "model": "conv",
        "cache": cache,
        "cache_used": cache,
        "device": "cpu",
        "device_name": "a processor",
    }
    known |= {"threads": 1, "parameters": 6400, "peak_memory_is": "growth of process memory", "error": None}
    known |= {"precision": "fp32", "fill_s": None}
    return known | {"title": f"speed, {cache}", "cores": 4, "others_busy": 0.1, "points": points} | changes


@pytest.fixture(scope="module")
def data(runs):
    return gather(runs["single"])


def told(data, *rows):
    return altered(data, throughput=list(rows))


def test_there_is_no_section_where_nothing_was_measured(data):
    assert section(data) is None
    assert section(told(data)) is None
    assert 'id="throughput"' not in render(data)


def test_a_panel_for_every_model_and_device_and_a_line_for_every_cache(data):
    rows = [row(cache, [point(1, 50, 100), point(4, 80, 100)]) for cache in ("memory", "disk", "none")]
    rows.append(row("disk", [point(1, 5, 10)], model="resnet"))
    held = section(told(data, *rows))["speed"]
    assert [panel["name"] for panel in held["panels"]] == ["conv", "resnet"]
    assert (
        held["panels"][0]["best"] == "fastest: 80 images/s in batches of 4, in memory; 80\u00a0% of the limit"
    )
    first = str(held["panels"][0]["drawing"])
    assert [first.count(f"series hue{hue}") for hue in (0, 1, 2)] == [1, 1, 1]
    assert first.count("series thin") == 6
    assert first.count('class="chance"') == 1
    assert len(held["rows"]) == 7
    assert held["busy"] == ""


def test_devices_are_named_where_there_are_several(data):
    rows = [
        row("disk", [point(1, 50, 100)]),
        row("memory", [point(1, 500, 900)], device="cuda", cache_used="device"),
    ]
    held = section(told(data, *rows))["speed"]
    assert [panel["name"] for panel in held["panels"]] == ["conv on cpu", "conv on cuda"]
    assert "on the GPU" in held["panels"][1]["best"]


def test_the_limit_is_the_fastest_of_its_measurements(data):
    rows = [row("memory", [point(1, 50, 60)]), row("disk", [point(1, 40, 100)])]
    best = section(told(data, *rows))["speed"]["panels"][0]["best"]
    assert best.endswith("; 50\u00a0% of the limit")
    faster = section(told(data, row("memory", [point(1, 61, 60)])))["speed"]["panels"][0]["best"]
    assert faster.endswith("; at the limit")  # noise: nothing is faster than its limit


def test_what_could_not_be_measured_is_said_and_drawn_as_nothing(data):
    held = section(told(data, row("disk", [point(1, 5, 10), empty(64, "out of memory")])))["speed"]
    assert held["panels"][0]["problems"] == ["batches of 64: out of memory"]
    assert held["rows"][1]["problem"] == "out of memory"
    assert held["rows"][1]["cells"][1]["shown"] == "–"
    nothing = section(told(data, row("disk", [empty(64, "out of memory")])))["speed"]
    assert nothing["panels"][0]["best"] == ""


def test_a_measure_that_failed_is_said(data):
    page = render(told(data, row("none", None, error="no room <b>")))
    assert "speed, none failed: no room &lt;b&gt;" in page


def test_other_programs_that_were_busy_are_said(data):
    held = section(told(data, row("disk", [point(1, 5, 10)], others_busy=1.24)))["speed"]
    assert held["busy"] == "1.2 of 4 cores"
    assert "kept up to 1.2 of 4 cores busy" in render(
        told(data, row("disk", [point(1, 5, 10)], others_busy=1.24))
    )


def test_names_are_escaped(data):
    page = render(told(data, row("disk", [point(1, 5, 10)], model=MARKUP, device_name=MARKUP)))
    assert MARKUP not in page


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.567, "0.57"), (5.67, "5.7"), (56.7, "57"), (567.2, "567"), (5672, "5\u202f670"), (99.99, "100")],
)
def test_speeds_have_the_digits_they_are_worth(value, said):
    assert speed_words(value) == said


def test_the_axis_begins_at_nothing_and_has_the_sizes_that_were_measured():
    drawn = str(speed_panel("x", {1: [(3, 10.0, 9.0, 11.0), (48, 20.0, 19.0, 21.0)]}, {3: 12.0, 48: 30.0}))
    assert ">3</text>" in drawn
    assert ">48</text>" in drawn
    assert ">0</text>" in drawn


@pytest.mark.parametrize(
    ("held", "shown", "note"),
    [
        ({"peak_memory_mb": 420.0}, "420\u00a0MB", ""),
        ({"peak_memory_mb": 420.0, "reserved_memory_mb": 600.0}, "420\u00a0MB", "600\u00a0MB reserved"),
        ({"peak_memory_mb": 2.0, "shared_peak_memory_mb": 900.0}, "900\u00a0MB", "shared encoder"),
        ({"peak_memory_mb": 900.0, "shared_peak_memory_mb": 2.0}, "900\u00a0MB", ""),
        ({"peak_memory_mb": None, "shared_peak_memory_mb": 9.0}, "9\u00a0MB", "shared encoder"),
        ({}, "–", ""),
    ],
)
def test_memory_is_that_of_the_hungrier_part_and_says_which(held, shown, note):
    told = peak_memory(Cost(**held))
    assert (told["shown"], told["note"]) == (shown, note)
