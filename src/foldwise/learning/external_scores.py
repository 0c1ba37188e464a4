"""The winner asked about an external set: its models together, as `predict` has them, and each of them alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from foldwise.data.batches.batches import pictures_of
from foldwise.data.cache.packed import Packed
from foldwise.learning.checkpoints.saved import Winner, load_winner
from foldwise.learning.networks.network import layout_for
from foldwise.learning.training.devices import pick_device, precision_for, steady
from foldwise.learning.training.scoring import ForwardPass, by_case, pixel_counts, probabilities
from foldwise.storage import folder_replaced

TOGETHER, ALONE = "together.npz", "model-{}.npz"
LEAST = 1e-12  # of a probability whose logarithm is taken; far below what a metric still tells apart


def write_external_scores(
    winner: Path,
    packed: Packed,
    out: Path,
    *,
    device: str,
    threads: int,
    progress: Callable[[float, int], None] = lambda *_: None,
) -> None:
    """Score every image of the set once by the winner's models.

    Args:
        winner: the folder of the winner.
        packed: the images of the external set.
        out: gets ``together.npz``, of the mean probabilities, and ``model-0.npz`` and so on, whole or not at all; each as
            the ``scores.npz`` of a fit, without its training and validation parts.
        device: for settings that say `auto`.
        threads: of the processor.
        progress: called with how many images are scored, and of how many.
    """
    torch_device = pick_device("auto", device)
    loaded = load_winner(winner, torch_device)
    with steady(loaded.model.seed, threads, torch_device), folder_replaced(out) as scratch:
        together, alone = _asked(loaded, packed, torch_device, progress)
        np.savez(scratch / TOGETHER, **together)  # type: ignore[arg-type]
        for number, arrays in enumerate(alone):
            np.savez(scratch / ALONE.format(number), **arrays)  # type: ignore[arg-type]


Arrays = dict[str, np.ndarray]


@torch.inference_mode()
def _asked(
    winner: Winner, packed: Packed, device: torch.device, progress: Callable[[float, int], None]
) -> tuple[Arrays, list[Arrays]]:
    """What all models say together, and what each says alone, by case."""
    model, members = winner.model, winner.members
    cases, cases_of = np.arange(len(packed)), list[np.ndarray]()
    # Each by its own statistics: those of a normalisation by training parts differ from fold to fold.
    batches = [
        pictures_of(packed, member.model.normalization, device).whole(
            cases, batch_size=member.model.training.batch_size
        )
        for member in members
    ]
    outputs: list[list[Arrays]] = [[] for _ in range(len(members) + 1)]
    for batch in zip(*batches, strict=True):
        progress(sum(map(len, cases_of)), len(cases))
        total: torch.Tensor | None = None
        for number, (member, own) in enumerate(zip(members, batch, strict=True), 1):
            precision = precision_for(member.model.training.precision, device)
            layout = layout_for(member.network)
            forward = ForwardPass(model.task, len(model.classes), device, precision, layout)
            logits = forward.logits(member.network, own.inputs)
            p = probabilities(logits, model.task)
            outputs[number].append(_counted(p, logits, own.targets, model.task))
            total = p if total is None else total + p
        assert total is not None  # a winner has members
        mean = total / len(members)
        outputs[0].append(_counted(mean, mean.clamp(min=LEAST).log(), batch[0].targets, model.task))
        cases_of.append(batch[0].cases)
    together, *alone = (_joined(cases_of, own) for own in outputs)
    return together, alone


def _joined(cases: list[np.ndarray], parts: list[Arrays]) -> Arrays:
    scores = by_case(cases, parts, [], float("nan"), {})
    return {"case": scores.case, **scores.arrays}


def _counted(p: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor, task: str) -> Arrays:
    if task.endswith("segmentation"):
        return pixel_counts(p, logits, targets, fully=True)
    return {"probabilities": p.cpu().numpy()}
