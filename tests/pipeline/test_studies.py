"""The worked studies: every file and variant is one, and the quick twins run to a report with all that they ask for."""

import pytest
from repository import ROOT

from foldwise.data.public.catalogue import SOURCES
from foldwise.learning.networks.describing import describe
from foldwise.learning.networks.network import DataShape
from foldwise.pipeline.pipeline import finish
from foldwise.pipeline.preparing import lay_out, prepare
from foldwise.pipeline.worker import work
from foldwise.study.configurations import configurations
from foldwise.study.reading import open_study
from foldwise.study.training import Training
from foldwise.study.yaml_places import read_source

STUDIES = sorted((ROOT / "studies").glob("[0-9]-*.yaml"))
VARIANTS = [
    pytest.param(path, name, id=f"{path.stem}-{name}")
    for path in STUDIES
    for name in ["", *read_source(path).value["variants"]]
]
# What the networks of a study must fit: task, channels and classes of the real data; and a size that is quick.
REAL = {
    "0-architectures": ("binary_segmentation", 3, 2, 32),
    "1-gels": ("binary_classification", 1, 2, 224),
    "2-losses": ("binary_segmentation", 1, 2, 64),
    "3-tissue": ("multiclass_segmentation", 1, 4, 64),
    "4-proteins": ("multilabel_classification", 4, 28, 192),
}
# Sections that the report of a quick twin must have, beside those of every report.
SECTIONS = {
    "0-architectures": ("factors", "curves", "side-by-side", "loss-panels", "pretraining", "robustness"),
    "1-gels": ("factors", "metrics", "curves", "confusion", "cost", "training"),
    "2-losses": ("factors", "epochs", "maps", "loss-curves"),
    "3-tissue": ("factors", "splits", "augmentation", "maps"),
    "4-proteins": ("factors", "thresholds", "labels", "throughput", "weights"),
}

# What only makes a quick twin longer: pictures that are larger, and epochs beyond those that a curve needs.
SHORTER = {
    "0-architectures": ("train.epochs=2",),
    "1-gels": (),
    "2-losses": ("train.epochs=2", "data.phantom.size=32", "data.phantom.images=12"),
    "3-tissue": ("data.phantom.size=32",),
    "4-proteins": ("data.phantom.size=32", "data.phantom.images=40"),
}


def by_stem(path):
    return path.stem


def test_there_are_five():
    assert [path.stem for path in STUDIES] == list(REAL) == list(SECTIONS) == list(SHORTER)


@pytest.mark.parametrize(("path", "variant"), VARIANTS)
def test_a_study_and_each_of_its_variants_compares_something(path, variant):
    study = open_study(path, variants=[variant] if variant else []).study
    assert len(configurations(study)) > 1
    assert study.data.phantom or study.data.source in SOURCES
    if not variant:
        assert study.data.source
    if variant in ("phantom", "quick"):
        assert study.data.phantom


@pytest.mark.parametrize("path", STUDIES, ids=by_stem)
def test_the_networks_of_the_real_study_can_be_built(path):
    task, channels, classes, size = REAL[path.stem]
    seen = {}
    for made in configurations(open_study(path).study):
        seen.setdefault(str(made.training.model), made.training)
    for training in seen.values():
        unloaded = Training.model_validate(training.model_dump() | {"weights": "none", "freeze": "none"})
        told = describe(
            unloaded, DataShape(task=task, in_channels=channels, num_classes=classes, size_hw=(size, size))
        )
        assert told.parameters > 1000


@pytest.mark.parametrize("path", STUDIES, ids=by_stem)
def test_every_factor_of_the_study_is_one_of_its_twins(path):
    factors = set(open_study(path).study.compare) - {"device"}  # which machines have what differs
    assert set(open_study(path, variants=["phantom"]).study.compare) >= factors
    quick = open_study(path, variants=["phantom", "quick"]).study
    assert set(quick.compare) >= factors
    levels = {factor: {made.levels[factor] for made in configurations(quick)} for factor in quick.compare}
    assert {factor for factor, known in levels.items() if len(known) < 2} == set()


@pytest.mark.parametrize("path", STUDIES, ids=by_stem)
def test_the_twin_is_found_sound_and_planned(path):
    prepared = prepare(open_study(path, variants=["phantom"]))
    assert len(set(prepared.audit.groups)) >= 2 * prepared.study.validate_.folds
    assert prepared.dataset.task == REAL[path.stem][0]
    if path.stem == "4-proteins":  # also as many channels and labels
        assert (prepared.packed.num_channels, len(prepared.dataset.classes)) == REAL[path.stem][1:3]


@pytest.mark.parametrize("path", STUDIES, ids=by_stem)
def test_the_quick_twin_runs_to_its_report(path, tmp_path):
    prepared = prepare(open_study(path, SHORTER[path.stem], ["phantom", "quick"]))
    folder = lay_out(prepared, tmp_path / "run")
    assert work(folder, device="cpu", log=lambda _: None) == len(prepared.plan.items)
    verdict = finish(folder)
    assert verdict.num_done == verdict.num_planned > 0
    page = folder.report.read_text(encoding="utf-8")
    assert "failures" not in [part.split('"')[0] for part in page.split('<section id="')[1:]]
    for name in SECTIONS[path.stem]:
        assert f'<section id="{name}"' in page, name
