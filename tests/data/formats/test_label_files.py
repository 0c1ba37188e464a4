"""The contract of the formats of labels, and what becomes of objects on the way to masks."""

import json
import shutil
import zipfile

import numpy as np
import pytest
from label_sets import SIZE, SQUARE, WRITERS, counts, images, packed, runs, truth, write_coco
from PIL import Image
from small_sets import picture

from foldwise.data.cache.packing import pack
from foldwise.data.formats.label_files import LABEL_FORMATS, kind_of
from foldwise.data.formats.shapes import Shape, Tally, drawn_mask, filled, runs_of_cell, runs_of_counts
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import DataError, SpecError
from foldwise.study.spec import DataSpec

RNG = np.random.default_rng(0)


def read(root, **settings):
    return read_dataset(DataSpec(path=str(root), **settings), base=root)


def refused(root, **settings):
    with pytest.raises(DataError) as caught:
        read(root, **settings)
    assert caught.value.cure or "•" in str(caught.value) or "→" in str(caught.value)
    return str(caught.value)


@pytest.fixture(params=WRITERS)
def kind(request, tmp_path):
    WRITERS[request.param](tmp_path, images(tmp_path / "images"))
    return request.param


def label_file(root, kind):
    files = (path for path in root.rglob("*") if kind_of(path) == kind)
    return next(files)


def test_every_row_is_under_contract():
    assert set(WRITERS) == set(LABEL_FORMATS)


def test_a_folder_is_recognised_unasked_and_its_objects_are_drawn_to_the_pixel(tmp_path, kind):
    dataset = read(tmp_path)
    assert dataset.layout == "image_mask"
    assert dataset.task == "multiclass_segmentation"
    names = ("group 1", "group 2") if kind == "ImageJ ROI" else ("square", "triangle")
    assert dataset.classes == ("background", *names)
    assert [case.name for case in dataset.cases] == [f"images/a{k}.png" for k in range(3)]
    packed_set = pack(dataset, DataSpec(path=str(tmp_path)))
    for k in range(3):
        np.testing.assert_array_equal(packed_set.target(k), truth())
    assert any("6 objects of 3 images were drawn as masks from" in line for line in dataset.statements)


def test_it_is_read_alike_where_it_is_stated_and_again(tmp_path, kind):
    file = label_file(tmp_path, kind)
    stated = file if LABEL_FORMATS[kind].is_of_set else file.parent
    settings = {"masks": stated.relative_to(tmp_path).as_posix()}
    if stated != tmp_path / "images":
        assert read(tmp_path, **settings).cases == read(tmp_path).cases
    assert read(tmp_path) == read(tmp_path)


def test_an_image_without_labels_is_named_and_so_are_labels_without_an_image(tmp_path, kind):
    shutil.copy(tmp_path / "images/a0.png", tmp_path / "images/new.png")
    assert "1 image has no labels" in refused(tmp_path)
    assert "images/new.png" in refused(tmp_path)
    (tmp_path / "images/new.png").unlink()
    if LABEL_FORMATS[kind].is_of_set:
        (tmp_path / "images/a1.png").unlink()
        assert "of an image that is not there" in refused(tmp_path)


