"""The winner on new images: the probabilities of its folds averaged; files named as the images were."""

import csv
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from fits_to_try import SPLIT, fit, share_features, tiny
from PIL import Image

from foldwise.data.overlays import CLASS_COLOURS, displayed, outlines, overlay
from foldwise.errors import DataError, RunError, SpecError
from foldwise.judging.statistics.calibration import tempered
from foldwise.learning import predict as module
from foldwise.learning.checkpoints.saved import Winner
from foldwise.learning.checkpoints.winner import Decision, Seen, make_winner
from foldwise.learning.predict import predict_images
from foldwise.learning.prediction_files import LeftOut, png_names, summary, warnings_of
from foldwise.learning.runtimes import TorchRuntime


def save_images(folder, packed, cases):
    folder.mkdir(parents=True)
    for case in cases:
        image = packed.image(int(case))
        Image.fromarray(image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)).save(
            folder / f"case_{case}.png"
        )
    return folder


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def rows(out):
    with (out / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def two_folds(tmp_path, task, packed, **training):
    # Two fits of different length in place of two folds.
    folders = {tmp_path / "done" / f"fit-{epochs}": epochs for epochs in (3, 6)}
    scores = [
        fit(folder, task, packed=packed, epochs=epochs, **training)[1] for folder, epochs in folders.items()
    ]
    return make_winner(list(folders), tmp_path / "winner", decision=Decision(answer={"name": "conv"})), scores


@pytest.mark.parametrize("task", ["multiclass_classification", "multilabel_classification"])
def test_probabilities_are_the_mean_of_the_folds(tmp_path, task):
    packed = tiny(task)
    winner, scores = two_folds(tmp_path, task, packed)
    images = save_images(tmp_path / "new", packed, SPLIT.test)
    assert predict_images(winner, images, tmp_path / "out", device="cpu") == tmp_path / "out"
    wanted = np.mean([part["probabilities"] for part in scores], axis=0)
    found = rows(tmp_path / "out")
    assert [row["image"] for row in found] == [f"case_{case}.png" for case in SPLIT.test]
    numbers = np.array([[float(row[f"probability_class {k}"]) for k in range(3)] for row in found])
    np.testing.assert_allclose(numbers, wanted, atol=2e-6)
    for row, p in zip(found, wanted, strict=True):
        chosen = np.flatnonzero(p >= 0.5) if task.startswith("multilabel") else [p.argmax()]
        assert row["predicted"] == "; ".join(f"class {k}" for k in chosen)


@pytest.mark.parametrize("task", ["multiclass_classification", "multilabel_classification"])
def test_calibrated_probabilities_are_those_of_the_mean_at_the_winner_s_temperature(tmp_path, task):
    packed, family = tiny(task), task.partition("_")[0]
    done = tmp_path / "done" / "fit-3"
    _, scores = fit(done, task, packed=packed, epochs=3)
    winner = make_winner([done], tmp_path / "winner", decision=Decision(temperature=2.5))
    images = save_images(tmp_path / "new", packed, SPLIT.test)
    found = rows(predict_images(winner, images, tmp_path / "out", device="cpu"))
    numbers = [[float(row[f"calibrated_class {k}"]) for k in range(3)] for row in found]
    np.testing.assert_allclose(numbers, tempered(scores["probabilities"], 2.5, family), atol=2e-6)
    for row in found:
        if family == "multiclass":
            assert max(packed.classes, key=lambda name: float(row[f"calibrated_{name}"])) == row["predicted"]


def test_without_a_temperature_there_are_no_calibrated_probabilities(tmp_path):
    packed = tiny("multiclass_classification")
    winner, _ = two_folds(tmp_path, "multiclass_classification", packed)
    images = save_images(tmp_path / "new", packed, [18])
    found = rows(predict_images(winner, images, tmp_path / "out", device="cpu"))
    assert not [name for name in found[0] if name.startswith("calibrated_")]


def test_a_shared_encoder_is_copied_once_and_predicts_the_same(tmp_path):
    task = "multiclass_classification"
    packed = tiny(task, num_channels=3)
    share_features(tmp_path / "done" / "features-1", packed, model="timm:test_resnet")
    inputs = {"features-1": tmp_path / "done" / "features-1"}
    options = {"model": "timm:test_resnet", "freeze": "encoder", "normalize": "imagenet", "inputs": inputs}
    winner, scores = two_folds(tmp_path, task, packed, **options)
    assert sorted(path.name for path in winner.iterdir()) == [
        "features-1.safetensors",
        "member-0.safetensors",
        "member-1.safetensors",
        "model.json",
    ]
    shutil.rmtree(tmp_path / "done")  # the winner stands alone
    predict_images(winner, save_images(tmp_path / "new", packed, SPLIT.test), tmp_path / "out", device="cpu")
    numbers = [[float(row[f"probability_class {k}"]) for k in range(3)] for row in rows(tmp_path / "out")]
    np.testing.assert_allclose(
        numbers, np.mean([part["probabilities"] for part in scores], axis=0), atol=2e-6
    )


@pytest.mark.parametrize("task", ["binary_segmentation", "multiclass_segmentation"])
def test_masks_and_overlays_have_the_names_of_their_images(tmp_path, task):
    packed = tiny(task)
    winner, _ = two_folds(tmp_path, task, packed, optimizer={"adamw": {"lr": 0.01}})
    images = save_images(tmp_path / "new" / "plate 1", packed, SPLIT.test).parent
    Image.fromarray(np.tile(packed.image(20)[0], (2, 3))).save(images / "larger.png")
    predict_images(winner, images, tmp_path / "out", device="cpu")
    found = rows(tmp_path / "out")
    assert {row["image"] for row in found} == {
        "larger.png",
        *(f"plate 1/case_{case}.png" for case in SPLIT.test),
    }
    for row in found:
        mask = pixels(tmp_path / "out" / row["mask"])
        image = pixels(images / row["image"])
        assert row["mask"] == f"masks/{row['image']}"
        assert mask.shape == image.shape
        assert set(np.unique(mask)) <= ({0, 255} if task == "binary_segmentation" else {0, 1, 2})
        assert pixels(tmp_path / "out" / row["overlay"]).shape == (*image.shape, 3)
        shares = [float(value) for name, value in row.items() if name.startswith("share_")]
        assert sum(shares) == pytest.approx(1, abs=1e-5)
        assert shares[0] == pytest.approx((mask == 0).mean(), abs=1e-6)


def test_what_was_written_among_the_images_is_not_predicted_in_turn(tmp_path):
    packed = tiny("binary_segmentation")
    winner, _ = two_folds(tmp_path, "binary_segmentation", packed)
    images = save_images(tmp_path / "new", packed, [18, 19])
    save_images(images / "masks", packed, [17])  # one of their own
    for out in (images / "out", images):
        for _ in range(2):
            predict_images(winner, images, out, device="cpu")
        named = {row["image"] for row in rows(out)}
        own = {"masks/case_17.png"} if out != images else set()  # then they are overwritten or taken for ours
        assert named == {"case_18.png", "case_19.png"} | own


@pytest.mark.parametrize("file", ["masks/case_18.png", "overlays/case_19.png", "predictions.csv"])
def test_files_of_somebody_else_are_never_replaced(tmp_path, file):
    packed = tiny("binary_segmentation")
    winner, _ = two_folds(tmp_path, "binary_segmentation", packed)
    images = save_images(tmp_path / "data" / "images", packed, [18, 19])
    own = tmp_path / "data" / file
    own.parent.mkdir(exist_ok=True)
    own.write_bytes(b"Id,drawn by hand")
    with pytest.raises(SpecError, match=r"1 file is there already, and would be lost: .*\n  → .*--out"):
        predict_images(winner, images, tmp_path / "data", device="cpu")
    assert own.read_bytes() == b"Id,drawn by hand"
    for _ in range(2):  # its own it replaces, also those that were begun
        predict_images(winner, images, tmp_path / "out", device="cpu")
        (tmp_path / "out" / "predictions.csv").write_bytes(b"")
    predict_images(winner, images, tmp_path / "out", device="cpu")
    assert len(rows(tmp_path / "out")) == 2


def test_images_that_cannot_be_used_are_named_and_the_others_predicted(tmp_path):
    packed = tiny("multiclass_classification")
    winner, _ = two_folds(tmp_path, "multiclass_classification", packed)
    images = save_images(tmp_path / "new", packed, [18, 19])
    (images / "broken.png").write_bytes(b"no picture")
    (images / "empty.png").write_bytes(b"")
    Image.fromarray(np.zeros((20, 24), np.uint8)).save(images / "large.png")
    tifffile.imwrite(images / "deep.tif", np.zeros((16, 16), np.uint16))
    with pytest.raises(DataError) as raised:
        predict_images(winner, images, tmp_path / "out", device="cpu")
    said = str(raised.value)
    assert "4 of 6 images were left out" in said
    assert "broken.png: the file is no image that can be read" in said
    assert "empty.png: the file is empty" in said
    assert (
        "large.png: the image is 24×20 pixels, the model was trained on images of 16×16 as they were" in said
    )
    assert "deep.tif: the image holds uint16 values, the model was trained on uint8" in said
    assert f"The predictions of the other 2 are in {tmp_path / 'out'}" in said
    assert [row["image"] for row in rows(tmp_path / "out")] == ["case_18.png", "case_19.png"]


def test_sizes_are_brought_to_that_of_the_study_and_masks_back(tmp_path):
    packed = tiny("binary_segmentation")
    for measure in packed.measures:
        measure.original_height = 99  # as if the study had stated a size
    winner, _ = two_folds(tmp_path, "binary_segmentation", packed)
    assert json.loads((winner / "model.json").read_text())["members"][0]["model"]["resized"] is True
    large = tmp_path / "large.png"
    Image.fromarray(np.zeros((50, 40), np.uint8)).save(large)
    predict_images(winner, large, tmp_path / "out", device="cpu")
    assert pixels(tmp_path / "out" / "masks" / "large.png").shape == (50, 40)


def test_grey_saved_as_colour_is_grey_again(tmp_path):
    packed = tiny("multiclass_classification")
    winner, _ = two_folds(tmp_path, "multiclass_classification", packed)
    images = save_images(tmp_path / "new", packed, [18])
    Image.fromarray(np.repeat(packed.image(18)[0][..., None], 3, axis=2)).save(images / "colour.png")
    predict_images(winner, images, tmp_path / "out", device="cpu")
    one, other = rows(tmp_path / "out")
    assert {**one, "image": ""} == {**other, "image": ""}


@pytest.mark.parametrize(
    ("make", "message"), [(None, "is no folder and no image"), ("folder", "holds no image")]
)
def test_no_images_is_an_error(tmp_path, make, message):
    if make:
        (tmp_path / "new").mkdir()
    with pytest.raises(DataError, match=message):
        predict_images(tmp_path / "winner", tmp_path / "new", tmp_path / "out", device="cpu")


def test_no_winner_is_an_error(tmp_path):
    images = save_images(tmp_path / "new", tiny("multiclass_classification"), [0])
    with pytest.raises(RunError, match="holds no winner"):
        predict_images(tmp_path, images, tmp_path / "out", device="cpu")
    (tmp_path / "done").mkdir()
    with pytest.raises(RunError, match="none of the winner's fits left a model"):
        make_winner([tmp_path / "done"], tmp_path / "winner")


def test_a_winner_is_replaced_whole_and_damage_is_said(tmp_path):
    packed = tiny("multiclass_classification")
    winner, _ = two_folds(tmp_path, "multiclass_classification", packed)
    (winner / "old.txt").write_text("left over")
    make_winner([tmp_path / "done" / "fit-3"], winner)
    assert sorted(path.name for path in winner.iterdir()) == ["member-0.safetensors", "model.json"]
    (winner / "member-0.safetensors").write_bytes(b"cut")
    images = save_images(tmp_path / "new", packed, [0])
    with pytest.raises(RunError, match="the file is damaged"):
        predict_images(winner, images, tmp_path / "out", device="cpu")


def test_two_images_never_share_a_mask():
    names = png_names(["a.tif", "b/a.png", "b/a.tif", "c.jpg"])
    assert names == {"a.tif": "a.png", "b/a.png": "b/a.png.png", "b/a.tif": "b/a.tif.png", "c.jpg": "c.png"}
    # A name with one more suffix may be that of another image.
    parts = ["a", "A", "a.png", "b"]
    some = [f"{a}{b}{c}" for a in parts for b in ("", ".png", ".jpg") for c in (".png", ".tif", ".png.png")]
    targets = png_names(sorted(set(some))).values()
    assert len({target.casefold() for target in targets}) == len({name.casefold() for name in some})


def test_what_was_meant_as_an_image_and_cannot_be_read_is_named(tmp_path):
    packed = tiny("multiclass_classification")
    winner, _ = two_folds(tmp_path, "multiclass_classification", packed)
    images = save_images(tmp_path / "new", packed, SPLIT.test)
    first = images / f"case_{SPLIT.test[0]}.png"
    (images / "_plate").mkdir()
    first.rename(images / "_plate" / "_scan")
    (images / "gone.png").symlink_to(tmp_path / "nowhere")
    (images / "volume.nrrd").write_bytes(b"NRRD")
    np.save(images / "stack.npy", np.zeros((20, 30, 30)))
    (images / ".hidden.png").write_bytes((images / "_plate" / "_scan").read_bytes())
    with pytest.raises(LeftOut) as caught:
        predict_images(winner, images, tmp_path / "out", device="cpu")
    said = str(caught.value)
    assert f"4 of {len(SPLIT.test) + 4} images were left out" in said
    assert "gone.png: the link leads nowhere" in said
    assert "volume.nrrd: it is of a kind that cannot be read" in said
    assert "stack.npy: an array of shape 20×30×30 is not one picture" in said
    assert ".hidden.png: it is hidden" in said
    assert "_plate/_scan" in {row["image"] for row in rows(tmp_path / "out")}


@pytest.mark.parametrize("choice", [None, "drop"])
def test_what_decoding_does_is_told_or_refused_as_in_a_study(tmp_path, choice):
    packed = tiny("multiclass_classification")
    fit(tmp_path / "done" / "fit", "multiclass_classification", packed=packed)
    seen = Seen(decoding={"alpha": choice})
    winner = make_winner([tmp_path / "done" / "fit"], tmp_path / "winner", seen=seen)
    images = save_images(tmp_path / "new", packed, SPLIT.test)
    turned = Image.Exif()
    turned[0x0112] = 3
    first, last = (packed.image(int(SPLIT.test[k]))[0] for k in (0, -1))
    Image.fromarray(first).save(images / "turned.png", exif=turned)
    Image.fromarray(np.dstack([last, last])).save(images / "clear.png")
    said = []
    total = len(SPLIT.test) + 2
    if choice is None:
        with pytest.raises(LeftOut, match=r"clear\.png: the plane that is dropped varies"):
            predict_images(winner, images, tmp_path / "out", device="cpu", warn=said.append)
        assert any(f"1 of {total - 1} images was turned or mirrored" in line for line in said)
    else:
        predict_images(winner, images, tmp_path / "out", device="cpu", warn=said.append)
        assert any(f"1 of {total} images lost its alpha channel" in line for line in said)


def test_overlays_show_the_image_and_outline_classes():
    labels = np.zeros((8, 8), np.uint8)
    labels[2:6, 2:6] = 1
    edge = outlines(labels)
    assert edge[2, 2:6].all()
    assert not edge[3:5, 3:5].any()
    picture = overlay(np.full((1, 8, 8), 100, np.uint8), labels)
    assert picture.shape == (8, 8, 3)
    assert (picture[0, 0] == 100).all()
    assert (picture[2, 2] == CLASS_COLOURS[0]).all()
    ramp = displayed(np.arange(4096, dtype=np.uint16).reshape(1, 64, 64))
    assert (ramp.min(), ramp.max()) == (0, 255)
    assert displayed(np.zeros((4, 8, 8), np.float32)).shape == (8, 8, 3)


def asked(probabilities, task="multiclass_classification", **more):
    """What is warned of these probabilities (K,) of a winner with thresholds of 0.5."""
    classes = tuple("abcde"[: len(probabilities)])
    model = SimpleNamespace(task=task, classes=classes, resized=True, size_hw=(64, 64))
    thresholds = more.pop("thresholds", np.full(len(classes), 0.5))
    winner = Winner((SimpleNamespace(model=model),), thresholds, **more)
    size_hw = (100, 120)
    reasons = warnings_of(winner, np.array(probabilities, np.float32), size_hw)
    return reasons, summary(winner, [reasons])


@pytest.mark.parametrize(
    ("probabilities", "between"),
    [
        ([0.7, 0.3], None),
        ([0.66, 0.34], "a or b"),
        ([0.4, 0.1, 0.35, 0.15], "a or c"),
        ([0.5, 0.2, 0.2, 0.1], None),
        ([0.2, 0.2, 0.2, 0.2, 0.2], "a or b or c or d or e"),
    ],
)
def test_a_label_is_of_low_certainty_where_another_is_more_than_half_as_probable(probabilities, between):
    reasons, sentences = asked(probabilities)
    assert reasons == ([f"low certainty: {between}"] if between else [])
    assert len(sentences) == len(reasons)


def test_of_several_labels_those_near_their_threshold_are_of_low_certainty():
    thresholds = np.array([0.5, 0.1, np.inf, 0.5])
    reasons, _ = asked([0.4, 0.15, 0.5, 0.9], "multilabel_classification", thresholds=thresholds)
    assert reasons == ["low certainty: a or b"]
    # At a temperature of 2 the same logits are half as far apart, and so are the thresholds.
    reasons, _ = asked([0.2, 0.3, 0.5, 0.9], "multilabel_classification", thresholds=thresholds, temperature=3.0)  # fmt: skip
    assert reasons == ["low certainty: a or b"]


@pytest.mark.parametrize(
    ("sizes_px", "warned"),
    [
        (((100, 100), (120, 120)), False),
        (((90, 300), (90, 300)), False),
        (((50, 60), (60, 72)), True),
        (((200, 200), (240, 240)), True),
        (None, False),
    ],
)
def test_images_of_another_scale_than_in_training_are_warned_of(sizes_px, warned):
    reasons, sentences = asked([0.9, 0.1], sizes_px=sizes_px)
    assert bool(reasons) == warned
    if warned:
        (sentence,) = sentences
        assert "another size than the training images" in sentence
        assert "resized to 64 × 64" in sentence


@pytest.mark.parametrize("task", ["multiclass_classification", "binary_segmentation"])
def test_a_model_that_beats_nothing_says_so_in_the_table_and_aloud(tmp_path, task):
    packed, done = tiny(task), tmp_path / "done" / "fit-1"
    fit(done, task, packed=packed, epochs=1)
    decision = Decision(caution="Nothing here is better than a guess.")
    winner = make_winner([done], tmp_path / "winner", decision=decision, seen=Seen())
    aloud = []
    images = save_images(tmp_path / "new", packed, SPLIT.test)
    out = predict_images(winner, images, tmp_path / "out", device="cpu", warn=aloud.append)
    assert aloud[0] == "Nothing here is better than a guess."
    assert all(row["warning"].startswith("not shown to be better than a trivial") for row in rows(out))


def test_small_images_go_through_together_and_give_what_each_gives_alone(tmp_path, monkeypatch):
    task = "multiclass_classification"
    packed, sizes = tiny(task), []
    winner, _ = two_folds(tmp_path, task, packed)
    images = save_images(tmp_path / "new", packed, range(20))
    asked = TorchRuntime.__call__

    def counted(self, fed):
        sizes.append(len(fed))
        return asked(self, fed)

    monkeypatch.setattr(TorchRuntime, "__call__", counted)
    together = rows(predict_images(winner, images, tmp_path / "together", device="cpu"))
    assert sizes == [20]
    monkeypatch.setattr(module, "BATCH_IMAGES", 1)
    alone = rows(predict_images(winner, images, tmp_path / "alone", device="cpu"))
    for one, other in zip(together, alone, strict=True):
        assert one["image"] == other["image"]
        for name in packed.classes:
            assert float(one[f"probability_{name}"]) == pytest.approx(float(other[f"probability_{name}"]), abs=2e-6)  # fmt: skip
