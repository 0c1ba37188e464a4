"""`LAUNCHERS`: a row for each kind of machine that workers can be started on."""

from __future__ import annotations

from foldwise.runs.launchers.inline import Inline
from foldwise.runs.launchers.kubernetes import KubernetesWorkers
from foldwise.runs.launchers.launcher import Engine
from foldwise.runs.launchers.local import LocalWorkers
from foldwise.runs.launchers.ray import RayWorkers
from foldwise.runs.launchers.slurm import SlurmWorkers

LAUNCHERS: dict[str, Engine] = {
    "local": Engine(lambda crew, work: LocalWorkers(crew)),
    "inline": Engine(Inline),
    "kubernetes": Engine(lambda crew, work: KubernetesWorkers(crew), elsewhere=True),
    "ray": Engine(lambda crew, work: RayWorkers(crew), elsewhere=True, extra="ray"),
    "slurm": Engine(lambda crew, work: SlurmWorkers(crew), elsewhere=True),
}
