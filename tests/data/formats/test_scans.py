"""Scanners and microscopes: orientation, units, axes, what is refused, and that no file can run code."""

import gzip
import sys
import types
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from scan_files import rewrite_json, write_dicom, write_lif, write_nifti, write_ome_zarr
from small_sets import picture

from foldwise.data.formats.formats import (
    FORMATS,
    decode,
    holds_slices,
    is_image,
    open_stack,
    pixel_um,
    readings,
)
from foldwise.data.formats.reading import read_mask, read_slice
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import DataError, MissingExtra
from foldwise.study.spec import DataSpec, Decoding

GREY = picture(1, size=(20, 30))
DEEP = np.random.default_rng(0).integers(0, 65535, (3, 20, 30), dtype=np.uint16)


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        decode(path)
    assert caught.value.where == str(path)
    assert caught.value.cure
    return str(caught.value)


# ---- NIfTI: the axes of the patient, whichever order they are stored in


@pytest.mark.parametrize("stored", ["RAS", "LPS", "LAS", "PIR", "SAL", "ASR"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_volume_is_the_same_however_it_is_stored(tmp_path, stored, suffix):
    volume = np.random.default_rng(0).integers(0, 999, (5, 6, 7), dtype=np.uint16)  # (S, P, L)
    image = nibabel.Nifti1Image(volume.T, np.diag([-1.0, -1, 1, 1]))
    start = nibabel.io_orientation(image.affine)
    turn = nibabel.orientations.ornt_transform(start, nibabel.orientations.axcodes2ornt(stored))
    turned = image.as_reoriented(turn)
    assert "".join(nibabel.aff2axcodes(turned.affine)) == stored
    path = tmp_path / f"a{suffix}"
    turned.to_filename(path)
    np.testing.assert_array_equal(open_stack(path).values, volume)


@pytest.mark.parametrize("thin", [0, 1, 2])
def test_a_volume_one_voxel_thick_is_a_picture_whichever_way_it_lies(tmp_path, thin):
    volume = np.expand_dims(GREY, thin)
    write_nifti(tmp_path / "a.nii", volume)
    np.testing.assert_array_equal(decode(tmp_path / "a.nii").values[0], GREY)


def test_scaled_and_signed_values_are_floats_of_one_type_for_a_set(tmp_path):
    hounsfield = np.array([[-1024, 0, 3071]], np.int16)
    for k, values in enumerate((hounsfield, abs(hounsfield))):
        write_nifti(tmp_path / f"{k}.nii", values[None])
        pixels = decode(tmp_path / f"{k}.nii")
        assert pixels.values.dtype == np.float32
        np.testing.assert_array_equal(pixels.values[0], values)
    image = nibabel.Nifti1Image(np.array([[[0]], [[10]]], np.int16), np.eye(4))
    image.header.set_slope_inter(0.5, -1)
    image.to_filename(tmp_path / "scaled.nii")
    assert set(decode(tmp_path / "scaled.nii").values.ravel()) == {-1, 4}


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_label_maps_of_any_type_are_masks(tmp_path, dtype):
    mask = np.array([[0, 1], [2, 300]])[None].clip(0, np.iinfo(np.uint8).max if dtype == np.uint8 else 300)
    write_nifti(tmp_path / "a.nii.gz", mask.astype(dtype))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.nii.gz"), mask[0])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ""])
def test_nifti_2_is_read_as_nifti_1_is(tmp_path, order, suffix):
    volume = np.random.default_rng(0).integers(0, 999, (5, 6, 7), dtype=np.uint16)
    header = nibabel.Nifti2Header(endianness=order)
    header.set_xyzt_units("mm")
    image = nibabel.Nifti2Image(volume.T, np.diag([-1.5, -0.5, 2, 1.0]), header)
    content = image.to_bytes()
    (tmp_path / f"a{suffix}").write_bytes(gzip.compress(content) if suffix.endswith("z") else content)
    np.testing.assert_array_equal(open_stack(tmp_path / f"a{suffix}").values, volume)
    assert pixel_um(tmp_path / f"a{suffix}") == pytest.approx((500, 1500))


def test_a_fourth_axis_is_not_guessed(tmp_path):
    nibabel.Nifti1Image(np.zeros((4, 5, 6, 2), np.uint8), np.eye(4)).to_filename(tmp_path / "a.nii")
    assert "times, or channels" in refused(tmp_path / "a.nii")


def test_volumes_with_volumes_of_masks_are_read_unasked(tmp_path):
    rng = np.random.default_rng(0)
    for folder, values in (("imagesTr", 1000), ("labelsTr", 2)):
        (tmp_path / folder).mkdir()
        for k in range(3):
            ending = "_0000" if values > 2 else ""
            volume = rng.integers(0, values, (4, 16, 17), dtype=np.uint16)
            write_nifti(tmp_path / folder / f"case_{k}{ending}.nii.gz", volume)
    dataset = read_dataset(DataSpec(path=str(tmp_path)), base=tmp_path)
    assert (dataset.layout, dataset.task, len(dataset.cases)) == ("arrays", "binary_segmentation", 12)
    assert len({case.group for case in dataset.cases}) == 3


def test_images_and_masks_pair_without_their_double_suffixes(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for k in range(2):
        write_nifti(tmp_path / "images" / f"{k}.nii.gz", picture(k)[None])
        mask = (picture(k) > 90).astype(np.uint8) * 255
        write_ome_zarr(tmp_path / "masks" / f"{k}.ome.zarr", mask, "yx")
    dataset = read_dataset(DataSpec(path=str(tmp_path)), base=tmp_path)
    assert [(case.image, case.mask) for case in dataset.cases] == [
        (f"images/{k}.nii.gz", f"masks/{k}.ome.zarr") for k in range(2)
    ]


# ---- DICOM


def test_hounsfield_units_come_from_the_header(tmp_path):
    stored = np.array([[[0, 1024, 4095]]], np.uint16)
    write_dicom(tmp_path / "a.dcm", stored, RescaleSlope="1", RescaleIntercept="-1024")
    pixels = decode(tmp_path / "a.dcm")
    assert pixels.values.dtype == np.float32
    np.testing.assert_array_equal(pixels.values[0], [[-1024, 0, 3071]])


def test_white_as_zero_is_a_step_within_the_bits_that_are_stored(tmp_path):
    stored = np.array([[[0, 1000, 4095]]], np.uint16)
    write_dicom(
        tmp_path / "a.dcm", stored, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11
    )
    np.testing.assert_array_equal(decode(tmp_path / "a.dcm").values[0], [[4095, 3095, 0]])
    as_stored = decode(tmp_path / "a.dcm", Decoding(white_is_zero="ignore"))
    np.testing.assert_array_equal(as_stored.values, stored)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4"}, "segmentation"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR"),
        ({"Rows": None}, "holds no picture"),
    ],
)
def test_dicom_that_is_no_picture_is_refused_by_name(tmp_path, tags, words):
    write_dicom(tmp_path / "a.dcm", GREY[None], **tags)
    assert words in refused(tmp_path / "a.dcm")


