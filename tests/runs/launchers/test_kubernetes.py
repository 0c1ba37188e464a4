"""Workers as pods: the manifest against the published schemas, its command, and a cluster that a test plays."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

import kubernetes_validate
import pytest
import yaml
from fake_api_server import api_server
from fake_cluster import ProcessCluster
from hypothesis import given
from hypothesis import strategies as st
from kubernetes_validate.utils import all_versions
from launcher_contract import LauncherContract, command
from ruamel.yaml import YAML
from typer.testing import CliRunner

from foldwise.errors import MissingExtra, RunError, SpecError
from foldwise.interface.cli import app
from foldwise.processes import HungUp
from foldwise.runs.folder import RunFolder
from foldwise.runs.items import Item
from foldwise.runs.job_notes import jobs_noted
from foldwise.runs.launchers import kubernetes
from foldwise.runs.launchers.kubernetes import JobState, Kubectl, KubernetesWorkers, state_of
from foldwise.runs.launchers.kubernetes_manifest import (
    NO_USE,
    STOP_S,
    TOLD_TO_STOP,
    manifest_of,
    name_of_job,
    run_in_pods,
)
from foldwise.runs.launchers.launcher import Crew
from foldwise.runs.plan import Plan
from foldwise.study.kubernetes import KubernetesProfile

# Those that know how often an index may fail, and for what.
VERSIONS = [
    version
    for version in (text.rpartition(".")[0] for text in all_versions())
    if int(version.split(".")[1]) >= 29
]
ENOUGH = {"image": "foldwise", "claim": "study", "cache": "/study/cache"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(kubernetes, "POLL_S", 0.02)
    monkeypatch.setattr(kubernetes, "FAREWELL_S", 5.0)


class TestKubernetesWorkers(LauncherContract):
    def make(self, crew, behaviour):
        volume = str(crew.folder.root.parent)
        profile = KubernetesProfile(image="foldwise", claim="study", mount=volume, cache=f"{volume}/cache")
        return KubernetesWorkers(
            replace(crew, profile=profile),
            cluster=ProcessCluster(),
            command=command(crew.folder.root, behaviour),
            look_s=0.05,
        )

    def test_a_terminal_that_is_closed_leaves_the_job_to_the_next_driver(self, folder):
        def tick(folder):
            if folder.beats():
                raise HungUp

        launcher = self.make(Crew(folder), "hang")
        with pytest.raises(HungUp):
            launcher.run(finished=self.finished(folder), tick=tick, stopping=lambda _: pytest.fail("stopped"))
        name = name_of_job(run_in_pods(launcher.crew))
        try:
            assert launcher.cluster.job(name).state == "alive"
            assert folder.beats()
        finally:
            launcher.cluster.delete(name)


def crew(root="/study/runs/gel", *, workers=8, **stated):
    options = {
        key: stated.pop(key) for key in ("threads", "trust_code", "memory_mb", "device") if key in stated
    }
    return Crew(RunFolder(Path(root)), workers, profile=KubernetesProfile(**ENOUGH | stated), **options)


def job(root="/study/runs/gel", **stated):
    return yaml.safe_load(manifest_of(crew(root, **stated)))


def container(**stated):
    return job(**stated)["spec"]["template"]["spec"]["containers"][0]


PROFILES = [
    {},
    {"namespace": "lab", "gpus": 1, "cpus": 8, "memory": "16Gi", "workers": 3, "fits_per_gpu": 2},
    {"gpus": "nvidia.com/mig-1g.10gb:1", "queue": "lab", "service_account": "train.er"},
    {"labels": {"on": "yes", "a.b/c": ""}, "node_selector": {"gpu": "true", "zone": "1e3", "no": "010"}},
    {"user": 5001, "group": 5000, "mount": "/mnt/lab data/x", "cache": "/mnt/lab data/x/ñ"},
    {
        "pod": {
            "tolerations": [{"operator": "Exists", "key": "gpu"}],
            "priorityClassName": "low",
            "affinity": {"nodeAffinity": {}},
            "securityContext": {"runAsNonRoot": False, "fsGroup": 3},
            "imagePullSecrets": [{"name": "a"}],
        }
    },
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("profile", PROFILES, ids=range(len(PROFILES)))
def test_the_manifest_is_one_to_every_version(version, profile):
    root = f"{profile.get('mount', '/study')}/runs/gel"
    kubernetes_validate.validate(job(root, **profile), version, strict=True)


def test_the_schemas_would_notice():
    wrong = job()
    wrong["spec"]["parallel"] = 3
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_a_pod_asks_for_what_is_foretold_and_for_what_is_stated():
    limits = container(memory_mb=2000, threads=4, fits_per_gpu=2, workers=4)["resources"]["limits"]
    assert limits == {
        "cpu": 8,
        "memory": "9000M",
    }  # (1500 for the program + 1.5 times what is foretold) for each
    limits = container(memory="16Gi", cpus=3, gpus=2)["resources"]["limits"]
    assert limits == {"cpu": 3, "memory": "16Gi", "nvidia.com/gpu": 2}
    assert container(gpus="amd.com/gpu:1")["resources"]["limits"]["amd.com/gpu"] == 1


def test_as_many_pods_as_bear_the_workers():
    spec = job(workers=7, fits_per_gpu=2)["spec"]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"]) == (4, 4, "Indexed")
    words = container(workers=7, fits_per_gpu=2, trust_code=False, device="cuda")["command"]
    assert words == ["foldwise", "work", "/study/runs/gel", "--device", "cuda", "--workers", "2"]


def test_a_queue_of_kueue_lets_the_job_start():
    made = job(queue="lab")
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "lab"
    assert made["spec"]["suspend"] is True
    assert "suspend" not in job()["spec"]


def test_how_a_worker_ends_decides_whether_another_starts():
    rules = job()["spec"]["podFailurePolicy"]["rules"]
    actions = {
        code: rule["action"] for rule in rules for code in rule.get("onExitCodes", {}).get("values", ())
    }
    assert actions == {75: "FailJob"} | dict.fromkeys(NO_USE, "FailIndex") | dict.fromkeys(
        TOLD_TO_STOP, "Ignore"
    )
    assert 1 not in actions  # what nobody foresaw: another try
    assert 137 not in actions  # killed, most often for its memory
    for rule in rules:  # asked for by the server
        values = rule.get("onExitCodes", {}).get("values", [])
        assert values == sorted(set(values))


def test_pods_may_do_nothing_that_workers_do_not_need():
    pod = job()["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert pod["terminationGracePeriodSeconds"] == STOP_S
    (made,) = pod["containers"]
    assert made["securityContext"]["readOnlyRootFilesystem"] is True
    assert made["securityContext"]["allowPrivilegeEscalation"] is False
    assert {key for volume in pod["volumes"] for key in volume} == {
        "name",
        "persistentVolumeClaim",
        "emptyDir",
    }
    mounts = [mount["mountPath"] for mount in made["volumeMounts"]]
    assert all(
        any(row["value"].startswith(mount) for mount in mounts)
        for row in made["env"]
        if row["value"].startswith("/")
    )


def test_further_fields_of_a_pod_are_laid_over_ours():
    pod = job(pod={"securityContext": {"fsGroup": 3}, "terminationGracePeriodSeconds": 30})["spec"][
        "template"
    ]["spec"]
    assert pod["securityContext"] == {
        "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}, "fsGroup": 3,
    }  # fmt: skip
    assert pod["terminationGracePeriodSeconds"] == 30


def test_paths_of_this_machine_become_those_of_pods(monkeypatch, tmp_path):
    (tmp_path / "lab").mkdir()
    monkeypatch.chdir(tmp_path / "lab")
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))
    stated = {"mounted_here": str(tmp_path), "cache": None}
    made = container(root="runs/gel", **stated)
    assert made["command"][2] == "/study/lab/runs/gel"
    assert made["workingDir"] == "/study/lab"
    assert {row["name"]: row["value"] for row in made["env"]}["FOLDWISE_CACHE"] == "/study/cache"


def test_a_volume_that_is_reached_by_a_link_is_the_volume(monkeypatch, tmp_path):
    (tmp_path / "real" / "lab").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path / "real" / "lab")
    assert (
        container(root="runs/gel", mounted_here=str(tmp_path / "link"))["command"][2] == "/study/lab/runs/gel"
    )


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"image": None}, "the profile does not say image"),
        ({"claim": None}, "the profile does not say claim"),
        (
            {"mount": "/other"},
            "the run folder /study/runs/gel does not lie on the volume, which is at /other",
        ),
        ({"mounted_here": "/other"}, "mounted_here of the profile"),
        ({"cache": None}, "by FOLDWISE_CACHE, or state cache in the profile"),
        ({"trust_code": True}, "with your own code, does not lie on the volume"),
    ],
)
def test_what_is_missing_is_said_before_anything_starts(stated, words):
    with pytest.raises(SpecError) as refused:
        job(**stated)
    assert words in str(refused.value)


def test_all_that_is_missing_is_said_at_once(monkeypatch, tmp_path):
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path))
    with pytest.raises(SpecError) as refused:
        manifest_of(Crew(RunFolder(Path("runs/gel")), trust_code=True))
    for words in (
        "say image",
        "say claim",
        f"run folder {Path.cwd()}/runs/gel",
        "the cache",
        "the current folder",
    ):
        assert words in str(refused.value)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_no_text_breaks_out_of_the_manifest(text):
    """Whatever a path or a label says: every reader of YAML finds that text there, and nothing beside it."""
    root = f"/study/{text.replace('/', '_').replace(chr(0), '')}x"
    written = manifest_of(crew(root, pod={"hostname": text, "tolerations": [{text: text}]}))
    older, newer = yaml.safe_load(written), YAML(typ="safe", pure=True).load(written)
    assert older == newer
    pod = older["spec"]["template"]["spec"]
    assert pod["hostname"] == text
    assert pod["tolerations"] == [{text: text}]
    words = pod["containers"][0]["command"]
    assert words[2].replace("$$(", "$(") == root
    assert len(words) == 5


@given(text=st.text(min_size=1, max_size=120))
def test_the_name_of_a_job_is_one_and_its_own(text):
    root = PurePosixPath("/study") / text
    name = name_of_job(root)
    assert KubernetesProfile(namespace=name).namespace == name
    assert len(name) <= 50
    assert name != name_of_job(PurePosixPath("/study/runs/other"))


def test_variables_are_not_put_into_paths():
    assert container(root="/study/$(HOME)")["command"][2] == "/study/$$(HOME)"


# kubectl, and a cluster that a test plays.


@pytest.fixture
def kubectl(tmp_path, monkeypatch):
    """A kubectl that notes what it is asked, and says what the test has written down."""
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, pathlib, sys\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "with (here / 'asked').open('a') as asked: asked.write(json.dumps(sys.argv[1:]) + '\\n')\n"
        "if '--filename=-' in sys.argv: (here / 'manifest').write_text(sys.stdin.read())\n"
        "said = json.loads((here / 'says').read_text())\n"
        "sys.stdout.write(said[0]); sys.stderr.write(said[1]); sys.exit(said[2])\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    def says(out="", error="", code=0):
        (tmp_path / "says").write_text(json.dumps([out, error, code]))
        return Kubectl("lab")

    says.asked = lambda: [json.loads(line) for line in (tmp_path / "asked").read_text().splitlines()]
    says.manifest = lambda: (tmp_path / "manifest").read_text()
    return says


def test_kubectl_is_asked_in_the_namespace_of_the_profile(kubectl):
    cluster = kubectl()
    assert cluster.job("a") == JobState("none")
    assert cluster.create("x: y")
    cluster.delete("a")
    assert [words[:4] for words in kubectl.asked()] == [
        ["--namespace", "lab", "get", "job"],
        ["--namespace", "lab", "create", "--filename=-"],
        ["--namespace", "lab", "delete", "job"],
    ]
    assert kubectl.manifest() == "x: y"
    assert "--cascade=foreground" in kubectl.asked()[-1]  # until its pods have ended


@pytest.mark.parametrize(
    "error",
    [
        "The connection to the server localhost:8080 was refused - did you specify the right host or port?",
        "Unable to connect to the server: dial tcp 10.0.0.1:6443: i/o timeout",
        "Unable to connect to the server: net/http: TLS handshake timeout",
        "Error from server (ServiceUnavailable): the server is currently unable to handle the request",
        "Unable to connect to the server: EOF",
    ],
)
def test_a_server_that_is_away_is_waited_for(kubectl, error):
    cluster = kubectl(error=error, code=1)
    assert cluster.job("a") == JobState("away")
    assert not cluster.create("x: y")
    assert cluster.last_lines("a") == ""
    with pytest.raises(RunError, match="kubectl --namespace lab delete job a"):
        cluster.delete("a")


def test_a_cluster_that_refuses_is_quoted(kubectl):
    cluster = kubectl(
        error='Error from server (Forbidden): jobs.batch is forbidden: User "me" cannot create', code=1
    )
    with pytest.raises(RunError, match=r"refuses `kubectl create`\n  \| Error from server \(Forbidden\)"):
        cluster.create("x: y")
    assert cluster.last_lines("a") == ""


def test_without_kubectl_it_is_said_how_to_do_without(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtra, match="there is no kubectl here") as refused:
        Kubectl().job("a")
    assert "foldwise plan" in refused.value.cure


def condition(kind, status="True", **more):
    return {"status": {"conditions": [{"type": kind, "status": status, **more}]}}


@pytest.mark.parametrize(
    ("described", "state"),
    [
        ({}, JobState("alive")),
        ({"status": {"active": 3}}, JobState("alive")),
        (condition("Suspended"), JobState("alive")),
        (condition("Complete"), JobState("complete")),
        (condition("Complete", "False"), JobState("alive")),
        (condition("Failed", message="Job has failed indexes"), JobState("failed", "Job has failed indexes")),
        (condition("FailureTarget", reason="PodFailurePolicy"), JobState("failed", "PodFailurePolicy")),
    ],
)
def test_how_a_job_is_stands_in_its_conditions(described, state):
    assert state_of(described) == state


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ({"spec": {"parallelism": 8}, "status": {"active": 8, "ready": 3}}, "3 of 8 pods running"),
        ({"spec": {"parallelism": 1}}, "0 of 1 pod running"),
        ({"spec": {"parallelism": 8, "suspend": True}}, "waiting for its queue"),
    ],
)
def test_how_many_pods_run_is_said_to_whoever_watches(described, words, folder):
    assert state_of(described).pods == words
    cluster = Listed("alive")
    cluster.now = state_of(described)
    looking(folder, cluster, 1)
    assert jobs_noted(folder) == words


class Listed:
    """A cluster whose job is as a test says."""

    def __init__(self, state):
        self.now, self.done = JobState(state), []

    def job(self, name):
        return self.now

    def create(self, manifest):
        self.done.append("created")
        self.now = JobState("alive")
        return True

    def delete(self, name):
        self.done.append("deleted")
        self.now = JobState("none")

    def last_lines(self, name):
        return "the last line"


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.save_plan(Plan((Item("fit-1", "fit", (), "fit 1", {}),), ()))
    return folder


def looking(folder, cluster, num, finished=lambda: False):
    profile = KubernetesProfile(image="a", claim="b", mount=str(folder.root.parent), cache="/study/cache")
    workers = KubernetesWorkers(Crew(folder, profile=profile), cluster=cluster)
    for _ in range(num):
        workers._look("manifest", "name", finished)
    return workers


@pytest.mark.parametrize(
    ("before", "done"),
    [
        ("none", ["created"]),
        ("alive", []),
        ("complete", ["deleted", "created"]),
        ("failed", ["deleted", "created"]),
    ],
)
def test_the_job_of_an_earlier_driver_is_gone_on_with_unless_it_has_ended(folder, before, done):
    cluster = Listed(before)
    looking(folder, cluster, 3)
    assert cluster.done == done


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("complete", "all workers ended while work was left\n  | the last line"),
        ("failed", "all workers ended while work was left; the cluster says: it is so"),
        ("none", "the job name was deleted"),
    ],
)
def test_a_job_that_ends_too_early_is_believed_when_it_says_so_twice(folder, state, words):
    cluster = Listed("alive")
    workers = looking(folder, cluster, 1)
    cluster.now = JobState(state, "it is so" if state == "failed" else "")
    workers._look("manifest", "name", lambda: False)
    with pytest.raises(RunError) as refused:
        workers._look("manifest", "name", lambda: False)
    assert words in str(refused.value)
    workers = looking(folder, Listed("alive"), 1)
    workers.cluster.now = JobState(state)
    for _ in range(5):
        workers._look("manifest", "name", lambda: True)  # meanwhile all is done


def test_a_server_that_never_answers_is_not_waited_for_for_ever(folder, monkeypatch):
    monkeypatch.setattr(kubernetes, "SILENCE_S", 0.0)
    with pytest.raises(RunError, match="the cluster has not taken a job"):
        looking(folder, Listed("away"), 1)
    lost = Listed("none")
    lost.create = lambda manifest: False  # it answers, and something behind it does not
    with pytest.raises(RunError, match="the cluster has not taken a job"):
        looking(folder, lost, 1)
    workers = looking(folder, Listed("alive"), 1)
    workers.cluster.now = JobState("away")
    workers._look("manifest", "name", lambda: False)  # it has answered before: pods run on without it


def test_foldwise_stop_ends_the_job_and_no_pod_starts_anew(folder):
    """A worker that finds the run stopped ends with 75, for which the job gives up; it is no fault of an index."""
    cluster = ProcessCluster()
    profile = KubernetesProfile(
        image="a", claim="b", mount=str(folder.root.parent), cache=str(folder.root.parent / "c")
    )
    cluster.create(manifest_of(Crew(folder, 2, profile=profile), command=[sys.executable, "-c", "exit(75)"]))
    name = yaml.safe_load(cluster.manifests[0])["metadata"]["name"]
    for pod in cluster.pods.values():
        pod.wait()
    assert cluster.job(name).state == "failed"
    cluster.delete(name)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """An API server of this computer that the kubectl of this computer speaks to."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    with api_server(tmp_path) as (server, config):
        monkeypatch.setenv("KUBECONFIG", str(config))
        monkeypatch.setenv("HOME", str(tmp_path))  # where kubectl remembers what a server can do
        yield server


