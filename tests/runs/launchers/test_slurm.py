"""Workers as jobs of Slurm, before a queue that a test plays: what is sent, sent again, given back, and when it ends."""

import subprocess
import sys
import time
from contextlib import suppress

import pytest
from fake_queue import ListedQueue, ProcessQueue
from launcher_contract import LauncherContract, command

from foldwise.errors import MissingExtra, RunError, SpecError
from foldwise.runs import leases
from foldwise.runs.folder import RunFolder, write_json
from foldwise.runs.items import Item
from foldwise.runs.launchers import slurm
from foldwise.runs.launchers.launcher import Crew
from foldwise.runs.launchers.slurm import SlurmWorkers
from foldwise.runs.launchers.slurm_script import script_of
from foldwise.runs.leases import MAX_ATTEMPTS, acquire, owner_of
from foldwise.runs.plan import Plan
from foldwise.runs.slurm_queue import QueuedJob, SlurmQueue, job_here, name_of_jobs, summary
from foldwise.study.profiles import SlurmProfile


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(slurm, "POLL_S", 0.02)
    monkeypatch.setattr(slurm, "FAREWELL_S", 5.0)
    monkeypatch.setattr(slurm, "STOPPED_S", 0.1)


class TestSlurmWorkers(LauncherContract):
    def make(self, crew, behaviour):
        queue = ProcessQueue(crew.folder, command(crew.folder.root, behaviour))
        return SlurmWorkers(crew, queue=queue, look_s=0.05)


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.save_plan(Plan(tuple(Item(f"fit-{n}", "fit", (), f"fit {n}", {}) for n in range(5)), ()))
    return folder


class Played:
    """Workers of a queue that a test plays, one look after the other."""

    def __init__(self, folder, *jobs, workers=3, **profile):
        self.queue, self.folder = ListedQueue(*jobs), folder
        self.workers = SlurmWorkers(
            Crew(folder, workers, memory_mb=1000, profile=SlurmProfile(**profile)), queue=self.queue
        )

    def look(self):
        self.workers._look(lambda: False)
        return self.queue.sent

    def all_become(self, state, **changes):
        for job in self.queue.listed:
            self.queue.becomes(job.id, state, **changes)


@pytest.fixture
def play(folder):
    def make(*jobs, **options):
        return Played(folder, *jobs, **options)

    return make


def commit(folder, item):
    scratch = folder.scratch(item, "x")
    write_json(scratch / "result.json", {"status": "done", "error": None})
    folder.commit(scratch, item)


def test_as_many_jobs_are_sent_as_are_missing_and_never_more_than_there_is_to_do(play, folder):
    played = play()
    assert played.look() == [3]
    assert played.look() == [3]
    played.queue.becomes("101_2", "NODE_FAIL")
    assert played.look() == [3, 1]
    for item in ("fit-0", "fit-1", "fit-2", "fit-3"):
        commit(folder, item)
    played.queue.becomes("101_1", "TIMEOUT")
    assert played.look() == [3, 1]  # one item is left, and two jobs live


def test_jobs_of_an_earlier_driver_are_gone_on_with(play):
    played = play(
        QueuedJob("7_1", "RUNNING", node="n1"),
        QueuedJob("7_2", "PENDING", "Priority"),
        QueuedJob("6_1", "CANCELLED"),
        workers=2,
    )
    assert played.look() == []
    played = play(QueuedJob("6_1", "FAILED", status=256))  # what ended before says nothing of now
    assert played.look() == [3]


@pytest.mark.parametrize("state", ["PREEMPTED", "NODE_FAIL", "TIMEOUT", "BOOT_FAIL", None])
def test_what_befalls_a_job_is_made_good_however_often(play, state):
    played = play()
    for _ in range(10):
        played.look()
        played.look()  # the queue shows them
        played.all_become(state)
    assert played.queue.sent == [3] * 10


def test_a_queue_that_does_not_answer_is_waited_for(play):
    played = play()
    played.look()
    played.queue.is_away = True
    assert played.look() == [3]
    played.queue.is_away, played.queue.listed = False, []  # it has forgotten everything
    assert played.look() == [3]  # or does not show yet what was sent
    for _ in range(5):
        played.look()
    assert played.queue.sent == [3, 3]


def test_a_queue_that_is_away_when_a_job_is_sent_gets_it_later(play):
    played = play()
    jobs, played.queue.jobs = played.queue.jobs, lambda name: []
    played.queue.is_away = True
    assert played.look() == []
    played.queue.is_away, played.queue.jobs = False, jobs
    assert played.look() == [3]


