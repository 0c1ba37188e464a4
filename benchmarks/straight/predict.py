"""A plain script that predicts a folder of pictures by torch: decode, normalise, run every network of a winner, average.

    python -m benchmarks.straight.predict WINNER IMAGES OUT

WINNER is the folder of a winner, whose networks are loaded as foldwise loads them. OUT gets the probabilities, in the order of the files' names.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

BATCH = 16


@torch.inference_mode()
def main():
    from foldwise.learning.checkpoints.saved import load_winner

    folder, images, out = map(Path, sys.argv[1:])
    torch.set_num_threads(1)
    winner = load_winner(folder, torch.device("cpu"))
    files, parts = sorted(images.rglob("*.png")), []
    for start in range(0, len(files), BATCH):
        pictures = [
            np.asarray(Image.open(file).convert("L"), np.float32) for file in files[start : start + BATCH]
        ]
        batch, means = torch.from_numpy(np.stack(pictures))[:, None], []
        for member in winner.members:
            norm = member.model.normalization
            means.append(member.network((batch - norm.mean[0]) / norm.std[0]).softmax(1))
        parts.append(torch.stack(means).mean(0).numpy())
    np.save(out, np.concatenate(parts))


if __name__ == "__main__":
    main()