def test_a_real_kubectl_creates_watches_and_deletes_the_job(server):
    cluster, asking = Kubectl("lab"), crew(**PROFILES[3])
    name = name_of_job(PurePosixPath("/study/runs/gel"))
    assert cluster.job(name) == JobState("none")
    assert cluster.create(manifest_of(asking))
    (made,) = server.jobs.values()
    expected = yaml.safe_load(manifest_of(asking))
    assert made["spec"] == expected["spec"]  # every text arrived as the text that it is
    assert made["metadata"]["labels"] == expected["metadata"]["labels"]
    assert cluster.job(name) == JobState("alive")
    with pytest.raises(RunError, match="already exists"):
        cluster.create(manifest_of(asking))
    made["status"] = condition("Failed", message="Job has failed indexes")["status"]
    assert cluster.job(name) == JobState("failed", "Job has failed indexes")
    server.log = "no such device here\n"
    assert "no such device here" in cluster.last_lines(name)
    cluster.delete(name)
    assert cluster.job(name) == JobState("none")
    cluster.delete(name)
    asked = [query for method, path, query in server.asked if path.endswith("/pods")]
    assert asked[0]["labelSelector"] == [f"job-name={name}"]


def test_a_real_kubectl_says_why_it_is_refused(server):
    server.forbidden = True
    with pytest.raises(RunError, match=r"refuses `kubectl create`\n  \| Error from server \(Forbidden\)"):
        Kubectl("lab").create(manifest_of(crew()))


