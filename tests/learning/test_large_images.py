"""Images larger than memory: the mask that the whole image has, for any tile size and way to store it, in bounded memory."""

import csv
import json
import shutil

import numpy as np
import pytest
import tifffile
import torch
from fits_to_try import fit, tiny
from PIL import Image
from scan_files import write_ome_zarr

from foldwise.data.formats import windows as module
from foldwise.data.formats.formats import decode, pixel_um
from foldwise.data.formats.pixels import resize_image
from foldwise.data.formats.windows import Windows, large_image
from foldwise.data.novelty import numbers_of
from foldwise.errors import DataError, RunError
from foldwise.learning import large_images
from foldwise.learning.checkpoints.saved import load_winner
from foldwise.learning.checkpoints.winner import Decision, Seen, make_winner
from foldwise.learning.large_images import write_large
from foldwise.learning.networks import tiles
from foldwise.learning.networks.tiles import Need, bands
from foldwise.learning.predict import predict_images
from foldwise.learning.prediction_files import LeftOut
from foldwise.learning.resuming import image_digest
from foldwise.learning.runtimes import TorchRuntime
from foldwise.reporting.predictions import write_pictures
from foldwise.sealed import read_table
from foldwise.study.spec import AS_SHOWN, Decoding

CPU = torch.device("cpu")
HEIGHT, WIDTH = 1050, 1100
RNG = np.random.default_rng(0)


def made(root, normalize):
    packed = tiny("multiclass_segmentation")
    fit(root / "done" / "fit-3", "multiclass_segmentation", packed=packed, epochs=2, normalize=normalize)
    return make_winner([root / "done" / "fit-3"], root / "winner", decision=Decision())


@pytest.fixture(scope="module")
def winner(tmp_path_factory):
    return made(tmp_path_factory.mktemp("large"), "auto")


