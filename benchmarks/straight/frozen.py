"""A plain script that trains the head of a frozen network: every epoch decodes every image and runs the whole network.

    python -m benchmarks.straight.frozen RUN IMAGES --fit ID --epochs N [--out FILE]

RUN is the folder of a finished run, whose network, head, optimiser, fold, seed, order of batches and normalisation are
taken. Prints CPU seconds of the set-up, of each epoch and of the test as JSON; FILE gets the probabilities of the test fold.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from benchmarks.straight.finished_run import Fit, network_of, optimizer_of, order_of, read_fits


def batch_of(images: Path, rows, norm) -> tuple[torch.Tensor, torch.Tensor]:
    """Decoded and normalised (N, 1, H, W), and labels (N,)."""
    pictures = np.stack(
        [np.asarray(Image.open(images / row["image"]).convert("L"), np.float32) for row in rows]
    )
    mean, std = norm["mean"][0], norm["std"][0]
    return torch.from_numpy((pictures - mean) / std)[:, None], torch.tensor(
        [int(row["labels"]) for row in rows]
    )


@torch.no_grad()
def probabilities(network, images, rows, norm, size) -> tuple[torch.Tensor, torch.Tensor]:
    network.eval()
    parts = [batch_of(images, rows[start : start + size], norm) for start in range(0, len(rows), size)]
    return torch.cat([network(batch).softmax(1) for batch, _ in parts]), torch.cat(
        [labels for _, labels in parts]
    )


def changed(batch: torch.Tensor, fit: Fit, generator: torch.Generator) -> torch.Tensor:
    """Flipped and turned as foldwise would, by the same draws."""
    from foldwise.data.batches.augment import augment_batch
    from foldwise.study.training import Augment

    augment = Augment.model_validate(fit.training["augment"])
    return augment_batch(batch, None, augment, generator=generator)[0]


def train(fit: Fit, images: Path, norm, epochs: int):
    """CPU seconds of the parts, and the probabilities of the test fold."""
    from foldwise.data.batches.sampling import step_generators

    began = time.process_time()
    size = fit.training["batch_size"]
    first, _ = batch_of(images, fit.parts["train"][:1], norm)
    network = network_of(fit, 1, tuple(first.shape[2:]))
    optimizer = optimizer_of(fit, network)
    moments = [time.process_time()]
    for epoch in range(1, epochs + 1):
        network.train()
        for places, generator in zip(order_of(fit, epoch), step_generators(fit.seed, epoch), strict=False):
            batch, labels = batch_of(images, [fit.parts["train"][place] for place in places], norm)
            loss = F.cross_entropy(network(changed(batch, fit, generator)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        p, labels = probabilities(network, images, fit.parts["validation"], norm, size)
        F.nll_loss(p.clamp(1e-7).log(), labels).item()  # what a script would choose its epoch by
        moments.append(time.process_time())
    p, _ = probabilities(network, images, fit.parts["test"], norm, size)
    seconds = {"setup_s": moments[0] - began, "epoch_s": np.diff(moments).tolist()}
    return seconds | {"test_s": time.process_time() - moments[-1]}, p.numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--fit", required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    fit = next(fit for fit in read_fits(asked.run) if fit.id == asked.fit)
    model = json.loads((asked.run / "done" / fit.id / "model.json").read_text(encoding="utf-8"))
    seconds, p = train(fit, asked.images, model["normalization"], asked.epochs)
    if asked.out:
        np.savez(asked.out, case=fit.cases["test"], probabilities=p)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
