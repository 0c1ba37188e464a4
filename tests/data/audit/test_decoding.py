"""What decoding did is told in one line a kind, and refused with both ways to state it where it may not be meant."""

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from PIL import Image
from small_sets import blob, picture, save

from foldwise.data.audit.audit import audit, write_cases
from foldwise.data.audit.decoding import decoding_findings
from foldwise.data.cache.packing import pack
from foldwise.data.cases import Finding
from foldwise.data.external_set import read_external
from foldwise.data.formats.steps import STEPS
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import DataError
from foldwise.pipeline.preparing import refuse
from foldwise.study.spec import DataSpec, Validation

EXIF = Image.Exif()
EXIF[0x0112] = 6
RAMP = np.stack([np.arange(256), np.zeros(256), 255 - np.arange(256)], 1).astype(np.uint8)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))


def findings(root, **data):
    spec = DataSpec(path=str(root), **data)
    dataset = read_dataset(spec, base=root)
    packed = pack(dataset, spec)
    found = decoding_findings(dataset, packed)
    assert {finding.code for finding in found} <= {
        f.code for f in audit(dataset, packed, Validation(folds=2)).findings
    }
    return packed, found


def one(root, **data):
    packed, (finding,) = findings(root, **data)
    return packed, finding


def photographs(root, *, mask_exif=None, side=16):
    for k in range(4):
        save(root / "images" / f"{k}.png", picture(k, 3, (16, side)), exif=EXIF)
        mask = np.zeros((16, side), np.uint8)
        mask[2:5, 4:9] = 255
        save(root / "masks" / f"{k}.png", mask, **({"exif": mask_exif} if mask_exif else {}))


def test_turned_photographs_and_masks_that_are_not_are_refused_and_can_be_stated_both_ways(tmp_path):
    photographs(tmp_path / "set")
    _, finding = one(tmp_path / "set")
    assert (finding.severity, finding.code) == ("error", "decoding_turned")
    assert finding.message.startswith("4 of 4 images were turned or mirrored")
    assert "4 images and their masks were not turned alike" in finding.message
    assert "{orientation: apply}" in finding.cure
    assert "{orientation: ignore}" in finding.cure
    packed, found = findings(tmp_path / "set", decoding={"orientation": "ignore"})
    assert found == []
    np.testing.assert_array_equal(packed.image(0), np.moveaxis(picture(0, 3), -1, 0))
    packed, finding = one(tmp_path / "set", decoding={"orientation": "apply"})
    assert finding.severity == "note"
    assert "if you meant what data.decoding.orientation says. Else: State data.decoding: " in finding.cure
    np.testing.assert_array_equal(packed.image(0), np.rot90(np.moveaxis(picture(0, 3), -1, 0), -1, (1, 2)))


def test_photographs_and_masks_that_are_turned_alike_are_told(tmp_path):
    photographs(tmp_path / "set", mask_exif=EXIF)
    _, finding = one(tmp_path / "set")
    assert finding.severity == "note"
    assert "4 of 4 images were turned or mirrored and 4 of 4 masks were" in finding.message


def test_a_size_that_shows_the_turn_names_the_choice(tmp_path):
    photographs(tmp_path / "set", side=24)
    with pytest.raises(DataError, match="orientation: ignore"):
        findings(tmp_path / "set")
    assert findings(tmp_path / "set", decoding={"orientation": "ignore"})[1] == []


@pytest.mark.parametrize(("choice", "share"), [("ignore", 25 / 256), ("apply", 231 / 256)])
def test_inverted_masks_are_refused_and_read_as_stated(tmp_path, choice, share):
    for k in range(4):
        save(tmp_path / "set" / "images" / f"{k}.tif", picture(k))
        (tmp_path / "set" / "masks").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "set" / "masks" / f"{k}.tif", blob(), photometric="miniswhite")
    _, finding = one(tmp_path / "set")
    assert (finding.severity, finding.code) == ("error", "decoding_inverted")
    assert "4 of 4 masks were inverted" in finding.message
    assert "{white_is_zero: ignore}" in finding.cure
    packed, found = findings(tmp_path / "set", decoding={"white_is_zero": choice})
    assert [f.severity for f in found] == (["note"] if choice == "apply" else [])
    assert packed.target(0).mean() == pytest.approx(share)


