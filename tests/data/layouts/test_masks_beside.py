"""Images and masks in one folder, or in one for each patient: told apart by names, and nothing is left over unsaid."""

import numpy as np
import pytest
from sets_read import read, refused
from small_sets import blob, masks_beside, picture, save

from foldwise.data.cache.packing import pack
from foldwise.data.external_set import read_external
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import DataError, SpecError
from foldwise.study.spec import DataSpec, Validation


def pairs_of(dataset):
    return {case.image: case.mask for case in dataset.cases}


@pytest.mark.parametrize("ending", ["_mask", "_cp_masks", "-seg", " label", "_x"])
@pytest.mark.parametrize("folder", [".", "images"])
def test_masks_are_told_by_their_ending(tmp_path, ending, folder):
    masks_beside(tmp_path, (folder,), ending)
    for path in tmp_path.rglob("cell_?.png"):
        save(path, picture(int(path.stem[-1]) + 1))
    (tmp_path / folder / "notes.txt").write_text("x")
    dataset = read(tmp_path)
    start = "" if folder == "." else "images/"
    assert (dataset.layout, dataset.task) == ("masks_beside", "binary_segmentation")
    assert pairs_of(dataset) == {f"{start}cell_{k}.png": f"{start}cell_{k}{ending}.png" for k in range(3)}
    assert f"masks called *{ending} beside their images" in dataset.statements[0]
    said = f"3 images were paired with the masks beside them, called as they are with {ending} at the end."
    assert said in dataset.statements
    assert f"1 file that is no image was ignored: {start}notes.txt." in dataset.statements
    packed = pack(dataset, DataSpec(path=str(tmp_path)))
    assert np.array_equal(packed.target(0), (blob() > 0).astype(np.uint8))


def test_pickles_of_cellpose_are_passed_over_where_masks_lie_beside_them(tmp_path):
    masks_beside(tmp_path, ending="_cp_masks")
    for place in range(3):
        (tmp_path / f"cell_{place}_seg.npy").write_bytes(b"a pickle")
    dataset = read(tmp_path)
    assert len(dataset.cases) == 3
    assert (
        "3 files that are no images were ignored: cell_0_seg.npy, cell_1_seg.npy, cell_2_seg.npy."
        in dataset.statements
    )
    (tmp_path / "cell_0_cp_masks.png").unlink()
    what = "1 file is pickles of Cellpose, which can run code and are not read: cell_0_seg.npy"
    assert refused(tmp_path).what == what


def test_pictures_that_only_share_a_beginning_are_no_masks(tmp_path):
    for place in range(4):
        save(tmp_path / f"cell_{place}.png", picture(place + 1))
        save(tmp_path / f"cell_{place}_b.png", picture(place + 9))
    assert "nothing says what they show" in refused(tmp_path).what


def test_all_that_is_left_over_is_named_at_once(tmp_path):
    masks_beside(tmp_path)
    save(tmp_path / "lonely.png")
    save(tmp_path / "lost_mask.png", blob())
    save(tmp_path / "cell_0.tif")
    error = refused(tmp_path)
    assert "1 image has no mask: lonely.png" in error.what
    assert "called as the image with _mask at the end" in error.what
    assert "1 mask has no image: lost_mask.png" in error.what
    assert "1 file is called as others but for the suffix: cell_0.tif" in error.what


def test_masks_are_told_from_other_pictures_of_every_image(tmp_path):
    masks_beside(tmp_path, ending="_cp_masks")
    for place in range(3):
        save(tmp_path / f"cell_{place}_cp_output.png")
    error = refused(tmp_path)
    assert (
        error.what
        == "3 images have no mask: cell_0_cp_output.png, cell_1_cp_output.png, cell_2_cp_output.png"
    )
    assert "called as the image with _cp_masks at the end, or take the image out" in error.cure


FOLDERS = {
    "together": ("{p}/{k}.png", "{p}/{k}_mask.png"),
    "within": ("images/{p}/{k}.png", "masks/{p}/{k}.png"),
    "around": ("{p}/images/{k}.png", "{p}/masks/{k}.png"),
    "as mmsegmentation": ("img_dir/{p}/{k}.png", "ann_dir/{p}/{k}.png"),
    "around, with an ending": ("{p}/img/{k}.png", "{p}/labels/{k}_seg.png"),
}


