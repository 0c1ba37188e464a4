"""Pretraining: of the training part only, everything but the output layer is handed on, and nothing silently."""

import numpy as np
import pytest
import torch
from fits_to_try import SPLIT, UNET, fit, pretrain, tiny
from networks_to_try import SEGMENT, network

from foldwise.data.batches.batches import Pictures
from foldwise.errors import FoldwiseError, RunError
from foldwise.learning.checkpoints.saved import BODY, Pretrained, read_weights
from foldwise.learning.networks.models import MODELS
from foldwise.learning.networks.network import body_of, load_body
from foldwise.learning.objectives.pretraining import PRETRAINING
from foldwise.learning.training import pretrain as module
from foldwise.learning.training.setup import FitRequest, set_up
from foldwise.study.training import Training

TASK = "binary_segmentation"
SEGMENTERS = [name for name, row in MODELS.items() if row.segmenter] + ["smp:unet/tu-test_resnet"]


@pytest.mark.parametrize("how", PRETRAINING)
def test_the_same_settings_give_the_same_bytes(tmp_path, how):
    for name in ("one", "two"):
        torch.rand(13)  # whatever was drawn before
        pretrain(tmp_path / name, how=how, crop_px=8)
    for name in (BODY, module.PICTURES):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


@pytest.mark.parametrize("how", PRETRAINING)
def test_what_it_leaves(tmp_path, how):
    result = pretrain(tmp_path / "p", how=how)
    assert {"epoch", "train_loss", "val_loss", "lr", "seconds"} == result["epochs"][0].keys()
    assert [record["lr"] for record in result["epochs"]] == [0.001, 0.001]
    assert result["cost"]["pretrain_s"] > 0
    assert result["cost"]["batch_size"] == 4
    with np.load(tmp_path / "p" / module.PICTURES, allow_pickle=False) as made:
        pictures = dict(made)
    assert {name: (part.shape, str(part.dtype)) for name, part in pictures.items()} == dict.fromkeys(
        ("damaged", "restored", "clean"), ((1, 16, 16), "uint8")
    )
    np.testing.assert_array_equal(pictures["clean"], tiny(TASK).image(int(SPLIT.validation[0])))
    assert (pictures["damaged"] != pictures["clean"]).mean() > 0.3
    assert [path.name for path in (tmp_path / "p").glob("*.npz")] == [module.PICTURES]
    pretrain(tmp_path / "another fold", how=how, fold=1)
    assert not (tmp_path / "another fold" / module.PICTURES).exists()


def test_it_is_trained_on_the_training_part_and_never_sees_a_test_image(tmp_path, monkeypatch):
    learned, gathered = [], []
    gather, damaged = Pictures.gather, module._damaged
    monkeypatch.setattr(
        Pictures,
        "gather",
        lambda self, cases, **more: gathered.extend(cases.tolist()) or gather(self, cases, **more),
    )

    def spied(*asked):
        for batch in damaged(*asked):
            learned.extend(batch.cases.tolist())
            yield batch

    monkeypatch.setattr(module, "_damaged", spied)
    pretrain(tmp_path / "p", crop_px=8)
    assert set(learned) == set(SPLIT.train.tolist())
    assert set(gathered) == set(SPLIT.train.tolist()) | set(SPLIT.validation.tolist())


@pytest.mark.parametrize("part", ["validation", "test", "train"])
def test_no_image_but_those_of_the_training_part_moves_a_weight(tmp_path, part):
    changed = tiny(TASK)
    for case in getattr(SPLIT, part):
        changed._images[case] = 255 - changed._images[case]
    pretrain(tmp_path / "as they are")
    pretrain(tmp_path / "changed", packed=changed)
    one, other = (tmp_path / name / BODY for name in ("as they are", "changed"))
    assert (one.read_bytes() == other.read_bytes()) is (part != "train")


def test_no_mask_moves_a_weight(tmp_path):
    changed = tiny(TASK)
    changed._targets = [1 - target for target in changed._targets]
    pretrain(tmp_path / "as they are")
    pretrain(tmp_path / "changed", packed=changed)
    assert (tmp_path / "as they are" / BODY).read_bytes() == (tmp_path / "changed" / BODY).read_bytes()


def test_it_learns_to_undo_the_damage(tmp_path):
    flat = tiny(TASK)
    flat._images = [np.full_like(image, 40 * (n % 5)) for n, image in enumerate(flat._images)]
    result = pretrain(tmp_path / "p", packed=flat, how={"denoise": {"sigma": 1.0, "epochs": 25, "lr": 0.01}})
    losses = [record["val_loss"] for record in result["epochs"]]
    assert losses[-1] < 0.3 < losses[0]  # noise of variance 1; what is given back must be nearer than that


def test_validation_damage_is_the_same_for_every_batch_size(tmp_path):
    losses = {}
    for size in (4, 1):
        made = pretrain(
            tmp_path / str(size),
            batch_size=size,
            how={"denoise": {"epochs": 1, "lr": 1e-12, "sigma": 0.5}},
            model={"unet": {"width": 4, "depth": 2, "norm": "none"}},
        )
        losses[size] = made["epochs"][0]["val_loss"]
    assert losses[4] == pytest.approx(losses[1], rel=1e-5)


def test_mixed_sizes_and_large_images_and_other_types_go_through(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "is_large", lambda inputs: True)
    monkeypatch.setattr(
        module,
        "each_alone",
        lambda network, inputs: torch.cat([network(inputs[..., :8]), network(inputs[..., 8:])], 3),
    )
    sizes = ((16, 16), (24, 20)) * 12
    packed = tiny(TASK, num_channels=2, dtype=np.dtype(np.uint16), sizes=sizes)
    result = pretrain(tmp_path / "p", packed=packed, how="mask")
    assert all(np.isfinite(record["val_loss"]) for record in result["epochs"])
    with np.load(tmp_path / "p" / module.PICTURES, allow_pickle=False) as pictures:
        assert pictures["restored"].dtype == np.float32
        np.testing.assert_allclose(pictures["clean"], packed.image(14), atol=0.01)


