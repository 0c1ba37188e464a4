"""What a fit leaves of its weights: numbers and quantiles, counted from the files themselves."""

import numpy as np
import pytest
import torch
from fits_to_try import fit, share_features, tiny
from safetensors.torch import load_file

from foldwise.learning.training import fit_files
from foldwise.learning.training.fit_files import trained_numbers, weight_numbers


def test_all_trained_numbers_count_and_no_statistics_of_batch_norm():
    parts = trained_numbers(
        {
            "encoder.conv.weight": torch.randn(8, 3, 3, 3),
            "encoder.norm.weight": torch.ones(8),
            "encoder.norm.running_mean": 100 * torch.ones(8),
            "encoder.norm.running_var": 100 * torch.ones(8),
            "encoder.norm.num_batches_tracked": torch.tensor(7),
            "encoder.places": torch.arange(5),
            "head.weight": torch.randn(4, 8),
            "head.bias": torch.zeros(4),
        }
    )
    assert parts["network"].size == 8 * 27 + 8 + 4 * 8 + 4
    assert parts["network"].max() < 50
    assert parts["head"].size == 4 * 8 + 4


@pytest.mark.parametrize("head", ["head", "body.head", "body.segmentation_head.0"])
def test_the_last_layers_are_the_head(head):
    parts = trained_numbers({"body.encoder.a": torch.ones(6), f"{head}.weight": torch.ones(3)})
    assert {part: values.size for part, values in parts.items()} == {"network": 9, "head": 3}
    assert list(trained_numbers({"body.encoder.a": torch.ones(6)})) == ["network"]


@pytest.mark.parametrize("most", [2**22, 1000])
def test_numbers_are_those_of_numpy(monkeypatch, most):
    monkeypatch.setattr(fit_files, "MAX_SORTED", most)
    values = np.random.default_rng(0).standard_t(3, 5000).astype(np.float32)
    numbers = weight_numbers(values)
    assert (numbers["count"], numbers["low"], numbers["high"]) == (5000, values.min(), values.max())
    assert numbers["sd"] == pytest.approx(np.std(values.astype(float)))
    far = np.abs(values - values.mean()) > 3 * values.std()
    assert numbers["beyond"] == pytest.approx(far.mean())
    assert numbers["reach"] == pytest.approx(
        np.quantile(np.abs(values), 0.99), rel=0.02 if most > 5000 else 0.2
    )


def test_a_histogram_follows_from_the_quantiles(tmp_path):
    result, _ = fit(tmp_path / "fit", "binary_segmentation", epochs=1)
    weights = load_file(tmp_path / "fit" / "weights.safetensors")
    values = trained_numbers(weights)["network"]
    with np.load(tmp_path / "fit" / "weight_quantiles.npz", allow_pickle=False) as arrays:
        levels, quantiles = arrays["levels"], arrays["network"]
        assert sorted(arrays.files) == ["head", "levels", "network"]
    assert (quantiles.shape, quantiles.dtype) == ((1025,), np.float32)
    assert (quantiles[0], quantiles[-1]) == (values.min(), values.max())
    reach = result["weights"]["network"]["reach"]
    wanted, edges = np.histogram(values, bins=31, range=(-reach, reach))
    shares = np.diff(np.interp(edges, quantiles, levels))
    np.testing.assert_allclose(shares, wanted / values.size, atol=2e-3)


@pytest.mark.parametrize("shared", [True, False])
def test_of_a_frozen_encoder_only_what_was_trained_is_counted(tmp_path, shared):
    packed, inputs = tiny("multiclass_classification"), {}
    if shared:
        share_features(tmp_path / "features-1", packed, model="conv", normalize="image")
        inputs = {"features-1": tmp_path / "features-1"}
    result, _ = fit(
        tmp_path / "fit", packed.task, packed=packed, inputs=inputs, model="conv", freeze="encoder"
    )
    head = trained_numbers(load_file(tmp_path / "fit" / "weights.safetensors"))["head"]
    assert result["weights"] == {"head": weight_numbers(head)}
    with np.load(tmp_path / "fit" / "weight_quantiles.npz", allow_pickle=False) as arrays:
        assert sorted(arrays.files) == ["head", "levels"]