def test_damaged_files_are_refused_with_their_name(tmp_path, kind):
    file = label_file(tmp_path, kind)
    content = file.read_bytes()
    others = [path for path in file.parent.iterdir() if path.suffix == file.suffix and path != file]
    file.write_bytes(content[: len(content) // 2])
    if others and not LABEL_FORMATS[kind].is_of_set:
        assert file.name in refused(tmp_path)
    else:
        with pytest.raises((DataError, SpecError)):
            read(tmp_path)


def test_a_change_of_the_labels_is_a_change_of_the_masks(tmp_path, kind):
    before = pack(read(tmp_path), DataSpec(path=str(tmp_path))).digest
    if kind == "COCO":
        square = {"image_id": 0, "category_id": 7, "segmentation": [np.ravel(SQUARE).tolist()]}
        write_coco(tmp_path, ["a0", "a1", "a2"], annotations=[square])
    elif kind == "YOLO":  # names stand in a file of their own
        (tmp_path / "data.yaml").write_text("names: {0: square, 1: triangle}")
    elif kind != "ImageJ ROI":
        file = label_file(tmp_path, kind)
        file.write_bytes(file.read_bytes().replace(b"triangle", b"square"))
    else:
        shutil.copy(
            tmp_path / "rois/a0.zip", tmp_path / "rois/a1.zip"
        )  # the same in another file is the same
    is_same = pack(read(tmp_path), DataSpec(path=str(tmp_path))).digest == before
    assert is_same is (kind == "ImageJ ROI")


# ---- shapes


@pytest.mark.parametrize("seed", range(8))
def test_polygons_cover_the_pixels_whose_centres_they_hold(seed):
    from matplotlib.path import Path as Oracle

    corners = np.random.default_rng(seed).uniform(-5, 45, (7, 2))
    centres = np.stack(np.meshgrid(np.arange(40) + 0.5, np.arange(30) + 0.5), -1).reshape(-1, 2)
    # Even and odd: a point is inside where a ray from it crosses the border an odd number of times.
    crossings = np.zeros(len(centres), int)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0), strict=True):
        spans = (y0 > centres[:, 1]) != (y1 > centres[:, 1])
        with np.errstate(all="ignore"):
            crossings += spans & (centres[:, 0] < (x1 - x0) * (centres[:, 1] - y0) / (y1 - y0) + x0)
    inside = filled([corners], (30, 40))
    np.testing.assert_array_equal(inside.ravel(), crossings % 2 == 1)
    hull = corners[[0, 1, 2]]
    np.testing.assert_array_equal(filled([hull], (30, 40)).ravel(), Oracle(hull).contains_points(centres))
    here, part = Shape("a", ((corners,),)).pixels((30, 40))
    whole = np.zeros((30, 40), bool)
    whole[here] = part
    np.testing.assert_array_equal(whole, inside)


@pytest.mark.parametrize("density", [0, 0.02, 0.5, 1])
def test_runs_come_back_from_every_way_to_write_them(density):
    mask = np.random.default_rng(3).random((37, 41)) < density
    cell = " ".join(f"{start + 1} {length}" for start, length in runs(mask))
    for decoded in (runs_of_cell(cell), runs_of_counts(counts(mask)), runs_of_counts(packed(counts(mask)))):
        _, inside = Shape("a", runs=decoded).pixels(mask.shape)
        np.testing.assert_array_equal(inside, mask)


@pytest.mark.parametrize("cell", ["", "nan", "-1", "  "])
def test_cells_without_an_object_hold_no_runs(cell):
    assert runs_of_cell(cell).shape == (0, 2)


def test_of_objects_that_overlap_the_later_one_has_the_pixels_and_this_is_counted():
    tally = Tally()
    ring = np.array(SQUARE, float)
    far = ring + 1000
    shapes = [
        Shape("a", ((ring,),)),
        Shape("b", ((ring + 6,),)),
        Shape("b", ((far,),)),
        Shape("ignore", ((ring[:3],),)),
    ]
    mask = drawn_mask(shapes, ("background", "a", "b"), SIZE, tally, where="x")
    assert mask[18, 12] == 2
    assert (mask == 255).sum() > 50
    assert (tally.over["b"], tally.images, tally.outside) == (36, 1, 1)


# ---- what is said, asked and refused


def test_crowds_and_boxes_of_coco_are_not_objects(tmp_path):
    square = np.ravel(SQUARE).tolist()
    crowd = {
        "image_id": 0,
        "category_id": 7,
        "iscrowd": 1,
        "segmentation": {"counts": packed(counts(truth() == 2)), "size": SIZE},
    }
    box = {"image_id": 1, "category_id": 7, "bbox": [1, 2, 3, 4]}
    whole = {"image_id": 1, "category_id": 7, "segmentation": [square]}
    write_coco(tmp_path, images(tmp_path / "images"), annotations=[crowd, box, whole])
    dataset = read(tmp_path)
    assert dataset.classes == ("background", "square")
    said = "\n".join(dataset.statements)
    assert "1 label without an area" in said
    assert "1 image without objects" in said
    target = pack(dataset, DataSpec(path=str(tmp_path))).target(0)
    np.testing.assert_array_equal(target == 255, truth() == 2)


def test_where_pictures_and_files_could_be_the_labels_the_study_says_which(tmp_path):
    write_coco(tmp_path, images(tmp_path / "images"))
    images(tmp_path / "masks")
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert caught.value.choices == ("data.masks=masks", "data.masks=annotations.json")


