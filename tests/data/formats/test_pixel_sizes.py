"""Pixel sizes as files state them, by every format that can, and what a study makes of them."""

import types

import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
from pydicom.dataset import Dataset as Tags
from pydicom.sequence import Sequence
from scan_files import rewrite_json, write_dicom, write_lif, write_nifti, write_ome_zarr
from small_sets import picture

from foldwise.data.audit.pixel_sizes import common_size, pixel_size_findings, pixel_sizes
from foldwise.data.formats.formats import FORMATS, decode, pixel_um
from foldwise.data.formats.microscopes import _czi_pixel_um, _nd2_pixel_um
from foldwise.data.formats.pixels import in_um
from foldwise.data.layouts.layouts import read_dataset
from foldwise.study.spec import DataSpec

GREY = picture(1, size=(20, 30))


@pytest.mark.parametrize(
    ("how", "size"),
    [
        ({"resolution": (20000, 40000), "resolutionunit": "CENTIMETER"}, (0.25, 0.5)),
        ({"resolution": (50800, 50800), "resolutionunit": "INCH"}, (0.5, 0.5)),
        ({"resolution": (300, 300), "resolutionunit": "INCH"}, None),  # for printing
        ({"resolution": (2400, 2400), "resolutionunit": "INCH"}, None),
        ({"resolution": (2, 4), "resolutionunit": "NONE"}, None),
        ({"imagej": True, "resolution": (2, 4), "metadata": {"unit": "um"}}, (0.25, 0.5)),
        ({"imagej": True, "resolution": (2, 4), "metadata": {"unit": "\\u00B5m"}}, (0.25, 0.5)),
        ({"imagej": True, "resolution": (2, 2), "metadata": {"unit": "mm"}}, (500, 500)),
        ({"imagej": True, "resolution": (72, 72), "metadata": {"unit": "inch"}}, None),
        ({"imagej": True, "resolution": (1, 1), "metadata": {"unit": "pixel"}}, None),
        ({"ome": True, "metadata": {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}}, (0.5, 0.25)),
        (
            {
                "ome": True,
                "resolution": (300, 300),
                "metadata": {
                    "PhysicalSizeX": 250,
                    "PhysicalSizeXUnit": "nm",
                    "PhysicalSizeY": 0.5,
                    "PhysicalSizeYUnit": "µm",
                },
            },
            (0.5, 0.25),
        ),
        ({"ome": True, "metadata": {"PhysicalSizeX": 1, "PhysicalSizeXUnit": "pixel"}}, None),
        ({"ome": True}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("suffix", [".tif", ".TIFF"])
def test_a_tiff_states_it_by_tags_imagej_and_ome(tmp_path, how, size, suffix):
    tifffile.imwrite(tmp_path / f"a{suffix}", GREY, **how)
    assert pixel_um(tmp_path / f"a{suffix}") == (size and pytest.approx(size))


@pytest.mark.parametrize(("dpi", "size"), [(50800, 0.5), (72, None), (2400, None), (None, None)])
def test_a_png_states_it_where_it_is_not_for_printing(tmp_path, dpi, size):
    Image.fromarray(GREY).save(tmp_path / "a.png", **({} if dpi is None else {"dpi": (dpi, dpi)}))
    assert pixel_um(tmp_path / "a.png") == (size and pytest.approx((size, size), rel=1e-4))


@pytest.mark.parametrize("stored", ["RAS", "LPS", "PIR", "SAL"])
def test_a_volume_states_it_for_its_axial_slices_however_it_is_stored(tmp_path, stored):
    image = nibabel.Nifti1Image(np.zeros((7, 6, 5), np.uint8), np.diag([-0.7, -0.6, 2.5, 1.0]))  # L, P, S
    image.header.set_xyzt_units("mm")
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(stored)
    )
    image.as_reoriented(turn).to_filename(tmp_path / "a.nii.gz")
    assert pixel_um(tmp_path / "a.nii.gz") == pytest.approx((600, 700))


def test_a_volume_without_a_unit_states_none(tmp_path):
    write_nifti(tmp_path / "a.nii", GREY[None])
    assert pixel_um(tmp_path / "a.nii") is None


def test_dicom_states_it_in_the_patient_and_on_the_slide_and_not_on_the_detector(tmp_path):
    write_dicom(tmp_path / "a.dcm", GREY[None], PixelSpacing=["0.5", "0.7"])
    assert pixel_um(tmp_path / "a.dcm") == pytest.approx((500, 700))
    write_dicom(tmp_path / "b.dcm", GREY[None], ImagerPixelSpacing=["0.5", "0.7"])
    assert pixel_um(tmp_path / "b.dcm") is None
    measures, groups = Tags(), Tags()
    measures.PixelSpacing = ["0.00025", "0.0005"]
    groups.PixelMeasuresSequence = Sequence([measures])
    write_dicom(tmp_path / "c.dcm", GREY[None], SharedFunctionalGroupsSequence=Sequence([groups]))
    assert pydicom.dcmread(tmp_path / "c.dcm").Rows == 20
    assert pixel_um(tmp_path / "c.dcm") == pytest.approx((0.25, 0.5))


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr_states_it_by_its_scales_where_its_axes_have_units(tmp_path, version):
    write_ome_zarr(tmp_path / "a.zarr", GREY, "yx", version)
    assert pixel_um(tmp_path / "a.zarr") is None

    def change(content):
        image = (content["attributes"]["ome"] if version == 3 else content)["multiscales"][0]
        for axis in image["axes"]:
            axis["unit"] = "micrometer"
        image["datasets"][0]["coordinateTransformations"][0]["scale"] = [0.5, 0.25]
        image["coordinateTransformations"] = [{"type": "scale", "scale": [2.0, 2.0]}]

    rewrite_json(tmp_path / "a.zarr" / ("zarr.json" if version == 3 else ".zattrs"), change)
    assert pixel_um(tmp_path / "a.zarr") == pytest.approx((1.0, 0.5))
    np.testing.assert_array_equal(decode(tmp_path / "a.zarr").values[0], GREY)


def test_lif_states_it_in_metres(tmp_path):
    write_lif(tmp_path / "a.lif", {"one": (GREY, "YX")})  # a metre for 20 and for 30 pixels
    assert pixel_um(tmp_path / "a.lif") == pytest.approx((1e6 / 19, 1e6 / 29))


def test_czi_and_nd2_state_it_by_their_own_metadata():
    text = '<Scaling><Items><Distance Id="X">\n <Value>2.5e-07</Value></Distance><Distance Id="Y"><Value>5E-07</Value>'
    assert _czi_pixel_um(types.SimpleNamespace(metadata=lambda: text)) == pytest.approx((0.5, 0.25))
    assert _czi_pixel_um(types.SimpleNamespace(metadata=lambda: None)) is None
    for calibrated, size in ((True, (0.5, 0.25)), (False, None)):
        volume = types.SimpleNamespace(axesCalibrated=(calibrated, calibrated, False))
        channels = [types.SimpleNamespace(volume=volume)]
        voxel = types.SimpleNamespace(x=0.25, y=0.5, z=1.0)
        file = types.SimpleNamespace(
            metadata=types.SimpleNamespace(channels=channels), voxel_size=lambda v=voxel: v
        )
        assert _nd2_pixel_um(file) == size


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"CZI"}))  # whose library leaves a broken file open
def test_files_that_state_none_or_are_broken_spoil_nothing(tmp_path, name):
    path = tmp_path / f"a{FORMATS[name].suffixes[0]}"
    path.write_bytes(b"\0" * FORMATS[name].offset + FORMATS[name].first_bytes[0] + b"\0\xff" * 200)
    assert pixel_um(path) is None
    assert pixel_um(tmp_path / "none") is None


