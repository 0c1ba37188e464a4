"""The sections of what stands beside the fits: drawn from a whole small run, and left out where nothing was asked."""

import re
from dataclasses import replace

import pytest
from altered import altered
from judged import judge

from foldwise.pipeline.preflight import preflight
from foldwise.pipeline.preparing import lay_out, prepare
from foldwise.pipeline.worker import do_item
from foldwise.reporting.report import render
from foldwise.reporting.report_data import gather
from foldwise.reporting.sections.training import before_training
from foldwise.reporting.sections.verdict import robustness
from foldwise.study.reading import open_study

SEGMENTED = """
study: a
data: {phantom: {kind: cells, images: 12, size: 48}}
compare: {model: [{unet: {width: 4, depth: 2}}, {conv: {width: 4, depth: 2}}]}
train: {epochs: 1, augment: strong, crop_px: 32, batch_size: 4}
validate: {folds: 2, group: none}
robustness: {blur_px: [0, 1, 2, 4], noise: [0, 0.3]}
baselines: [{logistic_regression: {pixels: 500}}]
"""


CLASSIFIED = """
study: a
data: {phantom: {kind: gels, images: 16, size: 32}, size: 32}
train: {model: {conv: {width: 4}}, epochs: 1, augment: {rotate_deg: 20}, batch_size: 4}
validate: {folds: 2, near_duplicates: ignore}
robustness: {blur_px: [0, 2], noise: [0.1]}
"""


@pytest.fixture(scope="module")
def data_of(tmp_path_factory):
    made = {}

    def data(text):
        if text not in made:
            root = tmp_path_factory.mktemp("run")
            (root / "study.yaml").write_text(text, encoding="utf-8")
            prepared = prepare(open_study(root / "study.yaml"))
            preflight(prepared)
            folder = lay_out(prepared, root / "run")
            failed = [item.title for item in prepared.plan.items if do_item(folder, item)["error"]]
            assert not failed
            judge(folder)
            made[text] = gather(folder)
        return made[text]

    return data


def test_every_condition_is_in_the_heat_maps_and_few_in_the_pictures(data_of):
    data = data_of(SEGMENTED)
    held = robustness.section(data)["robustness"]
    assert len(held["maps"]) == len(held["bars"]) == 2
    shares = []
    for one, told in zip(held["maps"], data.verdict.robustness.configurations, strict=True):
        assert [blur for blur, _ in one["rows"]] == ["0", "1", "2", "4"]
        cells = [cell for _, row in one["rows"] for cell in row]
        estimates = [held.metrics["dice_img_macro"].estimate for held in told.conditions]
        assert [cell["shown"] for cell in cells] == [f"{value:.2f}" for value in estimates]
        shares += [(value, float(cell["share"])) for value, cell in zip(estimates, cells, strict=True)]
    assert [share for _, share in sorted(shares)] == sorted(share for _, share in shares)
    assert (min(shares)[1], max(shares)[1]) == (0.08, 1.0)
    assert [blur for blur, _ in held["example"]["rows"]] == ["0", "2", "4"]
    assert held["example"]["noise"] == ["0", "0.3"]
    assert str(held["bars"][0]["drawing"]).count("<rect") == 4 * 2 * 4


def test_a_classification_is_shown_with_the_probability_of_the_truth(data_of):
    held = robustness.section(data_of(CLASSIFIED))["robustness"]
    ((_, first), (_, second)) = held["example"]["rows"]
    assert len(first) == len(second) == 1
    assert re.fullmatch(r"[<>]?\d+\u00a0% given to the truth", first[0].words)
    assert first[0].source != second[0].source


def test_draws_stand_beside_their_original(data_of):
    for text, ignored in ((SEGMENTED, False), (CLASSIFIED, True)):
        held = before_training.augmentation_section(data_of(text))["augmentation"]
        (panel,) = held["panels"]
        assert [picture.words for picture in panel["rows"][0]["pictures"]] == [
            "as it is", "draw 1", "draw 2", "draw 3", "draw 4",
        ]  # fmt: skip
        assert len(panel["rows"]) == 4
        assert held["ignored"] is ignored or text == SEGMENTED
    assert panel["parts"] == "rotation ≤ 20°"
    assert panel["used"] == ""


def test_sections_say_nothing_where_nothing_was_asked(data_of):
    plain = replace(data_of(SEGMENTED), auxiliary=[])
    assert before_training.augmentation_section(plain) is None
    assert robustness.section(altered(plain, robustness=None)) is None


def test_pages_stand_without_the_pictures_too(data_of):
    for text in (SEGMENTED, CLASSIFIED):
        page = render(replace(data_of(text), images=None))
        assert 'id="augmentation"' in page
        assert 'id="robustness"' in page


def test_failed_items_are_listed_and_escaped(data_of):
    data = data_of(CLASSIFIED)
    failed = {
        "item": "preview-1",
        "kind": "preview",
        "title": "<b>",
        "type": "ValueError",
        "message": "<script>",
    }
    page = render(altered(data, failed_items=[failed]))
    assert "&lt;script&gt;" in page
    assert "<b>&lt;b&gt;</b>" in page
    assert 'id="failures"' not in render(data)


def test_baselines_are_rows_with_intervals_and_pictures(data_of):
    page = render(data_of(SEGMENTED))
    assert page.count("logistic regression (pixels 500)") >= 3
    assert re.search(r"<b class=\"(worse|tied)\">(not )?beaten</b>", page)


def test_few_strengths_begin_and_end_with_the_outer_ones():
    assert robustness.few([0, 1, 2, 4], 3) == [0, 2, 3]
    assert robustness.few([0, 1], 3) == [0, 1]
