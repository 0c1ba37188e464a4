"""What `foldwise check` refuses before anything is trained, on inputs that people really have."""

import numpy as np
import pytest
from PIL import Image
from typed import foldwise

from foldwise.errors import SpecError
from foldwise.pipeline.pipeline import check
from foldwise.study import own_code
from foldwise.study.reading import open_study

STUDY = """
study: batch
data: {path: data, channels: gray}
compare: {model: ["timm:test_resnet", {haltuf: {}}], batch_size: SIZES}
train: {epochs: 1}
validate: {folds: 2, inner: 0.19}
"""


@pytest.fixture
def small_pictures(tmp_path):
    """So small that a network ends in maps of 1 x 1, on which batch norm needs two images."""
    rng = np.random.default_rng(0)
    for number in range(42):
        path = tmp_path / "data" / "ab"[number % 2] / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (25, 25), dtype=np.uint8)).save(path)
    return tmp_path


def test_batches_of_one_are_refused_by_check_and_not_fit_by_fit(small_pictures):
    (small_pictures / "study.yaml").write_text(
        STUDY.replace("SIZES", "[16, 1]").replace("timm:test_resnet", "timm:resnet18")
    )
    errors = foldwise("check", "study.yaml", cwd=small_pictures, code=2).errors
    assert "2 problems" in errors
    for name in ("timm:resnet18", "haltuf"):
        assert (
            f"study.yaml, {name} · batch_size 1: the model '{name}' cannot be trained on the smallest batch"
            in errors
        )
    assert errors.count("Use one of these: a 'batch_size' of 2 or more") == 2
    assert "images of 50 x 50 pixels" in errors


def test_a_last_batch_of_one_is_left_out_and_no_reason_to_refuse(small_pictures):
    # 21 images less 4 for the inner validation leave 17: a batch of 16, and one image.
    (small_pictures / "study.yaml").write_text(STUDY.replace("SIZES", "[16]"))
    foldwise("check", "study.yaml", cwd=small_pictures)


def test_what_own_code_breaks_is_said_for_each(small_pictures):
    (small_pictures / "mine_too.py").write_text(
        "import torch, blocks_of_mine as blocks\n"
        "def net(in_channels, num_classes):\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(25 * 25 * in_channels, blocks.classes()))\n"
        "def loss():\n"
        "    return lambda logits, target: torch.nn.functional.cross_entropy(logits, target, reduction='none')\n"
    )
    (small_pictures / "blocks_of_mine.py").write_text("def classes(): return 7\n")
    text = STUDY.replace("SIZES", "[16]").replace(
        '["timm:test_resnet", {haltuf: {}}]', '["mine_too:net", haltuf]'
    )
    (small_pictures / "study.yaml").write_text(text.replace("epochs: 1", 'epochs: 1, loss: "mine_too:loss"'))
    errors = foldwise("check", "study.yaml", cwd=small_pictures, code=2).errors
    assert "gives logits of shape (2, 7), not (2, 2)" in errors
    assert (
        "the loss mine_too:loss gives a tensor of shape (4,) for a batch, not a tensor of one number"
        in errors
    )


@pytest.mark.parametrize(
    ("line", "words", "import_s"),
    [
        ("import os; os._exit(0)", "importing of_mine_that_ends ended the program (exit code 0)", 200.0),
        ("while True: pass", "importing of_mine_that_ends took longer than 1 s", 1.0),
    ],
)
def test_own_code_that_ends_the_program_or_never_ends_is_named(
    small_pictures, monkeypatch, line, words, import_s
):
    (small_pictures / "of_mine_that_ends.py").write_text(f"{line}\ndef net(in_channels, num_classes): ...\n")
    text = STUDY.replace("SIZES", "[16]").replace(
        '["timm:test_resnet", {haltuf: {}}]', '["of_mine_that_ends:net"]'
    )
    (small_pictures / "study.yaml").write_text(text)
    monkeypatch.chdir(small_pictures)
    monkeypatch.setattr(own_code, "IMPORT_S", import_s)
    with pytest.raises(SpecError) as refused:
        check(open_study(small_pictures / "study.yaml"))
    assert words in refused.value.what
    assert "of_mine_that_ends.py" in refused.value.where
    assert "from the top of the file into a function" in refused.value.cure
