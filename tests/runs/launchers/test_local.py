"""Every launcher of the table keeps the contract; workers on this machine have a fake command in the place of `foldwise work`."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from launcher_contract import LauncherContract, command, pull

from foldwise.errors import DataError, MissingExtra, RunError, SpecError
from foldwise.runs.folder import RunFolder
from foldwise.runs.launchers import local
from foldwise.runs.launchers.kubernetes import KubernetesWorkers
from foldwise.runs.launchers.launcher import Crew
from foldwise.runs.launchers.local import LocalWorkers, bearable_workers, default_workers
from foldwise.runs.launchers.ray import RayWorkers
from foldwise.runs.launchers.slurm import SlurmWorkers
from foldwise.runs.launchers.table import LAUNCHERS, Inline
from foldwise.runs.leases import MAX_ATTEMPTS
from foldwise.study.kubernetes import KubernetesProfile

ROOM = """
import os, signal, sys, time
from pathlib import Path
room = Path(sys.argv[1])
def note(name, text=""):
    (room / name).write_text(text)
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(local, "POLL_S", 0.02)


class TestLocalWorkers(LauncherContract):
    def make(self, crew, behaviour):
        return LocalWorkers(crew, command=lambda number: command(crew.folder.root, behaviour), grace_s=5)


class TestInline(LauncherContract):
    def make(self, crew, behaviour):
        return Inline(crew, lambda log: pull(crew.folder.root, behaviour, log))


def test_every_row_of_the_table_keeps_it(tmp_path):
    crew = Crew(RunFolder(tmp_path))
    made = {name: type(row.make(crew, print)) for name, row in LAUNCHERS.items()}
    keep_it = {"local": LocalWorkers, "inline": Inline, "slurm": SlurmWorkers, "ray": RayWorkers}
    keep_it |= {"kubernetes": KubernetesWorkers}
    assert made == keep_it, "a new launcher needs a class here or, as slurm and ray, in a file of its own"


@pytest.mark.parametrize("name", LAUNCHERS)
def test_every_row_says_what_it_starts(tmp_path, name):
    volume = {"mount": str(tmp_path.parent), "cache": f"{tmp_path.parent}/cache"}
    profile = KubernetesProfile(image="foldwise", claim="lab", **volume) if name == "kubernetes" else None
    script = LAUNCHERS[name].make(Crew(RunFolder(tmp_path), profile=profile), print).script()
    assert "work" in script
    assert str(tmp_path) in script


@pytest.fixture
def room(tmp_path):
    (tmp_path / "room").mkdir()
    (tmp_path / "run").mkdir()
    return tmp_path / "room"


@pytest.fixture
def launch(tmp_path, room):
    """Local workers whose command is a few lines of Python; `note(name, text)` leaves a file in the room."""

    def make(code, workers=1, threads=1, **options):
        program = ROOM + textwrap.dedent(code)

        def command(number):
            return [sys.executable, "-c", program, str(room), str(number)]

        crew = Crew(RunFolder(tmp_path / "run"), workers, threads=threads)
        return LocalWorkers(crew, command=command, **options)

    return make


def there(room, *names, seconds=200):
    """Whether the notes are there; the test fails where they are not after so long."""
    deadline = time.monotonic() + seconds

    def look():
        assert time.monotonic() < deadline, f"after {seconds} s there is no {names}, only {os.listdir(room)}"
        return all((room / name).exists() for name in names)

    return look


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_are_numbered_and_get_their_threads_before_they_start(launch, room):
    launch(
        "note(sys.argv[2], os.environ['OMP_NUM_THREADS'] + os.environ['MKL_NUM_THREADS'])",
        workers=2,
        threads=3,
    ).run(finished=there(room, "0", "1"))
    assert (room / "0").read_text() == (room / "1").read_text() == "33"


def test_the_command_is_foldwise_work(tmp_path):
    workers = LocalWorkers(Crew(RunFolder(tmp_path), device="cpu"))
    assert workers.command(4) == [
        *(
            sys.executable,
            "-P",
            "-m",
            "foldwise",
            "work",
            str(tmp_path),
            "--device",
            "cpu",
            "--worker-index",
            "4",
        )
    ]


