"""Memory that is told: of the fit itself, and of the encoder's pass that it shares with others."""

import torch
from fits_to_try import fit, share_features, tiny

from foldwise.learning.training.devices import MemoryPeak

TASK = "binary_classification"
RESNET = "timm:test_resnet"


def test_a_fit_with_a_shared_encoder_tells_what_the_encoder_needed(tmp_path):
    packed = tiny(TASK, sizes=((32, 32),) * 24)
    shared = share_features(tmp_path / "features-1", packed, model=RESNET)
    asked = {"model": RESNET, "freeze": "encoder", "normalize": "imagenet"}
    inputs = {"features-1": tmp_path / "features-1"}
    frozen, _ = fit(tmp_path / "fit-1", TASK, packed=packed, inputs=inputs, **asked)
    whole, _ = fit(tmp_path / "fit-2", TASK, packed=packed)
    assert frozen["cost"]["shared_peak_memory_mb"] == shared["cost"]["peak_memory_mb"] is not None
    assert frozen["cost"]["cache"] == "features"
    assert whole["cost"]["shared_peak_memory_mb"] is None
    assert whole["cost"]["reserved_memory_mb"] is None  # there is no such thing on a CPU
    assert (whole["cost"]["peak_memory_is"], whole["cost"]["cache"]) == ("growth of process memory", "disk")


def test_a_peak_is_forgotten_but_not_where_it_began():
    peak = MemoryPeak(torch.device("cpu"))
    held = torch.ones(16 * 2**20)  # 64 MB
    del held
    first = peak.mb()
    peak.reset()
    second = peak.mb()
    if first is None:  # this system does not tell
        return
    assert first > 60
    assert second < first - 50
    kept = torch.ones(16 * 2**20)
    peak.reset()
    assert peak.mb() > 60  # what is there counts from the beginning
    assert kept.sum() > 0