def test_where_a_table_labels_the_images_too_the_study_says_which(tmp_path):
    write_coco(tmp_path, images(tmp_path / "images"))
    (tmp_path / "labels.csv").write_text("image,label\na0.png,x\na1.png,y\na2.png,x\n")
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert caught.value.choices == ("data.masks=annotations.json", "data.table=labels.csv")
    assert read(tmp_path, table="labels.csv").layout == "table"
    assert read(tmp_path, masks="annotations.json").layout == "image_mask"
    assert read(tmp_path, task="multiclass_segmentation").layout == "image_mask"
    assert read(tmp_path, task="binary_classification").layout == "table"


def test_classes_are_those_of_the_study(tmp_path):
    write_coco(tmp_path, images(tmp_path / "images"))
    dataset = read(tmp_path, classes=("rest", "triangle", "square"))
    assert dataset.classes == ("rest", "triangle", "square")
    with pytest.raises(SpecError, match="hold triangle, which"):
        read(tmp_path, classes=("rest", "square"))


def test_labels_beside_images_in_the_data_folder_itself(tmp_path):
    names = images(tmp_path)
    (tmp_path / "images").mkdir()
    WRITERS["LabelMe"](tmp_path, names)
    for file in (tmp_path / "images").iterdir():
        file.rename(tmp_path / file.name)
    (tmp_path / "images").rmdir()
    dataset = read(tmp_path)
    assert [case.name for case in dataset.cases] == ["a0.png", "a1.png", "a2.png"]


def test_pickles_of_cellpose_are_refused_with_the_way_out(tmp_path):
    images(tmp_path / "images")
    np.save(tmp_path / "images/a0_seg.npy", np.array({"masks": 1}), allow_pickle=True)
    text = refused(tmp_path)
    assert "images/a0_seg.npy" in text
    assert "Save the masks as PNG or TIFF" in text


def test_runs_of_another_image_are_refused(tmp_path):
    images(tmp_path / "images", 1)
    (tmp_path / "train.csv").write_text("ImageId,EncodedPixels\na0.png,700 900\n")
    assert "a run of pixels ends at 1,599, and the image has 768" in refused(tmp_path)


def test_an_archive_of_more_than_rois_is_not_unpacked(tmp_path):
    names = images(tmp_path / "images", 2)
    WRITERS["ImageJ ROI"](tmp_path, names)
    with zipfile.ZipFile(tmp_path / "rois/a1.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1.roi", b"Iout" + b"\0" * 2**25)
    assert "holds more than ROIs can" in refused(tmp_path)


def test_a_table_of_labels_is_still_one(tmp_path):
    images(tmp_path / "images", 4)
    (tmp_path / "labels.csv").write_text("image,label\na0.png,x\na1.png,y\na2.png,x\na3.png,y\n")
    (tmp_path / "notes.json").write_text(json.dumps({"images": 3}))
    assert read(tmp_path).layout == "table"


