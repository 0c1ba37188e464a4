"""Damage to what a run wrote: the same result once it is mended, or one clear error, and never the winner lost."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from damage import DAMAGES, FOREIGN, flip, litter
from judged import judge_files

from foldwise.data.cache.packed import open_packed
from foldwise.errors import RunError, SpecError
from foldwise.interface.api import Run
from foldwise.judging.external.options import ScoreOptions
from foldwise.pipeline.hand_over import predict
from foldwise.pipeline.mending import Mending
from foldwise.pipeline.options import RunOptions, Silent
from foldwise.pipeline.pipeline import finish, run
from foldwise.pipeline.worker import work
from foldwise.reporting.report_data import gather
from foldwise.runs.folder import RunFolder
from foldwise.sealed import Damaged, read_table
from foldwise.storage import cache_root
from foldwise.study.reading import open_study

MASKS = """
study: tiny
data: {phantom: {kind: bacteria, images: 12, size: 32, difficulty: 0.3}}
train: {model: {conv: {width: 4, depth: 2}}, epochs: 1, batch_size: 4, augment: flips}
compare: {pretrain: [none, denoise]}
baselines: [random_forest]
validate: {folds: 2, inner: 0.3}
"""
CLASSES = """
study: tiny
data: {phantom: {kind: gels, images: 16, size: 32, difficulty: 0.3}, channels: gray, size: 32}
train: {model: "timm:test_resnet", freeze: encoder, normalize: imagenet, epochs: 1, batch_size: 8}
compare: {head: [linear, {mlp: {hidden: [8], dropout: [0.1]}}]}
validate: {folds: 2}
"""
QUICK = ("flip", "delete")


class Told(Silent):
    """An observer that remembers what was mended."""

    def __init__(self):
        self.mended = []

    def mending(self, what):
        self.mended.append(what)


def again(root):
    """Run the study in this folder; its run folder, and what was mended."""
    observer = Told()
    options = RunOptions(out=root / "run", workers=1, device="cpu", launcher="inline")
    return run(open_study(root / "study.yaml"), options, observer)[0], observer.mended


def finished(root, text):
    """A finished run with a cache of its own, in this folder."""
    (root / "study.yaml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOLDWISE_CACHE", str(root / "cache"))
        again(root)
    return root


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of masks, which tests share and do not change."""
    return finished(tmp_path_factory.mktemp("masks"), MASKS)


@pytest.fixture
def copied(whole, tmp_path, monkeypatch):
    """A copy of it that may be damaged."""
    root = tmp_path / "copy"
    shutil.copytree(whole, root)
    monkeypatch.setenv("FOLDWISE_CACHE", str(root / "cache"))
    return root


def scores(root):
    """Everything that was scored, and the mean and the interval of every configuration."""
    results = root / "run" / "results.csv"
    with results.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    measured = [
        {key: row[key] for key in row if not key.endswith(("_s", "_ms", "_mb", "_j"))} for row in rows
    ]
    return (root / "run" / "scores.csv").read_bytes(), measured


def one_of_each(run_folder):
    """The first file of every name of every kind of item; of weights that of every configuration, as one of them wins."""
    files = {}
    for path in sorted((run_folder / "done").glob("*/*")):
        of = json.loads((path.parent / "result.json").read_bytes()).get("configuration")
        kind = path.parent.name.partition("-")[0]
        files.setdefault((kind, path.name, of if path.name == "weights.safetensors" else None), path)
    return list(files.values())


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("how", DAMAGES)
def test_damage_to_any_committed_file_is_one_clear_error_or_changes_nothing(
    whole, tmp_path, monkeypatch, how
):
    monkeypatch.setenv("FOLDWISE_CACHE", str(whole / "cache"))
    undisturbed, met = scores(whole), []
    shutil.copytree(whole / "run", tmp_path / "run")
    winner = contents(tmp_path / "run" / "winner")
    for path in one_of_each(tmp_path / "run"):
        good = path.read_bytes()
        DAMAGES[how](path)
        damage = damage_met(RunFolder(tmp_path / "run"))
        if damage is not None:
            met.append(path.name)
            assert damage.where == str(path)
            assert "foldwise run puts this item away, does it once more" in damage.cure
            assert contents(tmp_path / "run" / "winner") == winner
        elif path.name != "result.json":  # without that the item is not done
            assert scores(tmp_path) == undisturbed  # nobody needs the file for the answer
        path.write_bytes(good)
    assert "scores.npz" in met
    assert "weights.safetensors" in met