def classes(root, write, *, only=None):
    for k in range(12):
        name = "ab"[k % 2]
        path = root / name / f"{k}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        if only in (None, name):
            write(path, k)
        else:
            tifffile.imwrite(path, picture(k))


def inverted(path, k):
    tifffile.imwrite(path, picture(k), photometric="miniswhite")


def test_what_all_classes_have_is_told_and_what_one_has_is_refused(tmp_path):
    classes(tmp_path / "all", inverted)
    assert one(tmp_path / "all")[1].severity == "note"
    classes(tmp_path / "one", inverted, only="b")
    _, finding = one(tmp_path / "one")
    assert finding.severity == "error"
    assert "6 of 12 images were inverted" in finding.message
    assert "differs by class" in finding.message
    assert one(tmp_path / "one", decoding={"white_is_zero": "apply"})[1].severity == "note"


def stains(path, k):
    planes = np.stack([picture(4 * k + c) for c in range(4)], -1)
    tifffile.imwrite(path, planes)


def test_a_fourth_plane_that_varies_is_refused_kept_or_dropped(tmp_path):
    classes(tmp_path / "set", stains)
    packed, finding = one(tmp_path / "set")
    assert (packed.num_channels, finding.severity, finding.code) == (3, "error", "decoding_alpha")
    packed, found = findings(tmp_path / "set", decoding={"alpha": "keep"})
    assert (packed.num_channels, found) == (4, [])
    np.testing.assert_array_equal(packed.image(0)[3], picture(3))
    packed, finding = one(tmp_path / "set", decoding={"alpha": "drop"})
    assert (packed.num_channels, finding.severity) == (3, "note")


@pytest.mark.parametrize(("values", "severity"), [([255], "note"), ([255, 254], "error")])
def test_a_plane_that_is_one_value_in_each_file_may_still_say_something(tmp_path, values, severity):
    def write(path, k):
        save(
            path.with_suffix(".png"),
            np.dstack([picture(k, 3), np.full((16, 16), values[k % len(values)], np.uint8)]),
        )

    classes(tmp_path / "set", write)
    assert one(tmp_path / "set")[1].severity == severity


def test_lookup_tables_over_grey_pictures_are_refused_and_read_as_stated(tmp_path):
    def write(path, k):
        image = Image.fromarray(picture(k)).convert("P")
        image.putdata(picture(k).ravel().tolist())
        image.putpalette(RAMP.ravel().tolist())
        image.save(path)

    classes(tmp_path / "set", write)
    packed, finding = one(tmp_path / "set")
    assert (packed.num_channels, finding.severity, finding.code) == (3, "error", "decoding_palette")
    packed, found = findings(tmp_path / "set", decoding={"palette": "ignore"})
    assert (packed.num_channels, found) == (1, [])
    np.testing.assert_array_equal(packed.image(0)[0], picture(0))
    assert one(tmp_path / "set", decoding={"palette": "apply"})[1].severity == "note"


def test_palettes_of_masks_are_no_step(tmp_path):
    for k in range(2):
        save(tmp_path / "set" / "images" / f"{k}.png", picture(k))
        mask = Image.fromarray(blob(0, 1)).convert("P")
        mask.putdata(blob(0, 1).ravel().tolist())
        mask.putpalette([0, 0, 0, 255, 0, 0])
        (tmp_path / "set" / "masks").mkdir(exist_ok=True)
        mask.save(tmp_path / "set" / "masks" / f"{k}.png", transparency=0)
    assert findings(tmp_path / "set")[1] == []


def test_grey_made_of_colour_and_lost_digits_are_told(tmp_path):
    classes(tmp_path / "colour", lambda path, k: tifffile.imwrite(path, picture(k, 3)))
    assert findings(tmp_path / "colour")[1] == []
    finding = one(tmp_path / "colour", channels="gray")[1]
    assert (finding.code, finding.severity) == ("decoding_grey", "note")
    classes(tmp_path / "double", lambda path, k: tifffile.imwrite(path, picture(k) / 3))
    finding = one(tmp_path / "double")[1]
    assert (finding.code, finding.severity) == ("decoding_rounded", "note")


