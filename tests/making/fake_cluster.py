"""A cluster in the place of Kubernetes': a job is created of its manifest, and its pods are processes of this machine."""

import os
import subprocess
import tempfile

import yaml

from foldwise.runs.launchers.kubernetes import JobState

MAX_DEATHS = 2  # of an index; a manifest says far more, with minutes in between


class ProcessCluster:
    """Every index of a job is a process with the command and the variables of the manifest.

    Pods whose exit code the policy ignores start anew, as those that were killed do for some times; others fail their index, or the job.
    """

    def __init__(self):
        self.name, self.pods, self.failed, self.manifests = "", {}, {}, []
        self.is_away, self.is_failed = False, False

    def create(self, manifest):
        self.manifests.append(manifest)
        job = yaml.safe_load(manifest)
        assert not self.pods, "there is such a job"
        self.name, self.spec, self.failed, self.is_failed = job["metadata"]["name"], job["spec"], {}, False
        self.deaths, self.log = {}, tempfile.TemporaryFile("w+b")  # noqa: SIM115 - of all its pods
        self.pods = {index: self._pod() for index in range(self.spec["completions"])}
        return True

    def _pod(self):
        (container,) = self.spec["template"]["spec"]["containers"]
        variables = {row["name"]: row["value"] for row in container["env"]}
        return subprocess.Popen(
            container["command"],
            env=os.environ | variables,
            cwd=container.get("workingDir"),
            stdout=self.log,
            stderr=self.log,
        )

    def _rule(self, code):
        for rule in self.spec["podFailurePolicy"]["rules"]:
            if code in rule.get("onExitCodes", {}).get("values", ()):
                return rule["action"]
        return "Count"

    def _look(self):
        for index, pod in self.pods.items():
            if pod.poll() in (None, 0) or index in self.failed:
                continue
            # As a kubelet says it of a process that a signal has ended.
            action = self._rule(pod.returncode if pod.returncode > 0 else 128 - pod.returncode)
            if action == "FailJob":
                self.is_failed = True
                self._end()
                return
            self.deaths[index] = self.deaths.get(index, 0) + (action == "Count")
            if action == "FailIndex" or self.deaths[index] > MAX_DEATHS:
                self.failed[index] = pod.returncode
            else:
                self.pods[index] = self._pod()

    def _end(self):
        for pod in self.pods.values():
            pod.terminate()
        for pod in self.pods.values():
            pod.wait()

    def job(self, name):
        if self.is_away:
            return JobState("away")
        if name != self.name or not self.pods:
            return JobState("none")
        if not self.is_failed:
            self._look()
        if self.is_failed:
            return JobState("failed", "Container worker failed")
        if any(pod.poll() is None for pod in self.pods.values()):
            return JobState("alive")
        return JobState("failed", "Job has failed indexes") if self.failed else JobState("complete")

    def delete(self, name):
        assert name
        if self.pods:
            self._end()
            self.log.close()
            self.pods = {}

    def last_lines(self, name):
        self.log.seek(0)
        return self.log.read().decode()