def test_label_images_of_cellpose_and_stardist_are_one_class_where_the_study_says_so(tmp_path):
    images(tmp_path / "images")
    (tmp_path / "masks").mkdir()
    for k in range(3):
        objects = np.zeros(SIZE, np.uint16)
        for cell in range(40 + 3 * k):
            objects[2 * (cell // 14) : 2 * (cell // 14) + 2, 2 * (cell % 14) : 2 * (cell % 14) + 2] = cell + 1
        Image.fromarray(objects).save(tmp_path / "masks" / f"a{k}.png")
    with pytest.raises(DataError, match="look like numbered objects") as caught:
        read(tmp_path)
    key, _, value = caught.value.choices[0].partition("=")
    assert key == "data.mask_values"
    assert value == '{"0": background, "other": foreground}'
    dataset = read(tmp_path, mask_values={"0": "background", "other": "cell"})
    assert dataset.classes == ("background", "cell")
    assert picture(0).ndim == 2


# ---- given splits


def divided(root, kind, parts=("train", "valid", "test")):
    """A folder for each part, with images, or images/, and labels as programs export them."""
    for part in parts:
        names = images(root / part / "images")
        WRITERS[kind](root / part, names)
    return root


def flat(root, kind):
    """The same with all of a part directly in its folder, as Roboflow exports COCO."""
    for part in divided(root, kind).iterdir():
        for file in [path for path in part.rglob("*") if path.is_file()]:
            file.rename(part / file.name)
        for folder in [path for path in part.iterdir() if path.is_dir()]:
            folder.rmdir()
    return root


@pytest.mark.parametrize("lay_out", [divided, flat])
def test_labels_in_the_folders_of_a_split_are_asked_about_and_read(tmp_path, kind, lay_out):
    root = lay_out(tmp_path / "set", kind)
    with pytest.raises(DataError, match="the folders train, valid, test are the parts of a split") as caught:
        read(root)
    assert caught.value.choices[0] == "validate.split=folders"
    dataset = read_dataset(DataSpec(path=str(root)), base=root, split="folders")
    assert [case.part for case in dataset.cases] == ["train"] * 3 + ["validation"] * 3 + ["test"] * 3
    assert len(dataset.classes) == 3
    packed_set = pack(dataset, DataSpec(path=str(root)))
    for k in range(9):
        np.testing.assert_array_equal(packed_set.target(k), truth())
    about = "\n".join(dataset.statements)
    assert "18 objects of 9 images were drawn as masks from " in about
    assert "train/" in about
    pooled = read_dataset(DataSpec(path=str(root)), base=root, split="pooled_folders")
    assert {case.part for case in pooled.cases} == {None}
    assert len(pooled.cases) == 9


def test_parts_may_be_links_to_elsewhere(tmp_path):
    root, far = tmp_path / "set", tmp_path / "far/away"
    divided(far, "COCO")
    root.mkdir()
    for part in far.iterdir():
        (root / part.name).symlink_to(part, target_is_directory=True)
    dataset = read_dataset(DataSpec(path=str(root)), base=root, split="folders")
    np.testing.assert_array_equal(pack(dataset, DataSpec(path=str(root))).target(4), truth())


def test_one_file_for_each_part_may_lie_beside_the_parts(tmp_path):
    (tmp_path / "annotations").mkdir()
    for part in ("train", "val", "test"):
        images(tmp_path / part)
        write_coco(tmp_path, ["a0", "a1", "a2"])
        (tmp_path / "annotations.json").rename(tmp_path / f"annotations/instances_{part}2017.json")
    dataset = read_dataset(DataSpec(path=str(tmp_path)), base=tmp_path, split="folders")
    assert any("annotations/instances_val2017.json" in line for line in dataset.statements)
    np.testing.assert_array_equal(pack(dataset, DataSpec(path=str(tmp_path))).target(8), truth())


def test_a_part_without_labels_is_named(tmp_path):
    root = divided(tmp_path, "COCO")
    (root / "valid/annotations.json").unlink()
    with pytest.raises(DataError, match="no labels are in valid/, and the other parts have some"):
        read_dataset(DataSpec(path=str(root)), base=root, split="folders")


@pytest.mark.parametrize("has_names", [True, False])
def test_the_layout_of_ultralytics_is_read_as_it_is(tmp_path, has_names):
    """images/train with labels/train: the same pixels as of train/images with train/labels, and the same split."""
    for part in ("train", "val", "test"):
        WRITERS["YOLO"](tmp_path / part, images(tmp_path / part / "images"))
        for kind in ("images", "labels"):
            (tmp_path / "set" / kind).mkdir(parents=True, exist_ok=True)
            (tmp_path / part / kind).rename(tmp_path / "set" / kind / part)
    root, names = (
        tmp_path / "set",
        "path: .\ntrain: images/train\nval: images/val\nnames: [triangle, square]\n",
    )
    if has_names:
        (root / "data.yaml").write_text(names)
    dataset = read_dataset(DataSpec(path=str(root)), base=root, split="folders")
    assert [case.part for case in dataset.cases] == ["train"] * 3 + ["validation"] * 3 + ["test"] * 3
    assert any("3 files in labels/train/, 3 files in labels/val/" in line for line in dataset.statements)
    target = pack(dataset, DataSpec(path=str(root))).target(8)
    assert set(np.unique(target)) == {0, 1, 2}
    if has_names:
        assert dataset.classes == ("background", "square", "triangle")
        np.testing.assert_array_equal(target, truth())
    question = refused(root)
    assert "the folders images/train, images/val, images/test are the parts of a split" in question
    pooled = read_dataset(DataSpec(path=str(root)), base=root, split="pooled_folders")
    assert [case.part for case in pooled.cases] == [None] * 9


# ---- YOLO


def test_yolo_files_without_a_polygon_are_background_and_boxes_are_not_taken_for_objects(tmp_path):
    WRITERS["YOLO"](tmp_path, images(tmp_path / "images"))
    (tmp_path / "labels/a0.txt").write_text("")
    (tmp_path / "labels/a1.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    about = "\n".join(read(tmp_path).statements)
    assert "2 images without objects" in about
    assert "1 label without an area" in about
    (tmp_path / "labels/a2.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    assert "the labels are boxes, points or lines (2), none of which has an outline" in refused(tmp_path)
    (tmp_path / "labels/a2.txt").write_text("7 0.1 0.1 0.2 0.2 0.3 0.1\n")
    assert "there is no name for class 7" in refused(tmp_path)
    (tmp_path / "data.yaml").unlink()
    assert read(tmp_path).classes == ("background", "class 7")


# ---- the order of runs


def disc(size, centre, radius):
    rows, columns = np.mgrid[: size[0], : size[1]]
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2


def run_table(root, size, *, by_rows, column="EncodedPixels", radius=5, seen=True):
    """Images with a disc each, bright where it is seen, and a table of its runs in one of the orders."""
    (root / "images").mkdir(exist_ok=True)
    rows = [f"ImageId,{column}"]
    for k in range(4):
        mask = disc(size, (8 + 3 * k, 20 - 2 * k), radius)
        image = np.random.default_rng(k).integers(0, 60, size) + 120 * (mask & seen)
        Image.fromarray(image.astype(np.uint8)).save(root / f"images/a{k}.png")
        cells = " ".join(f"{start + 1} {length}" for start, length in runs(mask.T if by_rows else mask))
        rows.append(f"a{k}.png,{cells}")
    (root / "train.csv").write_text("\n".join(rows) + "\n")


@pytest.mark.parametrize("by_rows", [False, True])
@pytest.mark.parametrize("radius", [2, 6])
def test_torn_objects_tell_the_order_of_runs_where_images_are_not_square(tmp_path, by_rows, radius):
    run_table(tmp_path, (30, 44), by_rows=by_rows, column="annotation", radius=radius)
    dataset = read(tmp_path)
    target = pack(dataset, DataSpec(path=str(tmp_path))).target(1)
    np.testing.assert_array_equal(target == 1, disc((30, 44), (11, 18), radius))
    where = "along the rows" if by_rows else "down the columns"
    assert any(f"Runs of pixels count {where} (in the other order" in line for line in dataset.statements)


@pytest.mark.parametrize("by_rows", [False, True])
def test_of_square_images_the_order_is_asked_and_what_is_seen_comes_first(tmp_path, by_rows):
    run_table(tmp_path, (40, 40), by_rows=by_rows)
    with pytest.raises(DataError, match="the shapes of objects do not tell") as caught:
        read(tmp_path)
    order = "rows" if by_rows else "columns"
    assert caught.value.choices[0] == f"data.run_order={order}"
    dataset = read(tmp_path, run_order=order)
    target = pack(dataset, DataSpec(path=str(tmp_path))).target(1)
    np.testing.assert_array_equal(target == 1, disc((40, 40), (11, 18), 5))
    assert f"({'as stated'})" in "\n".join(dataset.statements)


def test_runs_of_coco_that_are_torn_by_columns_are_asked_about(tmp_path):
    names = images(tmp_path / "images")
    mask = disc(SIZE, (10, 14), 6)
    for by_rows in (False, True):
        outline = {"counts": counts(mask.T if by_rows else mask), "size": SIZE}
        annotations = [{"image_id": k, "category_id": 7, "segmentation": outline} for k in range(3)]
        write_coco(tmp_path, names, annotations=annotations)
        if not by_rows:
            assert read(tmp_path).layout == "image_mask"
            continue
        with pytest.raises(DataError, match="of COCO count down the columns, and so") as caught:
            read(tmp_path)
        assert caught.value.choices[0] == "data.run_order=rows"
        target = pack(read(tmp_path, run_order="rows"), DataSpec(path=str(tmp_path))).target(0)
        np.testing.assert_array_equal(target == 1, mask)


def test_runs_of_an_image_of_another_size_are_refused(tmp_path):
    outline = {"counts": [10, 5, 9], "size": [4, 6]}
    annotations = [{"image_id": k, "category_id": 7, "segmentation": outline} for k in range(3)]
    write_coco(tmp_path, images(tmp_path / "images"), annotations=annotations)
    assert "runs of pixels are of an image of (4, 6) pixels (height, width)" in refused(tmp_path)