def patients(root, images, masks):
    """Three patients, of whose images some are called alike, and the pairs that are right."""
    right = {}
    for patient in ("p1", "p2", "p3"):
        for k in range(3):
            image, mask = (form.format(p=patient, k=k) for form in (images, masks))
            save(root / image, picture(k))
            save(root / mask, blob())
            right[image] = mask
    return right


@pytest.mark.parametrize(("images", "masks"), FOLDERS.values(), ids=FOLDERS)
def test_folders_of_patients_are_asked_about_and_every_answer_works(tmp_path, images, masks):
    right = patients(tmp_path, images, masks)
    assert refused(tmp_path).choices == ("data.layout=masks_beside",)
    error = refused(tmp_path, layout="masks_beside")
    assert error.what == "images and masks lie in folders (p1, p2, p3)"
    assert error.choices == ("validate.group=folders", "validate.group=none")
    dataset = read(tmp_path, layout="masks_beside", group="folders")
    assert pairs_of(dataset) == right
    assert all(f"{case.group}/" in case.image for case in dataset.cases)
    assert "3 groups of 9 images come from the folders p1, p2, p3." in dataset.statements
    dataset = read(tmp_path, layout="masks_beside", group="none")
    assert (pairs_of(dataset), {case.group for case in dataset.cases}) == (right, {None})


def test_an_external_set_is_read_as_the_study_is(tmp_path):
    for name, forms in (("ours", FOLDERS["together"]), ("theirs", FOLDERS["within"])):
        patients(tmp_path / name, *forms)
    for path in sorted((tmp_path / "theirs").glob("*/p?")):
        path.rename(path.with_name(f"new {path.name}"))
    for k, path in enumerate((tmp_path / "theirs/images").rglob("*.png")):
        save(path, picture(100 + k))
    stated = {"layout": "masks_beside", "external": str(tmp_path / "theirs")}
    data, validation = DataSpec(path=str(tmp_path / "ours"), **stated), Validation(group="folders")
    dataset = read_dataset(data, base=tmp_path, group="folders")
    external = read_external(data, dataset, pack(dataset, data), base=tmp_path, validation=validation)
    assert {case.group for case in external.dataset.cases} == {"new p1", "new p2", "new p3"}
    data = data.model_copy(update={"layout": "auto"})
    with pytest.raises(DataError) as caught:  # nobody has said it of either
        read_external(data, dataset, pack(dataset, data), base=tmp_path, validation=validation)
    assert caught.value.choices == ("data.layout=masks_beside",)


def test_several_masks_of_an_image_in_its_folder_are_no_pairs(tmp_path):
    for image in ("a", "b", "c"):
        save(tmp_path / image / "images" / f"{image}.png")
        for k in range(2):
            save(tmp_path / image / "masks" / f"{image}{k}.png", blob())
    error = refused(tmp_path)
    assert error.choices == ()
    assert error.cure == "Put images into images/ and masks into masks/, one mask an image, of its name."


def test_parts_of_a_split_with_masks_beside(tmp_path):
    masks_beside(tmp_path, ("train", "test"))
    dataset = read(tmp_path, split="folders")
    assert {case.image: case.part for case in dataset.cases} == {
        f"{part}/cell_{k}.png": part for part in ("train", "test") for k in range(3)
    }


def test_a_table_beside_them_is_asked_about(tmp_path):
    masks_beside(tmp_path)
    rows = [f"{path.name},{k % 2}" for k, path in enumerate(sorted(tmp_path.iterdir()))]
    (tmp_path / "labels.csv").write_text("\n".join(["image,label", *rows]))
    assert refused(tmp_path).choices == ("data.layout=masks_beside", "data.table=labels.csv")
    assert read(tmp_path, layout="masks_beside").layout == "masks_beside"
    assert read(tmp_path, task="binary_segmentation").layout == "masks_beside"
    assert read(tmp_path, table="labels.csv").layout == "table"


def test_channel_files_have_no_masks_beside_them(tmp_path):
    masks_beside(tmp_path)
    with pytest.raises(SpecError, match="cannot have their masks beside them") as caught:
        read(tmp_path, layout="masks_beside", channels=["red", "green"])
    assert caught.value.where == "data.channels"
