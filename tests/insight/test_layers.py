"""What stands out in the layers of a training."""

import numpy as np
import pytest
from make_insides import CHOSEN, write_layers

from foldwise.insight.layers import noticed


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Nothing stands out by these rules of thumb."),
        ({"zero": 0.8}, "In 1 layer half of the gradients or more are exactly 0 at every epoch looked at: encoder.block1.conv."),
        ({"decay": 4}, "times smaller than one of head (vanishing gradients)"),
        ({"decay": 0.25}, "A gradient of head is typically"),
        ({"growth": 4000}, "at epoch 12 (exploding gradients)"),
    ],
)  # fmt: skip
def test_what_stands_out_is_noticed(tmp_path, changes, words):
    first, second = noticed(write_layers(tmp_path, **changes), CHOSEN)
    assert words in first
    assert second.startswith("The gradient of the whole network goes from")


def test_gradients_that_are_no_numbers_are_noticed_and_nothing_else(tmp_path):
    arrays = write_layers(tmp_path)
    arrays["gradient_norm"][3:] = np.nan
    (sentence,) = noticed(arrays, CHOSEN)
    assert "training has blown up" in sentence
