"""A look inside the training of one fit: trained once more from its seed, seen from many sides.

`_written` is the table of contents. Only images of the training part and the inner validation are used, never the test
fold.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from foldwise.data.batches.batches import Batch
from foldwise.errors import RunError
from foldwise.insight.attention import attention_maps, images_to_show, why_absent
from foldwise.insight.landscape.criteria import Named, criteria_of, trivial_values
from foldwise.insight.landscape.curvature import curvature, gradient
from foldwise.insight.landscape.directions import trainable, unflattened
from foldwise.insight.landscape.points import Landscape, batch_norms, recalibrate
from foldwise.insight.landscape.surfaces import Course, barriers, direction_spread, rises, surfaces_of
from foldwise.insight.layers import Layers, layers_in_order, noticed
from foldwise.insight.replay import Replay, largest_difference, most_steps, replay, weights_in
from foldwise.learning.checkpoints.saved import versions
from foldwise.learning.checkpoints.winner import WEIGHTS
from foldwise.learning.job import Job
from foldwise.learning.training.resuming import ResumedTraining, resumable
from foldwise.learning.training.scoring import evaluate
from foldwise.learning.training.setup import FitRequest, with_less_memory
from foldwise.learning.training.train import finite
from foldwise.runs.items import HUTCHINSON_DRAWS, LANCZOS_STEPS, MAX_STEPS, num_images
from foldwise.runs.landscapes import epochs_to_look_at, spread
from foldwise.runs.leases import Beat
from foldwise.sealed import read_json
from foldwise.storage import as_json
from foldwise.study.configurations import places_of
from foldwise.study.training import NO_PRETRAINING

SURFACES, LAYERS, ATTENTION = "surfaces.npz", "layers.npz", "attention.npz"


def landscape_item(job: Job) -> dict[str, Any]:
    """Train a fit once more and look at it; the content of ``result.json``. Where memory runs out, in smaller parts.

    Args:
        job: its settings are those of the fit, and ``landscape``: how finely, of which fit, and to which others lines
            are drawn; its inputs what the fit needs, the fit itself and the others; its scratch folder gets
            ``surfaces.npz``, ``layers.npz`` and, of a classification, ``attention.npz``. The test fold is not used.

    Raises:
        RunError: the fit left no record of its epochs.
    """
    began = time.perf_counter()
    settings, inputs = job.settings, job.inputs
    request = FitRequest.of(job)
    fit = TrainedFit.read(inputs[settings["landscape"]["fit"]])
    # As often halved as in the fit: other batches would be another training.
    with resumable(job, replace(request, halvings=fit.halvings)) as (halved, resuming):
        replayed = with_less_memory(halved, lambda request: _replayed(request, fit, job.beat, resuming))
    job.checkpoints.interrupts.raise_pending()

    def look(request: FitRequest) -> dict[str, Any]:
        return _written(_View(request, fit, replayed, inputs, job.beat), job.scratch)

    result = with_less_memory(request, look)
    return result | {"seconds": time.perf_counter() - began, "versions": versions()}


@dataclass(frozen=True)
class TrainedFit:
    """What the fit that is looked into left behind."""

    folder: Path
    last: int
    chosen: int
    halvings: int

    @classmethod
    def read(cls, folder: Path) -> TrainedFit:
        """From its ``result.json``."""
        result = read_json(folder / "result.json")
        if not result.get("epochs"):
            what = "the fit left no record of its epochs"
            raise RunError(what, where=str(folder), cure="Look into a fit that is done.")
        halvings = int((result.get("cost") or {}).get("batch_halvings") or 0)
        return cls(folder, int(result["epochs"][-1]["epoch"]), int(result["best_epoch"]), halvings)

    def epochs(self, options: dict[str, Any]) -> list[int]:
        """Those that are looked at."""
        return epochs_to_look_at(options["epochs"], last=self.last, chosen=self.chosen)

    def steps(self, checkpoint_bytes: int) -> list[int]:
        """Those of the path of training."""
        ends = {0, self.chosen, self.last}
        between = spread(most_steps(MAX_STEPS, checkpoint_bytes) - 1, self.last)
        return sorted(ends | set(between))


def _replayed(request: FitRequest, fit: TrainedFit, beat: Beat, resuming: ResumedTraining) -> Replay:
    epochs = fit.epochs(request.settings["landscape"])

    def keep(checkpoint_bytes: int) -> set[int]:
        return {*epochs, *fit.steps(checkpoint_bytes)}

    def tell(epoch: int, last: int) -> None:
        beat({"doing": f"epoch {epoch} of {last} trained again"})

    return replay(request, resuming, last=fit.last, keep=keep, tell=tell)


@dataclass(frozen=True)
class _View:
    """A training that is there again, and what is asked of it."""

    request: FitRequest
    fit: TrainedFit
    replayed: Replay
    inputs: dict[str, Path]
    beat: Beat

    @property
    def options(self) -> dict[str, Any]:
        """How finely."""
        request: dict[str, Any] = self.request.settings["landscape"]
        return request

    @property
    def epochs(self) -> list[int]:
        """Those that are looked at."""
        return self.fit.epochs(self.options)

    @property
    def prefix(self) -> str:
        """Before the names in files of weights."""
        return "" if self.request.encoder is None else "head."

    def batches(self) -> list[Batch]:
        """A fixed sample of the training part, whole and unchanged; in smaller parts where memory ran out."""
        packed, train = self.request.packed, self.request.split.train
        pixels = int(np.median(packed.shapes[train].prod(axis=1)))
        num = num_images(self.options["images"], task=packed.task, pixels=pixels, available=len(train))
        # The same images for all surfaces of a fit, and whoever looks into it again.
        drawn = np.random.default_rng([self.request.seed, 0]).permutation(train)[:num]
        batch_size = max(2, num >> self.request.halvings)
        return list(self.replayed.setup.source.whole(np.sort(drawn), batch_size=batch_size))

    def others(self) -> list[dict[str, Any]]:
        """Weights of the fits that lines are drawn to; none where a part that does not learn differs between folds."""
        training = self.request.training
        if training.freeze == "encoder" and training.pretrain != NO_PRETRAINING:
            return []
        like = self.replayed.weights(self.fit.chosen)
        files = [self.inputs[other] / WEIGHTS for other in self.options["others"]]
        return [weights_in(file, prefix=self.prefix, like=like) for file in files]

    def doing(self, what: str, done: int, total: int) -> None:
        """Say how far it is."""
        self.beat({"doing": f"{what}: {done} of {total}"})


def _written(view: _View, scratch: Path) -> dict[str, Any]:
    """Compare with the fit, then surfaces, curvature, layers and attention."""
    criteria, trained_with = criteria_of(view.request)
    batches = view.batches()
    forward = view.replayed.setup.learner.forward
    landscape = Landscape(view.replayed.network, batches, [criterion.of for criterion in criteria], forward)
    surfaces, others = _surfaces(view, landscape)
    surfaces["trivial"] = trivial_values(view.request, batches, criteria, forward).astype(np.float32)
    np.savez_compressed(scratch / SURFACES, **surfaces)
    curvatures, sentences = _through_epochs(view, landscape, scratch)
    absent = _attention(view, scratch)
    chosen = view.replayed.states[view.fit.chosen]
    saved = weights_in(view.fit.folder / WEIGHTS, prefix=view.prefix, like=chosen)
    difference = largest_difference(chosen, saved)
    return {
        "fit": view.options["fit"],
        "asked": view.options,
        "chosen_epoch": view.fit.chosen,
        "last_epoch": view.fit.last,
        "criteria": [criterion.record() for criterion in criteria],
        "trained_with": trained_with,
        "images": sum(len(batch.cases) for batch in batches),
        "images_from": "training part",
        "norm": "batch norm" if batch_norms(view.replayed.network) else "none",
        "only_head": view.request.encoder is not None,
        "replay": {"equal": difference == 0, "largest_difference": finite(difference)},
        "device": view.request.device.type,
        "curvature": curvatures,
        "noticed": sentences,
        "between": others,
        "direction_spread": as_json(direction_spread(surfaces)),
        "rises": as_json(rises(surfaces)),
        "attention_absent": absent,
        "warnings": _warnings(view, criteria, difference),
    }


def _surfaces(view: _View, landscape: Landscape) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    size = sum(values.nbytes for values in view.replayed.states[0].values())
    course = Course(
        epochs=view.epochs,
        steps=view.fit.steps(size),
        chosen=view.fit.chosen,
        points=view.options["points"],
        directions=view.options["directions"],
        seed=view.request.seed,
        others=view.others(),
    )
    arrays = surfaces_of(landscape, view.replayed, course, partial(view.doing, "points of surfaces"))
    records = [read_json(view.inputs[other] / "result.json") for other in view.options["others"]]
    between = [
        {"repeat": record["repeat"], "fold": record["fold"], "barrier": barrier}
        for record, barrier in zip(records, as_json(barriers(arrays)), strict=False)
    ]
    return arrays, between


def _through_epochs(
    view: _View, landscape: Landscape, scratch: Path
) -> tuple[list[dict[str, Any]], list[str]]:
    """Curvature under the loss that was trained with, epoch by epoch, and what stands out in the layers."""
    network = view.replayed.network
    trained = replace(landscape, criteria=[view.replayed.setup.learner.loss])
    forward, batches = trained.exact_forward, list(trained.batches)
    layers = Layers(layers_in_order(network, batches[0].inputs, forward))
    curvatures = []
    for number, epoch in enumerate(view.epochs):
        view.doing("curvature and layers", number, len(view.epochs))
        view.replayed.go_to(epoch)
        bends = curvature(trained, seed=view.request.seed, iterations=LANCZOS_STEPS, probes=HUTCHINSON_DRAWS)
        numbers = {
            name: value if isinstance(value, bool) else finite(value) for name, value in asdict(bends).items()
        }
        curvatures.append({"epoch": epoch} | numbers)
        # As at every point of the surfaces, to which these gradients belong.
        recalibrate(network, batches, forward=forward)
        layers.add(epoch, network, unflattened(gradient(trained), trainable(network)))
    arrays = layers.arrays(view.replayed.weights)
    np.savez_compressed(scratch / LAYERS, **arrays)
    return curvatures, noticed(arrays, view.fit.chosen) if layers.names else []


def _attention(view: _View, scratch: Path) -> str | None:
    """Write ``attention.npz``; or why there is none."""
    setup, network, validation = view.replayed.setup, view.replayed.network, view.request.split.validation
    forward = replace(setup.learner.forward, precision="fp32")
    grouped = len(places_of(view.request.training, len(view.request.packed.classes))) > 1
    image = setup.source.gather(validation[:1])
    if absent := why_absent(network, image.inputs, forward, grouped=grouped):
        return absent
    view.replayed.go_to(view.fit.chosen)
    scores = evaluate(network, setup.source.whole(validation, batch_size=view.request.pass_size), forward)
    rows = images_to_show(scores.arrays["probabilities"], np.asarray(scores.truth))
    shown = setup.source.gather(scores.case[rows].astype(np.int64))
    tell = partial(view.doing, "activation maps, epochs")
    maps = attention_maps(view.replayed, view.epochs, shown, forward=forward, tell=tell)
    np.savez_compressed(scratch / ATTENTION, **maps)
    return None


def _warnings(view: _View, criteria: Sequence[Named], difference: float) -> list[str]:
    warnings = []
    if difference != 0:
        warnings.append(
            f"the training did not come out as the fit's did: weights differ by up to {difference:.2g}, as they may"
            " on another machine or device"
        )
    decides = view.options["metric"]
    if decides != "auto" and decides not in criteria[-1].name:
        warnings.append(f"{decides} does not follow from decisions alone; {criteria[-1].title} stands for it")
    if view.request.encoder is not None:
        warnings.append("the encoder is frozen and shared, so that this is a look at the head alone")
    return warnings
