"""`foldwise export` from a run to a folder: proven formats, a card, a record; or an error and nothing."""

import json
import re
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from markdown_it import MarkdownIt
from ort_web_package import package_or_skip

import foldwise
from foldwise.data.folds.splits import cases_tested, read_splits
from foldwise.data.phantoms.catalogue import make
from foldwise.errors import MissingExtra, RunError, SpecError
from foldwise.interface import cli
from foldwise.learning.export import exporters, writing
from foldwise.learning.export.handover import WeightsLicence
from foldwise.learning.runtimes import is_kept
from foldwise.pipeline.exporting import ExportOptions, export
from foldwise.pipeline.model_card import CardFacts, model_card, plain, side_um
from foldwise.runs.folder import RunFolder
from foldwise.sealed import read_json, verified

STUDY = """
study: tiny
title: "Cells <script>alert(1)</script> ![x](http://a.b/c) | in `dishes`"
threads: 1
data: {phantom: {kind: nuclei, images: 12, size: 32, difficulty: 0.3}}
compare: {model: [{unet: {width: 2, depth: 1}}, {conv: {width: 2, depth: 1}}]}
train: {epochs: 1, batch_size: 4}
validate: {folds: 2}
judge: {metric: dice_img_macro}
"""
WHOSE = ("--author", "A. Author", "--author", "B *Author*", "--licence", "CC-BY-4.0")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder whose images are in the cache."""
    root = tmp_path_factory.mktemp("exported")
    (root / "study.yaml").write_text(STUDY)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FOLDWISE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        patched.chdir(root)
        foldwise.run("study.yaml", launcher="inline", device="cpu")
    return root / "runs/tiny"


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["foldwise", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code, " ".join(said.out.split()), said.err

    return run


def test_any_configuration_and_fold_leaves_with_its_own_score(run, command, tmp_path):
    verdict, pictures = foldwise.open(run).verdict, tmp_path / "new"
    make("nuclei", pictures, images=3, size=32, difficulty=0.3, seed=9)
    other = next(row for row in verdict.configurations if row.id != verdict.answer.configuration)
    code, said, error = command("export", run, "--format", "onnx", "--configuration", other.name)
    assert code == 0, error
    (out,) = tmp_path.glob("tiny-*-export")
    assert f"export: {out.name} " in said
    card, score = (out / "MODEL_CARD.md").read_text(), foldwise.load(run, configuration=other.name).score
    assert f"**{plain(score)}.**" in card
    assert plain(verdict.answer.sentence) in card
    assert "It is 2 networks" in card
    assert exporters.OnnxModel(out / "model.onnx", threads=1).about["score"] == score
    exported = foldwise.export(run, tmp_path / "one", formats="onnx", configuration=other.id, fold=2)
    card = (exported.folder / "MODEL_CARD.md").read_text()
    assert f"{plain(other.name)}, fold 2 alone" in card.splitlines()[0]
    assert "It is one network" in card
    assert plain(foldwise.load(run, configuration=other.id, fold=2).score) in card
    proof = exported.exported[0].comparison
    assert proof.is_equal
    alone = foldwise.export(
        run / "models" / f"{other.id}-fold-2", tmp_path / "alone", formats="onnx", images=pictures / "images"
    )
    card = (alone.folder / "MODEL_CARD.md").read_text()
    assert plain(foldwise.load(run, configuration=other.id, fold=2).score) in card
    assert "whose answer is" not in card
    # The network of one fold has seen the test images of all others.
    splits = read_splits(RunFolder(run).splits)
    assert proof.images == len(cases_tested([each for each in splits if each.fold == 1])) < 12
    assert str(exported).splitlines()[-1].startswith(f"export: {exported.folder}")


def test_what_is_no_model_of_a_run_is_not_exported(run, tmp_path):
    with pytest.raises(SpecError, match=r"no fold of .* is called '9'"):
        foldwise.export(run, tmp_path / "out", fold=9)
    with pytest.raises(SpecError, match="no configuration is called 'unett'"):
        foldwise.export(run, tmp_path / "out", configuration="unett")
    with pytest.raises(SpecError, match="handed over"):
        foldwise.export(run / "winner", tmp_path / "out", fold=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("size", "resized", "side"),
    [(None, False, None), ((0.5, 0.5002), False, 0.5), ((0.5, 0.25), False, None), ((0.5, 0.5), True, None)],
)
def test_the_pixel_of_the_files_is_exported_where_it_is_that_of_what_networks_see(size, resized, side):
    model = SimpleNamespace(resized=resized)
    assert side_um(SimpleNamespace(pixel_um=size, model=model)) == side


def test_a_run_is_exported_with_proofs_a_card_and_a_record(run, command, tmp_path):
    code, said, error = command("export", run, *WHOSE, "--pixel-size", "0.5")
    assert code == 0, error
    out = tmp_path / "tiny-export"
    files = [
        "MODEL_CARD.md",
        "bioimageio.zip",
        "export.json",
        "model.onnx",
        "model.torchscript.pt",
        "predict.py",
    ]
    assert sorted(path.name for path in out.iterdir()) == files
    assert "12 images, and 12,288 of 12,288 labels agree" in said
    assert "export: tiny-export (read MODEL_CARD.md before you pass it on)" in said
    record = read_json(out / "export.json")
    assert [each["format"] for each in record["formats"]] == [
        name for name, row in exporters.EXPORTERS.items() if row.by_default
    ]
    for each in record["formats"]:
        verified(out / each["file"])
        assert each["max_difference"] < 2e-6
        assert each["any_size"]
        assert each["scores"][0] == each["scores"][1] > 0
    assert record["about"]["pixel_um"] == "0.5"
    about = exporters.OnnxModel(out / "model.onnx", threads=1).about
    assert json.loads(about["classes"]) == ["background", "nucleus"]
    assert about["study_digest"] == read_json(run / "environment.json")["study_digest"]
    assert is_kept(run / "winner")
    code, said, _ = command("predict", run, images_of(tmp_path), "--out", "out")
    assert code == 0
    assert "runtime: onnxruntime" in said


def images_of(tmp_path):
    from PIL import Image

    (tmp_path / "new").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 36)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "new" / f"{number}.png")
    return tmp_path / "new"


def test_the_card_says_what_is_known_and_names_of_others_do_nothing_in_it(run, command, tmp_path):
    command("export", run, *WHOSE, "--format", "onnx")
    card = (tmp_path / "tiny-export" / "MODEL_CARD.md").read_text()
    estimate = json.loads((run / "verdict.json").read_text())["answer"]["estimate"]
    said = re.search(
        r"\*\*Dice per image: ([\d.]+) \(95 % interval [\d.]+ to [\d.]+\)\*\*, on test images", card
    )
    assert float(said[1]) == pytest.approx(estimate, abs=0.01)
    for words in (
        "95 % interval",
        "12 images in",
        "Licence of this model: CC-BY-4.0",
        "Pixel size: not recorded",
        "model.onnx",
    ):
        assert words in card
    shown = MarkdownIt("gfm-like", {"linkify": False}).render(card)
    assert not re.search(r"<(script|img|a)\b", shown)
    assert "<h1>Cells &lt;script&gt;alert(1)&lt;/script&gt; ![x](http://a.b/c) | in `dishes`</h1>" in shown
    assert "B *Author*" in shown


@pytest.mark.parametrize("text", ["# a", "- a", "1. a", "a\n# b", "[a](b)", "<b>", "a | b", "```x", "![a](b)", "www.a.de", "http://a.b", "\u202eabc", "$x$"])  # fmt: skip
def test_any_text_is_one_plain_paragraph(text):
    shown = MarkdownIt("gfm-like", {"linkify": False}).render(plain(text))
    inside = re.fullmatch(r"<p>(.*)</p>\n", shown)
    assert inside, shown
    assert "<" not in inside[1]
    for address in ("http://", "www."):
        assert address not in plain(text)


def test_a_model_without_its_run_needs_images_for_its_proof(run, command, tmp_path):
    shutil.copytree(run / "winner", tmp_path / "model")
    code, _, error = command("export", "model", "--format", "script")
    assert code == 5
    assert "no images to prove the formats on" in error
    assert "--images" in error
    assert not (tmp_path / "model-export").exists()
    code, _, error = command("export", "model", "--format", "script", "--images", images_of(tmp_path))
    assert code == 0, error
    assert read_json(tmp_path / "model-export/export.json")["formats"][0]["images"] == 3
    assert "truth not known" in (tmp_path / "model-export/MODEL_CARD.md").read_text()


def test_a_format_that_differs_is_an_error_and_nothing_is_written(run, tmp_path, monkeypatch):
    from dataclasses import replace

    row = exporters.EXPORTERS["onnx"]
    off = replace(
        row, run=lambda folder, threads: lambda batch: row.run(folder, threads)(batch)[:, ::-1].copy()
    )
    monkeypatch.setitem(writing.EXPORTERS, "onnx", off)
    with pytest.raises(RunError) as error:
        export(run, tmp_path / "out", ExportOptions(("onnx",)))
    assert error.value.what.startswith(
        "model.onnx was not written: it differs from foldwise: probabilities differ by "
    )
    assert "; the score is " in error.value.what
    assert list(tmp_path.iterdir()) == []
    given = export(run, tmp_path / "out", ExportOptions())
    refused = {each.format for each in given.exported if each.refusal}
    assert refused == {"onnx", "script"}
    assert not (tmp_path / "out" / "model.onnx").exists()
    assert "not written: it differs from foldwise" in (tmp_path / "out" / "MODEL_CARD.md").read_text()


def test_a_page_is_written_where_it_is_asked_for_and_says_that_it_shows_images(run, command, tmp_path):
    how = ("--try-it", "--ort-web", package_or_skip(), "--out", "page")
    code, said, error = command("export", run, *how, "--examples", "2")
    assert code == 0, error
    files = ["MODEL_CARD.md", "export.json", "model.onnx", "try-it.html"]
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == files
    assert "try-it.html: probabilities differ by" in said
    assert "try-it.html shows images of the study to whoever gets it" in said
    page = (tmp_path / "page" / "try-it.html").read_text()
    assert page.count('class="example"') == 2
    assert "<h1>Cells &lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_what_lies_there_is_not_lost(run, command, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("a")
    code, _, error = command("export", run, "--out", "mine")
    assert (code, "would be lost" in error) == (2, True)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "a"
    for _ in range(2):  # an export is replaced by an export
        assert command("export", run, "--out", "other", "--format", "torchscript")[0] == 0


def test_what_is_lacking_is_said_with_its_cure(run, tmp_path, monkeypatch):
    with pytest.raises(SpecError) as error:
        export(run, tmp_path / "out", ExportOptions(("bioimageio",)))
    assert (
        str(error.value)
        == "--format: a bioimageio file names its authors and its licence\n  → Add --author and --licence."
    )
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match="onnxruntime is not installed"):
        export(run, tmp_path / "out", ExportOptions(("onnx",)))
    given = export(run, tmp_path / "out")
    assert [each.format for each in given.exported] == ["torchscript"]
    assert set(given.left_out) == {"onnx", "script", "bioimageio"}


def test_images_are_decoded_anew_where_the_cache_is_gone(run, tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "other"))
    given = export(run, tmp_path / "out", ExportOptions(("torchscript",)))
    assert given.exported[0].comparison.images == 12


def test_the_card_counts_images_by_class_and_warns_of_weights():
    saved = {
        "task": "multilabel_classification", "classes": ["a|b", "c"], "num_channels": 2, "dtype": "uint16", "size_hw": [4, 6],
        "resized": True, "training": {"model": {"name": "conv", "options": {"width": 2}}},
    }  # fmt: skip
    cases = [{"labels": labels, "group": "", "width": "6", "height": "4"} for labels in ("0", "0 1", "", "0")]
    about = {"foldwise": "1", "study": "s", "study_digest": "d"}
    weights = WeightsLicence("imagenet weights x", "cc-by-nc-4.0", "Not for any use.")
    facts = CardFacts(
        "t", {"members": [{"model": saved}], "caution": "It is bad."}, about, None, cases, {}, weights
    )
    card = model_card(facts)
    for words in (
        "- 4 images\n", "- a\\|b: 3 images\n- c: 1 image\n", "of 2 channels of uint16 values as their files hold them, resized to 6 × 4",
        "Imagenet weights x. Licence: cc-by-nc-4.0.", "**Not for any use.**", "- **Anything: It is bad.**", "Authors: not stated.",
        "Not known: the model came without a verdict.", "It is one network, conv (width 2).",
    ):  # fmt: skip
        assert words in card
