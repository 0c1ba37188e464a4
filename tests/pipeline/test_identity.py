"""A study edited under living workers: whatever is committed holds what its id says, for every kind of single edit."""

import threading
from functools import partial

import numpy as np
import pytest
from PIL import Image
from recording import Gate, masks, recorder, table, worked_with

from foldwise.errors import RunError
from foldwise.learning import job as job_module
from foldwise.pipeline import worker as work_module
from foldwise.pipeline.preparing import lay_out, prepare
from foldwise.pipeline.worker import TASKS, work
from foldwise.runs import agenda
from foldwise.runs.items import is_itself
from foldwise.study.own_code import trusting
from foldwise.study.reading import open_study

MASKS = """
study: edited
data: {path: set, layout: image_mask, mask_values: {0: ground, 128: cell, 255: gap}, size: 16}
train: {model: {conv: {width: 4}}, epochs: 2}
validate: {folds: 3, near_duplicates: ignore}
"""
TABLE = """
study: edited
data: {path: set, size: 16}
train: {model: {conv: {width: 4}}, epochs: 2}
validate: {folds: 3, group: patient, near_duplicates: ignore}
"""


OWN = frozenset({"own_net_for_identity:make"})


def pixel(path, value):
    """Change one pixel of a picture."""
    pixels = np.array(Image.open(path))
    pixels[8, 8] = value
    Image.fromarray(pixels).save(path)


def words(old, new, name="study.yaml"):
    """An edit of a text: `old` becomes `new`."""

    def edit(root):
        path = root / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return edit


OF_MASKS = {
    "folds": words("folds: 3", "folds: 4"),
    "repeats": words("folds: 3", "folds: 3, repeats: 2"),
    "seed": words("study: edited", "study: edited\nseed: 7"),
    "inner": words("folds: 3", "folds: 3, inner: 0.4"),
    "classes": words("128: cell", "128: nucleus"),
    "ignored": words("255: gap}", "255: ignore}"),
    "size": words("size: 16", "size: 12"),
    "size_of_both": words("size: 16", "size: [16, 12]"),
    "channels": words("size: 16", "size: 16, channels: rgb"),
    "pixel_of_image": lambda root: pixel(root / "set/images/3.png", 255),
    "pixel_of_mask": lambda root: pixel(root / "set/masks/3.png", 128),
    "image_gone": lambda root: [(root / f"set/{part}/3.png").unlink() for part in ("images", "masks")],
    "epochs": words("epochs: 2", "epochs: 3"),
    "loss": words("epochs: 2", "epochs: 2, loss: focal"),
    "nothing": lambda root: None,
}
OF_TABLE = {
    "label": words("3.png,b,", "3.png,a,", "set/labels.csv"),
    "labels_swapped": words("0.png,a,p0,train\n1.png,b,", "0.png,b,p0,train\n1.png,a,", "set/labels.csv"),
    "group": words("3.png,b,p1,", "3.png,b,p2,", "set/labels.csv"),
    "no_group": words("group: patient, ", ""),
    "split_column": words("folds: 3", "split: part"),
}


def planned(root):
    """The study as it is prepared now, and what each of its items is to work with, by its id."""
    prepared = prepare(open_study(root / "study.yaml"))
    by_fold = {(split.repeat, split.fold): split for split in prepared.splits}
    expected = {
        item.id: worked_with(
            item.settings, prepared.packed, by_fold[item.settings["repeat"], item.settings["fold"]]
        )
        for item in prepared.plan.items
    }
    return prepared, expected


@pytest.fixture
def edited(tmp_path, monkeypatch):
    """Lay a study out, let a worker begin, edit, lay out again, let the worker go on; all that was committed is right."""
    monkeypatch.setattr(agenda, "POLL_S", 0.02)

    def go(edit, *, patience_s=30.0, lay_again=lay_out):
        monkeypatch.setattr(work_module, "PATIENCE_S", patience_s)
        gate, ended = Gate(), []
        monkeypatch.setattr(job_module, "IMPORTED", {})
        # As a real task: the row of the table checks the job before, and once more at its first word.
        monkeypatch.setattr(work_module, "resolve_name", lambda task: recorder(gate))
        monkeypatch.setitem(TASKS, "fit", partial(work_module._imported, "recording:record"))
        prepared, expected = planned(tmp_path)
        folder = lay_out(prepared, tmp_path / "run")

        def live():
            try:
                with trusting(OWN):
                    work(folder, log=lambda line: None)
            except RunError as error:
                ended.append(error)

        worker = threading.Thread(target=live)
        worker.start()
        assert gate.reached.wait(60)
        edit(tmp_path)
        again, more = planned(tmp_path)
        lay_again(again, folder.root)
        gate.opened.set()
        worker.join(120)
        assert not worker.is_alive()
        assert all(expected[name] == more[name] for name in expected.keys() & more.keys())
        committed = folder.outcomes()
        for name, result in committed.items():
            assert result["status"] == "done", result["error"]
            right = (expected | more)[name]
            assert {key: result[key] for key in right} == right
        return {item.id for item in again.plan.items}, committed, ended

    return go