def test_ticks_tell_how_far_it_is(launch, room):
    seen = []
    launch("time.sleep(0.2); note('end')").run(finished=there(room, "end"), tick=seen.append)
    assert len(seen) > 1
    assert isinstance(seen[0], RunFolder)


def test_a_killed_worker_is_started_again(launch, room):
    code = """
    if not (room / "first").exists():
        note("first")
        os.kill(os.getpid(), signal.SIGKILL)
    note("second")
    """
    launch(code).run(finished=there(room, "second"))


def test_workers_that_are_killed_again_and_again_are_given_up(launch, room):
    with pytest.raises(RunError) as refused:
        launch("print('hello', flush=True); os.kill(os.getpid(), signal.SIGKILL)").run(finished=lambda: False)
    assert refused.value.what == "workers were killed 6 times without finishing an item\n" + "\n".join(
        ["  | hello"] * 6
    )
    assert "--workers 1" in refused.value.cure


def test_workers_that_end_by_themselves_with_an_error_are_not_started_again(launch, room):
    with pytest.raises(RunError) as refused:
        launch("note(str(time.time())); sys.exit('no torch here')").run(finished=lambda: False)
    assert refused.value.what == "all workers ended while work was left\n  | no torch here"
    assert len(list(room.iterdir())) == 1


@pytest.mark.parametrize(
    ("code", "kind"), [(2, SpecError), (3, DataError), (4, MissingExtra), (5, RunError), (1, RunError)]
)
def test_what_no_worker_could_do_ends_the_run_as_it_ended_them(launch, code, kind):
    with pytest.raises(kind, match="all workers ended while work was left") as refused:
        launch(f"sys.exit({code})", workers=2).run(finished=lambda: False)
    assert type(refused.value) is kind


def test_one_worker_that_ends_leaves_the_work_to_the_others(launch, room):
    launch("sys.argv[2] == '0' and sys.exit(1); time.sleep(0.3); note('end')", workers=2).run(
        finished=there(room, "end")
    )


def test_no_worker_is_left_when_the_work_is_finished(launch, room, monkeypatch):
    monkeypatch.setattr(local, "FAREWELL_S", 0.1)
    launch("note('pid', str(os.getpid())); note('end'); time.sleep(1000)").run(finished=there(room, "end"))
    assert not alive(int((room / "pid").read_text()))


def test_a_worker_that_ignores_being_asked_is_made_to_stop(launch, room, monkeypatch):
    monkeypatch.setattr(local, "FAREWELL_S", 0.0)
    code = """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note("pid", str(os.getpid())); note("end"); time.sleep(1000)  # run() returns at its end only if it waits for it
    """
    launch(code, grace_s=0.2).run(finished=there(room, "end"))
    assert not alive(int((room / "pid").read_text()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stopped_run_leaves_no_worker_and_gives_back_what_they_held(tmp_path, number):
    worker = """
    import sys, time
    from pathlib import Path
    from foldwise.runs.leases import acquire
    from foldwise.runs.folder import RunFolder
    held = acquire(RunFolder(Path(sys.argv[1])), "fit-1")
    held.beat("holding")
    time.sleep(1000)
    """
    driver = f"""
    import signal, sys
    from pathlib import Path
    from foldwise.runs.launchers.launcher import Crew
    from foldwise.runs.launchers.local import LocalWorkers
    from foldwise.runs.folder import RunFolder
    # Tests that are started in the background inherit ignored signals; a terminal does not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    folder = RunFolder(Path({str(tmp_path)!r}))
    command = lambda number: [sys.executable, "-c", {textwrap.dedent(worker)!r}, {str(tmp_path)!r}]
    try:
        workers = LocalWorkers(Crew(folder), command=command, grace_s=5)
        workers.run(finished=lambda: False, stopping=lambda _: print("stopping", flush=True))
    except KeyboardInterrupt:
        sys.exit(130)
    """
    running = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(driver)], stdout=subprocess.PIPE, text=True
    )
    folder = RunFolder(tmp_path)
    deadline = time.monotonic() + 200
    while folder.beats() != {"fit-1": "holding"}:
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.05)
    owner = (folder.attempts_of("fit-1") / "1" / "owner.json").read_text()
    running.send_signal(number)
    assert running.communicate(timeout=200)[0] == "stopping\n"
    assert running.returncode == 130
    assert (folder.attempts_of("fit-1") / "1" / "released").exists()
    assert not alive(int(owner.split('"pid": ')[1].split(",")[0]))


