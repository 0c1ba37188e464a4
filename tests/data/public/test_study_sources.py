"""A study that names a public data set: found, refused with what it takes, or fetched; and read as its row says."""

from dataclasses import replace
from pathlib import Path

import pytest
from loopback import serving
from repository import ROOT
from small_originals import original, zipped

from foldwise.data.layouts.layouts import read_dataset
from foldwise.data.public import catalogue, getting
from foldwise.data.public.catalogue import Web
from foldwise.data.public.conversions import silent
from foldwise.data.public.getting import fetch_source, get, source_facts, with_source
from foldwise.errors import DataError, MissingExtra, SpecError
from foldwise.study.reading import open_study, study_from_dict
from foldwise.study.yaml_places import read_source


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A current folder and a cache of one's own."""
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def asked(**data):
    validate = data.pop("validate", {})
    return study_from_dict({"study": "a", "data": data, "train": {"model": "conv"}, "validate": validate})


@pytest.mark.parametrize("source", catalogue.SOURCES.values(), ids=lambda source: source.name)
def test_every_source_is_read_by_its_name_alone(source, tmp_path):
    get(source.name, Path("data") / source.name, local=original(source.name, tmp_path))
    study = with_source(asked(source=source.name), Path())
    dataset = read_dataset(study.data, base=Path(), group=study.validate_.group)
    assert dataset.task == source.task
    facts = source_facts(study.data)
    assert (facts["title"], facts["citation"], facts["licence"]) == (
        source.title,
        source.citation,
        source.licence,
    )
    if "classes" in source.study:
        assert dataset.classes == study.data.classes


REAL = [
    pytest.param(path, variant, id=f"{path.stem}-{variant}")
    for path in sorted((ROOT / "studies").glob("[0-9]-*.yaml"))
    for variant, changes in ({"": {}} | read_source(path).value["variants"]).items()
    if "phantom" not in changes.get("data", {})
]


@pytest.mark.parametrize(("path", "variant"), REAL)
def test_a_worked_study_reads_its_public_data_set(path, variant, tmp_path):
    study = open_study(path, variants=[variant] if variant else []).study
    get(study.data.source, Path("data") / study.data.source, local=original(study.data.source, tmp_path))
    study = with_source(study, Path())
    dataset = read_dataset(study.data, base=Path(), group=study.validate_.group)
    told = " ".join(dataset.statements)
    if study.data.slices_per_group is not None:
        assert f"{study.data.slices_per_group} in a row" in told
    elif study.validate_.group not in ("none", "auto", "near-duplicates"):
        assert "groups of" in told


def test_what_the_study_states_counts_and_the_source_fills_in_the_rest(tmp_path):
    get("mtneuro", Path("data/mtneuro"), local=original("mtneuro", tmp_path))
    study = with_source(asked(source="mtneuro", size=64, classes=["a", "b", "c", "d"]), Path())
    assert (study.data.size, study.data.classes) == (64, ("a", "b", "c", "d"))
    assert (study.validate_.folds, study.validate_.group) == (3, "group")
    kept = with_source(asked(source="mtneuro", validate={"folds": 2, "group": "split"}), Path())
    assert (kept.validate_.folds, kept.validate_.group) == (2, "split")


def test_a_set_beside_the_study_file_is_found_as_well(tmp_path):
    beside = tmp_path / "studies"
    get("gels", beside / "data" / "gels", local=original("gels", tmp_path))
    assert with_source(asked(source="gels"), beside).data.path == str(beside / "data" / "gels")


