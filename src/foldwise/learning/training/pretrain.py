"""Pretraining: what teaches a network about the images of a fold, done once before the fits that share it.

In it a network learns to undo damage to the images of one training part, before any fit shows it a label. Its
weights follow from the training part alone: the inner validation is looked at for the curve and the picture, and
chooses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldwise.data.batches.batches import Batch
from foldwise.data.batches.sampling import DAMAGE, step_seed
from foldwise.learning.checkpoints.saved import BODY, versions, write_tensors
from foldwise.learning.job import Job
from foldwise.learning.networks.models import build
from foldwise.learning.networks.network import DataShape, body_of
from foldwise.learning.networks.tiles import each_alone, is_large
from foldwise.learning.objectives.pretraining import Damage, make_pretraining
from foldwise.learning.training.devices import Stopwatch, autocast
from foldwise.learning.training.energy import Spending
from foldwise.learning.training.resuming import ResumedTraining, resumable
from foldwise.learning.training.scoring import ForwardPass
from foldwise.learning.training.setup import FitRequest, TrainingSetup, assemble, with_less_memory
from foldwise.runs.leases import Beat
from foldwise.study.training import Training, stated_pretraining

PICTURES = "pictures.npz"
PICTURE_PX = 384  # longest side of what is kept for the report
VALIDATION = 0  # in place of the number of an epoch


def pretrain_item(job: Job) -> dict[str, Any]:
    """Pretrain a network; the content of its ``result.json``. Where memory runs out, again with half the batch.

    Args:
        job: its settings are training, repeat, fold, seed and threads, as the plan has them; its scratch folder
            gets ``body.safetensors``, all but the output layer, ``log.txt``, and in the first fold of all
            ``pictures.npz``: ``damaged``, ``restored`` and ``clean`` (C, H, W) of one image of the inner validation,
            in the values and the type of the files.

    Raises:
        FoldwiseError: the device is not there, or the training diverged.
    """
    training = Training.model_validate(job.settings["training"])
    pretraining = make_pretraining(training)
    with resumable(job, FitRequest.of(job, pretraining.applied_to(training))) as (request, resuming):
        return with_less_memory(
            request, lambda request: _pretrain(request, pretraining.damage, job.scratch, job.beat, resuming)
        )


@dataclass
class _PretrainingEpochs:
    """The epochs of a pretraining so far."""

    evaluating: Stopwatch
    spent: Spending
    epochs: list[dict[str, Any]] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        """All of it."""
        return {"epochs": self.epochs, "evaluate_s": self.evaluating.seconds, "spent": self.spent.record()}

    def restore(self, state: dict[str, Any]) -> None:
        """Put it back to what `state` gave."""
        self.epochs, self.evaluating.seconds = state["epochs"], state["evaluate_s"]
        self.spent.restore(state["spent"])


def _pretrain(
    request: FitRequest, damage: Damage, scratch: Path, beat: Beat, resuming: ResumedTraining
) -> dict[str, Any]:
    """Set up, train to the last epoch, write."""
    spent = Spending(request.device)
    beat = spent.beside(beat)
    # The output layer gives channels in place of classes; fits take all of the network but this layer.
    shape = replace(DataShape.of(request.packed), num_classes=request.packed.num_channels)
    network = build(request.training, shape, seed=request.seed)
    setup = assemble(request, network, F.mse_loss)
    course = _PretrainingEpochs(Stopwatch(request.device), spent)
    batches_of = partial(_damaged, request, setup, damage)
    for epoch in resuming.epochs(request, setup.learner, batches_of, course):
        with course.evaluating.lap():
            loss = validation_loss(request, setup, damage, resuming.each)
        record = {"epoch": epoch.number, "train_loss": epoch.loss, "val_loss": loss, "lr": epoch.lr}
        course.epochs.append(record | {"seconds": epoch.seconds})
        progress = {"epoch": epoch.number, "epochs": request.training.epochs, **resuming.progress}
        beat(progress | {"metric": "loss", "score": loss})
    records = course.epochs
    memory_and_energy = spent.record()
    write_tensors(scratch / BODY, body_of(network))
    if request.settings["repeat"] == request.settings["fold"] == 0:
        np.savez_compressed(scratch / PICTURES, **_pictures(request, setup, damage))  # type: ignore[arg-type]
    log = "".join(f"{json.dumps(record)}\n" for record in records)
    (scratch / "log.txt").write_text(log, encoding="utf-8")
    cost = {
        "pretrain_s": sum(record["seconds"] for record in records),
        "evaluate_s": course.evaluating.seconds,
        "parameters": sum(values.numel() for values in network.parameters()),
        **memory_and_energy,
        **request.costed_on(),
    }
    by = str(stated_pretraining(request.training))
    return {
        "by": by,
        "epochs": records,
        "cost": cost,
        "warnings": list(resuming.notes),
        "versions": versions(),
    }


def _damaged(
    request: FitRequest, setup: TrainingSetup, damage: Damage, epoch: int, first: int
) -> Iterator[Batch]:
    """The training batches of an epoch from a step on: damaged images in, the images as they were as target."""
    for step, batch in enumerate(setup.batches_of(epoch, first), first):
        yield Batch(damage(batch.inputs, _generator(request.seed, epoch, step)), batch.inputs, batch.cases)


def _whole_damaged(
    request: FitRequest, setup: TrainingSetup, damage: Damage, cases: np.ndarray
) -> Iterable[Batch]:
    """Whole images, each damaged in its own way, that is the same in every epoch and for every batch size."""
    for batch in setup.source.whole(cases, batch_size=request.pass_size):
        images = zip(batch.inputs.split(1), batch.cases.tolist(), strict=True)
        damaged = [damage(image, _generator(request.seed, VALIDATION, case)) for image, case in images]
        yield Batch(torch.cat(damaged), batch.inputs, batch.cases)


@torch.inference_mode()
def validation_loss(
    request: FitRequest,
    setup: TrainingSetup,
    damage: Damage,
    each: Callable[[Iterable[Batch]], Iterable[Batch]],
) -> float:
    """The mean over the inner validation of the mean squared error of each whole image."""
    network = setup.learner.network.eval()
    total = 0.0
    for batch in each(_whole_damaged(request, setup, damage, request.split.validation)):
        error_NCHW = (restored(network, batch.inputs, setup.learner.forward) - batch.targets) ** 2
        total += float(error_NCHW.mean((1, 2, 3)).sum())
    return total / len(request.split.validation)


def restored(network: nn.Module, inputs: Tensor, forward: ForwardPass) -> Tensor:
    """What the network makes of damaged images (N, C, H, W), in float32; large ones one by one, see `tiles`."""
    with autocast(forward.device, forward.precision):
        if is_large(inputs):
            return each_alone(network, inputs)
        return network(inputs.contiguous(memory_format=forward.layout)).float()


@torch.inference_mode()
def _pictures(request: FitRequest, setup: TrainingSetup, damage: Damage) -> dict[str, np.ndarray]:
    """The middle of one image of the inner validation; see `pretrain_item`."""
    network = setup.learner.network.eval()
    batch = next(iter(_whole_damaged(request, setup, damage, request.split.validation[:1])))
    restored_1CHW = restored(network, batch.inputs, setup.learner.forward)
    height, width = (min(side, PICTURE_PX) for side in restored_1CHW.shape[2:])
    top, left = (restored_1CHW.shape[2] - height) // 2, (restored_1CHW.shape[3] - width) // 2
    raw = [request.packed.image(int(batch.cases[0]))]
    named = {"damaged": batch.inputs, "restored": restored_1CHW, "clean": batch.targets}
    norm = setup.model.normalization
    mean_C11, std_C11 = (numbers_1C[0, :, None, None] for numbers_1C in norm.statistics(raw))
    pictures = {}
    for name, values in named.items():
        part_CHW = values[0, :, top : top + height, left : left + width].float().cpu().numpy()
        part_CHW = part_CHW * std_C11 + mean_C11  # as in the files
        is_8_bit = norm.dtype == "uint8"
        rounded = part_CHW.round().clip(0, 255).astype(np.uint8) if is_8_bit else part_CHW.astype(np.float32)
        pictures[name] = rounded
    return pictures


def _generator(*seeds: int) -> torch.Generator:
    """Random numbers of their own for damage, on the CPU whatever the device."""
    return torch.Generator().manual_seed(step_seed(*seeds, use=DAMAGE))