def test_slices_without_a_suffix_are_images(tmp_path):
    write_dicom(tmp_path / "IM0001", GREY[None])
    assert is_image(tmp_path / "IM0001")


# ---- OME-Zarr


@pytest.mark.parametrize("version", [2, 3])
def test_an_image_that_is_a_folder_has_its_channels_and_its_depth(tmp_path, version):
    path = tmp_path / "a.ome.zarr"
    write_ome_zarr(path, DEEP[None, :, None], version=version)
    pixels = decode(path)
    assert (pixels.format, pixels.values.dtype, pixels.bit_depth) == ("OME-ZARR", np.uint16, 16)
    np.testing.assert_array_equal(pixels.values, DEEP)
    assert is_image(path)
    assert not holds_slices(path)


@pytest.mark.parametrize("version", [2, 3])
def test_times_and_depths_are_images_in_a_row(tmp_path, version):
    film = np.random.default_rng(0).integers(0, 65535, (2, 3, 4, 20, 30), dtype=np.uint16)
    write_ome_zarr(tmp_path / "a.zarr", film, version=version)
    assert holds_slices(tmp_path / "a.zarr")
    for t, z in ((0, 0), (1, 2)):
        np.testing.assert_array_equal(read_slice(tmp_path / "a.zarr", 4 * t + z).values, film[t, :, z])


