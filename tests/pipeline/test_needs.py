"""What a study needs beyond itself is tried by the check, and the run ends with the same error and exit code."""

import socket

import pytest
import torch

from foldwise.errors import DataError, FoldwiseError, MissingExtra, SpecError
from foldwise.pipeline import pipeline
from foldwise.pipeline.options import RunOptions, Silent
from foldwise.study.reading import open_study

STUDY = """
study: tiny
data: {phantom: {kind: gels, images: 16, size: 48}, size: 48}
train: {model: {conv: {width: 4, depth: 2}}, epochs: 1}
validate: {folds: 2}
"""
MODEL = "{model: {conv: {width: 4, depth: 2}}, epochs: 1}"
DATA = "{phantom: {kind: gels, images: 16, size: 48}, size: 48}"
IMAGENET = "{model: 'timm:test_resnet', weights: imagenet, epochs: 1}"

NEEDS = {
    "weights to be downloaded": (MODEL, IMAGENET, MissingExtra, "could not be downloaded"),
    "weights for a frozen encoder": (
        MODEL,
        IMAGENET.replace("epochs", "freeze: encoder, epochs"),
        MissingExtra,
        "could not be downloaded",
    ),
    "a device": (MODEL, MODEL.replace("epochs", "device: mps, epochs"), MissingExtra, "the device 'mps'"),
    "a weights file": (MODEL, MODEL.replace("epochs", "weights: w.safetensors, epochs"), SpecError, "no file"),
    "own code": (MODEL, "{model: 'no_such_module:net', epochs: 1}", SpecError, "no_such_module"),
    "a split file": ("folds: 2", "split: official.csv", SpecError, "official.csv"),
    "an external set": (DATA, DATA.replace("size: 48}, ", "size: 48}, external: nowhere, "), SpecError, "nowhere"),
    "a public data set": (DATA, "{source: gels}", DataError, "foldwise data get gels"),
    "a public data set without an address": (DATA, "{source: optic_disc}", MissingExtra, "It cannot be downloaded"),
    "a folder": (DATA, "{path: nowhere, size: 48}", SpecError, "does not exist"),
    "memory": (MODEL, "{model: {conv: {width: 65536, depth: 4}}, epochs: 1}", SpecError, "this machine has"),
    "numbers that have no end": (MODEL, "{model: {conv: {width: 60000, depth: 250}}, epochs: 1}", SpecError, "fewer layers"),
}  # fmt: skip


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """No server answers, and no weights are kept."""

    def nobody(*_args, **_more):
        raise OSError("no network")

    monkeypatch.setattr(socket, "create_connection", nobody)
    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("need", NEEDS)
@pytest.mark.usefixtures("no_network")
def test_the_check_tries_it_and_the_run_says_the_same(need, tmp_path):
    stated, instead, kind, words = NEEDS[need]
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.replace(stated, instead), encoding="utf-8")
    errors = []
    for command in (
        pipeline.check,
        lambda file: pipeline.run(file, RunOptions(tmp_path / "run", 1, fetch=False), Silent()),
    ):
        with pytest.raises(FoldwiseError) as refused:
            command(open_study(path))
        errors.append(refused.value)
    assert {type(error) for error in errors} == {kind}
    assert str(errors[0]) == str(errors[1])
    assert words in str(errors[0])
    assert "→" in str(errors[0])
    assert not (tmp_path / "run").exists()