def test_an_error_stops_the_study_and_an_external_set_is_asked_alike(tmp_path):
    classes(tmp_path / "set", stains)
    classes(tmp_path / "plain", lambda path, k: tifffile.imwrite(path, picture(k + 100, 3)))
    spec = DataSpec(path=str(tmp_path / "set"))
    dataset = read_dataset(spec, base=tmp_path)
    with pytest.raises(DataError, match=r"varies(.|\n)*alpha: keep"):
        refuse(audit(dataset, pack(dataset, spec), Validation(folds=2)))
    spec = DataSpec(path=str(tmp_path / "plain"), external={"path": str(tmp_path / "set")})
    dataset = read_dataset(spec, base=tmp_path)
    with pytest.raises(DataError, match=r"data.external: 12 of 12 images lost(.|\n)*varies"):
        read_external(spec, dataset, pack(dataset, spec), base=tmp_path, validation=Validation(folds=2))


def test_an_external_set_of_another_task_or_classes_is_refused_as_the_one_that_is_wrong(tmp_path):
    classes(tmp_path / "set", lambda path, k: tifffile.imwrite(path, picture(k, 3)))
    classes(tmp_path / "pairs/images", lambda path, k: tifffile.imwrite(path, picture(k + 100, 3)))
    for folder in sorted((tmp_path / "pairs/images").iterdir()):
        for file in folder.iterdir():
            file.rename(tmp_path / f"pairs/images/{folder.name}_{file.name}")
        folder.rmdir()
    (tmp_path / "pairs/masks").mkdir()
    for file in (tmp_path / "pairs/images").iterdir():
        mask = np.zeros(tifffile.imread(file).shape[:2], np.uint8)
        mask[:4] = 255
        tifffile.imwrite(tmp_path / "pairs/masks" / file.name, mask)
    wrong = {
        (
            "set",
            "pairs",
        ): "for binary classification(.|\\n)*the labels are masks, which are for binary_segmentation",
        (
            "pairs",
            "set",
        ): "for binary segmentation into background, foreground: no folder of images is called",
    }
    for (own, other), message in wrong.items():
        spec = DataSpec(path=str(tmp_path / own), external={"path": str(tmp_path / other)})
        dataset = read_dataset(spec, base=tmp_path)
        with pytest.raises(DataError, match=rf"data.external: .*{other} is not labelled(.|\n)*{message}"):
            read_external(spec, dataset, pack(dataset, spec), base=tmp_path, validation=Validation(folds=2))


def test_the_page_lists_every_kind():
    page = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
    assert [kind for kind in STEPS if f"| `decoding_{kind}` |" not in page] == []


def test_every_image_has_its_steps_in_the_table_of_cases(tmp_path):
    photographs(tmp_path / "set", mask_exif=EXIF)
    spec = DataSpec(path=str(tmp_path / "set"))
    dataset = read_dataset(spec, base=tmp_path)
    packed = pack(dataset, spec)
    write_cases(tmp_path / "cases.csv", dataset, packed, audit(dataset, packed, Validation(folds=2)))
    with (tmp_path / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["steps"], row["mask_steps"]) for row in rows] == [("turned 6", "turned 6")] * 4


def test_images_that_are_held_for_one_picture_are_named_beside_the_folds_they_leave_none_for():
    found = [
        Finding("folds", "error", "2 folds need at least 2 groups, and there are 1", (), "Add images."),
        Finding("one_picture", "warning", "240 images look like one picture.", (), "Look at a few."),
        Finding("near_duplicates", "note", "240 images are near-duplicates.", (), ""),
    ]
    with pytest.raises(DataError) as refused:
        refuse(SimpleNamespace(findings=found))
    assert "240 images look like one picture.\n  → Look at a few." in str(refused.value)
    assert "near-duplicates" not in str(refused.value)
    refuse(SimpleNamespace(findings=found[1:]))