@pytest.fixture(scope="module")
def values():
    small = RNG.integers(0, 256, (HEIGHT // 10, WIDTH // 10)).repeat(10, 0).repeat(10, 1)
    return (small * 0.7 + RNG.integers(0, 70, small.shape)).astype(np.uint8)


@pytest.fixture
def all_are_large(monkeypatch):
    monkeypatch.setattr(module, "LARGE_PX", 2**12)


def coloured(values):
    return np.stack([values, values[::-1], 255 - values], axis=-1)


STORED = {
    "mapped": {},
    "tiles": {"tile": (256, 256), "compression": "zlib"},
    "strips": {"rowsperstrip": 7, "compression": "lzw"},
    "jpeg": {"tile": (128, 128), "compression": "jpeg"},
}
PARTS = ((0, 300, 0, 333), (250, 260, 200, 333), (299, 300, 0, 1), (3, 290, 255, 257))


# JPEG has 8 bits, and grey or colours.
STORABLE = [
    (stored, kind, dtype)
    for stored in STORED
    for kind in ("grey", "rgb", "channels")
    for dtype in ("uint8", "uint16", "float32")
    if stored != "jpeg" or (dtype == "uint8" and kind != "channels")
]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("stored", "kind", "dtype"), STORABLE)
def test_windows_of_a_tiff_are_parts_of_what_is_decoded(all_are_large, tmp_path, stored, kind, dtype, order):
    shape = {"grey": (300, 333), "rgb": (300, 333, 3), "channels": (2, 300, 333)}[kind]
    how = {"photometric": "rgb"} if kind == "rgb" else {"photometric": "minisblack"}
    how |= {"ome": True, "metadata": {"axes": "CYX"}} if kind == "channels" else {}
    picture = RNG.integers(0, 250, shape).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", picture, byteorder=order, **how, **STORED[stored])
    are_parts(tmp_path / "a.tif")


def are_parts(path, decoding=AS_SHOWN):
    whole = decode(path, decoding)
    with large_image(path, decoding) as windows:
        assert windows.why_whole == ""
        assert windows.shape_CHW == whole.values.shape
        for top, bottom, left, right in PARTS:
            part = windows.window(top, bottom, left, right, decoding)
            assert (part.mode, part.values.dtype, part.bit_depth) == (
                whole.mode,
                whole.values.dtype,
                whole.bit_depth,
            )
            np.testing.assert_array_equal(part.values, whole.values[:, top:bottom, left:right])


@pytest.mark.parametrize(
    "how", [{"photometric": "miniswhite"}, {"imagej": True, "metadata": {"axes": "CYX"}}]
)
def test_windows_are_inverted_as_the_whole_is_and_have_the_channels_of_imagej(all_are_large, tmp_path, how):
    shape = (2, 300, 333) if "imagej" in how else (300, 333)
    tifffile.imwrite(tmp_path / "a.tif", RNG.integers(0, 250, shape).astype(np.uint16), **how)
    are_parts(tmp_path / "a.tif")


@pytest.mark.parametrize("shape", [(300, 333), (300, 333, 3), (4, 300, 333)])
def test_windows_of_arrays_and_zarr_are_parts_of_what_is_decoded(all_are_large, tmp_path, shape):
    picture = RNG.integers(0, 60000, shape).astype(np.uint16)
    np.save(tmp_path / "a.npy", picture)
    are_parts(tmp_path / "a.npy")
    if shape[-1] != 3:
        write_ome_zarr(tmp_path / "a.zarr", picture, "cyx"[-picture.ndim :])
        are_parts(tmp_path / "a.zarr")


REFUSED = {
    "turned": ({"extratags": [(274, 3, 1, 6, True)]}, "orientation tag"),
    "alpha": ({"photometric": "rgb", "extrasamples": ["unassalpha"], "tile": (64, 64)}, "alpha channel"),
    "planes": ({"photometric": "rgb", "planarconfig": "separate", "tile": (64, 64)}, "one after the other"),
    "one strip": ({"compression": "zlib", "rowsperstrip": 300}, "strips or tiles of 300×333"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_has_to_be_read_whole_says_why_and_what_does_not_fit_is_left_out(
    all_are_large, winner, tmp_path, monkeypatch, kind
):
    how, why = REFUSED[kind]
    monkeypatch.setattr(module, "CHUNK_BYTES", 2**16)
    shape = {"alpha": (300, 333, 4), "planes": (3, 300, 333)}.get(kind, (300, 333))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(shape, np.uint8), **how)
    with large_image(tmp_path / "a.tif", AS_SHOWN) as windows:
        assert why in windows.why_whole
    if kind == "turned":
        are_parts(tmp_path / "a.tif", Decoding(orientation="ignore"))
    places, problems = {"a.tif": "a.tif"}, []
    loaded = load_winner(winner, CPU)
    assert not large_images.large_among(loaded, tmp_path, places, problems)
    assert places
    monkeypatch.setattr(large_images, "usable", lambda: type("Free", (), {"free": 2**10}))
    assert not large_images.large_among(loaded, tmp_path, places, problems)
    assert not places
    assert why in str(problems[0])
    assert "Save it as a TIFF in tiles" in problems[0].cure


def test_small_damaged_and_other_files_are_left_to_their_decoders(all_are_large, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((300, 333), np.uint8), tile=(64, 64))
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(content[: len(content) - 5000])
    (tmp_path / "text.tif").write_text("no image")
    tifffile.imwrite(tmp_path / "small.tif", np.zeros((60, 60), np.uint8))
    Image.new("L", (300, 333)).save(tmp_path / "a.png")
    for name in ("cut.tif", "text.tif", "small.tif", "a.png", "none.tif"):
        with large_image(tmp_path / name, AS_SHOWN) as windows:
            assert windows is None


# ---- tiles


def outputs(tile):
    return torch.cat([tile, 1 - tile], dim=1)


@pytest.mark.parametrize("side", [800, 1024, 1500])
def test_bands_are_the_whole_for_any_tile_size(side):
    image = torch.rand(1, 1, 1300, 1450)
    window = lambda top, bottom, left, right: image[:, :, top:bottom, left:right]  # noqa: E731
    parts = list(bands(window, outputs, (1300, 1450), side_px=side))
    assert [first for first, _, _ in parts] == [0, *(last for _, last, _ in parts[:-1])]
    assert parts[-1][1] == 1300
    torch.testing.assert_close(torch.cat([part for *_, part in parts], dim=2), outputs(image))


def test_a_tile_of_margins_only_is_refused_and_none_is_made():
    image = torch.zeros(1, 1, 1300, 1450)
    with pytest.raises(
        ValueError, match="tiles of 608 pixels leave nothing between their margins: at least 609"
    ):
        list(bands(lambda *_: image, outputs, (1300, 1450), side_px=608))
    for step in (32, 224, 448, 512, 1024):
        side = Need(1e9).side_px(step)
        assert side % step == 0
        assert side > 2 * tiles.MARGIN_PX + tiles.RAMP_PX + step


# ---- predictions


def write(folder, values, name="slide.tif", **how):
    folder.mkdir(exist_ok=True)
    tifffile.imwrite(folder / name, values, **(how or {"tile": (256, 256), "compression": "zlib"}))


@pytest.mark.parametrize("how", ["plain", "by each image", "flips"])
def test_the_mask_is_that_of_the_whole_image_for_any_tile_size(winner, values, all_are_large, tmp_path, how):
    winner, flips = made(tmp_path, "image") if how == "by each image" else winner, how == "flips"
    values = np.ascontiguousarray(values[:, :320]) if flips else values
    write(tmp_path, values)
    loaded = load_winner(winner, CPU)
    runtime = large_images.Flipped(TorchRuntime(loaded, CPU)) if flips else TorchRuntime(loaded, CPU)
    # Whole as far as memory is concerned: these networks take less than the budget at this size.
    p = runtime(values[None, None])[0]
    seen = []
    for side in (864, None) if how == "plain" else (1024,):
        with large_image(tmp_path / "slide.tif", AS_SHOWN) as windows:
            files = tmp_path / f"mask-{side}.tif", tmp_path / f"picture-{side}.png"
            stated = {"device": CPU, "side_px": side, "flips": flips, "progress": seen.append}
            drawn = write_large(loaded, windows, "slide.tif", files, **stated)
        mask = tifffile.imread(files[0])
        assert (mask != p.argmax(0)).sum() <= 20
        assert drawn.certainty == pytest.approx(p.max(0).mean(), abs=1e-5)
        assert drawn.shares == pytest.approx(np.bincount(mask.ravel(), minlength=len(p)) / mask.size)
        with Image.open(files[1]) as picture:
            assert picture.size == values.shape[::-1]
    assert all(0 <= share < 1 for share in seen)
    assert seen[0] == 0
    assert len(set(seen)) > 1


def test_the_tiles_are_those_of_an_image_that_is_predicted_whole(
    winner, values, all_are_large, tmp_path, monkeypatch
):
    """So that networks which look at means of a tile say the same, too; one more band is no other result."""
    monkeypatch.setattr(tiles, "BUDGET_BYTES", 2**20)
    narrow = np.ascontiguousarray(values[:, :160])
    write(tmp_path, narrow)
    loaded = load_winner(winner, CPU)
    p = TorchRuntime(loaded, CPU)(narrow[None, None])[0]
    with large_image(tmp_path / "slide.tif", AS_SHOWN) as windows:
        write_large(loaded, windows, "a", (tmp_path / "m.tif", tmp_path / "m.png"), device=CPU)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "m.tif"), p.argmax(0))


