"""The winner in onnxruntime: what torch gives, or torch itself; and only where it repays."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fits_to_try import fit, share_features, tiny
from networks_to_try import EVERY, network
from PIL import Image

from foldwise.data.batches.normalize import Normalization
from foldwise.errors import MissingExtra, RunError, SpecError
from foldwise.learning import runtimes as module
from foldwise.learning.checkpoints.saved import load_winner
from foldwise.learning.checkpoints.winner import GRAPH, digest_of_networks, make_winner
from foldwise.learning.export.exporters import run_torchscript, write_torchscript
from foldwise.learning.export.graph import Ensemble, write_graph
from foldwise.learning.export.proof import compared
from foldwise.learning.networks.network import Classifier
from foldwise.learning.predict import predict_images
from foldwise.learning.runtimes import GraphRuntime, TorchRuntime, is_kept, pick_runtime
from foldwise.sealed import read_table, seal
from foldwise.study.training import Choice

CPU = torch.device("cpu")
BY_CHANNEL = Normalization("fixed", (90.0, 100.0, 110.0), (50.0, 60.0, 70.0), "uint8")
BY_IMAGE = Normalization("image", (), (), "uint8")


def images(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def winner_of(networks, task, normalization=BY_CHANNEL, encoder_from=None, name="conv"):
    """A winner without files."""
    training = SimpleNamespace(precision="fp32", model=Choice(name=name))
    model = SimpleNamespace(
        task=task,
        classes=tuple("abcd"),
        normalization=normalization,
        training=training,
        encoder_from=encoder_from,
    )
    members = tuple(SimpleNamespace(model=model, network=each.eval()) for each in networks)
    return SimpleNamespace(members=members, model=model)


def made(tmp_path, task="multiclass_classification", epochs=(1, 2), **training):
    folders = [tmp_path / "done" / f"fit-{each}" for each in epochs]
    for folder, each in zip(folders, epochs, strict=True):
        if not folder.exists():
            fit(folder, task, epochs=each, **training)
    return make_winner(folders, tmp_path / "winner")


def picked(folder, *, stated="auto", num_images=1000):
    winner = load_winner(folder, CPU)
    return pick_runtime(stated, winner, folder, device=CPU, num_images=num_images)


# A normalisation stands before a network and the mean of several after them, and both know nothing of it: each is tried
# with every other network, and two members with the first of each task, in half of the time.
@pytest.mark.parametrize(
    ("model", "task", "normalization"),
    [(*row, (BY_CHANNEL, BY_IMAGE)[number % 2]) for number, row in enumerate(EVERY)],
)
def test_the_graph_of_every_network_gives_what_torch_gives_for_images_of_any_size(
    model, task, normalization, tmp_path
):
    seeds = (0, 1) if (model, task) in (EVERY[0], EVERY[1]) else (0,)
    winner = winner_of([network(model, task, seed=seed) for seed in seeds], task, normalization)
    asked = TorchRuntime(winner, CPU)
    graph = write_graph(
        Ensemble(winner), images(2, 3, 64, 64), tmp_path / "a.onnx", asked, threads=1, about={"a": "b"}
    )
    assert graph.about == {"a": "b"}
    of_one_size = model == "timm:test_vit"
    for shape in [(1, 3, 64, 64), (3, 3, 64, 64), *([] if of_one_size else [(2, 3, 53, 70), (1, 3, 96, 41)])]:
        raw = images(*shape, seed=1)
        np.testing.assert_allclose(graph(raw), asked(raw), atol=4e-6)


def test_an_image_too_small_to_be_mirrored_is_padded_by_the_graph_as_by_torch(tmp_path):
    task = "multiclass_segmentation"
    winner = winner_of([network("smp:linknet/tu-test_resnet", task)], task)
    asked = TorchRuntime(winner, CPU)
    graph = write_graph(
        Ensemble(winner), images(2, 3, 64, 64), tmp_path / "a.onnx", asked, threads=1, about={}
    )
    for shape in [(1, 3, 10, 40), (1, 3, 40, 3), (1, 3, 17, 16)]:
        raw = images(*shape)
        np.testing.assert_allclose(graph(raw), asked(raw), atol=2e-6)


def test_an_encoder_that_all_members_share_is_asked_once(tmp_path, monkeypatch):
    packed = tiny("multiclass_classification", num_channels=3)
    features = tmp_path / "done" / "features-1"
    share_features(features, packed, model="timm:test_resnet")
    options = {"model": "timm:test_resnet", "freeze": "encoder", "normalize": "imagenet"}
    folder = made(tmp_path, packed=packed, inputs={"features-1": features}, **options)
    winner, raw = load_winner(folder, CPU), images(3, 3, 16, 16)
    apart = winner_of(
        [member.network for member in winner.members], winner.model.task, winner.model.normalization
    )
    wanted = TorchRuntime(apart, CPU)(raw)
    calls, asked = [], Classifier.features
    monkeypatch.setattr(Classifier, "features", lambda self, x: calls.append(len(x)) or asked(self, x))
    np.testing.assert_array_equal(TorchRuntime(winner, CPU)(raw), wanted)
    assert calls == [3]
    graph = write_graph(
        Ensemble(winner), raw, tmp_path / "a.onnx", TorchRuntime(winner, CPU), threads=1, about={}
    )
    np.testing.assert_allclose(graph(raw), wanted, atol=2e-6)
    assert (tmp_path / "a.onnx").stat().st_size < 1.2 * features.joinpath(
        "encoder.safetensors"
    ).stat().st_size


def test_a_graph_is_made_for_many_images_and_kept_for_few(tmp_path):
    folder, raw = made(tmp_path), images(5, 1, 16, 16)
    few = picked(folder, num_images=module.MIN_IMAGES - 1)
    assert isinstance(few, TorchRuntime)
    assert few.sentence().endswith(
        f"on cpu (onnxruntime repays its start from {module.MIN_IMAGES} images on)"
    )
    many = picked(folder, num_images=module.MIN_IMAGES)
    wanted = few(raw)
    np.testing.assert_array_equal(many(raw), wanted)  # the first batch is the one that torch was asked for
    np.testing.assert_allclose(many(raw[::-1]), wanted[::-1], atol=1e-6)
    assert many.comparison.is_equal
    assert many.sentence().startswith("onnxruntime ")
    assert "on 5 images, and 5 of 5 labels agree" in many.sentence()
    again = picked(folder, num_images=1)
    assert isinstance(again, GraphRuntime)
    again(raw)
    np.testing.assert_allclose(again(raw), wanted, atol=1e-6)


def test_the_graph_stays_with_the_networks_that_it_is_of(tmp_path):
    folder = made(tmp_path)
    before = digest_of_networks(folder)
    picked(folder)(images(2, 1, 16, 16))
    assert is_kept(made(tmp_path))  # laid out again
    assert digest_of_networks(folder) == before
    assert not is_kept(made(tmp_path, epochs=(1, 3)))
    assert not (folder / GRAPH).exists()


def test_a_graph_of_other_networks_is_not_believed(tmp_path):
    folder, raw = made(tmp_path), images(4, 1, 16, 16)
    other = winner_of([network("conv", "multiclass_classification", in_channels=1, num_classes=3, seed=7)], "multiclass_classification",
                      Normalization("fixed", (9.0,), (90.0,), "uint8"))  # fmt: skip
    asked = TorchRuntime(other, CPU)
    (folder / GRAPH).mkdir()
    write_graph(Ensemble(other), raw, folder / GRAPH / "model.onnx", asked, threads=1, about={})
    seal(
        folder / GRAPH / "export.json",
        {"networks": digest_of_networks(folder)},
        [folder / GRAPH / "model.onnx"],
    )
    runtime = picked(folder)
    for _ in range(2):
        np.testing.assert_array_equal(runtime(raw), picked(folder, stated="torch")(raw))
    assert "as onnxruntime cannot be used (probabilities differ by " in runtime.sentence()
    assert runtime.sentence().startswith("torch ")


@pytest.mark.parametrize("damage", [b"", b"no graph"])
def test_a_damaged_graph_is_made_anew(tmp_path, damage):
    folder, raw = made(tmp_path), images(2, 1, 16, 16)
    picked(folder)(raw)
    (folder / GRAPH / "model.onnx").write_bytes(damage)
    runtime = picked(folder)
    runtime(raw)
    assert runtime.comparison.is_equal
    assert len((folder / GRAPH / "model.onnx").read_bytes()) > 1000


def test_a_winner_in_a_folder_that_may_not_be_written_is_asked_all_the_same(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(13, "Permission denied")

    folder = made(tmp_path)
    monkeypatch.setattr(module, "keep_graph", refused)
    runtime = picked(folder)
    runtime(images(2, 1, 16, 16))
    assert runtime.comparison.is_equal
    assert not is_kept(folder)


def test_a_graph_that_fails_later_leaves_the_rest_to_torch(tmp_path):
    runtime, raw = picked(made(tmp_path)), images(2, 1, 16, 16)
    wanted = runtime(raw)
    runtime._graph.session = SimpleNamespace(run=lambda *_: 1 / 0)
    np.testing.assert_array_equal(runtime(raw), wanted)
    assert "cannot be used (ZeroDivisionError: division by zero)" in runtime.sentence()


def test_large_images_go_to_torch_which_has_tiles(tmp_path):
    task = "binary_segmentation"
    runtime = picked(made(tmp_path, task))
    raw = images(1, 1, 24, 1040)
    np.testing.assert_array_equal(runtime(raw), runtime.networks(raw))
    assert runtime.sentence().endswith("as all images are larger than 1024 pixels")


def test_threads_are_those_of_torch(tmp_path):
    runtime = picked(made(tmp_path))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        runtime(images(2, 1, 16, 16))
    finally:
        torch.set_num_threads(before)
    options = runtime._graph.session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)


def test_a_state_space_model_stays_in_torch(tmp_path):
    small = {"vim": {"width": 16, "blocks": 1, "states": 4}}
    runtime = picked(made(tmp_path, epochs=(1,), model=small))
    assert "takes 10 times as long for a state-space model" in runtime.sentence()
    assert isinstance(picked(tmp_path / "winner", stated="onnxruntime"), GraphRuntime)


def test_without_onnxruntime_auto_says_so_and_a_wish_is_refused(tmp_path, monkeypatch):
    folder = made(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    runtime = picked(folder)
    assert runtime.sentence().endswith(
        "on cpu (onnxruntime is not installed: pip install 'foldwise[export]')"
    )
    with pytest.raises(MissingExtra) as error:
        picked(folder, stated="onnxruntime")
    assert str(error.value) == "onnxruntime is not installed\n  → pip install 'foldwise[export]'"


def test_what_cannot_be_is_refused(tmp_path):
    with pytest.raises(SpecError, match="no runtime is called 'onnx'") as error:
        picked(made(tmp_path), stated="onnx")
    assert error.value.cure == "Known: auto, onnxruntime, torch."
    winner = load_winner(made(tmp_path, epochs=(4,), precision="bf16"), CPU)
    with pytest.raises(SpecError) as error:
        pick_runtime("onnxruntime", winner, tmp_path / "winner", device=CPU, num_images=1)
    assert "the winner works in bf16, and its graph in fp32" in str(error.value)
    runtime = pick_runtime("auto", winner, tmp_path / "winner", device=CPU, num_images=1000)
    assert isinstance(runtime, TorchRuntime)


@pytest.mark.parametrize(
    ("given", "equal"),
    [
        ([[0.2, 0.8], [0.6, 0.4]], True),
        ([[0.20005, 0.79995], [0.6, 0.4]], True),
        ([[0.2002, 0.7998], [0.6, 0.4]], False),
        ([[0.2, np.nan], [0.6, 0.4]], False),
        ([[0.2, 0.8]], False),
    ],
)
def test_equal_is_a_ten_thousandth(given, equal):
    wanted = np.array([[0.2, 0.8], [0.6, 0.4]], np.float32)
    assert compared([np.array(given, np.float32)], [wanted], several=False).is_equal == equal


def test_of_an_undecided_network_equal_is_a_hundredth_of_all_that_it_says():
    wanted = 0.5 + 1e-4 * np.linspace(-1, 1, 8, dtype=np.float32).reshape(4, 2)
    comparison = compared([wanted[::-1]], [wanted], several=True)
    assert comparison.allowed == pytest.approx(2e-6, rel=0.01)
    assert not comparison.is_equal


def test_predictions_say_what_answered(tmp_path):
    folder = made(tmp_path)
    (tmp_path / "new").mkdir()
    packed = tiny("multiclass_classification")
    for case in range(20):
        Image.fromarray(packed.image(case)[0]).save(tmp_path / "new" / f"{case}.png")
    out = {}
    for runtime in ("torch", "onnxruntime"):
        predict_images(folder, tmp_path / "new", tmp_path / runtime, device="cpu", runtime=runtime)
        found = read_table(tmp_path / runtime / "predictions.csv")
        out[runtime] = np.array([[float(value) for value in list(row.values())[2:5]] for row in found])
        record = json.loads((tmp_path / runtime / "predictions.json").read_text())
        assert record["runtime"].startswith(runtime)
        assert (record["images"], record["winner"]) == (20, digest_of_networks(folder))
    np.testing.assert_allclose(out["torch"], out["onnxruntime"], atol=2e-6)


class Branching(torch.nn.Module):
    """Whether an image is bright decides by its values."""

    def __init__(self, by_value):
        super().__init__()
        self.conv, self.by_value, self.multiple = torch.nn.Conv2d(3, 4, 3, padding=1), by_value, 1

    def forward(self, x):
        logits = self.conv(x)
        return -logits if self.by_value and float(x.mean()) > 0 else logits


def test_own_code_is_written_as_a_graph_unless_it_decides_by_values(tmp_path):
    torch.manual_seed(0)
    raw = images(2, 3, 32, 32)
    for by_value in (False, True):
        winner = winner_of([Branching(by_value)], "multiclass_segmentation", name="mine:net")
        asked, ensemble = TorchRuntime(winner, CPU), Ensemble(winner)
        if by_value:
            with pytest.raises(RunError, match="cannot be written as a graph"):
                write_graph(ensemble, raw, tmp_path / "a.onnx", asked, threads=1, about={})
            with pytest.raises(RunError, match="the network decides by sizes or values"):
                write_torchscript(ensemble, raw, tmp_path / "a.pt")
            continue
        graph = write_graph(ensemble, raw, tmp_path / "a.onnx", asked, threads=1, about={})
        write_torchscript(ensemble, raw, tmp_path / "a.pt")
        other = images(3, 3, 21, 40)
        np.testing.assert_allclose(graph(other), asked(other), atol=2e-6)
        np.testing.assert_allclose(run_torchscript(tmp_path / "a.pt")(other), asked(other), atol=2e-6)
