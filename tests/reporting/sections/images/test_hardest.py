"""The hardest images: which they are, what is said of them, and the findings of the audit beside them."""

import re
from dataclasses import replace

import numpy as np
import pytest
from make_run import MARKUP, Wanted, make_run

from foldwise.judging.curves import ImageComparison
from foldwise.reporting.report import render
from foldwise.reporting.report_data import gather
from foldwise.reporting.sections.images import hardest


def made(tmp_path_factory, kind, skills, **changes):
    wanted = Wanted(kind, {"optimizer": ["adam", "sgd", "rmsprop"]}, skills, "Hard", folds=2, **changes)
    return gather(make_run(tmp_path_factory.mktemp(kind) / "run", wanted)[0])


@pytest.fixture(scope="module")
def classified(tmp_path_factory):
    return made(tmp_path_factory, "gels", (0.5, 0.4, 0.3), images=40, size=32, rename={1: MARKUP})


@pytest.fixture(scope="module")
def segmented(tmp_path_factory):
    return made(tmp_path_factory, "cells", (1.2, 1.1, 1.0), images=16, size=48)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    return made(tmp_path_factory, "proteins", (0.5, 0.4, 0.3), images=20, size=32)


def said_by_all(data):
    """(configurations, images) whether each is wrong; all images are tested once."""
    ids = list(data.names)
    return np.array(
        [
            [data.probabilities(one)[case.index].argmax() != case.labels[0] for case in data.cases]
            for one in ids
        ]
    )


def test_images_that_more_than_half_get_wrong_are_in_order(classified):
    held = hardest.section(classified)["hardest"]
    wrong = said_by_all(classified).mean(axis=0)
    (title, images), (other, differing) = held["galleries"]
    assert (title, other) == ("Wrong in most configurations", "Configurations differ most")
    shares = {case.name: wrong[case.index] for case in classified.cases}
    order = [shares[one["name"]] for one in images]
    assert order == sorted(order, reverse=True)
    assert len(images) == min(hardest.EACH, int((wrong > 0.5).sum()))
    assert order == sorted(wrong.tolist(), reverse=True)[: len(order)]
    assert {one["name"] for one in images}.isdisjoint(one["name"] for one in differing)
    assert all(0 < shares[one["name"]] < 1 for one in differing)
    words = dict(images[0]["words"])
    assert words["wrong"] == f"{100 * order[0]:.0f}\u00a0%"
    assert sum(map(int, re.findall(r"\d+(?=,|$)", words["said"]))) == 3


def test_the_table_names_every_image_that_any_gets_wrong(classified):
    held = hardest.section(classified)["hardest"]
    wrong = said_by_all(classified).mean(axis=0)
    listed = {row["name"]: row for row in held["rows"]}
    assert set(listed) == {case.name for case in classified.cases if wrong[case.index] > 0}
    for case in classified.cases:
        if wrong[case.index]:
            assert listed[case.name]["ease"] == pytest.approx(wrong[case.index])
            assert listed[case.name]["apart"] == pytest.approx(min(wrong[case.index], 1 - wrong[case.index]))


def test_the_findings_of_the_audit_stand_beside_their_images(classified):
    name = hardest.section(classified)["hardest"]["galleries"][0][1][0]["name"]
    findings = [
        {"code": "near_duplicates", "cases": [name, "another"]},
        {"code": "all_of_them", "cases": [case.name for case in classified.cases]},
        {"code": "of_none"},
    ]
    told = replace(classified, audit={**classified.audit, "findings": findings})
    shown = {one["name"]: one["findings"] for _, images in hardest.section(told)["hardest"]["galleries"] for one in images}  # fmt: skip
    assert shown.pop(name) == ["near duplicates"]
    assert set(map(tuple, shown.values())) == {()}
    row = next(row for row in hardest.section(told)["hardest"]["rows"] if row["name"] == name)
    assert row["findings"] == "near duplicates"


