"""What this process may use: made-up trees of cgroups, both versions, and the machine that the test runs on."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from foldwise import resources
from foldwise.resources import AFFINITY, CGROUP, JOBS, MACHINE, usable

GIB = 2**30
SECOND = "30 24 0:26 {inside} {point} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
FIRST = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    "32 31 0:29 {inside} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 {inside} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)
NO_LIMIT = 9223372036854771712


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine of 64 processors and 256 GiB, half of them free, and no batch system."""
    monkeypatch.setattr(
        resources.psutil, "virtual_memory", lambda: SimpleNamespace(total=256 * GIB, available=128 * GIB)
    )
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    for job in JOBS:
        monkeypatch.delenv(job, raising=False)


@pytest.fixture
def tree(tmp_path):
    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n" if isinstance(text, int) else text)
        return tmp_path

    return write


def second(files, own="/", inside="/"):
    """A tree of version 2, with the files of cgroups by their paths below the outermost."""
    proc = {
        "proc/self/cgroup": f"0::{own}\n",
        "proc/self/mountinfo": SECOND.format(inside=inside, point="/sys/fs/cgroup"),
    }
    return proc | {f"sys/fs/cgroup/{name}": text for name, text in files.items()}


def test_without_cgroups_all_of_the_machine_is_usable(tmp_path):
    assert usable(tmp_path) == resources.Resources(64, MACHINE, 256 * GIB, MACHINE, 128 * GIB)


def test_a_container_sees_its_own_cgroup_at_the_root(tree):
    root = tree(second({"memory.max": 8 * GIB, "memory.current": 3 * GIB, "cpu.max": "250000 100000\n"}))
    assert usable(root) == resources.Resources(2, CGROUP, 8 * GIB, CGROUP, 5 * GIB)


def test_what_is_kept_of_files_counts_as_free(tree):
    stat = f"anon {GIB}\nfile {6 * GIB}\ninactive_file {4 * GIB}\nactive_file {GIB}\nshmem {GIB}\n"
    root = tree(second({"memory.max": 8 * GIB, "memory.current": 7 * GIB, "memory.stat": stat}))
    assert usable(root).free == 6 * GIB


@pytest.mark.parametrize("least", ["own", "around", "outermost"])
def test_of_all_cgroups_around_a_process_the_least_counts(tree, least):
    limits = dict.fromkeys(["own", "around", "outermost"], 32 * GIB) | {least: 4 * GIB}
    files = {
        "a/b/memory.max": limits["own"],
        "a/memory.max": limits["around"],
        "memory.max": limits["outermost"],
        "a/b/cpu.max": "max 100000\n",
        "a/cpu.max": "300000 100000\n",
    }
    here = usable(tree(second(files, own="/a/b")))
    assert (here.memory, here.free, here.cores) == (4 * GIB, 4 * GIB, 3)


def test_the_limit_that_slows_a_process_down_counts_as_well(tree):
    assert usable(tree(second({"memory.max": "max\n", "memory.high": 2 * GIB}))).memory == 2 * GIB


@pytest.mark.parametrize(
    ("own", "inside"),
    [
        ("/kubepods/pod1/abc", "/kubepods/pod1/abc"),  # a container without a namespace of cgroups
        ("/kubepods/pod1/abc", "/"),  # the same, where only its own cgroup is mounted
        ("/../other", "/"),  # moved out of what its namespace shows
    ],
)
def test_where_the_path_of_a_cgroup_is_not_seen_what_is_mounted_counts(tree, own, inside):
    assert usable(tree(second({"memory.max": GIB}, own=own, inside=inside))).memory == GIB


def test_a_quota_of_less_than_a_processor_is_one(tree):
    assert usable(tree(second({"cpu.max": "50000 100000\n"}))).cores == 1


@pytest.mark.parametrize("text", ["max 100000\n", "max\n", "", "100000 0\n"])
def test_no_quota_is_no_limit(tree, text):
    assert usable(tree(second({"cpu.max": text, "memory.max": "max\n"}))).cores_by == MACHINE