@pytest.mark.parametrize("name", OF_MASKS)
def test_no_single_edit_of_a_study_of_masks_leaves_another_s_work_under_an_id(tmp_path, edited, name):
    masks(tmp_path / "set")
    (tmp_path / "study.yaml").write_text(MASKS)
    wanted, committed, ended = edited(OF_MASKS[name])
    assert not ended
    assert wanted <= committed.keys()  # the living worker went on with the study as it is now


@pytest.mark.parametrize("name", OF_TABLE)
def test_no_single_edit_of_a_table_leaves_another_s_work_under_an_id(tmp_path, edited, name):
    table(tmp_path / "set")
    (tmp_path / "study.yaml").write_text(TABLE)
    wanted, committed, ended = edited(OF_TABLE[name])
    assert not ended
    assert wanted <= committed.keys()


def test_a_split_in_a_file_of_its_own(tmp_path, edited):
    table(tmp_path / "set")
    rows = [f"{place}.png,{('train', 'test', 'validation')[place // 2 % 3]}" for place in range(24)]
    (tmp_path / "official.csv").write_text("\n".join(["image,part", *rows]) + "\n")
    (tmp_path / "study.yaml").write_text(TABLE.replace("folds: 3", "split: official.csv"))
    wanted, committed, ended = edited(
        words("0.png,train\n1.png,train", "0.png,test\n1.png,test", "official.csv")
    )
    assert not ended
    assert wanted <= committed.keys()


def test_a_weights_file_that_is_written_anew(tmp_path, edited):
    masks(tmp_path / "set")
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"as it was")
    (tmp_path / "study.yaml").write_text(MASKS.replace("epochs: 2", f"epochs: 2, weights: '{weights}'"))
    wanted, committed, ended = edited(lambda root: weights.write_bytes(b"as it is now"))
    assert not ended
    assert wanted == committed.keys()  # the item that had begun read other weights than it was planned with


def test_own_code_that_is_edited_ends_the_worker_that_imported_it(tmp_path, edited, monkeypatch):
    masks(tmp_path / "set")
    monkeypatch.syspath_prepend(str(tmp_path))
    code = tmp_path / "own_net_for_identity.py"
    code.write_text("VALUE = 1\ndef make(in_channels, num_classes):\n    return None\n")
    (tmp_path / "study.yaml").write_text(MASKS.replace("{conv: {width: 4}}", "'own_net_for_identity:make'"))
    _, _, ended = edited(words("VALUE = 1", "VALUE = 23", code.name))
    assert [error.what for error in ended] == [
        "the code of own_net_for_identity:make was edited after this process had imported it"
    ]


def test_a_study_that_is_never_laid_out_whole_ends_the_worker_with_the_cure(tmp_path, edited):
    """Whoever laid the second study out died between its folds and its plan."""
    masks(tmp_path / "set")
    (tmp_path / "study.yaml").write_text(MASKS)

    def half(prepared, root):
        plan = (root / "plan.json").read_bytes()
        lay_out(prepared, root)
        (root / "plan.json").write_bytes(plan)

    _, committed, ended = edited(OF_MASKS["folds"], patience_s=0.3, lay_again=half)
    assert not committed
    assert len(ended) == 1
    assert "Run the study again" in ended[0].cure


def test_the_id_of_every_item_is_that_of_its_settings_as_they_went_through_the_plan(tmp_path):
    masks(tmp_path / "set")
    (tmp_path / "study.yaml").write_text(
        MASKS + "robustness: {blur_px: [0, 1], noise: [0]}\nlook: true\nbaselines: [random_forest]\n"
        "measure: {batch_sizes: [1]}\ncompare: {augment: [none, flips], pretrain: [none, denoise]}\n"
    )
    prepared = prepare(open_study(tmp_path / "study.yaml"))
    folder = lay_out(prepared, tmp_path / "run")
    items = folder.load_plan().items
    assert {item.kind for item in items} >= {
        "fit",
        "pretrain",
        "shallow",
        "robustness",
        "landscape",
        "preview",
        "measure",
    }
    assert all(is_itself(item) for item in items)
