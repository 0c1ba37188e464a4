"""Workers as tasks of a real Ray of two nodes: killed, on nodes that are lost, without a driver, stopped."""

import os
import signal
import subprocess
import sys
import textwrap
from contextlib import suppress  # noqa: F401 - for what is started from here
from pathlib import Path
from threading import Thread

import pytest
import ray_cluster
from launcher_contract import LauncherContract
from launcher_contract import command as pulling
from sleepy_worker import assert_whole, begun, sleepy_run
from sleepy_worker import command as sleeping

from foldwise import errors
from foldwise.errors import MissingExtra, RunError
from foldwise.pipeline.options import RunOptions, Silent
from foldwise.pipeline.pipeline import run
from foldwise.runs import leases
from foldwise.runs.folder import write_json
from foldwise.runs.launchers import ray, ray_tasks
from foldwise.runs.launchers.launcher import Crew
from foldwise.runs.launchers.local import LocalWorkers
from foldwise.runs.launchers.ray import RayWorkers
from foldwise.runs.launchers.ray_tasks import Ending
from foldwise.runs.leases import owner_of
from foldwise.runs.stopping import refuse_if_stopped, stop_all
from foldwise.study.profiles import RayProfile
from foldwise.study.reading import open_study

HERE = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "making")]


@pytest.fixture(scope="module")
def whole_cluster():
    cluster = ray_cluster.started()
    yield cluster
    cluster.down()


@pytest.fixture
def cluster(whole_cluster, monkeypatch):
    """The cluster, without tasks."""
    for key, value in whole_cluster.environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(ray, "POLL_S", 0.1)
    monkeypatch.setattr(ray, "LOOK_S", 0.2)
    yield whole_cluster
    whole_cluster.wait(lambda: not whole_cluster.tasks())


class TestRayWorkers(LauncherContract):
    @pytest.fixture(autouse=True)
    def _on(self, cluster):
        self.cluster = cluster

    def make(self, crew, behaviour):
        command = pulling(crew.folder.root, behaviour, with_parent=True)
        return workers(self.cluster, crew.folder, crew.workers, command=command)


def workers(cluster, folder, number=3, *, command=None, **profile):
    profile = RayProfile(**{"address": cluster.address, "memory": "200M"} | profile)
    command = command or [*sleeping(folder.root), "--with-parent"]
    return RayWorkers(Crew(folder, number, profile=profile), command=command)


def finished(folder):
    number = len(folder.load_plan().items)
    return lambda: sum(map(len, folder.settled())) == number


def in_the_middle(folder):
    """The items that have begun, by what they said of themselves: a lease alone may be of a worker that still starts."""
    return [item for item, beat in folder.beats().items() if beat]


def test_killed_workers_tasks_and_nodes_take_no_item_with_them(cluster, tmp_path):
    folder, happened = sleepy_run(tmp_path / "run", items=8, seconds=1), []

    def kill_worker():
        (attempt,) = folder.attempts(in_the_middle(folder)[0])
        os.kill(owner_of(attempt)["pid"], signal.SIGKILL)

    def kill_task():
        os.kill(cluster.tasks()[0], signal.SIGKILL)

    def lose_node():
        cluster.wait(lambda: "n2" in map(cluster.node_of, cluster.workers(folder.root)))
        cluster.lose_node("n2")

    faults = [kill_worker, kill_task, lose_node]

    def befall(folder):
        if faults and len(folder.settled()[0]) >= 2 * len(happened) and in_the_middle(folder):
            fault = faults.pop(0)
            fault()
            happened.append(fault.__name__)

    launcher = workers(cluster, folder)
    launcher.run(finished=finished(folder), tick=befall)
    assert happened == ["kill_worker", "kill_task", "lose_node"]
    assert_whole(folder)
    assert len(begun(folder)) > 8
    died = [
        text for attempt in (folder.root / "leases").glob("*/*/released") if (text := attempt.read_text())
    ]
    assert died == ["was killed by signal 9, most often for its memory (as a task of Ray)"]
    assert launcher.memory_factor == 2


