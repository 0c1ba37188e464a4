"""Workers as pods of Kubernetes: one Indexed Job, which is created, watched and deleted by kubectl.

What is done stays in the run folder, so that pods may be evicted, moved and lost: the job starts others in their place.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Protocol

from foldwise.errors import MissingExtra, RunError
from foldwise.runs.job_notes import note_jobs
from foldwise.runs.launchers.kubernetes_manifest import STOP_S, manifest_of, name_of_job, run_in_pods
from foldwise.runs.launchers.launcher import NUM_LAST_LINES, Crew, Tick, quoted, teardown, watch
from foldwise.runs.leases import TASK, clean_up, mark_released, owner_of, release_dead
from foldwise.study.kubernetes import KubernetesProfile
from foldwise.text import count, duration

ENGINE = "kubernetes"
POLL_S = 0.5
LOOK_S = 10.0  # between looks at the job: many users share the API server
FAREWELL_S = 30.0  # for workers to see by themselves that nothing is left
SILENCE_S = 30.0  # of a server that has never answered
COMMAND_S = 60.0
# What kubectl says while the server is away or busy; with the next try all may be well.
AWAY = re.compile(
    r"connect|timed? ?out|timeout|refused|handshake|EOF|no such host|unavailable|etcdserver|deadline|too many requests|internal error",
    re.I,
)


@dataclass(frozen=True)
class JobState:
    """How a job is.

    Attributes:
        state: ``away`` where the server does not answer, ``none`` where there is no such job.
        why: of a job that failed, in the words of the cluster.
        pods: of one that lives, how many of its pods run.
    """

    state: Literal["away", "none", "alive", "complete", "failed"]
    why: str = ""
    pods: str = field(default="", compare=False)


class Cluster(Protocol):
    """Where a job is created."""

    def job(self, name: str) -> JobState:
        """How a job is now."""

    def create(self, manifest: str) -> bool:
        """Create a job; False where the server is away."""

    def delete(self, name: str) -> None:
        """Delete a job, and wait until its pods have ended; nothing where there is none."""

    def last_lines(self, name: str) -> str:
        """What its pods printed last; empty where nothing is to be had."""


class Kubectl:
    """The cluster that kubectl speaks to.

    Args:
        namespace: that of the context of kubectl where None.
    """

    def __init__(self, namespace: str | None = None) -> None:
        self.command = ["kubectl", *(["--namespace", namespace] if namespace else [])]

    def job(self, name: str) -> JobState:
        """How a job is now.

        Raises:
            MissingExtra: there is no kubectl here.
            RunError: the cluster refuses to say it.
        """
        answer = self._ask("get", "job", name, "--output=json", "--ignore-not-found")
        return (
            JobState("away")
            if answer is None
            else state_of(json.loads(answer))
            if answer
            else JobState("none")
        )

    def create(self, manifest: str) -> bool:
        """Create a job; False where the server is away."""
        return self._ask("create", "--filename=-", text=manifest) is not None

    def delete(self, name: str) -> None:
        """Delete a job, and wait until its pods have ended; nothing where there is none."""
        words = (
            "delete",
            "job",
            name,
            "--ignore-not-found",
            "--cascade=foreground",
            f"--timeout={STOP_S + 30}s",
        )
        if self._ask(*words, limit_s=STOP_S + COMMAND_S) is None:
            cure = f"When it answers again, run: {' '.join(self.command)} delete job {name}"
            raise RunError(f"the job {name} could not be deleted: the cluster does not answer", cure=cure)

    def last_lines(self, name: str) -> str:
        """What its pods printed last; empty where nothing is to be had."""
        try:
            return self._ask("logs", f"--selector=job-name={name}", f"--tail={NUM_LAST_LINES}") or ""
        except RunError:
            return ""

    def _ask(self, *words: str, text: str | None = None, limit_s: float = COMMAND_S) -> str | None:
        try:
            ended = subprocess.run(
                [*self.command, *words],
                input=text,
                capture_output=True,
                text=True,
                timeout=limit_s,
                check=False,
            )
        except FileNotFoundError:
            cure = (
                "Install kubectl; or lay the run out with `foldwise plan`, and apply what --dry-run prints wherever "
                "kubectl is: docs/clusters.md."
            )
            raise MissingExtra(
                "there is no kubectl here, which creates jobs of Kubernetes", cure=cure
            ) from None
        except subprocess.TimeoutExpired:
            return None
        if ended.returncode == 0:
            return ended.stdout.strip()
        if AWAY.search(ended.stderr):
            return None
        lines = "\n".join(f"  | {line}" for line in ended.stderr.strip().splitlines()[:NUM_LAST_LINES])
        raise RunError(
            f"the cluster refuses `kubectl {words[0]}`\n{lines}",
            where="kubectl",
            cure="Change the profile (kubernetes: in the study, or --profile), or ask who runs the cluster for the right.",
        )


def state_of(job: dict[str, Any]) -> JobState:
    """How a job is, as the cluster describes it."""
    conditions = job.get("status", {}).get("conditions") or ()
    true = {condition["type"]: condition for condition in conditions if condition.get("status") == "True"}
    if "Failed" in true or "FailureTarget" in true:
        condition = true.get("Failed") or true["FailureTarget"]
        words = (condition.get("message") or condition.get("reason") or "").strip()
        return JobState("failed", "".join(letter for letter in words if letter.isprintable()))
    if "Complete" in true:
        return JobState("complete")
    spec, running = job.get("spec", {}), job.get("status", {}).get("ready") or 0
    wanted = f"{running} of {count(spec.get('parallelism') or 1, 'pod')} running"
    return JobState("alive", pods="waiting for its queue" if spec.get("suspend") else wanted)


class KubernetesWorkers:
    """Workers of one run as pods of Kubernetes.

    Args:
        crew: how many, for which run, and the profile.
        cluster: where the job is created.
        command: the command of a pod; `foldwise work` by default.
        look_s: seconds between looks at the job.
    """

    def __init__(
        self,
        crew: Crew,
        *,
        cluster: Cluster | None = None,
        command: Sequence[str] | None = None,
        look_s: float = LOOK_S,
    ) -> None:
        self.crew, self.folder, self.command, self.look_s = crew, crew.folder, command, look_s
        self.cluster: Cluster = cluster or Kubectl(crew.asks(KubernetesProfile).namespace)
        self.sent, self.may_exist = False, False  # the job: whether the cluster has it; and whether it may
        self.num_looks_over = 0  # in a row, at a job that had ended
        self.began = time.monotonic()

    def script(self) -> str:
        """The manifest, as text to be kept."""
        return manifest_of(self.crew, command=self.command)

    def run(
        self, *, finished: Callable[[], bool], tick: Tick | None = None, stopping: Tick | None = None
    ) -> None:
        """Have pods do items until `finished`; none of them is left when this returns or raises.

        Where this process is killed, or its terminal is closed, the job goes on, and the next call goes on with it.

        Raises:
            MissingExtra: there is no kubectl here.
            RunError: the cluster refuses the job; or it ended, failed, or was deleted, while work was left.
            KeyboardInterrupt: Ctrl-C; what is in progress is given back.
        """
        manifest, name = self.script(), name_of_job(run_in_pods(self.crew))
        release_dead(self.folder)
        self.began = time.monotonic()
        with teardown(self.folder, partial(self._end, name), stopping=stopping, outlived=True):
            look = partial(self._look, manifest, name, finished)
            watch(self.folder, look, finished=finished, tick=tick, look_s=self.look_s, poll_s=POLL_S)
            self._wait(name)

    def _end(self, name: str) -> None:
        if self.may_exist:  # else a cluster that refuses all would be heard of for what matters least
            self.cluster.delete(name)
        note_jobs(self.folder, "", engine=ENGINE)
        self._give_back(name)
        clean_up(self.folder)

    def _give_back(self, name: str) -> None:
        """Release what pods had that were stopped; only after they have ended."""
        for item_id in self.folder.beats():
            for attempt in self.folder.attempts(item_id)[-1:]:
                if (owner_of(attempt) or {}).get(TASK) == name:
                    mark_released(attempt)

    def _look(self, manifest: str, name: str, finished: Callable[[], bool]) -> None:
        """Create the job, unless that of an earlier driver goes on; say so where it has ended and work is left."""
        job = self.cluster.job(name)
        if job.state != "away":
            note_jobs(self.folder, job.pods or "none", engine=ENGINE)  # for whoever watches this driver
        if job.state == "away":  # pods run on without it
            self._refuse_silence()
        elif self.sent:
            self.num_looks_over = 0 if job.state == "alive" or finished() else self.num_looks_over + 1
            # Only when it is so twice: what the last worker has done may be seen a moment later on a network folder.
            if self.num_looks_over > 1:
                raise self._refusal(job, name)
        elif job.state == "alive":
            self.sent = self.may_exist = True
        else:
            if job.state != "none":
                self.cluster.delete(name)
            self.sent = self.cluster.create(manifest)
            self._refuse_silence()
            self.may_exist = True  # also where the server was away before it had answered

    def _refuse_silence(self) -> None:
        if not self.sent and time.monotonic() - self.began > SILENCE_S:
            raise RunError(
                f"the cluster has not taken a job for {duration(SILENCE_S)}",
                where="kubectl",
                cure="See what `kubectl create` says of what --dry-run prints, and which cluster "
                "`kubectl config current-context` names.",
            )

    def _refusal(self, job: JobState, name: str) -> RunError:
        where = str(self.folder.root)
        if job.state == "none":
            cure = "Run again to go on: what is done stays done."
            return RunError(f"the job {name} was deleted", where=where, cure=cure)
        lines = quoted(self.cluster.last_lines(name))
        why = f"; the cluster says: {job.why}" if job.why else ""
        return RunError(
            f"all workers ended while work was left{why}\n{lines}",
            where=where,
            cure="Mend the cause and run again: what is done stays done.",
        )

    def _wait(self, name: str) -> None:
        """Give workers the time to see by themselves that nothing is left."""
        deadline = time.monotonic() + FAREWELL_S
        while self.cluster.job(name).state == "alive" and time.monotonic() < deadline:
            time.sleep(POLL_S)
