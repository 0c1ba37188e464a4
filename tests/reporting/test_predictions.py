"""Pictures of predictions: what is shown of which image, in which order, and that no name becomes markup."""

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image

from foldwise.reporting import predictions
from foldwise.reporting.drawing.pictures import class_colour, hex_colour
from foldwise.reporting.predictions import SheetCell, contact_sheet, write_pictures

EVIL = "<script>alert(1)</script>"


def model(folder, task, classes):
    folder.mkdir()
    record = {"members": [{"model": {"task": task, "classes": classes}}]}
    (folder / "model.json").write_text(json.dumps(record))
    return folder


def images(folder, names, size=(20, 30)):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full(size, 90, np.uint8)).save(folder / name)
    return folder


def table(out, header, rows, warning=""):
    out.mkdir(exist_ok=True)
    with (out / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[*header, "warning"], *([*row, warning] for row in rows)])


@pytest.fixture
def classified(tmp_path):
    """Three images, two of them in class folders, one of those wrong: (winner, images, out)."""
    winner = model(tmp_path / "winner", "binary_classification", ["gel", EVIL])
    names = ["gel/sure.png", "gel/unsure.png", "&loose.png"]
    folder, out = images(tmp_path / "new", names), tmp_path / "out"
    header = ["image", "predicted", "probability_gel", f"probability_{EVIL}"]
    shares = [("gel", 0.95, 0.05), (EVIL, 0.45, 0.55), (EVIL, 0.3, 0.7)]
    table(out, header, [[name, *share] for name, share in zip(names, shares, strict=True)])
    return winner, folder, out


def test_the_least_certain_comes_first_with_its_truth_and_its_bars(classified):
    page = write_pictures(*classified)[0].read_text(encoding="utf-8")
    assert re.findall(r'class="file">([^<]*)<', page) == ["gel/unsure.png", "&amp;loose.png", "gel/sure.png"]
    assert "3 images, least certain first; 1 of 2 as their folders say" in page
    assert re.findall(r'<figure class="([^"]*)"', page) == ["is-wrong", "is-open", "is-right"]
    assert re.findall(r"width:([\d.]+)%", page) == ["55.0", "45.0", "70.0", "30.0", "95.0", "5.0"]
    assert page.count("folder: <b>gel</b>") == 2


