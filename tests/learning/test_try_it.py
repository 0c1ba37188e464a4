"""The page that runs a model in a browser says what `predict` says, loads nothing, and says what it cannot read."""

import csv
import io
import json
import shutil
import subprocess

import numpy as np
import pytest
import tifffile
import torch
from browsing import opened, saved
from fits_to_try import fit, tiny
from ort_web_package import package_or_skip
from PIL import Image

from foldwise.data.formats.pixels import resize_image
from foldwise.data.novelty import numbers_of
from foldwise.errors import MissingExtra, SpecError
from foldwise.learning.checkpoints.saved import load_winner
from foldwise.learning.checkpoints.winner import MODEL, Decision, Seen, make_winner
from foldwise.learning.export import try_it as package_module
from foldwise.learning.export.exporters import TRY_IT
from foldwise.learning.export.handover import Handover
from foldwise.learning.export.page_html import card_sections
from foldwise.learning.export.try_it import refuse_for_browsers
from foldwise.learning.export.writing import write_formats
from foldwise.learning.predict import predict_images
from foldwise.learning.runtimes import TorchRuntime
from foldwise.sealed import read_table

CPU = torch.device("cpu")
CARD = """# t

## How well it does

**Accuracy: 0.9 (95 % interval 0.8 to 1)**, on \\*tests\\*

## What it must not be used for

- Diagnosis &lt;script&gt;
"""


def winner_folder(root, task, *, channels=1, resized=None):
    """A winner of one small fit; `resized` has it bring images to this size."""
    packed = tiny(task, num_channels=channels)
    fit(root / "done" / "fit-1", task, packed=packed, epochs=3)
    decision = Decision(temperature=1.7 if task.endswith("classification") else None)
    folder = make_winner([root / "done" / "fit-1"], root / "winner", decision=decision)
    record = json.loads((folder / MODEL).read_text())
    for member in record["members"]:
        # Sizes that were mixed; or one to which all are brought.
        member["model"] |= {"size_hw": resized, "resized": resized is not None}
    (folder / MODEL).write_text(json.dumps(record))
    return folder, packed


def handover_of(folder, packed, **more):
    winner = load_winner(folder, CPU)
    batches = [np.stack([packed.image(k) for k in range(4)])]
    stated = {"title": "a <b> model", "card": CARD, "ort_web": package_or_skip()}
    return Handover(winner, TorchRuntime(winner, CPU), batches, **(stated | more))


