"""A whole run with and without pretraining: done once a fold, counted, told; and where it fails, its fits are skipped."""

import pytest

from foldwise.pipeline import pipeline, preparing
from foldwise.pipeline import worker as work_module
from foldwise.pipeline.preflight import preflight
from foldwise.pipeline.worker import work
from foldwise.runs.folder import RunFolder, read_json
from foldwise.study.reading import open_study

STUDY = """
study: tiny
data: {phantom: {kind: bacteria, images: 12, size: 32, difficulty: 0.3}}
train: {model: {conv: {width: 4, depth: 2}}, epochs: 1, batch_size: 4}
compare:
  pretrain: [none, {denoise: {epochs: 2}}]
  loss: [dice, cross_entropy]
validate: {folds: 2, inner: 0.3}
"""


@pytest.fixture
def laid_out(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    prepared = preparing.prepare(open_study(path))
    return prepared, preparing.lay_out(prepared, tmp_path / "run")


def test_a_run_pretrains_once_a_fold_and_says_what_it_took(laid_out):
    prepared, folder = laid_out
    costs = preflight(prepared, device="cpu")
    of_fits = sum(2 * cost.seconds_per_fit for cost in costs.of.values())
    once = [cost.seconds_for_pretraining for cost in costs.of.values() if cost.seconds_for_pretraining]
    assert len(once) == 2
    assert 2 * min(once) * (1 - 1e-9) <= costs.seconds(prepared.plan) - of_fits <= 2 * max(once) * (1 + 1e-9)
    assert work(folder, device="cpu", log=lambda _: None) == 10  # 2 pretrainings, 8 fits
    verdict = pipeline.finish(folder)
    shared = {row.name: row.cost.shared_pretrain_s for row in verdict.configurations}
    assert shared["pretrain none · dice"] is shared["pretrain none · cross_entropy"] is None
    assert shared["denoise (epochs 2) · dice"] == shared["denoise (epochs 2) · cross_entropy"] > 0
    page = folder.report.read_text(encoding="utf-8")
    assert '<section id="pretraining">' in page
    assert "conv (width 4, depth 2) · denoise (epochs 2)" in page
    assert page.count("Pretraining is done once a fold") == 1
    first = next(item for item in prepared.plan.items if item.kind == "pretrain")
    assert read_json(folder.done(first.id) / "result.json")["by"] == "denoise (epochs 2)"


def test_fits_whose_pretraining_failed_are_skipped_and_all_others_done(laid_out, monkeypatch):
    prepared, folder = laid_out

    def fails(job):
        raise ValueError("no such luck")

    monkeypatch.setattr(work_module, "TASKS", work_module.TASKS | {"pretrain": fails})
    work(folder, device="cpu", log=lambda _: None)
    counts = RunFolder(folder.root).status(prepared.plan)
    assert (counts.done, counts.failed, counts.skipped) == (4, 2, 4)
    page = pipeline.finish(folder) and folder.report.read_text(encoding="utf-8")
    assert '<section id="pretraining">' not in page
    assert "Pretraining is done once a fold" not in page