def first(inside, *, limit, used=GIB, quota=-1):
    memory, cpu = "sys/fs/cgroup/memory/job_1", "sys/fs/cgroup/cpu,cpuacct/job_1"
    if inside != "/":
        memory, cpu = memory.removesuffix("/job_1"), cpu.removesuffix("/job_1")
    return {
        "proc/self/cgroup": "5:memory:/slurm/job_1\n4:cpu,cpuacct:/slurm/job_1\n1:name=systemd:/x:y\n0::/\n".replace(
            "/slurm", "" if inside == "/" else "/slurm"
        ),
        "proc/self/mountinfo": FIRST.format(inside=inside),
        f"{memory}/memory.limit_in_bytes": limit,
        f"{memory}/memory.usage_in_bytes": used,
        f"{memory}/memory.stat": f"inactive_file 1\ntotal_inactive_file {GIB // 2}\ntotal_active_file 0\n",
        f"{cpu}/cpu.cfs_quota_us": quota,
        f"{cpu}/cpu.cfs_period_us": 100000,
    }


@pytest.mark.parametrize("inside", ["/", "/slurm/job_1"])
def test_version_1_has_a_tree_for_each_of_them(tree, inside):
    root = tree(first(inside, limit=4 * GIB, quota=400000))
    assert usable(root) == resources.Resources(4, CGROUP, 4 * GIB, CGROUP, 4 * GIB - GIB // 2)


def test_version_1_says_a_huge_number_for_no_limit(tree):
    assert usable(tree(first("/", limit=NO_LIMIT))) == usable(Path("/nowhere"))


@pytest.mark.parametrize("name", ["proc/self/cgroup", "proc/self/mountinfo", "sys/fs/cgroup/memory.max"])
@pytest.mark.parametrize("text", ["", "\n", "0 0\n", "a b c d - cgroup2\n", "0::\n", "-1\n", "1:memory\n"])
def test_what_some_sandboxes_write_in_their_place_is_no_limit(tree, name, text):
    assert usable(tree(second({"memory.max": "max\n"}) | {name: text})).memory == 256 * GIB


def test_affinity_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    assert (usable(tmp_path).cores, usable(tmp_path).cores_by) == (2, AFFINITY)


@pytest.mark.parametrize("job", JOBS)
def test_a_job_counts_even_where_its_cluster_sets_no_cgroup(monkeypatch, tmp_path, job):
    cores, memory = JOBS[job]
    monkeypatch.setenv(cores, "6")
    assert usable(tmp_path).cores == 64  # left over from elsewhere: there is no job
    monkeypatch.setenv(job, "1")
    assert (usable(tmp_path).cores, usable(tmp_path).cores_by) == (6, f"the job ({cores})")
    if memory:
        monkeypatch.setenv(memory, "4096")
        assert (usable(tmp_path).memory, usable(tmp_path).free) == (4 * GIB, 4 * GIB)
        monkeypatch.setenv(memory, "0")  # all there is
        assert usable(tmp_path).memory == 256 * GIB


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has cgroups")
def test_a_real_cgroup_is_read():
    """A process in a cgroup of 3 GiB says so; where this machine lets a test make one."""
    parent = Path("/sys/fs/cgroup/memory")
    name, limit = ("memory.limit_in_bytes", parent / "foldwise-test") if parent.is_dir() else (
        "memory.max", parent.parent / "foldwise-test",
    )  # fmt: skip
    try:
        limit.mkdir()
        (limit / name).write_text(str(3 * GIB))
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    code = (
        f"open({str(limit / 'cgroup.procs')!r}, 'w').write('0')\n"
        "from foldwise.resources import usable\nprint(usable().memory, usable().memory_by)"
    )
    try:
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    finally:
        limit.rmdir()
    assert ended.stdout.strip() == f"{3 * GIB} {CGROUP}", ended.stderr


def test_nothing_else_asks_the_machine():
    """What the machine has is not what a container or a job may use: one module asks, and all others ask it."""
    source = Path(resources.__file__).parent
    asking = ("virtual_memory", "sched_getaffinity", "process_cpu_count")
    others = [path for path in source.rglob("*.py") if any(name in path.read_text() for name in asking)]
    assert [path.name for path in others] == ["resources.py"]
