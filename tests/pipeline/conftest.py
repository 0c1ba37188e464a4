"""What tests of the pipeline share."""

import pytest
from forked import Forked


@pytest.fixture(scope="session")
def forked():
    """Commands in processes that start at once; the one that they are forked from imports torch once for all tests."""
    with Forked() as server:
        yield server