# ---- studies


def written(folder, sizes):
    for k, size in enumerate(sizes):
        (folder / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        how = {} if size is None else {"resolution": (1e4 / size,) * 2, "resolutionunit": "CENTIMETER"}
        tifffile.imwrite(folder / "ab"[k % 2] / f"{k}.tif", picture(k), **how)
    return read_dataset(DataSpec(path=str(folder)), base=folder)


def findings(folder, sizes, stated=None):
    data, dataset = DataSpec(path=str(folder), pixel_um=stated), written(folder, sizes)
    return pixel_size_findings(dataset, data, pixel_sizes(dataset))


def test_what_all_files_state_is_named_where_the_study_says_nothing(tmp_path):
    (found,) = findings(tmp_path, [0.5, 0.5, 0.5004, None])
    assert (found.code, found.severity) == ("pixel_size", "note")
    assert found.message.startswith("3 files state 0.5 µm (a/0.tif, ")
    assert "State data.pixel_um: 0.5," in found.cure


@pytest.mark.parametrize(
    ("sizes", "stated"),
    [([None, None], 0.5), ([None, None], None), ([0.5, None], 0.5), ([0.5] * 4, (0.5, 0.5))],
)
def test_nothing_is_said_where_nothing_is_to_be_said(tmp_path, sizes, stated):
    assert findings(tmp_path, sizes, stated) == []


def test_a_study_that_says_otherwise_is_warned(tmp_path):
    (found,) = findings(tmp_path, [0.5, 0.25, 0.25, 0.25], 0.5)
    assert (found.code, found.severity) == ("pixel_size_contradicted", "warning")
    assert found.message.startswith("data.pixel_um states 0.5 µm, and 3 files state 0.25 µm (")
    assert found.cases == ("a/2.tif", "b/1.tif", "b/3.tif")
    assert "State what is right" in found.cure


def test_files_that_differ_are_a_warning_with_the_most_frequent_first(tmp_path):
    (found,) = findings(tmp_path, [0.5, 0.25, 0.25, 0.25])
    assert (found.code, found.severity) == ("pixel_sizes_differ", "warning")
    assert "3 files state 0.25 µm" in found.message.partition("1 file states 0.5 µm")[0]
    assert common_size([(0.5, 0.5), (0.25, 0.25)]) is None


def test_a_pixel_that_is_not_square_has_both_sides():
    assert in_um((0.5, 0.25)) == "0.5 × 0.25 µm (height × width)"


@pytest.mark.parametrize("stated", [None, 0.5])
def test_a_scale_that_tells_the_class_is_a_warning_whatever_the_study_states(tmp_path, stated):
    found = findings(tmp_path / "told", [0.5, 0.25] * 12, stated)[-1]
    assert (found.code, found.severity) == ("pixel_size_gives_class_away", "warning")
    assert "a: 12 files state 0.5 µm (a/0.tif, " in found.message
    assert "; b: 12 files state 0.25 µm (b/1.tif, " in found.message
    mixed = findings(tmp_path / "mixed", [0.5, 0.5, 0.25, 0.25] * 6, stated)
    assert [each.code for each in mixed] == [
        "pixel_sizes_differ" if stated is None else "pixel_size_contradicted"
    ]
