"""Why a trivial predictor counts as not beaten although the interval of the difference leaves 0 out."""

from types import SimpleNamespace

import pytest

from foldwise.judging.answer import _although


@pytest.mark.parametrize(
    ("low", "p", "words"),
    [
        (-0.1, 0.5, ""),
        (0.02, 0.2, ", which the best of several may reach by luck"),
        (0.02, 0.01, ", but the interval of the score itself reaches as far as the trivial predictor"),
    ],
)
def test_the_reason_is_said(low, p, words):
    judgement = SimpleNamespace(trivial_test=SimpleNamespace(low=low, p=p), judge=SimpleNamespace(alpha=0.05))
    assert _although(judgement) == words
    assert _although(SimpleNamespace(trivial_test=None)) == ""