def test_a_folder_that_is_written_anew_is_read_anew(tmp_path):
    for value in (1, 2):
        write_ome_zarr(tmp_path / "a.zarr", np.full((4, 20, 30), value, np.uint16), "zyx")
        assert read_slice(tmp_path / "a.zarr", 2).values.max() == value


def test_no_codec_that_can_run_code_is_used(tmp_path):
    write_ome_zarr(tmp_path / "2.zarr", GREY, "yx", version=2)
    rewrite_json(tmp_path / "2.zarr/0/.zarray", lambda array: array.update(filters=[{"id": "pickle"}]))
    write_ome_zarr(tmp_path / "3.zarr", GREY, "yx")
    codec = {"name": "numcodecs.pickle", "configuration": {}}
    rewrite_json(tmp_path / "3.zarr/0/zarr.json", lambda array: array.update(codecs=[codec]))
    for name in ("2.zarr", "3.zarr"):
        assert "pickle, which is not read" in refused(tmp_path / name)


def test_folders_that_are_no_image_of_their_own_are_refused(tmp_path):
    (tmp_path / "empty.zarr").mkdir()
    refused(tmp_path / "empty.zarr")
    write_ome_zarr(tmp_path / "a.zarr", GREY, "yx", version=2)
    for change, words in (
        (lambda described: described["multiscales"][0]["datasets"][0].update(path="../../b"), "outside"),
        (lambda described: described["multiscales"].append(described["multiscales"][0]), "2 images"),
        (lambda described: (described.clear(), described.update(plate={})), "plate"),
    ):
        rewrite_json(tmp_path / "a.zarr/.zattrs", change)
        assert words in refused(tmp_path / "a.zarr")
        write_ome_zarr(tmp_path / "a.zarr", GREY, "yx", version=2)


# ---- OME-TIFF