def test_a_queue_that_never_answers_is_not_waited_for_for_ever(play, monkeypatch):
    played = play()
    played.queue.is_away = True
    assert played.look() == []
    monkeypatch.setattr(slurm, "SILENCE_S", 0.0)
    with pytest.raises(RunError, match="Slurm has not answered"):
        played.look()


def test_whom_a_silent_queue_is_waited_for_is_said_once_and_soon(play, monkeypatch, capsys):
    played = play()
    answer = played.queue.jobs
    monkeypatch.setattr(slurm, "QUIET_S", 0.05)
    said = ""

    def silent(name):
        nonlocal said
        while "\n" not in said:
            time.sleep(0.02)
            said += capsys.readouterr().err

    played.queue.jobs = silent
    played.look()
    played.queue.jobs = lambda name: time.sleep(0.2)
    played.look()
    said += capsys.readouterr().err
    assert said.count("waiting for its controller, 3 min at most") == 1
    played.queue.jobs = answer
    monkeypatch.setattr(slurm, "QUIET_S", 100.0)
    assert play().look() == [3]
    assert capsys.readouterr().err == ""  # of a queue that answers nothing is said


def test_a_number_that_is_given_again_is_another_job(play):
    played = play(workers=1)
    played.look()
    played.queue.becomes("101_1", "FAILED", status=9)
    played.look()
    played.queue.listed = [QueuedJob("101_1", "FAILED", status=9, submitted="later")]
    for _ in range(6):
        played.look()
    assert played.workers.deaths == 2


def test_a_job_on_its_way_back_into_the_queue_has_not_ended(play):
    played = play(workers=1)
    for state, status in (
        ("COMPLETED", 0),
        ("RUNNING", 0),
        ("FAILED", 256),
        ("PENDING", 0),
        ("COMPLETED", 0),
    ):
        played.look()
        played.queue.becomes("101_1", state, status=status, submitted=f"{state}{status}")
    assert played.look() == [1]
    with pytest.raises(RunError, match="all workers ended while work was left"):
        played.look()


def test_a_job_that_is_held_after_a_failed_launch_is_cancelled_and_replaced(play):
    played = play(workers=1)
    played.look()
    played.queue.becomes("101_1", "PENDING", reason="launch failed requeued held")
    assert played.look() == [1, 1]
    assert played.queue.cancelled == ["101_1"]
    played.queue.becomes("102_1", "PENDING", reason="JobHeldUser")  # somebody's will
    assert played.look() == [1, 1]


def test_jobs_that_somebody_cancelled_are_not_sent_again(play, folder):
    played = play()
    played.look()
    played.queue.becomes("101_1", "CANCELLED")
    assert played.look() == [3, 1]
    played.all_become("CANCELLED")
    assert played.look() == [3, 1]
    with pytest.raises(RunError) as refused:
        played.look()
    assert refused.value.what == f"the jobs {name_of_jobs(folder.root)} were cancelled"


def test_workers_that_are_killed_again_and_again_are_given_up(play, folder):
    played = play(workers=1)
    with pytest.raises(RunError) as refused:  # noqa: PT012
        for _ in range(20):
            played.look()
            played.all_become("OUT_OF_MEMORY")
    assert len(played.queue.sent) == MAX_ATTEMPTS + 1
    assert refused.value.what.startswith(
        "6 jobs ended without finishing an item; the last one was killed for its memory"
    )
    assert "state memory in the profile" in refused.value.cure


def test_memory_that_was_too_small_is_doubled_unless_it_was_stated(play):
    def asked_for(played):
        played.look()
        played.all_become("OUT_OF_MEMORY")
        played.look()
        return [script.partition("--mem=")[2].split("\n")[0] for script in played.queue.scripts]

    assert asked_for(play(workers=1)) == ["3000M", "6000M"]
    assert asked_for(play(workers=1, memory="2G")) == ["2G", "2G"]


def test_an_end_for_memory_that_only_the_log_tells_is_recognised(play, folder):
    played = play(workers=1)
    played.look()
    folder.log("slurm-101_1").write_text("slurmstepd: error: Exceeded job memory limit\n")
    played.queue.becomes("101_1", "FAILED", status=137 << 8)
    played.look()
    assert played.workers.memory_factor == 2