def test_it_runs_outside_the_main_thread_too(launch, room):
    workers = launch("note('end')")
    thread = threading.Thread(target=workers.run, kwargs={"finished": there(room, "end")}, daemon=True)
    thread.start()
    thread.join(300)
    assert not thread.is_alive()


def test_how_many_workers_a_machine_bears(monkeypatch):
    free = [100e9]
    monkeypatch.setattr(local, "usable", lambda: SimpleNamespace(cores=8, free=free[0]))
    monkeypatch.setattr(local, "find_meter", lambda device: None)
    assert default_workers("auto", 1) == 8
    assert default_workers("cpu", 3) == 2
    assert default_workers("cpu", 16) == 1
    free[0] = 3.1e9
    assert default_workers("cpu", 1) == 3
    assert default_workers("cpu", 1, memory_mb=400) == 1  # by what is foretold: 1,000 + 1.5 * 400 MB each
    assert default_workers("cpu", 1, memory_mb=30_000) == 1  # tried all the same: it is a guess
    free[0] = 100e9
    assert bearable_workers(1, memory_mb=11_000) == 5
    # With accelerators, one on each to begin with.
    monkeypatch.setattr(local, "find_meter", lambda device: SimpleNamespace(devices=lambda: ("0", "1")))
    assert default_workers("auto", 1, memory_mb=11_000) == 2


def test_one_of_several_that_is_killed_is_not_replaced_at_once_and_its_item_is_not_blamed(
    launch, room, tmp_path
):
    """What several take together may be too much for the machine: one fewer takes less."""
    code = """
    from foldwise.runs.folder import RunFolder
    from foldwise.runs.leases import acquire
    number = len(list(room.glob("begun-*")))
    note(f"begun-{sys.argv[2]}-{os.getpid()}")
    def wait(folder, pattern):
        while not list(folder.glob(pattern)):
            time.sleep(0.02)
    if sys.argv[2] == "0" and number < 3:
        acquire(RunFolder(room.parent / "run"), "fit-1")
        wait(room, "begun-1-*")
        os.kill(os.getpid(), signal.SIGKILL)
    wait(room.parent / "run", "leases/fit-1/1/released")
    time.sleep(0.5)  # in which another one could begin
    note("end")
    """
    launch(code, workers=2).run(finished=there(room, "end"))
    attempts = RunFolder(tmp_path / "run").attempts("fit-1")
    assert (attempts[0] / "released").read_text() == ""  # no death of the item
    assert len(list(room.glob("begun-*"))) == 2


def test_launching_needs_neither_torch_nor_a_ray_before_it_is_asked_for():
    code = "import sys, foldwise.runs.launchers.table, foldwise.interface.cli; sys.exit(bool({'torch', 'ray'} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, cwd=Path.cwd(), timeout=200).returncode == 0
    )


def test_workers_that_are_killed_while_an_item_gets_further_are_not_given_up(launch, room):
    """A fit that outlives many a worker: each wrote how far it is, and the next one goes on."""
    code = """
    number = len(list(room.iterdir()))
    if number == 2 * MAX_ATTEMPTS:
        time.sleep(60)
    note(str(number))
    attempt = room.parent / "run" / "leases" / "fit-1" / str(number)
    attempt.mkdir(parents=True)
    (attempt / "further").touch()
    os.kill(os.getpid(), signal.SIGKILL)
    """.replace("MAX_ATTEMPTS", str(MAX_ATTEMPTS))
    launch(code).run(finished=there(room, str(2 * MAX_ATTEMPTS - 1)))
