"""The sections on calibration and on boundaries: what they say, and where they are silent."""

from dataclasses import replace

import numpy as np
import pytest
from altered import altered
from judged import judge
from make_run import RUNS, make_run

from foldwise.judging.verdict_sections import ConfigurationCalibration
from foldwise.reporting.report import render
from foldwise.reporting.report_data import gather
from foldwise.reporting.sections.verdict import calibration
from foldwise.reporting.sections.verdict.classes import boundary_section
from foldwise.runs.folder import read_json, write_json

WANTED = {
    "labels": replace(RUNS["multilabel"], images=24),
    "masks": replace(RUNS["segmentation6"], images=12, size=48),
}


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Each run made once, by the first test that asks for it: its images are then in the cache of the tests."""
    made = {}

    def folder_of(name):
        if name not in made:
            made[name], _ = make_run(tmp_path_factory.mktemp("runs") / name, WANTED[name])
        return made[name]

    return folder_of


def test_labels_have_two_panels_and_a_row_for_every_configuration(judged):
    data = gather(judged("labels"))
    held = calibration.section(data)["calibration"]
    assert [words for words, _ in held["panels"]] == list(calibration.STEPS.values())
    assert [row["name"] for row in held["rows"]] == list(data.names.values())
    told = data.verdict.calibration.configurations[0]
    best = held["rows"][0]["cells"]
    assert best[0]["value"] == told.temperature.median
    assert best[3]["note"] == f"perfect {told.before.ece_perfect:.3f}"
    page = render(data)
    assert 'id="calibration"' in page
    assert 'id="boundary"' not in page


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            (0.08, 0.03, 0.13, "over-confident"),
            (0.01, -0.04, 0.06, "undecided"),
            "A is over-confident: it is right less often than it says, by 0.080 (0.030 to 0.13). At its temperature, "
            "1.80 (median of the folds), no more is left than chance gives: +0.010 (−0.040 to +0.060).",
        ),
        (
            (-0.08, -0.13, -0.03, "under-confident"),
            (0.05, 0.02, 0.08, "over-confident"),
            "A is under-confident: it is right more often than it says, by 0.080 (0.030 to 0.13). At its temperature, "
            "1.80 (median of the folds), it is over-confident, by 0.050 (0.020 to 0.080).",
        ),
        (
            (0.02, -0.05, 0.09, "undecided"),
            (-0.05, -0.08, -0.02, "under-confident"),
            "Whether A is over- or under-confident cannot be told: the probability of its decisions, minus how often they "
            "are right, is +0.020 (−0.050 to +0.090). At its temperature, 1.80 (median of the folds), it is "
            "under-confident, by 0.050 (0.020 to 0.080).",
        ),
    ],
)
def test_the_sentence_says_no_more_than_the_interval(before, after, expected):
    steps = {}
    for step, values in (("before", before), ("after", after)):
        gap = dict(zip(("estimate", "low", "high", "conclusion"), values, strict=True))
        numbers = dict.fromkeys(("brier", "log_loss", "ece", "ece_perfect", "bins"))
        steps[step] = numbers | {"overconfidence": gap}
    temperature = {"median": 1.8, "low": 1.0, "high": 2.0, "folds": []}
    record = ConfigurationCalibration(id="a", name="A", temperature=temperature, **steps)
    assert calibration.sentence(record) == expected


def test_pixels_are_only_described(judged):
    held = calibration.section(gather(judged("masks")))["calibration"]
    assert held["descriptive"]
    assert (len(held["panels"]), held["rows"], held["sentence"]) == (1, [], "")


def test_nothing_is_shown_of_a_verdict_without_calibration(judged):
    data = gather(judged("labels"))
    older = altered(data, calibration=None)
    assert calibration.section(older) is None


def test_boundaries_are_shown_where_they_are_asked_for(judged):
    folder = judged("masks")
    assert boundary_section(gather(folder)) is None
    asked = read_json(folder.study_record)
    asked["judge"] |= {"boundary": True, "tolerance_px": 1.5}
    write_json(folder.study_record, asked)
    verdict = judge(folder)
    data = gather(folder)
    held = boundary_section(data)["boundary"]
    assert (held["tolerance"], held["classes"]) == ("1.5", verdict["classes"][1:])
    assert len(held["rows"]) == len(verdict["configurations"])
    first, told = held["rows"][0]["cells"], verdict["boundary"]["configurations"][0]["hd95"]
    assert first[0]["value"] == verdict["configurations"][0]["metrics"]["nsd_img_macro"]["estimate"]
    assert [cell["value"] for cell in first[1:]] == [told[name]["median"] for name in held["classes"]]
    assert np.isfinite(first[1]["value"])
    assert "1.5 pixels" in render(data)
