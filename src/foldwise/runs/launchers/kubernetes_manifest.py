"""The manifest of an Indexed Job of workers for Kubernetes: to be read, kept, and applied by hand as well."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from foldwise.errors import DataError, MissingExtra, RunError, SpecError
from foldwise.runs.launchers.launcher import Crew
from foldwise.runs.launchers.slurm_script import worker_mb
from foldwise.runs.leases import TASK
from foldwise.runs.slurm_queue import TIME_IS_UP
from foldwise.storage import cache_root
from foldwise.study.kubernetes import KubernetesProfile

# A worker that is told to stop ends its step and writes a checkpoint; the largest took some seconds on network folders.
STOP_S = 120
# Of pods that were killed, most often for their memory. An item that kills its workers is recorded as failed after a few
# deaths, so that an index outlives many such items.
MAX_DEATHS = 100
# By SIGTERM, as when somebody deletes a pod; preempted and evicted pods say so themselves.
TOLD_TO_STOP = 130, 143
# What is wrong with the study, the data, the image or the folder is so for every pod that starts anew.
NO_USE = [kind.exit_code for kind in (SpecError, DataError, MissingExtra, RunError)]
PLAIN = re.compile(r"(--)?[A-Za-z/][A-Za-z0-9/._-]*")
NO_TEXTS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}  # to YAML 1.1, which kubectl reads
MAX_NAME = 50  # of a job: its pods have it as their host name with an index behind it, of 63 letters together


def name_of_job(root: PurePosixPath) -> str:
    """What the job of a run folder is called, the same from every machine: a name as Kubernetes takes it."""
    digest = sha256(str(root).encode()).hexdigest()[:8]
    words = re.sub(r"[^a-z0-9]+", "-", root.name.lower())[: MAX_NAME - len(f"foldwise--{digest}")].strip("-")
    return "-".join(filter(None, ("foldwise", words, digest)))


def manifest_of(crew: Crew, *, command: Sequence[str] | None = None) -> str:
    """The manifest of a job of workers, with comments on it.

    Args:
        command: what is done in place of `foldwise work`.

    Raises:
        SpecError: the profile does not say enough, or folders do not lie on the volume.
    """
    errors = []
    for part in (_image, _claim, run_in_pods, _cache, _current_folder):
        try:
            part(crew)
        except SpecError as error:
            errors.append(error)
    if errors:
        raise SpecError.together(errors)
    name = name_of_job(run_in_pods(crew))
    writer = YAML(typ="safe", pure=True)
    writer.Representer = _Representer
    writer.default_flow_style = None  # the innermost lists and mappings in one line each
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.width = 2**20
    writer.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    writer.dump(_job(crew, name, command or work_command(crew)), text)
    return (
        f"# Workers of the run {name}: each does items that are ready, and ends when none is left.\n"
        "# Needs Kubernetes 1.29 or newer. Applied anew, and gone on with after its end, by\n"
        "# `kubectl replace --force -f` this file.\n"
    ) + text.getvalue()


def run_in_pods(crew: Crew) -> PurePosixPath:
    """The run folder by the path that pods have for it."""
    profile = crew.asks(KubernetesProfile)
    root = _in_pods(crew.folder.root, profile)
    if root is None:
        raise _not_there(f"the run folder {crew.folder.root.absolute()}", profile, "--out DIR puts it there")
    return root


def work_command(crew: Crew) -> list[str]:
    """What one pod does."""
    profile = crew.asks(KubernetesProfile)
    work = ["foldwise", "work", str(run_in_pods(crew)), "--device", crew.device]
    work += ["--trust-code"] if crew.trust_code else []
    return work + (["--workers", str(profile.fits_per_gpu)] if profile.fits_per_gpu > 1 else [])


def _job(crew: Crew, name: str, command: Sequence[str]) -> dict[str, Any]:
    profile = crew.asks(KubernetesProfile)
    labels = {"app.kubernetes.io/name": "foldwise", **profile.labels}
    queue = {"kueue.x-k8s.io/queue-name": profile.queue} if profile.queue else {}
    namespace = {"namespace": profile.namespace} if profile.namespace else {}
    pods = math.ceil(crew.workers / profile.fits_per_gpu)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, **namespace, "labels": labels | queue},
        "spec": {
            **({"suspend": True} if queue else {}),  # until Kueue lets it start
            "completionMode": "Indexed",
            "completions": pods,
            "parallelism": pods,
            "backoffLimitPerIndex": MAX_DEATHS,
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onExitCodes": _codes([TIME_IS_UP]),
                    },  # `foldwise stop`: no pod is to come again
                    {"action": "FailIndex", "onExitCodes": _codes(NO_USE)},
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {"action": "Ignore", "onExitCodes": _codes(TOLD_TO_STOP)},
                ]
            },
            "template": {"metadata": {"labels": labels}, "spec": _pod(crew, command)},
        },
    }


def _codes(codes: Sequence[int]) -> dict[str, Any]:
    return {"containerName": "worker", "operator": "In", "values": list(codes)}


def _pod(crew: Crew, command: Sequence[str]) -> dict[str, Any]:
    profile = crew.asks(KubernetesProfile)
    numbers = {"runAsUser": profile.user, "runAsGroup": profile.group}
    ours: dict[str, Any] = {
        **({"serviceAccountName": profile.service_account} if profile.service_account else {}),
        "automountServiceAccountToken": False,
        **({"nodeSelector": dict(profile.node_selector)} if profile.node_selector else {}),
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": STOP_S,
        "securityContext": {
            "runAsNonRoot": True,
            **{key: number for key, number in numbers.items() if number is not None},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    further = {
        key: {**ours[key], **value} if isinstance(value, dict) and isinstance(ours.get(key), dict) else value
        for key, value in profile.pod.items()
    }
    volumes = [
        {"name": "study", "persistentVolumeClaim": {"claimName": _claim(crew)}},
        {"name": "scratch", "emptyDir": {}},
    ]
    return {**ours, **further, "containers": [_container(crew, command)], "volumes": volumes}


def _container(crew: Crew, command: Sequence[str]) -> dict[str, Any]:
    profile = crew.asks(KubernetesProfile)
    cache, here = _cache(crew), _current_folder(crew)
    memory = profile.memory or f"{math.ceil(worker_mb(crew) * profile.fits_per_gpu / 100) * 100}M"
    cpus = profile.cpus or crew.threads * profile.fits_per_gpu
    environment = {
        "OMP_NUM_THREADS": str(crew.threads),
        "FOLDWISE_CACHE": str(cache),
        TASK: name_of_job(run_in_pods(crew)),
        "HF_HOME": str(cache / "weights"),
        "HOME": "/tmp",  # nothing else may be written, and some users of a volume have no home
    }
    return {
        "name": "worker",
        "image": _image(crew),
        "command": [_unexpanded(word) for word in command],
        **({"workingDir": str(here)} if here else {}),
        "env": [{"name": name, "value": _unexpanded(value)} for name, value in environment.items()],
        "resources": {"limits": {"cpu": cpus, "memory": memory, **profile.gpu_limits}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "study", "mountPath": profile.mount},
            {"name": "scratch", "mountPath": "/tmp"},
        ],
    }


def _image(crew: Crew) -> str:
    return crew.asks(KubernetesProfile).image or _lack("image", "an image that has foldwise")


def _claim(crew: Crew) -> str:
    return crew.asks(KubernetesProfile).claim or _lack("claim", "the volume that all pods mount")


def _cache(crew: Crew) -> PurePosixPath:
    profile = crew.asks(KubernetesProfile)
    cache = PurePosixPath(profile.cache) if profile.cache else _in_pods(cache_root(), profile)
    if cache is None:
        cure = "Name one that does by FOLDWISE_CACHE, or state cache in the profile"
        raise _not_there(f"the cache {cache_root()}", profile, cure)
    return cache


def _current_folder(crew: Crew) -> PurePosixPath | None:
    """The current folder by the path that pods have for it, if they have one: there own code is looked for."""
    profile = crew.asks(KubernetesProfile)
    here = _in_pods(Path.cwd(), profile)
    if crew.trust_code and here is None:
        cure = "Call it from a folder there"
        raise _not_there(f"the current folder {Path.cwd()}, with your own code,", profile, cure)
    return here


def _unexpanded(text: str) -> str:
    # Kubernetes puts the value of a variable in the place of $(NAME), and leaves $$(NAME) alone.
    return text.replace("$(", "$$(")


def _in_pods(path: Path, profile: KubernetesProfile) -> PurePosixPath | None:
    """A path of this machine as pods have it; None where it does not lie on the volume."""
    here = Path(profile.mounted_here or profile.mount)
    for whole, mount in ((path.absolute(), here), (path.resolve(), here.resolve())):
        if whole != mount and whole.is_relative_to(mount):
            return PurePosixPath(profile.mount) / whole.relative_to(mount).as_posix()
    return None


def _not_there(what: str, profile: KubernetesProfile, cure: str) -> SpecError:
    here = profile.mounted_here or profile.mount
    return SpecError(
        f"{what} does not lie on the volume, which is at {here} on this machine",
        where="kubernetes",
        cure=f"{cure}; mounted_here of the profile says where this machine has the volume.",
    )


def _lack(key: str, what: str) -> NoReturn:
    cure = f"State it in the study (kubernetes: {{{key}: ...}}), or with --profile {key}=..."
    raise SpecError(f"the profile does not say {key}: {what}", where=f"kubernetes.{key}", cure=cure)


class _Representer(SafeRepresenter):
    """Writes texts so that every version of YAML reads them as the same texts: in quotes, but for plain words."""

    def represent_str(self, data: str) -> ScalarNode:
        plain = PLAIN.fullmatch(data) and data.lower() not in NO_TEXTS
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=None if plain else '"')


_Representer.add_representer(str, _Representer.represent_str)