DRIVER = """
import sys
from pathlib import Path
sys.path[:0] = {path!r}
from test_ray import *
from foldwise.runs.folder import RunFolder
folder = RunFolder(Path({root!r}))
profile = RayProfile(address={address!r}, memory="200M")
RayWorkers(Crew(folder, 2, profile=profile), command=[*sleeping(folder.root), "--with-parent"]).run(finished=finished(folder))
"""


def test_the_workers_of_a_driver_that_is_killed_end_with_it_and_the_next_one_goes_on(cluster, tmp_path):
    folder = sleepy_run(tmp_path / "run", items=4, seconds=0.2, until="both")
    code = DRIVER.format(path=HERE, root=str(folder.root), address=cluster.address)
    driver = subprocess.Popen([sys.executable, "-c", code])
    cluster.wait(lambda: len(in_the_middle(folder)) == 2)
    driver.kill()
    driver.wait()
    cluster.wait(lambda: not cluster.workers(folder.root))
    assert folder.beats() == {}  # what they had is given back
    (folder.root / "both").touch()
    workers(cluster, folder).run(finished=finished(folder))
    assert_whole(folder)


def test_workers_share_a_gpu_and_stop_ends_them_whoever_started_them(cluster, tmp_path):
    folder = sleepy_run(tmp_path / "run", items=2, seconds=60)
    done, gpus = finished(folder), []

    def tick(folder):
        if len(folder.beats()) == 2 and not folder.stop.exists():
            gpus.extend(cluster.variable(pid, "CUDA_VISIBLE_DEVICES") for pid in cluster.workers(folder.root))
            assert stop_all(folder) == 0  # jobs of Slurm

    def stopped():
        refuse_if_stopped(folder)
        return done()

    with pytest.raises(RunError, match="stopped by `foldwise stop`"):
        workers(cluster, folder, gpus=0.5).run(finished=stopped, tick=tick)
    assert gpus == ["0", "0"]
    assert cluster.workers(folder.root) == []
    assert folder.beats() == {}


def test_what_no_node_has_is_said_and_not_waited_for_for_ever(cluster, tmp_path, monkeypatch):
    folder = sleepy_run(tmp_path / "run", items=1, seconds=1)
    monkeypatch.setattr(ray, "ROOM_S", 1.0)
    with pytest.raises(RunError) as refused:
        workers(cluster, folder, gpus=0.5, memory="6G").run(finished=finished(folder))
    assert refused.value.what == (
        "no node has room for a worker with 1 CPU, 0.5 GPU and 6.4 GB; there are 2 CPU, 1 GPU and 4.0 GB, "
        "and none has come for 1.0 s"
    )


def test_the_script_does_the_same_by_hand(cluster, tmp_path, monkeypatch):
    folder = sleepy_run(tmp_path / "run", items=3, seconds=0.1)
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "workers.py"
    script.write_text(workers(cluster, folder, 2).script())
    assert len(script.read_text().splitlines()) < 60
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 0, ended.stderr
    assert_whole(folder)


def test_two_engines_work_on_one_run_at_once(cluster, tmp_path):
    folder = sleepy_run(tmp_path / "run", items=8, seconds=0.2, until="both")
    command = sleeping(folder.root)
    local = LocalWorkers(Crew(folder, 1), command=lambda number: command)
    beside = Thread(target=local.run, kwargs={"finished": finished(folder)})

    def tick(folder):
        if begun(folder) and beside.ident is None:
            beside.start()
        if len(begun(folder)) > 1:
            (folder.root / "both").touch()

    workers(cluster, folder, 1).run(finished=finished(folder), tick=tick)
    beside.join()
    assert_whole(folder)
    done = {
        name: sum(log.read_text().count("done ") for log in folder.logs.glob(f"{name}-*.txt"))
        for name in ("worker", "ray")
    }
    assert min(done.values()) > 0
    assert sum(done.values()) == 8