def damage_met(folder):
    """What `foldwise report` says of a folder; None where it finds nothing wrong."""
    try:
        finish(folder)
    except Damaged as damage:
        return damage
    return None


@pytest.mark.parametrize("how", QUICK)
def test_a_run_does_damaged_items_again_and_comes_to_the_same_result(whole, copied, how):
    before = scores(copied)
    hit = {}
    for path in one_of_each(copied / "run"):
        hit.setdefault(path.parent, path)  # one file of one item of each kind
    extra = next(
        path for path in sorted((copied / "run" / "done").glob("fit-*/scores.npz")) if path.parent not in hit
    )
    for path in (*hit.values(), extra):
        DAMAGES[how](path)
    folder, mended = again(copied)
    assert scores(copied) == before
    assert any(str(extra) in line for line in mended)
    assert finish(folder).answer is not None
    # What was damaged is kept, and may be looked at.
    assert (copied / "run" / "retried").is_dir() or how == "delete"


def laid_out(root):
    names = (
        "plan.json",
        "splits.csv",
        "cases.csv",
        "audit.json",
        "study.json",
        "statistics.csv",
        "environment.json",
    )
    return [root / "run" / name for name in names]


@pytest.mark.parametrize("how", DAMAGES)
def test_damage_to_what_was_laid_out_is_one_clear_error_and_the_next_run_writes_it_anew(copied, how):
    before = scores(copied)
    for path in laid_out(copied):
        data = path.read_bytes()
        DAMAGES[how](path)
        with pytest.raises(RunError) as refused:
            finish(RunFolder.open(copied / "run"))
        assert path.name in str(refused.value)
        assert refused.value.cure
        path.write_bytes(data)
    for path in laid_out(copied):
        DAMAGES[how](path)
    again(copied)
    assert scores(copied) == before


@pytest.mark.parametrize("how", DAMAGES)
def test_damage_to_what_was_judged_is_one_clear_error_and_the_next_report_writes_it_anew(copied, how):
    folder = RunFolder(copied / "run")
    before = scores(copied)
    readers = {
        folder.scores: lambda: judge_files([folder.scores], ScoreOptions()),
        folder.results: lambda: read_table(folder.results),
        folder.verdict: lambda: Run(folder).verdict,
        folder.curves: lambda: gather(folder),
    }
    for path, read in readers.items():
        good = path.read_bytes()
        read()
        DAMAGES[how](path)
        with pytest.raises((RunError, SpecError)) as refused:  # the second where the file is gone
            read()
        assert path.name in str(refused.value) or "has no verdict yet" in str(refused.value)
        assert refused.value.cure
        path.write_bytes(good)
    for path in (*readers, folder.judged):
        DAMAGES[how](path)
        finish(folder)
        assert scores(copied) == before
        for read in readers.values():
            read()


@pytest.mark.parametrize("how", DAMAGES)
def test_damage_to_a_winner_is_one_clear_error(copied, tmp_path, how):
    images = next(path for path in (copied / "cache" / "phantoms").iterdir() if path.is_dir())
    winner = copied / "run" / "winner"
    for path in sorted(winner.iterdir()):
        data = path.read_bytes()
        DAMAGES[how](path)
        with pytest.raises(RunError) as refused:
            predict(winner, images, tmp_path / "out", device="cpu")
        assert str(path) in str(refused.value) or how == "delete"
        assert "foldwise report" in refused.value.cure or how == "delete"
        path.write_bytes(data)
    flip(winner / "model.json")
    finish(RunFolder(copied / "run"))  # lays it out anew
    predict(winner, images, tmp_path / "out", device="cpu")


@pytest.mark.parametrize("how", QUICK)
def test_a_damaged_cache_is_decoded_anew_by_a_worker_and_by_a_report(copied, how):
    before = scores(copied)
    folder = RunFolder(copied / "run")
    (pack,) = (cache_root() / "packed").iterdir()
    for path in sorted(pack.iterdir()):
        good = path.read_bytes()
        if not good:
            continue  # there are no masks
        DAMAGES[how](path)
        finish(folder)
        packed_by_a_worker(folder)
        assert path.read_bytes() == good
    DAMAGES[how](pack / "images.bin")
    shutil.rmtree(sorted((copied / "run" / "done").glob("fit-*"))[0])
    assert work(folder, device="cpu", log=lambda line: None) == 1
    finish(folder)
    assert scores(copied) == before


