"""Everything a fit needs before its first step: network, batches, loss, optimiser."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
import torch
from torch import nn

from foldwise.data.batches.batches import Batch, CachedFeatures, Pictures, pictures_of
from foldwise.data.batches.normalize import Normalization, normalization
from foldwise.data.batches.sampling import balanced_order, epoch_order, presence, rarity, step_generators
from foldwise.data.cache.packed import Packed
from foldwise.learning.checkpoints.saved import Encoder, Pretrained, SavedModel
from foldwise.learning.networks.models import build, build_head
from foldwise.learning.networks.network import DataShape, layout_for, load_body
from foldwise.learning.objectives.losses import make_grouped_loss, make_loss
from foldwise.learning.objectives.optimizers import make_optimizer, make_schedule
from foldwise.learning.training import devices
from foldwise.learning.training.scoring import ForwardPass, Loss
from foldwise.learning.training.train import BatchesOf, Learner
from foldwise.runs.device_memory import is_out_of_memory, workers_here
from foldwise.study.configurations import places_of
from foldwise.study.training import Choice, Training

if TYPE_CHECKING:  # only types here, and the first would import scikit-learn
    from foldwise.data.folds.splits import Split
    from foldwise.learning.job import Job

Made = TypeVar("Made")


@dataclass(frozen=True)
class FitRequest:
    """What one fit is to do, and where.

    Attributes:
        encoder: the shared outputs of a frozen encoder; None where images go through the whole network.
        pretrained: what the network begins with; None where that is what `build` gives.
        halvings: how often the batch was halved because memory ran out.
    """

    settings: dict[str, Any]
    training: Training
    packed: Packed
    split: Split
    device: torch.device
    encoder: Encoder | None = None
    pretrained: Pretrained | None = None
    halvings: int = 0

    @classmethod
    def of(cls, job: Job, training: Training | None = None) -> Self:
        """What a job asks for, with the training of its settings or with `training` in its place.

        Raises:
            MissingExtra: the device that is asked for is not here.
        """
        training = training or Training.model_validate(job.settings["training"])
        device = devices.pick_device(training.device, job.device)
        encoder, pretrained = Encoder.among(job.inputs), Pretrained.among(job.inputs)
        return cls(job.settings, training, job.packed, job.split, device, encoder, pretrained)

    @property
    def seed(self) -> int:
        """Of this fit; the same for every configuration on a fold, so that comparisons are paired."""
        return int(self.settings["seed"])

    @property
    def segmentation(self) -> bool:
        """Whether pixels are predicted."""
        return self.packed.task.endswith("segmentation")

    @property
    def precision(self) -> str:
        """fp32 or bf16."""
        return devices.precision_for(self.training.precision, self.device)

    @property
    def pass_size(self) -> int:
        """Images that go through the network at a time."""
        return max(1, self.training.batch_size >> self.halvings)

    def costed_on(self) -> dict[str, Any]:
        """What the costs of a result depend on, for its record."""
        return {
            "device": self.device.type,
            "device_name": devices.device_name(self.device),
            "precision": self.precision,
            "batch_size": self.training.batch_size,
            "batch_halvings": self.halvings,
            "threads": self.settings["threads"],
        }


@dataclass(frozen=True)
class TrainingSetup:
    """A network on its device with all that trains and asks it."""

    learner: Learner
    batches_of: BatchesOf
    source: Pictures | CachedFeatures
    model: SavedModel
    warnings: tuple[str, ...]

    def by_rule(self) -> dict[str, Any]:
        """What rules on network and device chose of how its numbers are worked, for the record."""
        layout = str(self.learner.forward.layout).removeprefix("torch.")
        return {
            "memory_layout": layout.removesuffix("_format"),
            "fused_optimizer": bool(self.learner.optimizer.defaults.get("fused")),
        }

    def latency_ms(self) -> float:
        """Milliseconds for one image through the network, or through the head where only that is here."""
        # One image: what somebody waits for who asks about it. Throughput, in batches, is measured apart.
        network, forward = self.learner.network.eval(), self.learner.forward
        image = self.source.gather(np.arange(1))
        return devices.latency_ms(
            lambda inputs: forward.logits(network, inputs), image.inputs, forward.device
        )


def with_less_memory(request: FitRequest, work: Callable[[FitRequest], Made]) -> Made:
    """What `work` makes, by the seed; where memory runs out, again from the start with half the batch in one pass.

    Where workers share the device, running out of memory is raised instead.
    """
    while True:
        try:
            with devices.steady(request.seed, request.settings["threads"], request.device):
                return work(request)
        except RuntimeError as error:
            # Memory that others took says nothing of this batch; and who is alone gets the numbers of who always was.
            if not is_out_of_memory(error) or request.pass_size == 1 or workers_here() > 1:
                raise
        # Out here the failed attempt's tensors are free. From the start, so that all epochs are alike.
        request = replace(request, halvings=request.halvings + 1)
        devices.release_memory(request.device)


def set_up(request: FitRequest) -> TrainingSetup:
    """The network and what trains it, all from the seed; normalisation and class weights see the training part only."""
    network, notes = _network(request)
    return assemble(request, network, loss_of(request, request.training.loss), notes)


def assemble(
    request: FitRequest, network: nn.Module, loss: Loss, notes: tuple[str, ...] = ()
) -> TrainingSetup:
    """A network on its device with batches, optimiser and schedule."""
    training = request.training
    if request.encoder is not None:
        norm = request.encoder.normalization
    else:
        about: dict[str, Any] = {"packed": request.packed, "train": request.split.train}
        norm = normalization(training.normalize, pretrained=training.weights != "none", **about)
    layout = layout_for(network)
    network = network.to(request.device, memory_format=layout)  # type: ignore[call-overload]
    source, batches_of = _batches(request, norm)
    optimizer = make_optimizer(request.training.optimizer, network.parameters(), request.device)
    # Every epoch has as many steps as the first.
    total_steps = request.training.epochs * len(_order(request, 1))
    learner = Learner(
        network=network,
        loss=loss,
        optimizer=optimizer,
        schedule=make_schedule(request.training.schedule, optimizer, total_steps),
        forward=ForwardPass(
            request.packed.task, len(request.packed.classes), request.device, request.precision, layout
        ),
        seed=request.seed,
        passes=2**request.halvings,
    )
    return TrainingSetup(learner, batches_of, source, _model(request, norm), notes)


def _network(request: FitRequest) -> tuple[nn.Module, tuple[str, ...]]:
    """The whole network, or its head alone where the encoder's outputs are shared; and what is to be said of it."""
    if request.encoder is not None:
        num_features, num_classes = request.encoder.features_VNF.shape[-1], len(request.packed.classes)
        return build_head(request.training, num_features, num_classes, request.seed), ()
    # A frozen encoder is the same in every fold, whether its outputs are shared or not.
    frozen = request.training.freeze == "encoder"
    encoder_seed = request.settings.get("encoder_seed") if frozen else None
    shape = DataShape.of(request.packed)
    network = build(request.training, shape, seed=request.seed, encoder_seed=encoder_seed)
    if request.pretrained is not None:  # on the CPU still, so that all of it goes to the device together
        load_body(network, request.pretrained.body())
    report = network.weights_report
    return network, (str(report),) if report is not None and report.adapted else ()


