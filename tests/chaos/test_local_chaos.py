"""A trained study on this machine that nothing is spared, by a seed: what comes out is what comes out undisturbed.

FOLDWISE_CHAOS is the number of faults; a few without it.
"""

import os
import random
import subprocess

import pytest
from faults import befall
from forked import Forked
from scene import Scene, assert_undisturbed
from small_disk import mounted

NUM_FAULTS = int(os.environ.get("FOLDWISE_CHAOS") or 8)
SEED = int(os.environ.get("FOLDWISE_SEED") or 8)
REST_S = 1.5 if NUM_FAULTS > 8 else 0.6
pytestmark = pytest.mark.timeout(600 if NUM_FAULTS < 50 else 7200)


@pytest.fixture(scope="module")
def forked():
    with Forked() as server:
        yield server


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, forked):
    root = tmp_path_factory.mktemp("undisturbed")
    scene = Scene(root, forked, root, is_small=False)
    scene.finish()
    return scene.folder


@pytest.fixture
def scene(tmp_path, forked):
    disk = tmp_path / "disk"
    disk.mkdir()
    is_small = mounted(disk)
    made = Scene(tmp_path, forked, disk, is_small=is_small)
    yield made
    if is_small:
        subprocess.run(["umount", "--lazy", disk], check=True)


def test_whatever_befalls_the_same_comes_out(scene, undisturbed):
    befall(scene, random.Random(SEED), NUM_FAULTS, rest=REST_S)
    scene.finish()
    assert_undisturbed(scene, undisturbed)
