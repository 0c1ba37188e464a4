"""A corpus of data sets with one fault each, and the words that each must be refused with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from small_sets import (
    SIDE,
    a_class_called_masks,
    a_file_in_place_of_the_folder,
    broken,
    channel_files_of_nnunet,
    class_folders_and_a_table_of_several_labels,
    class_folders_and_another_table,
    class_folders_too_deep,
    classes_in_a_folder_called_images,
    cmyk,
    colours_without_black,
    eight_and_sixteen_bit,
    empty_folder,
    empty_masks,
    float_masks,
    folders_of_a_split,
    folders_that_pair,
    grey_and_colour,
    image_without_mask,
    images_alone,
    images_and_nothing_else,
    jpeg_masks,
    labelled,
    many_colours,
    mask_of_another_size,
    mask_without_image,
    masks_and_table,
    masks_deeper_down,
    masks_of_which_one_has_no_ending,
    masks_with_255_among_classes,
    masks_with_a_gap,
    masks_with_alpha,
    masks_with_an_ending,
    masks_with_half_values,
    microscope_files,
    names_that_differ_in_case,
    no_such_folder,
    numbered_objects,
    odd_image,
    one_class_only,
    pairs,
    same_stem_twice,
    several_sizes,
    stacks,
    two_classes,
    two_image_folders,
    two_mask_folders,
    two_tables,
)

from foldwise.errors import DataError, FoldwiseError, SpecError

# ---- the corpus


@dataclass(frozen=True)
class Fault:
    """A data set with a fault, how it is asked for, and the words that the refusal must hold."""

    make: Callable[[Path], Any]
    words: tuple[str, ...]
    error: type[FoldwiseError] = DataError
    data: dict[str, Any] = field(default_factory=dict)
    group: str = "auto"


def table(
    text: str, *words: str, error: type[FoldwiseError] = DataError, group: str = "auto", **data: Any
) -> Fault:
    return Fault(lambda root: labelled(root, text), words, error, data, group)


def arrays(*words: str, data: dict[str, Any] | None = None, **stack: np.ndarray) -> Fault:
    return Fault(lambda root: stacks(root, **stack), words, DataError, data or {})


IMAGES = np.random.default_rng(0).integers(0, 255, (4, SIDE, SIDE), dtype=np.uint8)
GOOD = "image,label\ni0.png,a\ni1.png,b\ni2.png,a\n"

FAULTS: dict[str, Fault] = {
    "no such folder": Fault(no_such_folder, ("does not exist", "Relative paths start at"), SpecError),
    "a file": Fault(a_file_in_place_of_the_folder, ("is a file, not a folder",), SpecError),
    "empty folder": Fault(empty_folder, ("holds no images", "one folder per class")),
    "images alone in the root": Fault(images_and_nothing_else, ("1 images, but nothing says what they show",)),
    "one class": Fault(one_class_only, ("one class only: gel",)),
    "a class without a name": table("image,a,\u200b\ni0.png,0,1\ni1.png,1,0\ni2.png,1,1\n", "a class has no name"),
    "folders of a split": Fault(folders_of_a_split, ("test, train are named like parts of a split",)),
    "too deep": Fault(class_folders_too_deep, ("train/ holds images in further folders (gel, other)", "point data.path at train/")),
    "classes in images/": Fault(classes_in_a_folder_called_images, ("point data.path at images/ itself",)),
    "microscope files": Fault(microscope_files, ("kinds that cannot be read: gel/scan.oib",)),
    "folders against table": Fault(class_folders_and_another_table, ("it calls gel/gel_0.png 'other' (line 2)", "data.layout: class_folders")),
    "folders against label lists": Fault(class_folders_and_a_table_of_several_labels, ("several labels per image",)),
    "a class called masks": Fault(a_class_called_masks, ("is masks/ a class, or masks for the other folders",)),
    "a class without folder": Fault(two_classes, ("no folder of images is called blot", "gel, other"), SpecError, {"classes": ("gel", "blot")}),
    "class folders as masks": Fault(two_classes, ("not binary_segmentation",), SpecError, {"task": "binary_segmentation"}),
    "class folders, several labels": Fault(two_classes, ("not multilabel_classification",), SpecError, {"task": "multilabel_classification"}),
    "images without labels": Fault(images_alone, ("neither masks/ nor labels.csv", "State data.masks: one of masks_2")),
    "two image folders": Fault(two_image_folders, ("images and img could both be meant", "State data.images")),
    "two mask folders": Fault(two_mask_folders, ("labels and masks could both be meant", "State data.masks")),
    "masks and a table": Fault(masks_and_table, ("could be segmented (masks/) or classified (labels.csv)", "State data.task")),
    "two tables": Fault(two_tables, ("one.csv, two.csv", "State data.table")),
    "stated table absent": Fault(two_classes, ("no table 'x.csv'",), SpecError, {"table": "x.csv"}),
    "stated masks absent": Fault(pairs, ("no folder 'truth'", "Name one of its folders: images, masks"), SpecError, {"masks": "truth"}),
    "image without mask": Fault(image_without_mask, ("1 image has no mask of the same name: images/lonely.png",)),
    "mask without image": Fault(mask_without_image, ("1 mask has no image of the same name: masks/idle.png",)),
    "one mask without its ending": Fault(masks_of_which_one_has_no_ending, ("1 file has a name that ends in '_mask', and the others have none: masks/a_mask.png",)),
    "ending and one mask missing": Fault(masks_with_an_ending, ("1 image has no mask of the same name (without '_mask' at the end of masks): images/lonely.png",)),
    "folders that pair": Fault(folders_that_pair, ("are a/ and b/ images and their masks, or classes?", "data.layout: class_folders")),
    "channel files without a word": Fault(channel_files_of_nnunet, ("those of masks and 0000, 0001, as channels", 'State data.channels: ["0000", "0001"]')),
    "case of names": Fault(names_that_differ_in_case, ("differ only in upper and lower case",)),
    "same stem twice": Fault(same_stem_twice, ("share the name 'cell_0'", "images/cell_0.jpg")),
    "masks deeper down": Fault(masks_deeper_down, ("lies in folders below masks/: more/x.png",)),
    "mask size": Fault(mask_of_another_size, ("masks/cell_1.png", "the mask is 16×8 pixels, its image images/cell_1.png is 16×16")),
    "empty masks": Fault(empty_masks, ("all masks are empty", "0: 768 pixels in 3 mask(s)")),
    "gap in classes": Fault(masks_with_a_gap, ("neither 0/255 nor 0..K-1", "3: 3 pixels in 3 mask(s), e.g. masks/cell_0.png")),
    "255 among classes": Fault(masks_with_255_among_classes, ("255 may be a class", "State data.ignore_value: 255")),
    "half values": Fault(masks_with_half_values, ("128: 50 pixels", "State data.mask_values")),
    "jpeg masks": Fault(jpeg_masks, ("JPEG blurs mask values", "State data.mask_values")),
    "numbered objects": Fault(numbered_objects, ("60 values look like numbered objects",)),
    "many colours": Fault(many_colours, ("the masks hold 256 colours",)),
    "no black": Fault(colours_without_black, ("no colour is black", "#ff0000: 192 pixels")),
    "alpha in masks": Fault(masks_with_alpha, ("masks/cell_0.png", "alpha channel that varies")),
    "float masks": Fault(float_masks, ("no whole numbers from 0 to 65535 (0 to 1)",)),
    "mask value not stated": Fault(masks_with_half_values, ("1 value in the masks is not stated. 128: 50 pixels",), DataError, {"mask_values": {"0": "background", "255": "cell"}}),
    "mask value misspelled": Fault(pairs, ("'white' is no mask value", "#ff0000"), SpecError, {"mask_values": {"0": "background", "white": "cell"}}),
    "mask class not among classes": Fault(pairs, ("cell is not among data.classes",), SpecError, {"mask_values": {"0": "no", "255": "cell"}, "classes": ("no", "yes")}),
    "too many class names": Fault(pairs, ("3 names for 2 classes",), SpecError, {"classes": ("a", "b", "c")}),
    "empty file": Fault(broken(lambda b: b""), ("gel/bad.png: the file is empty (0 bytes)",)),
    "cut png": Fault(broken(lambda b: b[: len(b) // 2]), ("gel/bad.png: the file is damaged or cut short",)),
    "cut jpeg": Fault(broken(lambda b: b[: len(b) // 2], ".jpg"), ("gel/bad.jpg: the file is damaged or cut short",)),
    "cut tiff": Fault(broken(lambda b: b[: len(b) // 2], ".tif"), ("gel/bad.tif", "damaged")),
    "text called png": Fault(broken(lambda b: b"hello, I am no image"), ("gel/bad.png: the file is no image",)),
    "noise after the header": Fault(broken(lambda b: b[:60] + bytes(len(b) - 60)), ("gel/bad.png", "damaged")),
    "a stack in depth": Fault(odd_image(np.zeros((20, 32, 32), np.uint8), metadata={"axes": "ZYX"}), ("gel/odd.tif", "is a stack (axes ZYX")),
    "large integers": Fault(odd_image(np.full((SIDE, SIDE), 70000, np.uint32)), ("fit neither 16 bit nor float",)),
    "five channels to grey": Fault(odd_image(np.zeros((5, SIDE, SIDE), np.uint8)), ("an image of 5 channels cannot be made gray",), DataError, {"channels": "gray"}),
    "cmyk": Fault(cmyk, ("gel/print.jpg", "the colour mode CMYK is not supported")),
    "grey and colour": Fault(grey_and_colour, ("6 of 1 channel(s)", "1 of 3 channel(s) (gel/colour.png)", "State data.channels: gray or rgb")),
    "two bit depths": Fault(eight_and_sixteen_bit, ("6 of uint8", "1 of uint16 (gel/deep.png)")),
    "several sizes": Fault(several_sizes, ("2 different sizes, from 16×16 to 30×40", "State data.size"), SpecError),
    "empty table": table("", "labels.csv: the table is empty"),
    "header only": table("image,label\n", "a header but no rows"),
    "table not utf-8": Fault(lambda root: (labelled(root, GOOD), (root / "labels.csv").write_bytes(b"image,label\n\xff\xfe,a\n")), ("not UTF-8",)),
    "ragged rows": table(GOOD + "i3.png,a,b\n", "the header has 2 cells, but line 5 has 3"),
    "column twice": table("image,label,label\ni0.png,a,b\n", "two columns are called 'label'"),
    "no image column": table("x,label\ni0.png,a\n", "no column is called image", "State data.image_column: one of x, label"),
    "two image columns": table("id,img,label\ni0,i0.png,a\n", "id, img could all name the images"),
    "stated image column": table(GOOD, "no column of labels.csv is called 'picture'", error=SpecError, image_column="picture"),
    "stated label column": table(GOOD, "no column of labels.csv is called 'labl'", "Did you mean 'label'?", error=SpecError, label_columns=("labl",)),
    "labels unclear": table("image,kind,stage\ni0.png,a,1\n", "not clear among kind, stage", "State data.label_columns"),
    "only other columns": table("image,patient_id,eye\ni0.png,1,L\n", "not clear among patient_id, eye"),
    "row twice": table(GOOD + "i0.png,a\n", "labels.csv: 1 image has more than one row: images/i0.png (lines 2, 5)"),
    "listed but absent": table(GOOD + "i7.png,a\n", "1 listed image is not there: line 5 'i7.png'"),
    "listed in another case": table(GOOD.replace("i0.png", "I0.PNG"), "line 2 'I0.PNG' (there is images/i0.png)", "1 image has no row: images/i0.png"),
    "present but unlisted": table("image,label\ni0.png,a\ni1.png,b\n", "1 image has no row: images/i2.png"),
    "no label": table(GOOD.replace("i1.png,b", "i1.png,"), "1 image has no label: labels.csv, line 3"),
    "one label for all": table(GOOD.replace(",b", ",a"), "one class only: a"),
    "unknown label": table(GOOD, "labels.csv, line 3, column label: the label 'b' is not among data.classes", classes=("a", "c")),
    "words or labels": table("image,label\ni0.png,cell\ni1.png,red cell\ni2.png,red\n", "line 3, column label: is 'red cell' one name, or several labels with spaces between them: 'red', 'cell' are labels by themselves?", "State data.task: multiclass_classification for one label per image, or multilabel_classification for several."),
    "one class in two cases": table("image,label\ni0.png,Cat\ni1.png,dog\ni2.png,cat\n", "class names differ in spelling only: 'Cat' (1) and 'cat' (1)", "State data.classes: [Cat, dog] to read them as one class, or data.classes: [Cat, cat, dog] if they are several."),
    "columns that differ in case": table("image,Cat,cat\ni0.png,1,0\ni1.png,1,1\ni2.png,1,0\n", "columns of labels differ in spelling only: 'Cat' and 'cat'"),
    "one-hot": table("image,a,b\ni0.png,1,0\ni1.png,0,1\ni2.png,1,0\n", "every row has exactly one 1", "multiclass_classification or multilabel"),
    "neither 0 nor 1": table("image,a,b\ni0.png,1,0\ni1.png,2,1\ni2.png,1,1\n", "line 3, column a: '2' is neither 0 nor 1", label_columns=("a", "b")),
    "three classes as binary": table(GOOD.replace("i2.png,a", "i2.png,c"), "not binary_classification", error=SpecError, task="binary_classification"),
    "no group column": table(GOOD, "no column of labels.csv is called 'patient'", error=SpecError, group="patient"),
    "empty group": table("image,label,g\ni0.png,a,x\ni1.png,b,\ni2.png,a,x\n", "1 image has no g: images/i1.png", group="g"),
    "two groups stated": table("image,label,g,h\ni0.png,a,x,1\ni1.png,b,x,1\ni2.png,a,x,1\n", "State only one", error=SpecError, group="g", group_column="h"),
    "pattern broken": table(GOOD, "is no regular expression", error=SpecError, group="pattern:(i"),
    "pattern without group": table(GOOD, "has 0 groups in parentheses", error=SpecError, group="pattern:i"),
    "pattern does not fit": table(GOOD, "does not fit 3 file name(s)", group="pattern:(x+)"),
    "arrays alone": arrays("neither masks nor labels beside images.npy", "labels.npy with 4 labels", images=IMAGES),
    "arrays of objects": arrays("labels.npy: the array holds Python objects", "not of objects", images=IMAGES, labels=np.array([{}, 1, 2, 3], object)),
    "arrays of another length": arrays("labels of shape 3 do not fit 4 images", images=IMAGES, labels=np.arange(3)),
    "array masks of another size": arrays("the masks have shape 4×8×16, the images ask for 4×16×16", images=IMAGES, masks=IMAGES[:, :8]),
    "masks and labels": arrays("masks or labels?", images=IMAGES, masks=IMAGES, labels=np.arange(4)),
    "flat array": arrays("holds no images", images=np.zeros(5), labels=np.arange(5)),
    "channels anywhere": arrays("not clear which axis of shape 4×8×16×8", images=np.zeros((4, 8, 16, 8), np.uint8), labels=np.arange(4)),
    "label rows of counts": arrays("0 and 1 only", images=IMAGES, labels=np.full((4, 2), 3)),
    "fractional labels": arrays("whole numbers or names", images=IMAGES, labels=np.array([0.5, 1, 1, 0])),
    "unknown phantom": Fault(empty_folder, ("no phantom is called 'blobs'",), SpecError, {"phantom": {"kind": "blobs"}}),
}  # fmt: skip
