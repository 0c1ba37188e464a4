"""Small data sets on disk: a few good ones, and many with one fault each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDE = 16


def picture(seed: int = 0, channels: int = 1, size: tuple[int, int] = (SIDE, SIDE)) -> np.ndarray:
    """A noisy picture (H, W) or (H, W, C)."""
    shape = size if channels == 1 else (*size, channels)
    return np.random.default_rng(seed).integers(1, 255, shape, dtype=np.uint8)


def save(path: Path, array: np.ndarray | None = None, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(abs(hash(path.name)) % 1000) if array is None else array).save(path, **options)


def two_classes(root: Path, num_each: int = 3) -> None:
    for name in ("gel", "other"):
        for place in range(num_each):
            save(root / name / f"{name}_{place}.png")


def blob(low: int = 0, high: int = 255, value: Any = None) -> np.ndarray:
    mask = np.full((SIDE, SIDE), low, np.uint8)
    mask[4:9, 4:9] = high
    if value is not None:
        mask[0, 0] = value
    return mask


def pairs(root: Path, masks: list[np.ndarray] | None = None) -> None:
    for place, mask in enumerate(masks or [blob()] * 3):
        save(root / "images" / f"cell_{place}.png")
        save(root / "masks" / f"cell_{place}.png", mask)


def masks_beside(root: Path, folders: tuple[str, ...] = (".",), ending: str = "_mask") -> None:
    for folder in folders:
        for place in range(3):
            save(root / folder / f"cell_{place}.png")
            save(root / folder / f"cell_{place}{ending}.png", blob())


def labelled(root: Path, table: str, num_images: int = 3) -> None:
    for place in range(num_images):
        save(root / "images" / f"i{place}.png")
    (root / "labels.csv").write_text(table)


def stacks(root: Path, **arrays: np.ndarray) -> None:
    for name, array in arrays.items():
        np.save(root / f"{name}.npy", array)


# ---- folders


def no_such_folder(root: Path) -> None:
    root.rmdir()


def a_file_in_place_of_the_folder(root: Path) -> None:
    root.rmdir()
    root.write_text("x")


def empty_folder(root: Path) -> None:
    pass


def images_and_nothing_else(root: Path) -> None:
    save(root / "a.png")


def one_class_only(root: Path) -> None:
    save(root / "gel" / "a.png")


def folders_of_a_split(root: Path) -> None:
    save(root / "train" / "a.png")
    save(root / "test" / "b.png")


def class_folders_too_deep(root: Path) -> None:
    save(root / "train" / "gel" / "a.png")
    save(root / "train" / "other" / "b.png")


def classes_in_a_folder_called_images(root: Path) -> None:
    two_classes(root / "images")


def microscope_files(root: Path) -> None:
    two_classes(root)
    (root / "gel" / "scan.oib").write_bytes(b"x")


def class_folders_and_another_table(root: Path) -> None:
    two_classes(root)
    (root / "labels.csv").write_text("image,label\ngel/gel_0.png,other\n")


def class_folders_and_a_table_of_several_labels(root: Path) -> None:
    two_classes(root)
    (root / "labels.csv").write_text("image,label\ngel/gel_0.png,a|b\n")


def a_class_called_masks(root: Path) -> None:
    save(root / "masks" / "a.png")
    save(root / "tissue" / "a.png")


def images_alone(root: Path) -> None:
    save(root / "images" / "a.png")
    save(root / "masks_2" / "a.png", blob())


def two_image_folders(root: Path) -> None:
    pairs(root)
    save(root / "img" / "a.png")


def two_mask_folders(root: Path) -> None:
    pairs(root)
    save(root / "labels" / "cell_0.png", blob())


def masks_and_table(root: Path) -> None:
    pairs(root)
    (root / "labels.csv").write_text("image,label\ncell_0.png,a\ncell_1.png,b\ncell_2.png,a\n")


def two_tables(root: Path) -> None:
    save(root / "images" / "a.png")
    (root / "one.csv").write_text("image,label\na.png,x\n")
    (root / "two.csv").write_text("image,label\na.png,y\n")


# ---- image and mask pairs


def image_without_mask(root: Path) -> None:
    pairs(root)
    save(root / "images" / "lonely.png")


def mask_without_image(root: Path) -> None:
    pairs(root)
    save(root / "masks" / "idle.png", blob())


def masks_with_an_ending(root: Path) -> None:
    for name in ("a", "b", "lonely"):
        save(root / "images" / f"{name}.png")
    for name in ("a", "b"):
        save(root / "masks" / f"{name}_mask.png", blob())


def masks_of_which_one_has_no_ending(root: Path) -> None:
    for name in ("a", "b"):
        save(root / "images" / f"{name}.png")
        save(root / "masks" / f"{name}{'_mask' if name == 'a' else ''}.png", blob())


def folders_that_pair(root: Path) -> None:
    for folder in ("a", "b"):
        for k in range(3):
            save(root / folder / f"{k}.png", picture(k + 10 * (folder == "a")))


def channel_files_of_nnunet(root: Path) -> None:
    for k in range(3):
        for channel in range(2):
            save(root / "imagesTr" / f"case_{k}_000{channel}.png", picture(2 * k + channel))
        save(root / "labelsTr" / f"case_{k}.png", blob())


def names_that_differ_in_case(root: Path) -> None:
    save(root / "images" / "Cell.png")
    save(root / "masks" / "cell.png", blob())


def same_stem_twice(root: Path) -> None:
    pairs(root)
    save(root / "images" / "cell_0.jpg")


def masks_deeper_down(root: Path) -> None:
    pairs(root)
    save(root / "masks" / "more" / "x.png", blob())


def mask_of_another_size(root: Path) -> None:
    pairs(root)
    save(root / "masks" / "cell_1.png", blob()[:8])


# ---- mask values


def empty_masks(root: Path) -> None:
    pairs(root, [blob(0, 0)] * 3)


def masks_with_a_gap(root: Path) -> None:
    pairs(root, [blob(0, 1, 3)] * 3)


def masks_with_255_among_classes(root: Path) -> None:
    pairs(root, [blob(0, 1, 255), blob(0, 2)])


def masks_with_half_values(root: Path) -> None:
    pairs(root, [blob(0, 128, 255)] * 2)


def jpeg_masks(root: Path) -> None:
    for place in range(2):
        save(root / "images" / f"c{place}.png")
        save(root / "masks" / f"c{place}.jpg", blob(), quality=50)


def numbered_objects(root: Path) -> None:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask.ravel()[:60] = np.arange(60)
    pairs(root, [mask])


def many_colours(root: Path) -> None:
    pairs(root, [picture(3, 3)])


def colours_without_black(root: Path) -> None:
    mask = np.full((SIDE, SIDE, 3), (255, 0, 0), np.uint8)
    mask[:4] = (0, 255, 0)
    pairs(root, [mask])


def masks_with_alpha(root: Path) -> None:
    pairs(root, [picture(3, 4)])


def float_masks(root: Path) -> None:
    save(root / "images" / "a.png")
    (root / "masks").mkdir()
    Image.fromarray(np.linspace(0, 1, 256, dtype=np.float32).reshape(SIDE, SIDE)).save(
        root / "masks" / "a.tif"
    )


# ---- files


def broken(change: Callable[[bytes], bytes], suffix: str = ".png") -> Callable[[Path], None]:
    def make(root: Path) -> None:
        two_classes(root)
        path = root / "gel" / f"bad{suffix}"
        save(path, picture(1, 3, (64, 64)))
        path.write_bytes(change(path.read_bytes()))

    return make


def odd_image(array: np.ndarray, suffix: str = ".tif", **options: Any) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        import tifffile

        two_classes(root)
        tifffile.imwrite(root / "gel" / f"odd{suffix}", array, **options)

    return make


def cmyk(root: Path) -> None:
    two_classes(root)
    Image.fromarray(picture(1, 3)).convert("CMYK").save(root / "gel" / "print.jpg")


def grey_and_colour(root: Path) -> None:
    two_classes(root)
    save(root / "gel" / "colour.png", picture(1, 3))


def eight_and_sixteen_bit(root: Path) -> None:
    two_classes(root)
    save(root / "gel" / "deep.png", picture(1).astype(np.uint16) * 200)


def several_sizes(root: Path) -> None:
    two_classes(root)
    save(root / "gel" / "large.png", picture(1, size=(40, 30)))
