"""A queue of jobs in the place of Slurm's: jobs are processes of this machine, or only entries of a list."""

import os
import subprocess
from dataclasses import replace

from foldwise.runs.slurm_queue import QueuedJob


class ProcessQueue:
    """Every task of an array is a process; what it prints goes where Slurm would write it."""

    def __init__(self, folder, command):
        self.folder, self.command = folder, command
        self.running, self.number = {}, 0

    def submit(self, script, *, tasks):
        assert script.startswith("#!/bin/bash")
        self.number += 1
        for task in range(1, tasks + 1):
            job = f"{self.number}_{task}"
            name = script.partition("--job-name=")[2].split("\n")[0]
            environment = {"SLURM_JOB_ID": str(self.number), "SLURM_ARRAY_JOB_ID": str(self.number)}
            environment |= {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_JOB_NAME": name, "SLURMD_NODENAME": "n1"}
            with self.folder.log(f"slurm-{job}").open("ab") as log:
                self.running[job] = subprocess.Popen(
                    self.command, stdout=log, stderr=log, env=os.environ | environment
                )
        return str(self.number)

    def jobs(self, name):
        return [self._job(job, process.poll()) for job, process in self.running.items()]

    @staticmethod
    def _job(job, code):
        if code is None:
            return QueuedJob(job, "RUNNING", node="n1")
        return QueuedJob(
            job, "FAILED" if code else "COMPLETED", status=code * 256 if code > 0 else -code, node="n1"
        )

    def cancel(self, name, ids=()):
        for process in self.running.values():
            process.terminate()
            process.wait()


class ListedQueue:
    """Jobs that a test writes down; `sent` holds how many tasks were asked for, and `scripts` with what."""

    def __init__(self, *jobs):
        self.listed, self.sent, self.scripts, self.cancelled = list(jobs), [], [], []
        self.is_away = False

    def submit(self, script, *, tasks):
        self.scripts.append(script)
        if self.is_away:
            return None
        self.sent.append(tasks)
        number = 100 + len(self.sent)
        self.listed += [
            QueuedJob(f"{number}_{task}", "RUNNING", node="n1", submitted=str(number))
            for task in range(1, tasks + 1)
        ]
        return str(number)

    def jobs(self, name):
        return None if self.is_away else list(self.listed)

    def cancel(self, name, ids=()):
        self.cancelled += ids or ["all"]
        self.listed = [
            replace(job, state="CANCELLED", reason="") if not ids or job.id in ids else job
            for job in self.listed
        ]

    def becomes(self, id_, state, **changes):
        """A job is in another state from now on; without a state it is forgotten."""
        others = [job for job in self.listed if job.id != id_]
        job = next(job for job in self.listed if job.id == id_)
        self.listed = [*others, replace(job, state=state, **changes)] if state else others
