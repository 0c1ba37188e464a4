"""`foldwise measure`: a study, a run or one model in; a table, a figure and all numbers out; nothing is trained."""

import csv
import json
import sys

import pytest

from foldwise.data.phantoms.catalogue import make
from foldwise.interface import cli
from foldwise.pipeline import measuring, pipeline, preparing
from foldwise.pipeline.worker import do_item
from foldwise.runs.folder import RunFolder
from foldwise.study.reading import open_study

STUDY = """
study: tiny
data:
  phantom: {kind: gels, images: 24, size: 32, difficulty: 0.3}
train: {freeze: encoder, normalize: none, epochs: 2}
compare: {model: [{conv: {width: 4}}, {resnet: {width: 4}}]}
validate: {folds: 2}
"""
BRIEFLY = ("--seconds", "1", "--batch-sizes", "1,2", "--device", "cpu", "--precisions", "fp32")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path_factory, tmp_path):
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measuring, "LEAST_S", 0.3)  # nobody reads these numbers


@pytest.fixture
def study(tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    return tmp_path / "study.yaml"


@pytest.fixture
def said(monkeypatch, capsys):
    """Runs the command: (exit code, output, standard error)."""

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["foldwise", "measure", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return command


def test_a_study_gets_a_table_a_figure_and_all_numbers(said, study, tmp_path):
    code, out, err = said(study, *BRIEFLY)
    assert (code, err) == (0, "")
    assert "conv (width 4), images per second" in out
    assert "memory map on disk" in out
    assert "cached features" in out
    # Three caches of the first model take nine tenths of the second; there is no time for the second.
    assert "not measured: resnet (width 4): no time; ask for more --seconds" in out
    folder = tmp_path / "runs" / "tiny-speed"
    measured = json.loads((folder / "speed.json").read_text(encoding="utf-8"))
    assert [row["cache"] for row in measured["measured"]] == ["disk", "none", "features"]
    assert measured["not_tried"] == ["resnet (width 4): no time; ask for more --seconds"]
    with (folder / "speed.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["images_from"], row["batch_size"]) for row in rows[:3]] == [
        ("disk", "1"),
        ("disk", "2"),
        ("none", "1"),
    ]
    trained = [row["train_images_per_s"] for row in rows]
    assert float(trained[0]) > 0
    assert all(float(speed) > 0 for speed in trained if speed)  # on a busy machine there is no time for some
    page = (folder / "speed.html").read_text(encoding="utf-8")
    assert page.count('role="img"') == 2  # the network, and the head on cached features
    assert "Not measured: resnet" in page
    assert not list((folder / "done").glob("fit-*"))


def test_json_stands_alone_on_standard_output(said, study):
    code, out, err = said(study, *BRIEFLY, "--caches", "disk", "--json")
    assert (code, err) == (0, "")
    assert [row["model"] for row in json.loads(out)["measured"]] == ["conv (width 4)", "resnet (width 4)"]


def test_a_run_is_measured_as_it_lies_there_and_its_report_shows_it(said, study, tmp_path):
    folder = preparing.lay_out(preparing.prepare(open_study(study)), tmp_path / "run")
    for item in folder.load_plan().items:
        do_item(folder, item)
    verdict = pipeline.finish(folder)
    said(folder.root, *BRIEFLY, "--caches", "disk", "--batch-sizes", "4")
    code, out, err = said(folder.root, *BRIEFLY, "--caches", "disk")
    assert (code, err) == (0, "")
    rows = json.loads(folder.verdict.read_text(encoding="utf-8"))["throughput"]
    # The winner's first; what was measured before is measured anew.
    assert {row["model"] for row in rows} == {row.levels["model"] for row in verdict.configurations}
    assert [[point["batch_size"] for point in row["points"]] for row in rows] == [[1, 2], [1, 2]]
    assert 'id="throughput"' in folder.report.read_text(encoding="utf-8")
    assert out.index(verdict.answer.name) < out.index(next(row.name for row in verdict.configurations[1:]))


def test_one_model_is_measured_on_a_folder_of_images(said, study, tmp_path):
    make("gels", tmp_path / "pictures", images=24, size=32, difficulty=0.3, seed=0)
    code, out, err = said(
        "--data", "pictures", "--model", "conv", "--size", "native", *BRIEFLY, "--caches", "disk,none"
    )
    assert (code, err) == (0, "")
    assert "conv, images per second" in out
    assert RunFolder(tmp_path / "runs" / "pictures-conv-adam-speed").study_file.is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "there must be one thing to measure"),
        (("study.yaml", "--data", "x"), "there must be one thing to measure"),
        (("--model", "conv"), "there must be one thing to measure"),
        (("study.yaml", "--seconds", "0"), "--seconds: 0 is no time to measure in"),
        (("study.yaml", "--batch-sizes", "1,x"), "--batch-sizes: must be whole numbers, got '1,x'"),
        (("study.yaml", "--batch-sizes", "0"), "measure.batch_sizes[0] must be at least 1, got 0"),
        (("study.yaml", "--caches", "ram"), "must be one of memory, disk, none, features, got 'ram'"),
        (("study.yaml", "--precisions", "fp8"), "must be one of fp32, bf16, got 'fp8'"),
        (("study.yaml", "--device", "tpu"), "no device is called 'tpu'"),
    ],
)
def test_what_cannot_be_measured_is_refused(said, study, arguments, words):
    code, _, err = said(*arguments)
    assert code == 2
    assert words in err
    assert "problems" not in err  # one slip is one error


def test_options_of_studies_are_refused_beside_a_run(said, study, tmp_path):
    folder = preparing.lay_out(preparing.prepare(open_study(study)), tmp_path / "run")
    for option in (("--out", "x"), ("--set", "train.epochs=1")):
        code, _, err = said(folder.root, *option)
        assert (code, "is for studies" in err) == (2, True)