def packed_by_a_worker(folder):
    """What an item opens, all of it read."""

    def read():
        packed = open_packed(folder.load_plan().items[0].settings["packed"])
        return [packed.image(case) for case in range(len(packed))], packed.measures, packed.labels

    return Mending(folder, lambda line: None).until_whole(read)


def test_a_cache_that_was_cleared_is_filled_again_by_whoever_needs_it(copied):
    before = scores(copied)
    shutil.rmtree(cache_root() / "packed")
    packed_by_a_worker(RunFolder(copied / "run"))
    shutil.rmtree(sorted((copied / "run" / "done").glob("fit-*"))[0])
    again(copied)
    assert scores(copied) == before


@pytest.mark.parametrize("how", QUICK)
def test_a_damaged_phantom_is_drawn_anew_and_its_study_stays_the_same(copied, how):
    before = scores(copied)
    (folder,) = [path for path in (cache_root() / "phantoms").iterdir() if path.is_dir()]
    picture = next(path for path in sorted(folder.rglob("*.png")))
    good = picture.read_bytes()
    DAMAGES[how](picture)
    _, mended = again(copied)
    assert picture.read_bytes() == good
    assert scores(copied) == before
    assert not mended  # no item: they are all of these images


def test_features_that_fits_share_are_made_again_by_the_worker_that_needs_them(tmp_path, monkeypatch):
    root = finished(tmp_path, CLASSES)
    monkeypatch.setenv("FOLDWISE_CACHE", str(root / "cache"))
    before, folder, lines = scores(root), RunFolder(root / "run"), []
    (shared,) = (root / "run" / "done").glob("features-*")
    for name in sorted(path.name for path in shared.iterdir()):
        flip(shared / name)
        shutil.rmtree(sorted((root / "run" / "done").glob("fit-*"))[0])
        work(folder, device="cpu", log=lines.append)
        if name == "encoder.safetensors":  # which no fit needs: it is met by whoever lays the winner out
            with pytest.raises(Damaged, match=name):
                finish(folder)
            again(root)
        finish(folder)
        assert scores(root) == before
    assert any(str(shared / "features.npy") in line for line in lines)


def test_foreign_files_are_ignored_everywhere(copied, tmp_path):
    before = scores(copied)
    litter(copied / "run")
    litter(copied / "cache" / "packed")
    fit = sorted((copied / "run" / "done").glob("fit-*"))[0]
    shutil.copytree(fit, fit.with_name(f"{fit.name} copy"))
    shutil.copytree(fit, fit.with_name(f"{fit.name} (1)"))
    folder = RunFolder.open(copied / "run")
    assert folder.status(folder.load_plan()).waiting == 0
    assert finish(folder).answer is not None
    assert scores(copied) == before
    shutil.rmtree(fit)
    folder, mended = again(copied)
    assert not mended
    assert scores(copied) == before
    images = next(path for path in (copied / "cache" / "phantoms").iterdir() if path.is_dir())
    predict(copied / "run", images, tmp_path / "out", device="cpu")
    assert all((copied / "run" / "done" / name).exists() for name in FOREIGN)  # nor deleted


def test_the_result_of_another_item_under_an_id_is_not_believed(copied):
    before = scores(copied)
    one, other = sorted((copied / "run" / "done").glob("fit-*"))[:2]
    shutil.rmtree(one)
    shutil.copytree(other, one)
    with pytest.raises(Damaged, match=f"is the result of {other.name}, not of {one.name}"):
        finish(RunFolder(copied / "run"))
    again(copied)
    assert scores(copied) == before


def test_runs_of_older_versions_without_digests_are_read(copied):
    for path in [*(copied / "run" / "done").glob("*/result.json"), copied / "run" / "plan.json"]:
        value = json.loads(path.read_text())
        path.write_text(json.dumps({key: value[key] for key in value if key not in ("digest", "files")}))
    before = scores(copied)
    assert finish(RunFolder(copied / "run")).answer is not None
    assert scores(copied) == before


def test_no_message_of_damage_is_a_traceback_or_without_a_cure(copied):
    path = next(Path(copied / "run" / "done").glob("fit-*/scores.npz"))
    flip(path)
    with pytest.raises(Damaged) as refused:
        finish(RunFolder(copied / "run"))
    assert str(refused.value) == (
        f"{path}: the file is damaged: its bytes are not those that were written\n"
        "  → Run the study again: foldwise run puts this item away, does it once more and keeps all others. "
        "(By hand: delete its folder.)"
    )