def ended(code, **environment):
    """A process that ran this code, as it ended."""
    preamble = f"import sys; sys.path[:0] = {HERE!r}\nfrom test_ray import *\n"
    return subprocess.run(
        [sys.executable, "-c", preamble + textwrap.dedent(code)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


CONNECT = """
from foldwise.runs.launchers.ray_tasks import connected
try:
    with connected({address!r}):
        print("connected")
except RunError as error:
    print(error)
"""


def test_another_token_says_what_to_set(cluster):
    said = ended(
        CONNECT.format(address=cluster.address), RAY_AUTH_TOKEN="x" * 40, RAY_NUM_REDIS_GET_RETRIES="1"
    ).stdout
    assert said.startswith(f"{cluster.address}: there is no Ray to be reached: ")
    assert "Set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN as they were where `ray start` was called" in said


def test_a_head_that_is_lost_ends_the_run_and_nothing_is_lost(cluster, tmp_path, monkeypatch):
    folder = sleepy_run(tmp_path / "run", items=2, seconds=60)
    monkeypatch.setattr(ray, "HEAD_S", 1.0)

    def lose(folder):
        if folder.beats() and cluster.processes("n1"):
            cluster.lose_node("n1")

    with pytest.raises(RunError, match="the head of Ray has not answered"):
        workers(cluster, folder).run(finished=finished(folder), tick=lose)
    for name in cluster.names:
        cluster.lose_node(name)
    assert folder.beats() == {}


def test_a_ray_that_is_not_there_says_so():
    said = ended(CONNECT.format(address="127.0.0.1:9")).stdout
    assert said.startswith("127.0.0.1:9: there is no Ray to be reached: ")
    assert "Ask it with `ray status`" in said


def test_without_ray_the_cure_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    folder = sleepy_run(tmp_path / "run", items=1, seconds=1)
    with pytest.raises(MissingExtra) as missing:
        RayWorkers(Crew(folder, profile=RayProfile(address="x:1"))).run(finished=finished(folder))
    assert missing.value.cure == "pip install 'foldwise[ray]'"


def test_without_ray_nothing_is_checked_first(tmp_path, monkeypatch):
    monkeypatch.setattr(errors, "find_spec", lambda module: None)
    (tmp_path / "study.yaml").write_text("study: a\ndata: {path: x}\ntrain: {model: unet}\n")
    with pytest.raises(MissingExtra, match="ray is not installed"):
        run(open_study(tmp_path / "study.yaml"), RunOptions(tmp_path / "run", launcher="ray"), Silent())


@pytest.mark.parametrize(
    ("code", "words", "is_over", "is_death"),
    [
        (0, "ended", True, False),
        (4, "ended with exit code 4", True, False),
        (75, "was told to stop", False, False),
        (130, "was told to stop", False, False),
        (-15, "was told to stop", False, False),
        (-9, "was killed by signal 9, most often for its memory", False, True),
        (-11, "was killed by signal 11", False, True),
    ],
)
def test_how_a_worker_ended_is_told_from_its_exit_code(code, words, is_over, is_death):
    ending = ray_tasks.ending_of_worker(code)
    assert (ending.words, ending.code is not None, bool(ending.died)) == (words, is_over, is_death)


def test_what_the_worker_of_a_lost_node_had_is_given_back_at_once_and_no_death_of_its_item(
    tmp_path, monkeypatch
):
    folder = sleepy_run(tmp_path / "run", items=2, seconds=1)
    launcher = RayWorkers(Crew(folder))
    attempts = []
    for item, task in (("fit-00", "a-1"), ("fit-01", "a-2")):
        monkeypatch.setenv(leases.TASK, task)
        lease = leases.acquire(folder, item)
        lease._over.set()  # it beats no more
        write_json(lease.attempt / "owner.json", owner_of(lease.attempt) | {"host": "elsewhere"})
        attempts.append(lease.attempt / "released")
    launcher._give_back("a-1", Ending("lost its node"))
    assert [path.exists() for path in attempts] == [True, False]
    assert attempts[0].read_text() == ""
    launcher._give_back("a-2", ray_tasks.ending_of_worker(-9))
    assert attempts[1].read_text() == "was killed by signal 9, most often for its memory (as a task of Ray)"


def test_what_is_sent_to_nodes_needs_no_foldwise_there():
    cloudpickle = pytest.importorskip("ray.cloudpickle", reason=ray_cluster.NOT_HERE)
    code = "import sys, ray.cloudpickle; sys.modules['foldwise'] = None; print(ray.cloudpickle.loads(sys.stdin.buffer.read()).__name__)"
    sent = cloudpickle.dumps(ray_tasks.pickled_by_value())
    received = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=False)
    assert received.stdout == b"work_in_process\n", received.stderr