def _order(request: FitRequest, epoch: int) -> list[np.ndarray]:
    training, train = request.training, request.split.train
    sizes: dict[str, Any] = {"batch_size": training.batch_size, "steps": training.steps_per_epoch}
    sizes |= {"seed": request.seed, "epoch": epoch}
    if training.sampling == "balanced":
        return balanced_order(train, rarity(presence(request.packed, train)), **sizes)
    return epoch_order(train, **sizes)


def _batches(request: FitRequest, norm: Normalization) -> tuple[Pictures | CachedFeatures, BatchesOf]:
    """Where batches come from, and those of an epoch from a step on."""
    if request.encoder is not None:
        # All at once: features are small beside images, and every epoch asks for each of them.
        features = torch.from_numpy(request.encoder.features_VNF).to(request.device)
        source: Pictures | CachedFeatures = CachedFeatures(request.packed, features, request.encoder.views)
        training_of: Callable[..., Iterable[Batch]] = source.training
    else:
        source = pictures_of(request.packed, norm, request.device)
        training_of = partial(source.training, crop_px=request.training.crop_px)

    def batches_of(epoch: int, first: int) -> Iterable[Batch]:
        order, generators = _order(request, epoch)[first:], step_generators(request.seed, epoch, first)
        return training_of(order, augment=request.training.augment, generators=generators)

    return source, batches_of


def loss_of(request: FitRequest, choice: Choice) -> Loss:
    """A loss as the fit would have it: of its classes, label groups and training part, on its device."""
    packed, train = request.packed, request.split.train
    # Counts of the training part alone: weights that knew the test classes would let these into the training.
    places, counts = places_of(request.training, len(packed.classes)), class_counts(packed, train)
    about: dict[str, Any] = {"task": packed.task, "num_cases": len(train), "class_counts": counts}
    if len(places) > 1:
        return make_grouped_loss(choice, places, **about).to(request.device)
    loss = make_loss(choice, num_classes=len(packed.classes), **about)
    return loss.to(request.device) if isinstance(loss, nn.Module) else loss


def class_counts(packed: Packed, cases: np.ndarray) -> np.ndarray:
    """(K,) images of each class among `cases`; for segmentation, pixels that count."""
    if packed.task.endswith("segmentation"):
        return np.asarray(np.sum([packed.measures[case].class_pixels for case in cases], axis=0))
    if packed.task == "multilabel_classification":
        return np.asarray(packed.labels[cases].sum(0, dtype=np.int64))
    return np.bincount(packed.labels[cases], minlength=len(packed.classes))


def _model(request: FitRequest, norm: Normalization) -> SavedModel:
    packed = request.packed
    return SavedModel(
        task=packed.task,
        classes=packed.classes,
        num_channels=packed.num_channels,
        size_hw=DataShape.of(packed).size_hw,
        resized=any((m.height, m.width) != (m.original_height, m.original_width) for m in packed.measures),
        dtype=str(packed.dtype),
        normalization=norm,
        training=request.training,
        seed=request.seed,
        encoder_from=None if request.encoder is None else request.encoder.item,
    )
