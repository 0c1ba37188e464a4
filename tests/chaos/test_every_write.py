"""Every call that writes fails once: the command ends with an error of its own, and the same command then does it all.

A run is planned, worked and reported, each from where the one before ended. In each, the calls of the C library that
change the disk are listed; then it is done again and again, and another call fails each time: of every kind of call on
every kind of file the first one, from where on all fail, and the last one, alone. Without FOLDWISE_CHAOS some of them.
"""

import errno
import os
import random
import re
import shutil

import pytest
from faulty_disk import built
from forked import Forked
from scene import Scene, assert_same_run, assert_undisturbed

from foldwise.runs.folder import RunFolder

NUM_POINTS = 10_000 if os.environ.get("FOLDWISE_CHAOS") else 1
ERRORS = ("ENOSPC", "EDQUOT", "EIO", "EROFS", "EACCES", "ESTALE")
JUDGED = ("verdict.json", "curves.npz", "results.csv", "scores.csv", "judged.json", "report.html", "winner")
# What is not there yet, the first of each pattern below the folder of run and cache; and the command that makes it.
PHASES = {
    "plan": (("run", "cache"), ("plan", "{study}", "--out", "{run}")),
    "work": (("run/done/pretrain-*", "run/done/fit-*", "run/leases"), ("work", "{run}")),
    "report": (tuple(f"run/{name}" for name in JUDGED), ("report", "{run}")),
    "again": ((), ("run", "{study}", "--out", "{run}", "--launcher", "inline")),
}
pytestmark = pytest.mark.timeout(600 if NUM_POINTS < 50 else 7200)


@pytest.fixture(scope="module")
def forked(tmp_path_factory):
    with Forked(built(tmp_path_factory.mktemp("library"))) as server:
        yield server


@pytest.fixture(scope="module")
def whole(tmp_path_factory, forked):
    """A scene whose run is finished, and a copy of it."""
    root = tmp_path_factory.mktemp("whole")
    (root / "disk").mkdir()
    scene = Scene(root, forked, root / "disk", is_small=False)
    scene.finish()
    shutil.copytree(root / "disk", root / "copy")
    return scene


def put_back(scene, without=()):
    """The finished run, but for what a phase makes."""
    shutil.rmtree(scene.place)
    shutil.copytree(scene.root / "copy", scene.place)
    for pattern in without:
        for path in sorted(scene.place.glob(pattern))[:1]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def run(scene, command, *before):
    """The exit code of a command, and what it printed."""
    scene.out.write_text("")
    words = [word.format(study=scene.study, run=scene.folder.root) for word in command]
    code = scene.forked.wait(scene.start(*words, before=before))
    return code, scene.out.read_text()


def kind_of(call):
    """A listed call without what differs from file to file of one kind."""
    return re.sub(r"\d+", "0", re.sub(r"[0-9a-f]{8,}", "#", call))


def points_of(calls):
    """(number of the call, whether all later ones fail too), in order."""
    numbers = {}
    for number, call in enumerate(calls, 1):
        numbers.setdefault(kind_of(call), []).append(number)
    return sorted(
        [(each[0], True) for each in numbers.values()] + [(each[-1], False) for each in numbers.values()]
    )


@pytest.mark.parametrize("phase", PHASES)
def test_a_disk_that_refuses_at_any_point_ends_in_one_error_and_nothing_is_lost(whole, phase):
    without, command = PHASES[phase]
    root, listed = f"{whole.place}/", whole.root / f"{phase}.txt"
    put_back(whole, without)
    assert (
        run(
            whole, command, ("faulty_disk", "arm", [root, 0, 0]), ("faulty_disk", "list_calls", [str(listed)])
        )[0]
        == 0
    )
    calls = listed.read_text().splitlines()
    assert {call.split()[0] for call in calls} >= {"open64", "write", "fsync", "rename"}
    points = points_of(calls)
    chosen = random.Random(8).sample(points, min(NUM_POINTS, len(points)))
    for count, (number, lasting) in enumerate(sorted(chosen)):
        error = ERRORS[count % len(ERRORS)]
        about = f"{phase}: call {number} ({calls[number - 1]}) {'and all later ones fail' if lasting else 'fails'} with {error}"
        put_back(whole, without)
        code, said = run(
            whole, command, ("faulty_disk", "arm", [root, number, getattr(errno, error), lasting])
        )
        assert code in (0, 5), f"{about}\n{code}\n{said}"
        assert code == 0 or "→" in said.splitlines()[-1], f"{about}\n{said}"
        for sign in ("Traceback", "Exception ignored"):
            assert sign not in said, f"{about}\n{said}"
        code, said = run(whole, command)
        assert code == 0, f"{about}, and afterwards\n{said}"
        if phase == "plan":
            assert_laid_out(whole, about)
        else:
            assert_whole(whole, about, judged=phase != "work")
    print(
        f"{phase}: {len(calls)} calls that write, of {len(points) // 2} kinds; {len(chosen)} of {len(points)} points failed"
    )


def assert_laid_out(scene, about):
    laid_out = scene.folder.load_plan()
    assert laid_out.items, about
    assert [str(path) for path in scene.place.rglob(".*")] == [], about
    for path in (scene.root / "copy").rglob("*.*"):
        there = scene.place / path.relative_to(scene.root / "copy")
        if path.parts[-2] == "run" and path.name in (
            "cases.csv",
            "splits.csv",
            "statistics.csv",
            "study.json",
            "plan.json",
        ):
            assert there.read_bytes() == path.read_bytes(), (about, path)


def assert_whole(scene, about, *, judged):
    try:
        if judged:
            assert_undisturbed(scene, RunFolder(scene.root / "copy" / "run"))
        else:
            assert_same_run(scene.folder, RunFolder(scene.root / "copy" / "run"))
    except AssertionError as error:
        raise AssertionError(f"{about}, and afterwards\n{error}") from error
