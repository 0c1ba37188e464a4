"""A made run whose fits recorded their training, for the tests of these sections."""

import os

import pytest
from make_run import MARKUP, Wanted, make_run
from trained_runs import trained

from foldwise.reporting.report_data import gather

LOSSES = ["dice", {"focal": {"gamma": 3}}, "cross_entropy"]
WANTED = Wanted(
    "cells",
    {"loss": LOSSES},
    (0.5, 1.6, 1.0),
    "Through training",
    images=12,
    size=48,
    folds=2,
    rename={2: MARKUP},
)


@pytest.fixture(scope="session")
def trained_run(made_root):
    """A packed segmentation, and a run on it whose fits recorded their training; made once for these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOLDWISE_CACHE", str(made_root / "cache"))
        root = made_root / f"trained-{os.getpid()}"
        folder, packed = make_run(root, WANTED)
        return packed, trained(folder, packed, strides={3: 1, 1: 2, 7: 1})


@pytest.fixture(scope="session")
def trained_data(made_root, trained_run):
    """What the report knows of it, with the images from the cache that they were packed in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOLDWISE_CACHE", str(made_root / "cache"))
        return gather(trained_run[1])