def test_a_run_that_a_cluster_refuses_says_what_was_refused(server, folder):
    server.forbidden = True
    profile = KubernetesProfile(**ENOUGH | {"mount": str(folder.root.parent)})
    with pytest.raises(RunError, match="refuses `kubectl create`"):
        KubernetesWorkers(Crew(folder, profile=profile)).run(finished=lambda: False)


def test_a_real_kubectl_without_a_server_is_away(server):
    server.shutdown()
    server.server_close()
    assert Kubectl().job("a") == JobState("away")


def test_the_command_of_a_pod_does_the_run(tmp_path, monkeypatch):
    """As by hand: laid out on the volume, the manifest written, its command run with its variables, and judged."""
    volume = tmp_path / "volume"
    (volume / "lab").mkdir(parents=True)
    monkeypatch.chdir(volume / "lab")
    monkeypatch.setenv("FOLDWISE_CACHE", str(volume / "cache"))
    Path("study.yaml").write_text(
        "study: gel\ndata: {phantom: {kind: gels, images: 20, size: 32}}\n"
        "train: {model: {conv: {width: 4, depth: 1}}, epochs: 1}\n"
        "validate: {folds: 2}\n"
        f"kubernetes: {{image: foldwise, claim: lab, mount: /study, mounted_here: {volume}}}\n"
    )

    def foldwise(*words):
        said = CliRunner().invoke(app, words)
        assert said.exit_code == 0, said.output
        return said.stdout

    manifest = yaml.safe_load(foldwise("run", "study.yaml", "--on", "kubernetes", "--dry-run"))
    assert not Path("runs").exists()  # a dry run writes no run
    foldwise("plan", "study.yaml")
    (made,) = manifest["spec"]["template"]["spec"]["containers"]
    assert made["command"][:3] == ["foldwise", "work", "/study/lab/runs/gel"]
    # A pod has the volume elsewhere than this machine.
    here = [word.replace("/study", str(volume)) for word in made["command"]]
    variables = {row["name"]: row["value"].replace("/study", str(volume)) for row in made["env"]}
    ended = subprocess.run([sys.executable, "-m", *here], env=os.environ | variables, check=False)
    assert ended.returncode == 0
    folder = RunFolder(Path("runs/gel"))
    assert len(folder.settled()[0]) == len(folder.load_plan().items)
    foldwise("report", "runs/gel")
    assert Path("runs/gel/report.html").is_file()