def test_a_folder_of_large_and_small_images_is_predicted_and_gone_on_with(
    winner, values, all_are_large, tmp_path, monkeypatch
):
    monkeypatch.setattr(tiles, "BUDGET_BYTES", 2**20)
    folder, out, values = tmp_path / "new", tmp_path / "out", values[:, :160]
    write(folder, coloured(values)[..., :1].repeat(3, -1))  # grey that was saved as colour
    write(folder, values[:50, :60], "part.tif")
    write(folder, values.astype(np.uint16), "deep.tif")
    write_ome_zarr(folder / "b.zarr", values, "yx")
    seen, asked = [], []
    with pytest.raises(LeftOut, match=r"deep.tif: the image holds uint16 values"):
        predict_images(winner, folder, out, device="cpu", progress=lambda *at: seen.append(at))
    assert any(done % 1 for done, _ in seen)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    with (out / "predictions.csv").open(newline="") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    masks = {name: row["mask"] for name, row in rows.items()}
    assert masks == {"slide.tif": "masks/slide.tif", "part.tif": "masks/part.png", "b.zarr": "masks/b.tif"}
    np.testing.assert_array_equal(
        tifffile.imread(out / "masks/b.tif"), tifffile.imread(out / "masks/slide.tif")
    )
    write_pictures(winner, folder, out)
    before, first = (out / "masks/slide.tif").stat().st_mtime_ns, TorchRuntime.__call__
    monkeypatch.setattr(TorchRuntime, "__call__", lambda self, x: (asked.append(x.shape), first(self, x))[1])
    with pytest.raises(LeftOut):
        predict_images(winner, folder, out, device="cpu")
    assert (out / "masks/slide.tif").stat().st_mtime_ns == before
    assert not asked
    shutil.rmtree(folder / "b.zarr")
    write_ome_zarr(folder / "b.zarr", values[::-1], "yx")
    with pytest.raises(LeftOut):
        predict_images(winner, folder, out, device="cpu")
    assert asked