@pytest.fixture
def held(folder, monkeypatch):
    """An item that a worker of job 101_1 on node n1 has, whose process is of another machine."""
    environment = {"SLURM_JOB_ID": "4711", "SLURM_ARRAY_JOB_ID": "101", "SLURM_ARRAY_TASK_ID": "1"}
    environment |= {"SLURM_JOB_NAME": name_of_jobs(folder.root), "SLURMD_NODENAME": "n1"}
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    lease = acquire(folder, "fit-0")
    lease._over.set()  # it beats no more
    for key in environment:
        monkeypatch.delenv(key)
    owner = owner_of(lease.attempt)
    assert owner["slurm"] == {"job": "101_1", "name": name_of_jobs(folder.root), "node": "n1"}
    write_json(lease.attempt / "owner.json", owner | {"host": "elsewhere"})
    return lease.attempt


@pytest.mark.parametrize(
    ("state", "changes", "words"),
    [
        ("PREEMPTED", {}, ""),
        ("NODE_FAIL", {}, ""),
        ("CANCELLED", {}, ""),
        ("COMPLETED", {}, ""),
        ("PENDING", {"node": ""}, ""),  # it was requeued
        ("RUNNING", {"node": "n2"}, ""),  # it was requeued, and runs already
        (None, {}, ""),  # it was forgotten
        ("OUT_OF_MEMORY", {}, "was killed for its memory (Slurm job 101_1)"),
        ("FAILED", {"status": 9}, "was killed by signal 9, most often for its memory (Slurm job 101_1)"),
    ],
)
def test_what_a_job_had_that_is_gone_is_given_back_at_once(play, held, folder, state, changes, words):
    played = play(QueuedJob("101_1", "RUNNING", node="n1"), workers=1)
    played.look()
    assert acquire(folder, "fit-0") is None  # it may live
    played.queue.becomes("101_1", state, **changes)
    with suppress(RunError):  # where that was the last job, and it ended or was cancelled
        played.look()
    assert (held / "released").read_text() == words
    assert acquire(folder, "fit-0") is not None


@pytest.mark.parametrize(
    ("state", "words"),
    [("PREEMPTED", ""), ("NODE_FAIL", ""), ("OUT_OF_MEMORY", "was killed for its memory (Slurm job 101_1)")],
)
def test_whoever_takes_over_asks_the_queue_so_that_no_driver_is_needed(
    held, folder, monkeypatch, state, words
):
    monkeypatch.setattr(leases, "jobs_here", lambda name: [QueuedJob("101_1", state, node="n1")])
    assert acquire(folder, "fit-0", lease_s=0.0) is not None
    assert (held / "released").read_text() == words


def test_a_worker_that_died_within_a_job_that_lives_died_of_its_item(held, folder, monkeypatch):
    for jobs in ([QueuedJob("101_1", "RUNNING", node="n1")], None):
        monkeypatch.setattr(leases, "jobs_here", lambda name, jobs=jobs: jobs)
        assert acquire(folder, "fit-0", lease_s=0.0) is not None
        assert not (held / "released").exists()


def test_an_item_that_kills_its_jobs_says_what_the_queue_says(play, held, folder):
    played = play(QueuedJob("101_1", "RUNNING", node="n1"), workers=1)
    played.look()
    played.queue.becomes("101_1", "OUT_OF_MEMORY")
    played.look()
    assert (held / "released").read_text() == "was killed for its memory (Slurm job 101_1)"
    for number in range(2, MAX_ATTEMPTS + 1):
        attempt = folder.attempts_of("fit-0") / str(number)
        attempt.mkdir()
        (attempt / "released").write_text("was killed for its memory (Slurm job 102_1)")
    assert acquire(folder, "fit-0") is None
    message = folder.result("fit-0")["error"]["message"]
    assert (
        message
        == "the worker that did this died 5 times. The last one was killed for its memory (Slurm job 102_1)."
    )


def test_stopping_cancels_by_name_and_gives_back_what_was_in_progress(play, held, folder):
    played = play(QueuedJob("101_1", "RUNNING", node="n1"), QueuedJob("101_2", "PENDING"))
    assert played.workers.stop() == 2
    assert played.queue.cancelled == ["all"]
    assert (held / "released").read_text() == ""
    assert play().workers.stop() == 0


def script(folder, workers=3, threads=2, memory_mb=800.0, **profile):
    crew = Crew(folder, workers, "cuda", threads, memory_mb=memory_mb, profile=SlurmProfile(**profile))
    return script_of(crew, "foldwise-x", command=None)