def test_where_all_are_right_nothing_is_shown_as_hard(classified):
    nothing = ImageComparison(3, 3, (), ())
    perfect = replace(classified, curves=replace(classified.curves, images=nothing))
    held = hardest.section(perfect)["hardest"]
    assert (held["galleries"], held["rows"], held["easy"]) == ([], [], True)
    assert "No image is wrong in more than half of the configurations." in render(perfect)


def test_masks_are_shown_from_the_lowest_and_none_twice(segmented):
    ids = list(segmented.names)
    scores = {
        case.name: [segmented.curves.image_scores[one][case.index] for one in ids] for case in segmented.cases
    }
    (_, lowest), (_, spread) = hardest.section(segmented)["hardest"]["galleries"]
    order = sorted(scores, key=lambda name: np.median(scores[name]))
    assert [one["name"] for one in lowest] == order[: hardest.EACH]
    assert dict(lowest[0]["words"])["median Dice"] == f"{np.median(scores[order[0]]):.2f}"
    ends = [min(scores[order[0]]), max(scores[order[0]])]
    assert dict(lowest[0]["words"])["lowest to highest"] == "{:.2f} to {:.2f}".format(*ends)
    assert len(spread) == hardest.EACH
    assert {one["name"] for one in spread}.isdisjoint(one["name"] for one in lowest)


def test_a_pixel_map_says_in_how_many_configurations_it_is_wrong(segmented):
    ids = list(segmented.names)
    truth = np.asarray(segmented.images.target(4))
    masks = []
    for one in ids:
        with np.load(segmented.predictions[one][4]) as arrays:
            masks.append(arrays["4"] != truth)
    found = hardest._wrong(segmented, 4, ids, truth)
    assert found == pytest.approx(np.mean(masks, axis=0))
    assert 0 < found.mean() < 1
    ignored = truth.copy()
    ignored[0, :3] = 255
    assert np.isnan(hardest._wrong(segmented, 4, ids, ignored)).sum() == 3
    assert hardest._wrong(replace(segmented, predictions={}), 4, ids, truth) is None


def test_several_labels_say_who_says_what(labelled):
    ids = list(labelled.names)
    (_, lowest), *_ = hardest.section(labelled)["hardest"]["galleries"]
    case = next(case for case in labelled.cases if case.name == lowest[0]["name"])
    said = np.sum([labelled.curves.decisions[one][case.index] for one in ids], axis=0)
    words = dict(lowest[0]["words"])
    for k in case.labels:
        assert f"{labelled.classes[k]}\u00a0{said[k]}" in words["truth, and how many say so"]
    others = sorted((int(said[k]) for k in range(len(said)) if k not in case.labels), reverse=True)[:3]
    numbers = [int(number) for number in re.findall(r"\u00a0(\d+)", words["said most, but not so"])]
    assert numbers == [number for number in others if number]
    medians = {one.index: np.median([labelled.curves.image_scores[i][one.index] for i in ids]) for one in labelled.cases}  # fmt: skip
    assert case.index == min(medians, key=medians.get)


def test_one_configuration_has_no_one_to_differ_from(runs):
    assert hardest.section(gather(runs["single"])) is None


def test_the_page_asks_to_look_and_warns_of_choosing_by_the_result(classified, segmented, labelled):
    for data in (classified, segmented, labelled):
        section = re.search(r'<section id="hardest">.*?</section>', render(data), re.DOTALL)[0]
        assert "Leaving images out after seeing these results is choosing the data by the result" in section
        assert "the label is often wrong" in section
        assert MARKUP not in section
    without = render(replace(classified, images=None))
    assert '<section id="hardest">' in without


def test_of_very_many_configurations_the_best_are_compared(classified):
    fewer = replace(classified.curves, images=replace(classified.curves.images, num=2))
    shown = replace(classified, curves=fewer)
    held = hardest.section(shown)["hardest"]
    assert (held["num"], held["left_out"]) == (2, 1)
    assert "Only the best 2 configurations are compared." in render(shown)