def test_what_is_not_here_is_refused_with_its_size_licence_and_command():
    with pytest.raises(DataError) as error:
        with_source(asked(source="gels"), Path())
    assert str(error.value) == (
        "data.source: the data set gels (Gel electrophoresis, or another picture) is not here; 7 MB; licence: none stated;"
        " pictures gathered from the internet, some show people: for your own tests, do not pass on\n"
        "  → foldwise data get gels\n    or: foldwise run, which does it before it begins."
    )


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("neurons", "It needs an account at Kaggle (https://www.kaggle.com/datasets/nbroad/"),
        (
            "protein_atlas",
            "It needs an account at Kaggle that has accepted the rules at https://www.kaggle.com/comp",
        ),
        ("mtneuro", "It needs pip install 'foldwise[bossdb]'."),
        ("optic_disc", "It cannot be downloaded: No address is known: ask the authors"),
    ],
)
def test_what_a_source_needs_beside_a_connection_is_said(name, needs, monkeypatch):
    # Whether there is an account nobody can tell from here; whether there is the package one can.
    for package in (None, "here"):
        monkeypatch.setattr(getting, "find_spec", lambda name, package=package: package)
        with pytest.raises(DataError if package and name != "optic_disc" else MissingExtra) as error:
            with_source(asked(source=name), Path())
        assert needs in str(error.value)


def test_an_unknown_source_suggests_the_nearest():
    with pytest.raises(
        SpecError, match=r"data\.source: no data source is called 'gel'\n.*Did you mean 'gels'"
    ):
        with_source(asked(source="gel"), Path())


def test_it_is_fetched_once_and_then_read(tmp_path, monkeypatch):
    shown = []
    with serving(zipped(original("gels", tmp_path))) as served:
        origin = Web(served.url, "gels.zip")
        monkeypatch.setitem(catalogue.SOURCES, "gels", replace(catalogue.SOURCES["gels"], origin=origin))
        first = fetch_source(asked(source="gels"), Path(), progress=lambda *told: shown.append(told[0]))
        again = fetch_source(asked(source="gels"), Path(), progress=silent)
    assert first == Path("data/gels")
    assert again is None
    assert len(served.asked) == 1
    assert "Downloading gels.zip" in shown
    assert len(read_dataset(with_source(asked(source="gels"), Path()).data, base=Path()).cases) == 8


def test_a_source_without_an_address_cannot_be_fetched():
    with pytest.raises(MissingExtra, match="nothing is known from which"):
        fetch_source(asked(source="optic_disc"), Path(), progress=silent)


def test_a_study_of_an_own_folder_fetches_nothing():
    assert fetch_source(asked(path="x"), Path(), progress=silent) is None
    assert with_source(asked(path="x"), Path()).data.path == "x"
    assert source_facts(asked(path="x").data) is None


def test_a_copy_in_the_original_layout_is_laid_out_first(tmp_path):
    copy = original("isbi2012", tmp_path)
    study = asked(source="isbi2012", path=str(copy))
    with pytest.raises(DataError) as error:
        with_source(study, Path())
    assert "must be laid out first" in str(error.value)
    assert f"foldwise data get isbi2012 --local {copy}" in str(error.value)
    assert fetch_source(study, Path(), progress=silent) == Path("data/isbi2012")
    read = with_source(study, Path())
    assert read.data.path == str(Path("data/isbi2012").resolve())
    assert read.data.mask_values == {"255": "inside", "0": "membrane"}


def test_a_copy_that_was_laid_out_is_read_where_it_is(tmp_path):
    folder = get("gels", tmp_path / "shared", local=original("gels", tmp_path))
    study = with_source(asked(source="gels", path=str(folder)), Path())
    assert (study.data.path, study.data.channels) == (str(folder), "gray")
    assert study.validate_.group == "near-duplicates"


def test_the_protein_atlas_is_read_as_it_is_published(tmp_path):
    copy = original("protein_atlas", tmp_path)
    study = asked(source="protein_atlas", path=str(copy))
    assert fetch_source(study, Path(), progress=silent) is None
    read = with_source(study, Path())
    dataset = read_dataset(read.data, base=Path())
    assert [case.labels for case in dataset.cases] == [(0, 16), (0, 1, 2, 7), (5,), (27,)]
    assert dataset.classes[16] == "Cytokinetic bridge"
    assert source_facts(read.data)["source"] == "protein_atlas"


@pytest.mark.parametrize(("make", "said"), [(False, "there is nothing at"), (True, "is no copy of gels")])
def test_something_else_is_not_taken_for_a_copy(tmp_path, make, said):
    if make:
        (tmp_path / "other" / "gel").mkdir(parents=True)
    with pytest.raises(SpecError, match=said):
        with_source(asked(source="gels", path=str(tmp_path / "other")), Path())