def test_the_script_is_short_and_says_everything(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOLDWISE_CACHE", "/scratch/my cache")
    text = script(
        folder, workers=6, partition="gpu", account="lab", gpus="a100:1", time="8:00:00", fits_per_gpu=2,
        modules=["cuda/12.4", "python"], environment="/envs/fold", sbatch=["--qos=short"],
    )  # fmt: skip
    assert (
        text
        == f"""#!/bin/bash -l
# Workers of the run run: each does items that are ready, and ends when none is left.
# Send it as often as you like, with `sbatch`; `foldwise status` and `stop` know its jobs by their name.
#SBATCH --job-name=foldwise-x
#SBATCH --array=1-3
#SBATCH --partition=gpu
#SBATCH --account=lab
#SBATCH --gres=gpu:a100:1
#SBATCH --cpus-per-task=4
#SBATCH --mem=5400M
#SBATCH --time=8:00:00
#SBATCH --signal=USR1@120
#SBATCH --chdir="{tmp_path}"
#SBATCH --output="{folder.root}/logs/slurm-%A_%a.txt"
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --qos=short

module load cuda/12.4 python
export OMP_NUM_THREADS=2 FOLDWISE_CACHE='/scratch/my cache'
srun --ntasks=1 --cpus-per-task=4 /envs/fold/bin/python -P -m foldwise work {folder.root} --device cuda --workers 2
code=$?
# 75: its time was up before all was done, so that it goes on in a new turn.
[ $code != 75 ] || [ "${{SLURM_RESTART_COUNT:-0}}" -ge 100 ] || scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"
exit $code
"""
    )
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0


def test_what_is_not_stated_is_not_asked_for(folder):
    text = script(folder)
    assert sys.executable in text
    assert all(f"--{key}=" not in text for key in ("partition", "account", "gres", "time"))
    assert "--workers" not in text
    assert "module" not in text
    assert "--mem=2700M" in text  # 1500 and one and a half times 800


def test_a_short_time_limit_leaves_time_to_work(folder):
    assert "USR1@15" in script(folder, time=1)
    assert "USR1@120" in script(folder, time="1-0")


def test_an_image_sees_what_it_needs_and_no_more(folder, tmp_path):
    crew = Crew(folder, reads=(tmp_path / "pictures",), profile=SlurmProfile(image="/a b.sif", gpus=1))
    text = script_of(crew, "x")
    assert f"apptainer exec --nv --bind {folder.root} --bind" in text
    assert f"--bind {tmp_path}/pictures '/a b.sif' foldwise work {folder.root}" in text


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb"])
def test_a_folder_whose_name_would_end_a_line_is_refused(tmp_path, name):
    with pytest.raises(SpecError, match="cannot stand in a script of Slurm"):
        script(RunFolder(tmp_path / name))


def test_a_current_folder_that_cannot_stand_in_a_script_is_named_and_not_the_run(
    folder, tmp_path, monkeypatch
):
    (tmp_path / 'a"b').mkdir()
    monkeypatch.chdir(tmp_path / 'a"b')
    with pytest.raises(SpecError, match="cd to one without double quotes") as refused:
        script(folder)
    assert refused.value.where == "the current folder"


@pytest.mark.parametrize("name", ["a b", "50%done", "$(touch x)", "'", ";ls"])
def test_any_other_name_is_a_name_and_no_command(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = script(RunFolder(tmp_path / name))
    fake = "srun() { printf '%s|' \"$@\"; }\n"
    said = subprocess.run(["bash", "-c", fake + text], capture_output=True, text=True, check=True).stdout
    assert said.split("|")[-4] == str(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    assert name.replace("%", "%%") + "/logs/slurm-%A_%a.txt" in text


def test_jobs_of_a_folder_have_a_name_of_their_own(tmp_path):
    assert name_of_jobs(tmp_path / "a" / "gel") != name_of_jobs(tmp_path / "b" / "gel")
    assert name_of_jobs(tmp_path / "x y;z").startswith("foldwise-x_y_z-")


def test_where_there_is_no_slurm_it_is_said_with_what_can_be_done(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingExtra) as refused:
        SlurmQueue().submit("#!/bin/bash", tasks=1)
    assert "there is no sbatch here" in refused.value.what
    assert "--dry-run" in refused.value.cure


FAKE = """#!/bin/bash
echo "$0 $@" >> {log}
{code}
"""


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Puts commands of Slurm in place, each a few lines of bash; what they are called with is in a file."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def make(**codes):
        for name, code in codes.items():
            (tmp_path / name).write_text(FAKE.format(log=tmp_path / "log", code=code))
            (tmp_path / name).chmod(0o755)
        return tmp_path / "log"

    return make


def test_the_queue_is_read_with_what_ended_jobs(commands):
    commands(
        squeue="echo '9_1|RUNNING|None|0|n1|2026-01-01|'; echo '9_2|FAILED|NonZeroExitCode|35072|n2|2026-01-01|'; echo odd"
    )
    assert SlurmQueue().jobs("x") == [
        QueuedJob("9_1", "RUNNING", "None", 0, "n1", "2026-01-01"),
        QueuedJob("9_2", "FAILED", "NonZeroExitCode", 35072, "n2", "2026-01-01"),
    ]
    commands(squeue="echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    assert SlurmQueue().jobs("x") is None


def test_what_sbatch_says_is_said_with_what_to_change(commands):
    commands(sbatch="echo 'sbatch: error: invalid partition specified: gpuu' >&2; exit 1")
    with pytest.raises(RunError, match="Slurm does not take the job: invalid partition specified: gpuu"):
        SlurmQueue().submit("x", tasks=1)
    commands(
        sbatch="echo 'sbatch: error: Batch job submission failed: Unable to contact slurm controller' >&2; exit 1"
    )
    assert SlurmQueue().submit("x", tasks=1) is None
    log = commands(sbatch="echo '12;cluster'")
    assert SlurmQueue().submit("x", tasks=4) == "12"
    assert "--array=1-4" in log.read_text()


def test_a_job_within_a_job_gets_nothing_of_the_one_around_it(commands, monkeypatch, tmp_path):
    commands(sbatch=f"env > {tmp_path}/env; echo 1")
    for key in ("SLURM_JOB_ID", "SLURM_MEM_PER_CPU", "SLURM_CONF", "SBATCH_ACCOUNT"):
        monkeypatch.setenv(key, "1")
    SlurmQueue().submit("x", tasks=1)
    kept = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert kept & {"SLURM_JOB_ID", "SLURM_MEM_PER_CPU", "SLURM_CONF", "SBATCH_ACCOUNT"} == {
        "SLURM_CONF",
        "SBATCH_ACCOUNT",
    }


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (QueuedJob("1", "OUT_OF_MEMORY"), "was killed for its memory"),
        (QueuedJob("1", "TIMEOUT"), "reached its time limit"),
        (QueuedJob("1", "FAILED", status=75 << 8), "reached its time limit"),
        (
            QueuedJob("1", "FAILED", status=53),
            "was killed by signal 53, most often since its log could not be written",
        ),
        (QueuedJob("1", "FAILED", status=3 << 8), "ended with exit code 3"),
        (QueuedJob("1", "FAILED", "BadConstraints", status=1), "was refused by Slurm (BadConstraints)"),
        (QueuedJob("1", "FAILED", status=1, node="n1"), "was killed by signal 1"),
        (QueuedJob("1", "COMPLETED"), "ended"),
        (
            QueuedJob("1", "PENDING", "launch failed requeued held"),
            "could not be started on its node, and is held",
        ),
    ],
)
def test_how_a_job_ended_is_said_in_words(job, words):
    assert job.ending() == words


@pytest.mark.parametrize(
    ("status", "is_death"), [(9, True), (137 << 8, True), (138 << 8, False), (143 << 8, False), (10, False)]
)
def test_a_worker_that_is_told_to_stop_before_it_listens_died_of_no_item(status, is_death):
    job = QueuedJob("1", "FAILED", status=status)
    assert job.is_death is is_death
    assert not job.ended_by_itself


def test_a_job_that_slurm_refuses_late_is_not_sent_again_and_again():
    assert QueuedJob("1", "FAILED", "BadConstraints", status=1).ended_by_itself
    assert not QueuedJob(
        "1", "FAILED", status=1, node="n1"
    ).ended_by_itself  # SIGHUP, as of a node that goes down


def test_outside_of_slurm_there_is_no_job():
    assert job_here({}) is None
    assert job_here({"SLURM_JOB_ID": "5", "SLURM_JOB_NAME": "x"}) == {"job": "5", "name": "x", "node": ""}


def test_a_job_whose_gpus_are_packed_has_room_for_four_and_begins_with_one(folder):
    text = script(folder, workers=10, gpus=1, fits_per_gpu="auto")
    assert "--array=1-3\n" in text  # of four workers each
    assert "--cpus-per-task=8\n" in text
    assert "--mem=10800M\n" in text
    assert "--device cuda --workers auto\n" in text
    assert "--cpus-per-task=6\n" in script(folder, workers=10, fits_per_gpu="auto", cpus=6)


def test_several_jobs_were_cancelled_and_one_was():
    jobs = [QueuedJob(f"{number}_1", "CANCELLED") for number in range(4)] + [QueuedJob("9_1", "PREEMPTED")]
    assert summary(jobs) == "none in the queue; ended lately: 4 were cancelled, 1 was preempted"