@pytest.mark.parametrize(("axes", "shape"), [("CYX", (3, 20, 30)), ("TCZYX", (1, 3, 1, 20, 30))])
def test_channels_of_an_ome_tiff_are_those_of_its_header(tmp_path, axes, shape):
    metadata = {"axes": axes, "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.2}
    tifffile.imwrite(tmp_path / "a.ome.tif", DEEP.reshape(shape), metadata=metadata, ome=True)
    pixels = decode(tmp_path / "a.ome.tif")
    assert (pixels.values.dtype, pixels.bit_depth, pixels.steps) == (np.uint16, 16, ())
    np.testing.assert_array_equal(pixels.values, DEEP)


# ---- LIF, ND2, CZI


def test_a_plane_of_depth_and_width_is_a_picture(tmp_path):
    write_lif(tmp_path / "xz.lif", {"xz": (DEEP, "CZX")})
    np.testing.assert_array_equal(decode(tmp_path / "xz.lif").values, DEEP)
    write_lif(tmp_path / "xzy.lif", {"xzy": (DEEP, "YZX")})
    assert open_stack(tmp_path / "xzy.lif").values.shape == (3, 20, 30)


def test_an_axis_of_wavelengths_is_neither_channels_nor_slices(tmp_path):
    write_lif(tmp_path / "a.lif", {"sweep": (DEEP, "λYX")})
    assert "λ (3 long) is neither channels nor images in a row" in refused(tmp_path / "a.lif")
    assert readings(tmp_path / "a.lif").stack is None


def test_pictures_of_one_size_in_one_file_are_images_in_a_row_and_others_are_refused_by_name(tmp_path):
    write_lif(tmp_path / "a.lif", {"left": (DEEP, "CYX"), "right": (DEEP[::-1].copy(), "CYX")})
    np.testing.assert_array_equal(open_stack(tmp_path / "a.lif").slice(1).values, DEEP[::-1])
    assert "holds 2 images in a row" in refused(tmp_path / "a.lif")
    assert pixel_um(tmp_path / "a.lif") == pytest.approx((1e6 / 19, 1e6 / 29))
    for other in ((GREY, "YX"), (DEEP.astype(np.uint8), "CYX"), (DEEP, "ZYX")):
        write_lif(tmp_path / "b.lif", {"left": (DEEP, "CYX"), "right": other})
        assert "holds 2 images (left, right), not one" in refused(tmp_path / "b.lif")
    write_lif(tmp_path / "c.lif", {"one": (DEEP, "ZYX"), "two": (DEEP, "ZYX")})
    assert "holds 2 images (one, two), not one" in refused(tmp_path / "c.lif")


def test_a_lif_of_pictures_and_a_stack_of_their_masks_are_a_study(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    pictures = {f"cell {k}": (picture(k, size=(20, 30)), "YX") for k in range(6)}
    write_lif(tmp_path / "images" / "dish.lif", pictures)
    masks = np.stack([(image > 90).astype(np.uint8) * 255 for image, _ in pictures.values()])
    tifffile.imwrite(tmp_path / "masks" / "dish.tif", masks, photometric="minisblack")
    dataset = read_dataset(DataSpec(path=str(tmp_path)), base=tmp_path)
    assert [case.image for case in dataset.cases] == [f"images/dish.lif[{k}]" for k in range(6)]
    pixels = read_slice(tmp_path / "images/dish.lif", 4)
    np.testing.assert_array_equal(pixels.values[0], pictures["cell 4"][0])


@pytest.mark.parametrize("name", ["xz-example.lif", "wavelength-sweep.lif"])
def test_real_files_of_several_images_are_refused_by_name(shared_data, name):
    if not (shared_data / "formats" / name).is_file():
        pytest.skip("the real LIF files are not here")
    assert "holds 3 images" in refused(shared_data / "formats" / name)


class StandIn:
    """What nd2 and czifile give of a file: no file of theirs can be written here, so that their bytes are not tried."""

    array = DEEP

    def __init__(self, path, **_):
        self.sizes, self.axes = {"C": 3, "Y": 20, "X": 30}, "SCYX0"
        self.shape, self.dtype = (1, *self.array.shape, 1), self.array.dtype

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def asarray(self, **_):
        return self.array


@pytest.mark.parametrize(
    ("name", "module", "reader"), [("ND2", "nd2", "ND2File"), ("CZI", "czifile", "CziFile")]
)
def test_what_a_library_gives_becomes_a_picture(tmp_path, monkeypatch, name, module, reader):
    stand_in = types.ModuleType(module)
    setattr(stand_in, reader, StandIn)
    monkeypatch.setitem(sys.modules, module, stand_in)
    path = tmp_path / f"a{FORMATS[name].suffixes[0]}"
    path.write_bytes(FORMATS[name].first_bytes[0] + b"\0" * 99)
    pixels = decode(path)
    assert (pixels.format, pixels.bit_depth) == (name, 16)
    np.testing.assert_array_equal(pixels.values, DEEP)


@pytest.mark.parametrize("name", ["ND2", "CZI"])
def test_bytes_that_are_no_file_of_a_microscope_are_refused(tmp_path, name):
    path = tmp_path / f"a{FORMATS[name].suffixes[0]}"
    path.write_bytes(FORMATS[name].first_bytes[0] + b"\0" * 99)
    refused(path)


# ---- all of them


@pytest.mark.parametrize("name", ["NIFTI", "DICOM", "OME-ZARR", "LIF", "ND2", "CZI"])
def test_a_library_that_is_missing_is_named_with_what_brings_it(tmp_path, monkeypatch, name):
    modules = ("nibabel", "pydicom", "zarr", "liffile", "nd2", "czifile")
    row, path = FORMATS[name], tmp_path / f"a{FORMATS[name].suffixes[0]}"
    if row.is_folder:
        path.mkdir()
        (path / row.markers[0]).write_bytes(b"{}")
    else:
        path.write_bytes(b"\0" * row.offset + row.first_bytes[0] + b"\0" * 99)
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    for read in (decode, open_stack, readings):
        with pytest.raises(MissingExtra, match=r"foldwise\[formats\]"):
            read(path)


def test_an_image_larger_than_memory_is_refused_before_it_is_read(tmp_path):
    nibabel.Nifti1Image(np.zeros((1, 1, 1), np.uint16), np.eye(4)).to_filename(tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[42:48] = np.array([32000, 32000, 32000], "<i2").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    assert "GiB of memory are free" in refused(tmp_path / "a.nii")
