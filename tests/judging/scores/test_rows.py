"""Damaged and missing files of a run are named."""

import pytest
from tiny_run import Wanted, make_run

from foldwise.errors import RunError
from foldwise.judging.scores.rows import read_rows


def test_outputs_are_in_order_of_cases(tmp_path):
    rows = read_rows(make_run(tmp_path / "run", Wanted(repeats=2)))
    outputs = rows.outputs(rows.configurations[0].id, 1)
    assert outputs.case.tolist() == list(range(48))
    assert sorted(set(outputs.fold.tolist())) == [0, 1, 2]
    assert outputs.truth.sum() == 48


def test_damaged_scores_are_named(tmp_path):
    folder = make_run(tmp_path / "run")
    rows = read_rows(folder)
    fit = rows.done(rows.configurations[0].id)[0]
    (fit.path / "scores.npz").write_bytes(b"half a file")
    with pytest.raises(RunError) as caught:
        rows.outputs(fit.configuration, 0)
    assert caught.value.where == str(fit.path / "scores.npz")
    assert "Run the study again" in str(caught.value)


def test_a_folder_without_cases_is_refused(tmp_path):
    folder = make_run(tmp_path / "run")
    folder.cases.unlink()
    with pytest.raises(RunError, match=r"cases\.csv is missing"):
        read_rows(folder)


def test_what_needs_a_failed_item_has_failed(tmp_path):
    folder = make_run(tmp_path / "run", Wanted(missing=((0, 0, 0),)))
    plan = folder.load_plan()
    lost = next(item for item in plan.items if not folder.done(item.id).exists())
    object.__setattr__(lost, "needs", ("features-1",))
    folder.done("features-1").mkdir(parents=True)
    (folder.done("features-1") / "result.json").write_text('{"status": "failed"}')
    fit = next(fit for fit in read_rows(folder, plan).fits if fit.item == lost.id)
    assert (fit.status, fit.result["error"]["type"]) == ("failed", "Skipped")


def test_near_duplicates_are_one_unit_and_single_images_their_own(tmp_path):
    folder = make_run(tmp_path / "run")
    text = folder.cases.read_text(encoding="utf-8")
    for copy in ("g1", "g2"):
        text = text.replace(f",{copy},16", ",g0,16")
    folder.cases.write_text(text, encoding="utf-8")
    units = read_rows(folder).units
    assert (units.count, units.grouped) == (46, True)
    assert units.step == pytest.approx((45 + 1 / 3) / 46)