def test_memory_that_runs_out_halves_the_batch(tmp_path, monkeypatch):
    work, sizes = module._pretrain, []

    def short(asked, *more):
        sizes.append(asked.pass_size)
        if asked.pass_size > 1:
            raise RuntimeError("CUDA out of memory")
        return work(asked, *more)

    monkeypatch.setattr(module, "_pretrain", short)
    assert pretrain(tmp_path / "p")["cost"]["batch_halvings"] == 2
    assert sizes == [4, 2, 1]


@pytest.mark.parametrize("name", SEGMENTERS)
def test_every_network_hands_on_all_but_its_output_layer(name):
    restoring, fresh = (
        network(name, SEGMENT, num_classes=3, seed=1),
        network(name, SEGMENT, num_classes=4, seed=2),
    )
    before = {key: part.clone() for key, part in fresh.state_dict().items()}
    body = body_of(restoring)
    load_body(fresh, body)
    after, source = fresh.state_dict(), restoring.state_dict()
    output = [key for key in after if key not in body]
    assert output == [key for key in after if after[key].shape != source[key].shape]
    assert len(output) == 2  # one weight, one bias
    for key, part in after.items():
        assert torch.equal(part, before[key] if key in output else source[key]), key


@pytest.mark.parametrize("name", SEGMENTERS)
def test_pretraining_reaches_every_parameter(name):
    restoring = network(name, SEGMENT, num_classes=3)
    for (
        part
    ) in restoring.parameters():  # some libraries begin with zeros, which hold all gradients back at first
        part.data += 0.1 * torch.randn(part.shape, generator=torch.Generator().manual_seed(0))
    images = torch.rand(2, 3, 64, 64)
    torch.nn.functional.mse_loss(restoring(images), images).backward()
    assert not [key for key, part in restoring.named_parameters() if part.grad is None or not part.grad.any()]


def test_a_body_that_does_not_fit_is_refused():
    fresh = network("unet", SEGMENT)
    body = body_of(network("unet", SEGMENT))
    name = next(iter(body))
    for wrong in (
        {key: part for key, part in body.items() if key != name},
        body | {"body.more": torch.zeros(1)},
        body | {name: torch.zeros(1)},
    ):
        with pytest.raises(RunError, match="the pretrained weights are not those of this network"):
            load_body(fresh, wrong)


def began_with(folder, monkeypatch, **asked):
    """The network of a fit before its first step, and the result of the fit."""
    from foldwise.learning.training import fit as fitting

    seen = {}
    set_up = fitting.set_up

    def spied(one):
        setup = set_up(one)
        seen["state"] = {key: part.clone() for key, part in setup.learner.network.state_dict().items()}
        return setup

    monkeypatch.setattr(fitting, "set_up", spied)
    result, _ = fit(folder, TASK, model=UNET, **asked)
    return seen["state"], result


@pytest.mark.parametrize("freeze", ["none", "encoder"])
def test_a_fit_begins_with_it_and_with_the_output_layer_it_would_have_had(tmp_path, monkeypatch, freeze):
    pretrain(tmp_path / "pretrain-1")
    inputs, asked = {"pretrain-1": tmp_path / "pretrain-1"}, {"pretrain": "denoise", "freeze": freeze}
    state, result = began_with(tmp_path / "with", monkeypatch, inputs=inputs, **asked)
    without, plain = began_with(tmp_path / "without", monkeypatch, freeze=freeze)
    body = Pretrained(tmp_path / "pretrain-1").body()
    assert state.keys() - body.keys() == {"body.head.weight", "body.head.bias"}
    for key, part in state.items():
        assert torch.equal(part, body[key] if key in body else without[key]), key
    changed = [key for key in body if not torch.equal(body[key], without[key])]
    assert len(changed) > len(body) // 2
    assert result["cost"]["shared_pretrain_s"] == Pretrained(tmp_path / "pretrain-1").cost["pretrain_s"] > 0
    assert plain["cost"]["shared_pretrain_s"] is None
    trained = read_weights(tmp_path / "with" / "weights.safetensors")
    kept = {key for key in body if torch.equal(trained[key], body[key])}
    encoder = {key for key in body if key.startswith("body.encoder.")}
    assert encoder <= kept if freeze == "encoder" else not kept & {key for key in encoder if "weight" in key}


def test_the_fresh_output_layer_is_on_the_device_of_all_others(tmp_path):
    pretrain(tmp_path / "p")
    asked = Training.model_validate({"model": UNET, "pretrain": "denoise"})
    elsewhere = torch.device("meta")  # a device that every machine has, and that is not the CPU
    settings = {"seed": 5, "threads": 1, "repeat": 0, "fold": 0}
    setup = set_up(
        FitRequest(settings, asked, tiny(TASK), SPLIT, elsewhere, pretrained=Pretrained(tmp_path / "p"))
    )
    assert {part.device for part in setup.learner.network.state_dict().values()} == {elsewhere}
    stepped = {part for group in setup.learner.optimizer.param_groups for part in group["params"]}
    assert stepped == set(setup.learner.network.parameters())


def test_a_loss_that_is_no_number_is_said(tmp_path):
    with pytest.raises(FoldwiseError, match="the training loss became"):
        pretrain(tmp_path / "p", how={"denoise": {"lr": 10, "epochs": 40, "optimizer": "sgd"}})