def test_a_half_written_mask_is_none(winner, values, all_are_large, tmp_path, monkeypatch):
    write(tmp_path / "new", values[:, :160])
    plain, asked = TorchRuntime.__call__, []

    def stopping(self, images):
        asked.append(images.shape)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return plain(self, images)

    monkeypatch.setattr(TorchRuntime, "__call__", stopping)
    monkeypatch.setattr(tiles, "BUDGET_BYTES", 2**20)
    with pytest.raises(KeyboardInterrupt):
        predict_images(winner, tmp_path / "new", tmp_path / "out", device="cpu")
    assert not list((tmp_path / "out").rglob("*.tif"))
    predict_images(winner, tmp_path / "new", tmp_path / "out", device="cpu")
    assert len(asked) > 2
    assert tifffile.imread(tmp_path / "out/masks/slide.tif").shape == (HEIGHT, 160)


def stopped_at(number, asked, monkeypatch):
    """Count the tiles that are asked about in `asked`; at this number of them the command is stopped, once."""
    plain = TorchRuntime.__call__

    def stopping(self, images):
        asked.append(images.shape)
        if len(asked) == number:
            raise KeyboardInterrupt
        return plain(self, images)

    monkeypatch.setattr(TorchRuntime, "__call__", stopping)


@pytest.mark.parametrize("kind", [None, "float32"])
def test_a_large_image_goes_on_at_its_row_of_tiles_to_the_very_same_files(
    winner, values, all_are_large, tmp_path, monkeypatch, kind
):
    monkeypatch.setattr(tiles, "BUDGET_BYTES", 2**20)
    write(tmp_path / "new", np.tile(values[:1000, :700], (2, 2)))  # 4 rows of 2 tiles
    how = {"device": "cpu", "probabilities": kind}
    whole = predict_images(winner, tmp_path / "new", tmp_path / "whole", **how)
    asked, said, out = [], [], tmp_path / "out"
    stopped_at(6, asked, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        predict_images(winner, tmp_path / "new", out, doing=said.append, **how)
    assert said[-1] == "slide.tif: tile 6 of 8"
    assert json.loads((out / "progress.jsonl").read_text().splitlines()[-1])["doing"] == "tile 6 of 8"
    shares = []
    predict_images(winner, tmp_path / "new", out, progress=lambda done, _: shares.append(done), **how)
    assert len(asked) == 6 + 4  # of 8 tiles, two rows were done
    assert shares[:2] == [0, 4 / 8]
    names = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    for name in names:
        if name.suffix == ".tif":
            np.testing.assert_array_equal(tifffile.imread(out / name), tifffile.imread(whole / name))
        elif name.suffix == ".png":
            assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    assert read_table(out / "predictions.csv") == read_table(whole / "predictions.csv")


@pytest.mark.parametrize("harm", ["a band is cut", "a band is gone", "another model"])
def test_what_is_unfinished_is_believed_only_where_it_is_whole_and_of_this_model(
    winner, values, all_are_large, tmp_path, monkeypatch, harm
):
    monkeypatch.setattr(tiles, "BUDGET_BYTES", 2**20)
    write(tmp_path / "new", np.tile(values[:1000, :160], (3, 1)))
    asked, out = [], tmp_path / "out"
    stopped_at(4, asked, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        predict_images(winner, tmp_path / "new", out, device="cpu")
    (band,) = (out / "unfinished").glob("*/band-0")
    if harm == "a band is cut":
        band.write_bytes(band.read_bytes()[:-1])
    elif harm == "a band is gone":
        band.unlink()
    predict_images(winner, tmp_path / "new", out, device="cpu", flips=harm == "another model")
    assert len(asked) == 4 + 6 * (4 if harm == "another model" else 1)
    assert not (out / "unfinished").exists()


@pytest.mark.parametrize("size_hw", [(6000, 6000), (2049, 900), (1500, 30000), (2000, 2040), (2048, 2049)])
def test_even_tiles_are_as_many_and_no_larger(size_hw):
    side = tiles.even_side_px(size_hw, 2048, 32)
    assert side % 32 == 0
    assert side <= 2048
    assert tiles.num_tiles(size_hw, side, 32) == tiles.num_tiles(size_hw, 2048, 32)
    if size_hw == (6000, 6000):
        assert side == 1984


def test_values_that_are_damaged_within_are_said_and_the_others_are_predicted(
    winner, values, all_are_large, tmp_path
):
    write(tmp_path / "new", values[:, :160])
    write(tmp_path / "new", values[:, :160], "b.tif")
    with tifffile.TiffFile(tmp_path / "new/b.tif") as file:
        page = file.pages.first
        at, number = page.dataoffsets[-1], page.databytecounts[-1]
    content = bytearray((tmp_path / "new/b.tif").read_bytes())
    content[at : at + number] = b"\x55" * number
    (tmp_path / "new/b.tif").write_bytes(content)
    with pytest.raises(LeftOut, match=r"b.tif: the file is damaged or cut short"):
        predict_images(winner, tmp_path / "new", tmp_path / "out", device="cpu")
    assert [path.name for path in (tmp_path / "out/masks").iterdir()] == ["slide.tif"]


def test_no_more_than_a_tile_or_a_band_is_read_at_a_time(
    winner, values, all_are_large, tmp_path, monkeypatch
):
    """Of 6,000 rows: no window is larger than a tile or 512 rows, and no array of probabilities than a row of tiles."""
    monkeypatch.setattr(tiles, "BUDGET_BYTES", 2**20)
    tall = np.tile(values[:1000, :100], (6, 1))
    write(tmp_path, tall, "tall.tif")
    read, given = Windows.window, []

    def counting(self, top, bottom, left, right, decoding):
        given.append((bottom - top) * (right - left))
        return read(self, top, bottom, left, right, decoding)

    monkeypatch.setattr(Windows, "window", counting)
    loaded = load_winner(winner, CPU)
    with large_image(tmp_path / "tall.tif", AS_SHOWN) as windows:
        write_large(loaded, windows, "a", (tmp_path / "m.tif", tmp_path / "m.png"), device=CPU)
    assert max(given) <= 100 * (1024 + 32)
    assert sum(given) <= 3.5 * tall.size
    assert tifffile.imread(tmp_path / "m.tif").shape == tall.shape


def test_statistics_by_windows_are_those_of_the_whole(winner, all_are_large, tmp_path):
    loaded = load_winner(winner, CPU)
    bright = (60000 + RNG.normal(0, 3, (1300, 700))).astype(np.uint16)
    write(tmp_path, bright, "a.tif")
    members = tuple(
        large_images.replace(each, model=each.model.model_copy(update={"dtype": "uint16"}))
        for each in loaded.members
    )
    deep = large_images.replace(loaded, members=members)
    with large_image(tmp_path / "a.tif", AS_SHOWN) as windows:
        mean, std = large_images.LargeImage(windows, deep, "a.tif").statistics()
    assert mean == pytest.approx([bright.mean(dtype=np.float64)], rel=1e-12)
    assert std == pytest.approx([bright.std(dtype=np.float64)], rel=1e-9)


def test_the_digest_of_an_image_that_is_a_folder_is_of_all_its_files(tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", np.zeros((8, 8), np.uint8), "yx")
    first = image_digest(tmp_path, "a.zarr")
    write_ome_zarr(tmp_path / "a.zarr", np.ones((8, 8), np.uint8), "yx")
    assert first != image_digest(tmp_path, "a.zarr") != ""


def test_images_of_other_channels_are_refused(winner, values, all_are_large, tmp_path):
    write(
        tmp_path,
        np.stack([values, values]),
        "a.tif",
        photometric="minisblack",
        ome=True,
        metadata={"axes": "CYX"},
    )
    loaded, files = load_winner(winner, CPU), (tmp_path / "m.tif", tmp_path / "m.png")
    with large_image(tmp_path / "a.tif", AS_SHOWN) as windows, pytest.raises(DataError, match="2 channels"):
        write_large(loaded, windows, "a.tif", files, device=CPU)


# ---- models that resize


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("size_hw", [(64, 48), (1050, 40), (31, 1100), (1200, 1300), (1050, 1100)])
def test_an_image_in_bands_is_resized_to_the_very_same_values(values, dtype, size_hw):
    image = (
        np.stack([values, values[::-1]]).astype(np.float64) * 3.7
        if dtype == "float32"
        else np.stack([values, values[::-1]])
    ).astype(dtype)
    bands = (image[:, top : top + 97] for top in range(0, HEIGHT, 97))
    whole = resize_image(image, size_hw)
    ours = module.resize_bands(bands, size_hw)
    assert ours.dtype == whole.dtype
    np.testing.assert_array_equal(ours, whole)


def test_a_classifier_that_resizes_reads_a_large_image_in_bands_and_says_the_same(
    values, all_are_large, tmp_path, monkeypatch
):
    packed = tiny("multiclass_classification", num_channels=3)
    fit(tmp_path / "done" / "fit-3", "multiclass_classification", packed=packed, epochs=2)
    winner = make_winner(
        [tmp_path / "done" / "fit-3"], tmp_path / "winner", seen=Seen(sizes_px=((40, 60), (40, 60)))
    )
    record = json.loads((winner / "model.json").read_text())
    for member in record["members"]:
        member["model"] |= {"size_hw": [32, 24], "resized": True}
    (winner / "model.json").write_text(json.dumps(record))
    folder = tmp_path / "new"
    write(folder, coloured(values))
    write(folder, coloured(values).astype(np.uint16), "deep.tif")
    read, given = Windows.window, []

    def counting(self, top, bottom, left, right, decoding):
        given.append(bottom - top)
        return read(self, top, bottom, left, right, decoding)

    monkeypatch.setattr(Windows, "window", counting)
    with pytest.raises(LeftOut, match=r"deep.tif: the image holds uint16 values"):
        predict_images(winner, folder, tmp_path / "bands", device="cpu")
    assert max(given) == module.BAND_PX < HEIGHT
    monkeypatch.setattr(module, "LARGE_PX", 2**25)
    with pytest.raises(LeftOut):
        predict_images(winner, folder, tmp_path / "whole", device="cpu")
    (row,) = read_table(tmp_path / "bands/predictions.csv")
    assert read_table(tmp_path / "whole/predictions.csv") == [row]
    assert "resized by another scale than in training" in row["warning"]


# ---- pixel sizes


def test_masks_state_the_pixel_size_of_their_image_and_another_than_in_training_is_a_warning(
    winner, values, all_are_large, tmp_path
):
    record = json.loads((winner / "model.json").read_text())
    copy = shutil.copytree(winner, tmp_path / "winner")
    (copy / "model.json").write_text(json.dumps(record | {"pixel_um": [0.5, 0.25]}))
    folder, narrow = tmp_path / "new", values[:100, :160]
    scaled = {"resolution": (40000, 20000), "resolutionunit": "CENTIMETER"}
    write(folder, narrow, "large.tif", **scaled)
    write(folder, narrow[:50, :60], "small.tif", **scaled)
    write(folder, narrow[:50, :60], "other.tif", resolution=(40000, 40000), resolutionunit="CENTIMETER")
    write(folder, narrow[:50, :60], "none.tif")
    said = []
    out = predict_images(copy, folder, tmp_path / "out", device="cpu", warn=said.append)
    with (out / "predictions.csv").open(newline="") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    assert {name for name, row in rows.items() if row["warning"]} == {"other.tif"}
    assert rows["other.tif"]["warning"] == "pixels of another size than in training"
    assert (
        "1 of 4 images has pixels of another size than the training images, which have 0.5 × 0.25 µm"
        in said[0]
    )
    sizes = {name: pixel_um(out / row["mask"]) for name, row in rows.items()}
    assert sizes["large.tif"] == sizes["small.tif"] == pytest.approx((0.5, 0.25), rel=1e-4)
    assert sizes["other.tif"] == pytest.approx((0.25, 0.25), rel=1e-4)
    assert sizes["none.tif"] is None


def test_numbers_of_training_images_that_are_none_are_refused(winner, tmp_path):
    for numbers in (np.zeros(12), np.zeros((11, 4)), np.zeros((12, 4), np.int8)):
        seen = Seen(numbers={"numbers": numbers, "groups": np.arange(12)})
        out = make_winner([winner.parent / "done" / "fit-3"], tmp_path / "odd", seen=seen)
        with pytest.raises(RunError, match="no numbers of images"):
            load_winner(out, CPU)


def test_a_large_image_is_compared_with_the_training_as_one_that_is_read_whole(
    winner, values, all_are_large, tmp_path
):
    cut = [values[None, 3 * k : 500, : 600 - 7 * k] for k in range(12)]
    numbers = {"numbers": np.array([numbers_of(image) for image in cut]), "groups": np.arange(12)}
    known = make_winner([winner.parent / "done" / "fit-3"], tmp_path / "known", seen=Seen(numbers=numbers))
    like = load_winner(known, CPU).training_images
    write(tmp_path / "new", values[:500, :600], "like.tif")
    write(tmp_path / "new", values[:500, :600] // 16, "dark.tif")
    said = []
    predict_images(known, tmp_path / "new", tmp_path / "out", device="cpu", warn=said.append)
    with (tmp_path / "out/predictions.csv").open(newline="", encoding="utf-8") as file:
        dark, usual = list(csv.DictReader(file))
    assert (dark["image"], usual["mask"]) == ("dark.tif", "masks/like.tif")
    assert float(usual["unlike_training_p"]) == pytest.approx(
        like.novelty(values[None, :500, :600]).p, abs=1e-4
    )
    assert dark["unlike_training_p"] == f"{1 / 13:.4f}"
    assert "unlike the training images: " in dark["warning"]
    assert "unlike" not in usual["warning"]
    assert sum("1 of 2 images is unlike the training images: dark.tif" in each for each in said) == 1