def test_no_name_becomes_markup_and_nothing_is_loaded(classified):
    page = write_pictures(*classified)[0].read_text(encoding="utf-8")
    assert EVIL not in page
    assert "&lt;script&gt;" in page
    assert "default-src 'none'" in page
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_the_contact_sheet_is_a_picture_of_them_all(classified):
    with Image.open(write_pictures(*classified)[1]) as sheet:
        assert sheet.format == "PNG"
        wrong = (np.asarray(sheet) == (168, 40, 30)).all(-1).any(axis=0)
        right = (np.asarray(sheet) == (0, 115, 79)).all(-1).any(axis=0)
    assert wrong[: sheet.width // 3].any()  # the least certain stands first, and is wrong
    assert right[2 * sheet.width // 3 :].any()


def test_several_labels_have_no_truth_and_may_be_none(tmp_path):
    winner = model(tmp_path / "winner", "multilabel_classification", ["a", "b", "c"])
    folder, out = images(tmp_path / "new", ["a/1.png", "a/2.png"]), tmp_path / "out"
    rows = [["a/1.png", "a; c", 0.9, 0.2, 0.6], ["a/2.png", "", 0.1, 0.1, 0.1]]
    table(out, ["image", "predicted", "probability_a", "probability_b", "probability_c"], rows)
    page = write_pictures(winner, folder, out)[0].read_text(encoding="utf-8")
    assert "<b>a, c</b>" in page
    assert "<b>no label</b>" in page
    assert "folder:" not in page
    assert "every label has a threshold of its own" in page
    # (0.9 + 0.8 + 0.6) / 3 is less than 0.9
    assert page.index("a/1.png") < page.index("a/2.png")


def test_masks_are_shown_over_their_images_with_a_legend(tmp_path):
    winner = model(tmp_path / "winner", "multiclass_segmentation", ["ground", "cell", "nucleus"])
    folder, out = images(tmp_path / "new", ["x.png", "gone.png"]), tmp_path / "out"
    images(out / "overlays", ["x.png", "gone.png"])
    rows = [[f"{name}.png", "m", f"overlays/{name}.png", sure, 0.5, 0.25, 0.25] for name, sure in (("x", 0.9), ("gone", 0.8))]  # fmt: skip
    table(out, ["image", "mask", "overlay", "certainty", "share_ground", "share_cell", "share_nucleus"], rows)
    (folder / "gone.png").unlink()
    page = write_pictures(winner, folder, out)[0].read_text(encoding="utf-8")
    assert re.findall(r"background:(#\w+)\"></span> (\w+)", page) == [
        (hex_colour(class_colour(1)), "cell"),
        (hex_colour(class_colour(2)), "nucleus"),
    ]
    assert "certainty 80\u00a0%" in page
    assert page.count("data:image/webp") == 4


def test_channel_files_are_shown_together_and_calibrated_probabilities_count(tmp_path):
    winner = model(tmp_path / "winner", "binary_classification", ["a", "b"])
    record = json.loads((winner / "model.json").read_text())
    (winner / "model.json").write_text(json.dumps(record | {"channels": ["red", "green"]}))
    folder, out = images(tmp_path / "new", ["x_red.png", "x_green.png"]), tmp_path / "out"
    header = ["image", "predicted", "probability_a", "probability_b", "calibrated_a", "calibrated_b"]
    table(out, header, [["x.png", "a", 0.99, 0.01, 0.75, 0.25]])
    page, sheet = write_pictures(winner, folder, out)
    assert re.findall(r"width:([\d.]+)%", page.read_text(encoding="utf-8")) == ["75.0", "25.0"]
    with Image.open(sheet) as drawn:  # two channels are shown as green and magenta, of which both are 0 here
        assert drawn.convert("RGB").getpixel((100, 100)) != (128, 128, 128)


def test_of_many_images_an_even_choice_is_shown_and_said(classified, monkeypatch):
    monkeypatch.setattr(predictions, "ON_PAGE", 2)
    page = write_pictures(*classified)[0].read_text(encoding="utf-8")
    assert re.findall(r'class="file">([^<]*)<', page) == ["gel/unsure.png", "gel/sure.png"]
    assert "2 of them are shown" in page


def test_words_of_any_length_stay_in_their_cell():
    cell = SheetCell(np.zeros((8, 8, 3), np.uint8), "a very long name " * 20, 1.0, "note " * 90)
    sheet = np.asarray(
        contact_sheet([cell], heading="heading " * 200, legend=[("#e69f00", "name " * 50)] * 9)
    )
    assert (sheet[:, 16 + 180 + 2 : 16 + 180 + 14][80:] == 255).all()  # the gap to the next cell


def test_a_model_and_an_image_that_are_not_to_be_relied_on_say_so(classified):
    winner, folder, out = classified
    record = json.loads((winner / "model.json").read_text())
    (winner / "model.json").write_text(json.dumps(record | {"caution": "No better than a guess."}))
    table(out, ["image", "predicted", "probability_gel", f"probability_{EVIL}"], [["gel/sure.png", "gel", 0.6, 0.4]], "not shown to be better; low certainty: gel or photo")  # fmt: skip
    page = write_pictures(winner, folder, out)[0].read_text(encoding="utf-8")
    assert page.count("No better than a guess.") == 1
    assert "! low certainty: gel or photo" in page
    assert "not shown to be better" not in page


@pytest.mark.parametrize(("brightest", "said"), [(60, True), (200, False)])
def test_dark_images_are_shown_brighter_and_it_is_said(classified, brightest, said):
    winner, folder, out = classified
    ramp = np.linspace(0, brightest, 900).reshape(30, 30).astype(np.uint8)
    Image.fromarray(ramp).save(folder / "gel" / "sure.png")
    page = write_pictures(winner, folder, out)[0].read_text(encoding="utf-8")
    assert ("Dark images are shown brighter than they are." in page) == said
