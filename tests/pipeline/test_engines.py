"""The same study by every engine that is here: rows, scores and weights are the same to the last byte, but for times."""

import csv
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import ray_cluster
import slurm_cluster

from foldwise.pipeline.options import RunOptions, Silent
from foldwise.pipeline.pipeline import run
from foldwise.study.reading import open_study

STUDY = """
study: tiny
data: {phantom: {kind: gels, images: 16, size: 32, difficulty: 0.3}, channels: gray, size: 32}
train: {model: {conv: {width: 4, depth: 2}}, epochs: 2, batch_size: 4, augment: flips}
compare: {optimizer: [adam, sgd]}
validate: {folds: 2}
slurm: {partition: spare, workers: 2}
ray: {workers: 2}
"""
MEASURED = ("_s", "_ms", "_mb", "_j")  # endings of columns that no two runs share
SAME = ("scores.npz", "weights.safetensors")


def run_on(engine, root, forked):
    """The folder of a run by this engine, through the command line, in a process of its own; and where that listened."""
    (root / "study.yaml").write_text(STUDY)
    pid = forked.start("run", "study.yaml", "--on", engine, "--out", "run", cwd=root, out=root / "output.txt")
    running, addresses = psutil.Process(pid), set()
    while running.status() != psutil.STATUS_ZOMBIE:  # it has ended, and is waited for below
        addresses |= listening(running)
        time.sleep(0.2)
    assert forked.wait(pid) == 0, (root / "output.txt").read_text()
    return root / "run", addresses


def listening(process):
    """The addresses at which a process, or one that it has started, listens."""
    found = set()
    with suppress(psutil.Error):
        for each in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                found |= {at.laddr.ip for at in each.net_connections() if at.status == psutil.CONN_LISTEN}
    return found


def made(folder):
    """Everything of a run that who did it cannot change."""
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = [{key: row[key] for key in row if not key.endswith(MEASURED)} for row in csv.DictReader(file)]
    items = {
        f"{path.parent.name}/{path.name}": path.read_bytes()
        for path in (folder / "done").glob("*/*")
        if path.name in SAME
    }
    assert len(rows) == 4  # two that are trivial among them
    assert len(items) == 8
    return {"results": rows, "scores": (folder / "scores.csv").read_bytes()} | items


@pytest.fixture(scope="module")
def inline(tmp_path_factory):
    """What the study gives in one process, without any engine."""
    root = tmp_path_factory.mktemp("inline")
    (root / "study.yaml").write_text(STUDY)
    options = RunOptions(out=root / "run", workers=1, launcher="inline")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOLDWISE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        return made(run(open_study(root / "study.yaml"), options, Silent())[0].root)


@pytest.fixture
def slurm(tmp_path):
    cluster = slurm_cluster.started(tmp_path / "slurm")
    yield {key: cluster.environment[key] for key in ("SLURM_CONF", "PATH")}
    cluster.down()


@pytest.fixture
def ray():
    if not ray_cluster.is_here():
        pytest.skip(ray_cluster.NOT_HERE)
    return {}  # one of its own, which the run starts and ends


@pytest.fixture
def local():
    return {}


@pytest.mark.parametrize("engine", ["local", "slurm", "ray"])
def test_who_did_the_items_changes_no_byte_of_them(inline, tmp_path, request, engine, forked, monkeypatch):
    before = sessions()
    (tmp_path / "home").mkdir()
    for name, value in ({"HOME": str(tmp_path / "home")} | request.getfixturevalue(engine)).items():
        monkeypatch.setenv(name, value)
    folder, addresses = run_on(engine, tmp_path, forked)
    assert made(folder) == inline
    # Only a Ray listens at all, on loopback; it leaves no token at home and no files behind.
    assert addresses == ({"127.0.0.1", "::ffff:127.0.0.1"} if engine == "ray" else set())
    assert list((tmp_path / "home").glob(".ray*")) == []
    assert sessions() <= before
    assert "(raylet)" not in (tmp_path / "output.txt").read_text()


def sessions():
    """Folders of Rays of our own."""
    return set(Path("/tmp").glob("fw-*"))