def pictures(folder):
    """Images as people have them: grey and colour, PNG and JPEG, a palette, turned, of other sizes."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :52]
    smooth = np.stack([120 + 90 * np.sin(x / (4 + k)) * np.cos(y / (5 + k)) for k in range(3)], -1)
    colour = (smooth + rng.integers(0, 30, smooth.shape)).clip(0, 255).astype(np.uint8)
    Image.fromarray(colour).save(folder / "colour.png")
    Image.fromarray(colour[..., 0]).save(folder / "grey.png")
    Image.fromarray(colour[:16, :16, 0]).save(folder / "small.png")
    Image.fromarray(colour).quantize(32).save(folder / "palette.png")
    Image.fromarray(colour).save(folder / "exact.bmp")
    Image.fromarray(colour).save(folder / "photo.jpg", quality=95, subsampling=0)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(colour).save(folder / "turned.jpg", quality=95, subsampling=0, exif=exif)
    return folder


def predicted_by(page, files):
    """Rows of the table that the page saves, once all files are predicted."""
    page.wait_for_selector("html[data-ready=yes]")
    page.set_input_files("#files", [str(file) for file in files])
    page.wait_for_function("number => document.querySelectorAll('article').length === number", arg=len(files))
    name, text = saved(page, page.get_by_role("button", name="Save all predictions as CSV"))
    assert name == "predictions.csv"
    return {row["image"]: row for row in csv.DictReader(io.StringIO(text))}


@pytest.mark.parametrize(("task", "channels", "resized"), [
    ("multiclass_classification", 3, (24, 20)), ("multilabel_classification", 1, (16, 16)), ("binary_segmentation", 1, None),
    ("multiclass_segmentation", 3, (32, 48)),
])  # fmt: skip
def test_the_page_says_what_predict_says(tmp_path, chromium, task, channels, resized):
    folder, packed = winner_folder(tmp_path, task, channels=channels, resized=resized)
    made = write_formats(handover_of(folder, packed, examples=2), ["try-it"], tmp_path)
    assert [each.refusal for each in made] == ["", ""]
    new = pictures(tmp_path / "new")
    predict_images(folder, new, tmp_path / "ours", device="cpu", runtime="torch")
    page = opened(chromium, tmp_path / TRY_IT, viewport={"width": 390, "height": 800}, color_scheme="dark")
    theirs = predicted_by(page, sorted(new.iterdir()))
    ours = {row["image"]: row for row in read_table(tmp_path / "ours" / "predictions.csv")}
    assert set(theirs) == set(ours) == {path.name for path in new.iterdir()}
    for name, row in ours.items():
        # Decoders of JPEG may differ by a grey level or two.
        allowed = 5e-3 if name.endswith(".jpg") else 3e-6
        for column in set(row) & set(theirs[name]) - {"image", "predicted", "mask", "warning"}:
            assert float(theirs[name][column]) == pytest.approx(float(row[column]), abs=allowed), (
                name,
                column,
            )
        assert theirs[name]["warning"] == row["warning"]
        if "predicted" in row:
            assert theirs[name]["predicted"] == row["predicted"]
    if task.endswith("segmentation"):
        masks_are_equal(page, tmp_path / "ours" / "masks" / "colour.png")
    assert page.said == []
    # Nothing but the page itself, and what it made of itself.
    assert all(address.startswith(("file:", "blob:", "data:")) for address in page.asked), page.asked
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.context.close()


def masks_are_equal(page, ours):
    card = page.locator("article", has_text="colour.png")
    assert card.get_by_role("slider").count() == 1
    with page.expect_download() as download:
        card.get_by_role("button", name="Save the mask").click()
    assert download.value.suggested_filename == "colour-mask.png"
    with Image.open(download.value.path()) as theirs, Image.open(ours) as wanted:
        np.testing.assert_array_equal(np.asarray(theirs.convert("L")), np.asarray(wanted))


@pytest.fixture(scope="module")
def small_page(tmp_path_factory):
    """A page of a classifier, with two examples, and its folder."""
    root = tmp_path_factory.mktemp("small")
    folder, packed = winner_folder(root, "binary_classification")
    write_formats(handover_of(folder, packed, examples=2), ["try-it"], root)
    return root


def test_the_page_says_of_each_file_why_it_cannot_read_it(tmp_path, small_page, chromium):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    tifffile.imwrite(tmp_path / "a.tif", grey)
    deep = grey.astype(np.uint16) * 200
    tifffile.imwrite(tmp_path / "b.tif", deep, byteorder=">")
    tifffile.imwrite(
        tmp_path / "c.tif", np.dstack([deep] * 3), byteorder="<", photometric="rgb", compression="zlib"
    )
    tifffile.imwrite(tmp_path / "d.tif", grey.astype(np.float32))
    (tmp_path / "e.tif").write_bytes(b"II*\0\xff\xff\xff\x7f")
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(np.dstack([grey] * 3 + [grey])).save(tmp_path / "alpha.png")
    (tmp_path / "<b>broken.png").write_bytes(b"no image")
    Image.fromarray(grey).save(tmp_path / "good.png")
    page = opened(chromium, small_page / TRY_IT)
    page.wait_for_selector("html[data-ready=yes]")
    page.set_input_files("#files", [str(path) for path in sorted(tmp_path.iterdir())])
    page.wait_for_function("() => document.querySelectorAll('article').length === 9")
    words = {"a.tif": "do not read TIFF", "b.tif": "16 bits per channel, and the model was trained on 8", "c.tif": "16 bits per channel", "d.tif": "32 bits per channel", "e.tif": "do not read TIFF", "deep.png": "16 bits per channel", "alpha.png": "transparent pixels", "<b>broken.png": "cannot read it as an image"}  # fmt: skip
    for name, reason in words.items():
        assert reason in page.locator("article", has_text=name).inner_text()
    assert page.get_by_role("table").count() == 1
    assert page.get_by_role("status").inner_text() == "good.png: " + page.locator("p.decision").inner_text() + "."  # fmt: skip
    assert page.said == []
    page.context.close()


def test_the_page_shows_score_limits_licence_and_only_the_examples_that_were_asked_for(small_page, chromium):
    page = opened(chromium, small_page / TRY_IT)
    text = page.locator("main").inner_text()
    assert "Accuracy: 0.9 (95 % interval 0.8 to 1), on *tests*" in text
    assert "Diagnosis <script>" in text
    assert page.title() == "a <b> model"
    page.get_by_text("Licence of what runs the model").click()
    assert "onnxruntime-web 1.30.0, in this file. MIT License. Copyright (c) Microsoft" in page.locator(".notice").inner_text()  # fmt: skip
    page.wait_for_selector("html[data-ready=yes]")
    page.get_by_role("button", name="Example 2").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("article")
    assert "example-2.png" in page.locator("article").inner_text()
    assert page.get_by_role("button", name="Example").count() == 2
    page.context.close()


def test_a_page_may_speak_with_nobody(small_page, chromium):
    page = opened(chromium, small_page / TRY_IT)
    refused = page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => 'refused')")
    assert refused == "refused"
    assert any("Content Security Policy" in text for text in page.said)
    page.context.close()


def test_what_browsers_cannot_decode_is_refused_before_anything_is_written(tmp_path):
    folder, packed = winner_folder(tmp_path, "binary_segmentation")
    record = json.loads((folder / MODEL).read_text())
    record["members"][0]["model"]["dtype"] = "uint16"
    (folder / MODEL).write_text(json.dumps(record))
    with pytest.raises(
        SpecError, match="browsers decode grey and colour of 8 bits, and the model takes 1 channels of uint16"
    ):
        refuse_for_browsers(handover_of(folder, packed))


def test_only_the_package_that_was_tried_is_taken(tmp_path, monkeypatch):
    other = tmp_path / "other.tgz"
    other.write_bytes(b"x")
    with pytest.raises(SpecError, match=r"is not onnxruntime-web 1\.30\.0: its digest is another"):
        package_module.ort_web(other)
    with pytest.raises(SpecError, match="is no npm package"):
        package_module.ort_web(tmp_path / "none.tgz")
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(package_module.shutil, "which", lambda _: None)
    with pytest.raises(MissingExtra) as error:
        package_module.ort_web()
    assert "npm, which brings it, is not installed" in str(error.value)
    assert "npm pack onnxruntime-web@1.30.0; then --ort-web onnxruntime-web-1.30.0.tgz" in str(error.value)


def test_npm_is_asked_once_and_what_it_brings_is_compared(tmp_path, monkeypatch):
    package, calls = package_or_skip(), []
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(package_module.shutil, "which", lambda _: "npm")

    def npm(words, *, cwd, **_):
        calls.append(words)
        if len(calls) > 1:
            (tmp_path / cwd / package_module.FILE).write_bytes(package.read_bytes())
        return subprocess.CompletedProcess(words, 1, "", "npm error network is down")

    monkeypatch.setattr(package_module.subprocess, "run", npm)
    with pytest.raises(MissingExtra, match=r"npm cannot get .*network is down"):
        package_module.ort_web()
    first, second = package_module.ort_web(), package_module.ort_web()
    assert len(calls) == 2
    assert first == second
    assert len(first.wasm) > 10**7
    assert first.script.startswith(b"/*!")


def test_a_card_becomes_html_that_does_nothing():
    text = card_sections("# t\n\n## A\n\n**x** \\<i> \\[a\\](b)\n\n| a \\| b | c |\n|---|---|\n| 1 | 2 |\n")
    assert text == {
        "A": "<p><b>x</b> &lt;i&gt; [a](b)</p><table><tr><td>a | b</td><td>c</td></tr><tr><td>1</td><td>2</td></tr></table>"
    }


# ---- images unlike those of the training


def spoiled_copies(image):
    """The image as it is, and with each usual mistake; name -> (H, W) or (H, W, 3) of 8 bits."""
    height, width = image.shape[:2]
    noise = np.random.default_rng(1).normal(0, 40, image.shape)
    return {
        "like": image,
        "negative": 255 - image,
        "dark": image // 16,
        "quarter": np.ascontiguousarray(image[height // 4 : -height // 4, width // 4 : -width // 4]).repeat(2, 0).repeat(2, 1),
        "small": np.ascontiguousarray(image[::2, ::2]),
        "turned": np.ascontiguousarray(np.rot90(image)),
        "noisy": (image + noise).clip(0, 255).astype(np.uint8),
        "blank": np.full_like(image, 90),
        "tiny": np.ascontiguousarray(image[:7, :9]),
        "bright": (image.astype(int) * 16).clip(0, 255).astype(np.uint8),
    }  # fmt: skip


def compared_in_both(folder, packed, tmp_path, chromium, copies):
    """Rows of `predict`, and of the page; and what the page says beside them."""
    write_formats(handover_of(folder, packed), ["try-it"], tmp_path)
    (tmp_path / "new").mkdir()
    for name, image in copies.items():
        Image.fromarray(image).save(tmp_path / "new" / f"{name}.png")
    predict_images(folder, tmp_path / "new", tmp_path / "ours", device="cpu", runtime="torch")
    page = opened(chromium, tmp_path / TRY_IT)
    theirs = predicted_by(page, sorted((tmp_path / "new").iterdir()))
    text = page.locator("main").inner_text()
    assert page.said == []
    page.context.close()
    return {row["image"]: row for row in read_table(tmp_path / "ours" / "predictions.csv")}, theirs, text


def grounds(number, channels, side=96):
    """Pictures of one kind: blobs on a ground with a gradient, lighter and darker ones."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:side, : side + 20] / side
    picture = 60 + 50 * y + rng.normal(0, 6, x.shape) + rng.normal(0, 4)
    for _ in range(12):
        cy, cx = rng.random(2) * 1.1
        picture += 70 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 0.004)
    planes = [picture * (1 - 0.15 * k) for k in range(channels)]
    return np.stack(planes).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("task", "channels", "resized"), [
    ("multiclass_classification", 3, (24, 28)), ("binary_segmentation", 1, None),
])  # fmt: skip
def test_the_page_warns_of_what_is_unlike_the_training_as_predict_does(
    tmp_path, chromium, task, channels, resized
):
    folder, packed = winner_folder(tmp_path, task, channels=channels, resized=resized)
    training = [grounds(number, channels) for number in range(24)]
    if resized:
        training = [resize_image(image, resized) for image in training]
    numbers = {"numbers": np.array([numbers_of(image) for image in training]), "groups": np.arange(24) // 2}
    with_numbers(folder, numbers)
    image = np.moveaxis(grounds(99, channels), 0, -1)
    ours, theirs, text = compared_in_both(
        folder, packed, tmp_path, chromium, spoiled_copies(image[..., 0] if channels == 1 else image)
    )
    for name, row in ours.items():
        assert theirs[name]["unlike_training_p"] == row["unlike_training_p"], name
        assert theirs[name]["warning"] == row["warning"], name
    assert "unlike" not in theirs["like.png"]["warning"]
    assert "unlike the training images: its negative would be like them" in theirs["negative.png"]["warning"]
    assert "all its pixels are alike" in theirs["blank.png"]["warning"]
    assert "not known" not in text


def with_numbers(folder, numbers):
    """The winner, as if it had been laid out with these numbers of training images."""
    made = make_winner([folder.parent / "done" / "fit-1"], folder.parent / "with", seen=Seen(numbers=numbers))
    shutil.copy(made / "training_images.npz", folder)
    record, stated = json.loads((folder / MODEL).read_text()), json.loads((made / MODEL).read_text())
    (folder / MODEL).write_text(json.dumps(record | {key: stated[key] for key in set(stated) - set(record)}))


def test_the_page_says_why_it_does_not_warn(tmp_path, chromium):
    folder, packed = winner_folder(tmp_path, "binary_classification")
    few = np.array([numbers_of(grounds(number, 1)) for number in range(9)])
    with_numbers(folder, {"numbers": few, "groups": np.arange(9)})
    image = grounds(99, 1)[0]
    ours, theirs, text = compared_in_both(folder, packed, tmp_path, chromium, {"a": image, "b": 255 - image})
    assert "unlike_training_p" not in theirs["a.png"]
    assert ours["b.png"]["unlike_training_p"] == ""
    assert "9 groups of them (or images, where none are grouped) are too few" in text
    assert (
        "too few to say what is usual"
        in json.loads((tmp_path / "ours/predictions.json").read_text())["unlike"]
    )


def test_real_cells_are_like_them_and_their_negatives_are_not_in_the_browser_as_in_predict(
    tmp_path, chromium, shared_data
):
    """White blood cells; and a mosaic of them beyond a megapixel, which is looked at in parts."""
    folder, packed = winner_folder(tmp_path, "binary_segmentation", channels=3)
    paths = sorted((shared_data / "wbc_nucleus_cytoplasm/images").iterdir())[:64]
    cells = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    known = np.array([numbers_of(np.moveaxis(cell, -1, 0)) for cell in cells[4:]])
    with_numbers(folder, {"numbers": known, "groups": np.arange(len(known))})
    row = np.concatenate([cells[k % 4] for k in range(10)], axis=1)
    copies = {"a": cells[0], "b": cells[1], "negative": 255 - cells[0], "mosaic": np.concatenate([row] * 10)}
    assert copies["mosaic"].shape[0] * copies["mosaic"].shape[1] > 2**20
    ours, theirs, _ = compared_in_both(folder, packed, tmp_path, chromium, copies)
    for name, image in ours.items():
        assert theirs[name]["unlike_training_p"] == image["unlike_training_p"], name
        assert theirs[name]["warning"] == image["warning"], name
    assert theirs["a.png"]["warning"] == theirs["b.png"]["warning"] == ""
    assert theirs["negative.png"]["warning"].startswith("unlike the training images: ")
