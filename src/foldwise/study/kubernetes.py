"""What a pod of workers asks Kubernetes for, by names and amounts that Kubernetes takes."""

from __future__ import annotations

import posixpath
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from foldwise.study import ranges
from foldwise.study.ranges import InvalidValue, Node, shown

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"  # of a host name
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
NAMESPACE = re.compile(rf"(?=.{{1,63}}\Z){_LABEL}")
OBJECT = re.compile(rf"(?=.{{1,253}}\Z){_SUBDOMAIN}")
LABEL_KEY = re.compile(rf"((?=.{{1,253}}/){_SUBDOMAIN}/)?(?=.{{1,63}}\Z){_NAME}")
LABEL_VALUE = re.compile(rf"(?=.{{1,63}}\Z){_NAME}")
IMAGE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9.-]*(:\d{1,5}(?=/))?(/?[a-z0-9]+((\.|_{1,2}|-+)[a-z0-9]+)*)*"
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)
MEMORY = re.compile(r"[1-9]\d{0,14}([KMGT]i|[kMGT])")
GPUS = re.compile(rf"(?P<resource>{_SUBDOMAIN}/{_NAME}):(?P<number>[1-9]\d?)")
NVIDIA = "nvidia.com/gpu"
# Folders of an image without which nothing runs in it; what is mounted there hides them.
OF_IMAGES = {
    "/",
    *map(
        "/{}".format,
        [
            "bin",
            "boot",
            "dev",
            "etc",
            "lib",
            "lib64",
            "opt",
            "proc",
            "run",
            "sbin",
            "sys",
            "tmp",
            "usr",
            "var",
        ],
    ),
}
# Fields of a pod that foldwise writes itself, each with the key of the profile that says the same, if there is one.
OURS = {
    "containers": "image, cpus, gpus, memory", "volumes": "claim", "nodeSelector": "node_selector",
    "serviceAccountName": "service_account", "serviceAccount": "service_account", "restartPolicy": "",
    "automountServiceAccountToken": "",
}  # fmt: skip


def _matching(pattern: re.Pattern[str], what: str, cure: str | None = None) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise InvalidValue(f"must be {what}, got {shown(text)}", cure)
        return text

    return AfterValidator(check)


def _folder(path: str) -> str:
    if not path.startswith("/") or not path.isprintable() or ":" in path:
        raise InvalidValue(f"must be a whole path without colons, got {shown(path)}", "For example: /study.")
    folder = posixpath.normpath(path).replace("//", "/")
    if folder in OF_IMAGES:
        cure = "Write a folder of its own, such as /study."
        raise InvalidValue(f"must not hide a folder of the image, got {shown(path)}", cure)
    return folder


def _gpus(gpus: int | str) -> int | str:
    if isinstance(gpus, str) and not GPUS.fullmatch(gpus):
        cure = "For example: 1, or nvidia.com/mig-1g.10gb:1."
        raise InvalidValue(f"must be a number of GPUs, or a resource and a number, got {shown(gpus)}", cure)
    return gpus


def _pod(fields: dict[str, Any]) -> dict[str, Any]:
    for key in fields:
        if not re.fullmatch(r"[a-z][A-Za-z0-9]*", key):
            cure = "For example: {tolerations: [{operator: Exists}]}."
            raise InvalidValue(f"must hold fields of the spec of a pod, got {shown(key)}", cure)
        if key in OURS:
            cure = f"Set {OURS[key]} of the profile." if OURS[key] else "Remove it: foldwise sets it itself."
            raise InvalidValue(f"cannot state {key}", cure)
    return fields


def _labels(labels: dict[str, str]) -> dict[str, str]:
    for key, value in labels.items():
        if not LABEL_KEY.fullmatch(key):
            cure = "For example: topology.kubernetes.io/zone."
            raise InvalidValue(f"must hold keys of labels, got {shown(key)}", cure)
        if value and not LABEL_VALUE.fullmatch(value):
            raise InvalidValue(
                f"must hold labels of letters, digits, -, _ and ., got {shown(value)} for {key}"
            )
    return labels


def _texts(values: object) -> object:
    # YAML reads true and 80 as no texts, and labels are often such words.
    if not isinstance(values, dict):
        return values
    words = {True: "true", False: "false"}
    return {
        key: words[value] if isinstance(value, bool) else str(value) if isinstance(value, int) else value
        for key, value in values.items()
    }


ObjectName = Annotated[
    str, _matching(OBJECT, "a name as Kubernetes takes it: lower-case letters, digits, - and .")
]
Memory = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if type(value) is int else value),  # YAML reads 16 as a number
    _matching(MEMORY, "a number with Mi, Gi, M or G", "For example: 16Gi."),
]
Folder = Annotated[str, AfterValidator(_folder)]
Labels = Annotated[dict[str, str], BeforeValidator(_texts), AfterValidator(_labels)]


class KubernetesProfile(Node):
    """What a pod of workers asks Kubernetes for.

    Attributes:
        image: that has foldwise; see `containers/Dockerfile`.
        claim: the volume (PersistentVolumeClaim) that all pods mount, with the run folder and the cache on it.
        mount: where pods have it.
        mounted_here: where this machine has it; by the same path where None.
        cache: the cache folder in pods; that of this machine where None.
        gpus: of one pod: a number, or a resource and a number such as ``nvidia.com/mig-1g.10gb:1``.
        memory: of one pod; as foretold where None.
        cpus: of one pod; the threads of the study for each of its workers where None.
        workers: pods at a time, at most.
        fits_per_gpu: workers in one pod, which share its GPU.
        queue: of Kueue.
        user: the number of the user that pods run as, and of its group; those of the image where None.
        pod: further fields of the spec of a pod.
    """

    image: (
        Annotated[str, _matching(IMAGE, "the name of an image", "For example: lab/foldwise:1.0.")] | None
    ) = None
    namespace: (
        Annotated[str, _matching(NAMESPACE, "a namespace: lower-case letters, digits and -")] | None
    ) = None
    claim: ObjectName | None = None
    mount: Folder = "/study"
    mounted_here: Folder | None = None
    cache: Folder | None = None
    gpus: Annotated[
        ranges.Gpus | str,
        AfterValidator(_gpus),
        Field(description="a number of GPUs, or a resource and a number such as nvidia.com/mig-1g.10gb:1"),
    ] = 0
    memory: Memory | None = None
    cpus: ranges.Threads | None = None
    workers: ranges.Jobs = 16
    fits_per_gpu: ranges.FitsPerGpu = 1
    queue: ObjectName | None = None
    labels: Labels = Field(default_factory=dict)
    node_selector: Labels = Field(default_factory=dict)
    service_account: ObjectName | None = None
    user: ranges.UserId | None = None
    group: ranges.UserId | None = None
    pod: Annotated[dict[str, Any], AfterValidator(_pod)] = Field(default_factory=dict)

    @property
    def at_a_time(self) -> int:
        """How many workers there may be at a time."""
        return self.workers * self.fits_per_gpu

    @property
    def gpu_limits(self) -> dict[str, int]:
        """The resource of GPUs and how many of it, as a pod states them; nothing where it needs none."""
        if isinstance(self.gpus, str) and (match := GPUS.fullmatch(self.gpus)):
            return {match["resource"]: int(match["number"])}
        return {NVIDIA: int(self.gpus)} if self.gpus else {}
