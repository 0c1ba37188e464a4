"""Slices of volumes: read one by one from stacks, kept together, and a study that would leak neighbours is warned."""

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from foldwise.data.audit.audit import audit
from foldwise.data.cache.packing import pack
from foldwise.data.folds.splits import make_splits
from foldwise.data.formats.formats import holds_slices, open_stack
from foldwise.data.formats.reading import read_slice
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import DataError, SpecError
from foldwise.study.spec import DataSpec, Validation


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))


def volume(seed, depth=12, side=32):
    """Slices that change slowly, and masks (0 and 1) of what is bright in them."""
    noise = np.random.default_rng(seed).normal(size=(depth, side, side))
    smooth = ndimage.gaussian_filter(noise, (3, 2, 2))
    image = (smooth - smooth.min()) / np.ptp(smooth)
    return (image * 255).astype(np.uint8), (image > 0.55).astype(np.uint8)


def read(root, group="auto", **data):
    spec = DataSpec(path=str(root), **data)
    dataset = read_dataset(spec, base=root, group=group)
    return dataset, pack(dataset, spec)


def saved(root, kind, several=True):
    """Four volumes, a file each or all in one file; `kind` is .npy, or how a TIFF is written."""
    volumes = [volume(seed) for seed in range(4)]
    if not several:
        volumes = [tuple(np.concatenate(parts) for parts in zip(*volumes, strict=True))]
    for k, parts in enumerate(volumes):
        for folder, stack in zip(("images", "masks"), parts, strict=True):
            name = f"{folder}/vol{k}" if several else folder
            path = root / f"{name}{'.npy' if kind == '.npy' else '.tif'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == ".npy":
                np.save(path, stack)
            elif kind == "imagej":
                tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "ZYX"})
            else:
                tifffile.imwrite(path, stack, photometric="minisblack", compression=kind)
    return root


KINDS = [".npy", "imagej", None, "zlib"]


@pytest.mark.parametrize("kind", KINDS)
def test_slices_of_one_file_are_one_group_and_every_pixel_is_the_same(tmp_path, kind):
    layout = {"layout": "arrays"} if kind in (None, "zlib") else {}  # 12 unnamed pages could be channels
    dataset, packed = read(saved(tmp_path / "set", kind), **layout)
    assert dataset.layout == "arrays"
    assert [case.group for case in dataset.cases] == [f"vol{k}" for k in range(4) for _ in range(12)]
    for k in range(4):
        image, mask = volume(k)
        np.testing.assert_array_equal(packed.image(12 * k + 7)[0], image[7])
        np.testing.assert_array_equal(packed.target(12 * k + 7), mask[7])
    groups = audit(dataset, packed, Validation(folds=4)).groups
    for split in make_splits(dataset, packed, groups=groups, validation=Validation(folds=4), seed=0):
        held = [
            {dataset.cases[i].group for i in part} for part in (split.train, split.validation, split.test)
        ]
        assert not held[0] & held[1] | held[1] & held[2] | held[0] & held[2]


def test_one_file_of_several_volumes_is_a_warning_with_a_cure_that_works(tmp_path):
    root = saved(tmp_path / "set", ".npy", several=False)
    dataset, packed = read(root)
    found = {finding.code: finding for finding in audit(dataset, packed, Validation(folds=4)).findings}
    assert found["neighbours_alike"].severity == "warning"
    assert "state data.slices_per_group" in found["neighbours_alike"].cure
    dataset, packed = read(root, slices_per_group=12)
    assert [case.group for case in dataset.cases] == [
        f"images.npy {12 * k} to {12 * k + 11}" for k in range(4) for _ in range(12)
    ]
    assert "4 groups of 48 images come from data.slices_per_group: 12 in a row." in dataset.statements
    codes = [finding.code for finding in audit(dataset, packed, Validation(folds=4)).findings]
    assert "neighbours_alike" not in codes


def test_no_groups_can_be_asked_for_and_then_nobody_hides_it(tmp_path):
    dataset, _ = read(saved(tmp_path / "set", ".npy"), group="none")
    assert {case.group for case in dataset.cases} == {None}


def test_groups_are_stated_in_one_place(tmp_path):
    with pytest.raises(SpecError, match="groups are stated twice: here, and as 'none'"):
        read(saved(tmp_path / "set", ".npy"), group="none", slices_per_group=3)


def test_blocks_are_made_of_numbered_files_too(tmp_path):
    root = tmp_path / "set"
    for folder, stack in zip(("images", "masks"), volume(0), strict=True):
        (root / folder).mkdir(parents=True)
        for k, plane in enumerate(stack):
            tifffile.imwrite(root / folder / f"z{k}.tif", plane)
    dataset, _ = read(root, slices_per_group=5)
    assert [case.group for case in dataset.cases] == ["images 0 to 4"] * 5 + ["images 5 to 9"] * 5 + [
        "images 10 to 14"
    ] * 2


def test_slices_are_brought_to_the_size_that_is_asked_for(tmp_path):
    _, packed = read(saved(tmp_path / "set", "imagej"), size=16)
    assert packed.image(3).shape == (1, 16, 16)
    assert set(np.unique(packed.target(3))) <= {0, 1}


def test_plain_stacks_are_mapped_and_not_read(tmp_path):
    saved(tmp_path, ".npy")
    saved(tmp_path, "imagej")
    assert isinstance(open_stack(tmp_path / "images/vol0.npy").values, np.memmap)
    assert isinstance(open_stack(tmp_path / "images/vol0.tif").values, np.memmap)
    assert holds_slices(tmp_path / "images/vol0.tif")
    assert read_slice(tmp_path / "images/vol0.tif", 2).values.shape == (1, 32, 32)


def test_channels_of_a_stack_stay_channels(tmp_path):
    stack = np.random.default_rng(0).integers(0, 255, (5, 3, 20, 24), np.uint8)
    tifffile.imwrite(tmp_path / "images.tif", stack, imagej=True, metadata={"axes": "ZCYX"})
    np.save(tmp_path / "masks.npy", (stack[:, 0] > 99).astype(np.uint8))
    _, packed = read(tmp_path)
    np.testing.assert_array_equal(packed.image(3), stack[3])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: (root / "masks/vol2.npy").unlink(), "1 stack has no partner of the same name: vol2"),
        (lambda root: np.save(root / "masks/vol1.npy", volume(1)[1][:9]), r"shape 9×32×32, the images ask for 12×32×32"),
        (lambda root: (root / "images/vol1.npy").write_bytes(b"x"), r"the \.npy file cannot be read"),
    ],
)  # fmt: skip
def test_stacks_that_do_not_fit_are_named(tmp_path, spoil, said):
    root = saved(tmp_path / "set", ".npy")
    spoil(root)
    with pytest.raises(DataError, match=said):
        read(root)


def test_a_tiff_that_is_cut_short_is_refused(tmp_path):
    root = saved(tmp_path / "set", "imagej")
    path = root / "images/vol1.tif"
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(DataError, match=r"vol1\.tif"):
        read(root)


def test_files_of_slices_are_groups_and_no_folders(tmp_path):
    saved(tmp_path, ".npy")
    dataset, _ = read(tmp_path)
    assert len({case.group for case in dataset.cases}) == 4
    with pytest.raises(SpecError, match="no image lies in a folder") as caught:
        read(tmp_path, group="folders")
    assert caught.value.where == "validate.group"
