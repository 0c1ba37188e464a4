"""Looks inside training as their item leaves them, of invented numbers: layers.npz and attention.npz."""

import numpy as np

from foldwise.runs.auxiliary import AuxiliaryItem

EPOCHS = (0, 1, 4, 9, 12)
CHOSEN = 9
BINS = 60


def look(folder, configuration, *, fold=0, repeat=0, **more):
    """A done look of a configuration, by id; its files are written by the functions below."""
    folder.mkdir(parents=True, exist_ok=True)
    result = {
        "status": "done",
        "fit": "fit-0",
        "configuration": configuration,
        "repeat": repeat,
        "fold": fold,
        "chosen_epoch": CHOSEN,
    }
    return AuxiliaryItem("landscape", {}, result | more, folder)


def write_layers(folder, *, layers=9, decay=1.0, zero=0.0, growth=1.0, seed=0):
    """Normal weights and log-normal gradients.

    Args:
        folder: of the look.
        layers: how many.
        decay: how many times smaller the gradient of a layer is than that of the next.
        zero: share of gradients of 0 in the second layer.
        growth: times the gradient grows from before training to the last epoch.
        seed: of the numbers.
    """
    rng = np.random.default_rng(seed)
    names = [f"encoder.block{n}.conv.weight" for n in range(layers - 1)] + ["head.weight"]
    sizes = np.array([80 * 4 ** min(n, 5) for n in range(layers)])
    weight_edges = np.array([np.linspace(-1, 1, BINS + 1) * 0.5 for _ in range(layers)])
    log_edges = np.linspace(-12, 2, BINS + 1)
    E, N = len(EPOCHS), layers
    weights, gradients = np.zeros((E, N, BINS)), np.zeros((E, N, BINS))
    zeros = np.full((E, N), 0.01)
    zeros[:, 1] = max(zero, 0.01)
    weight_norm, gradient_norm = np.zeros((E, N)), np.zeros((E, N))
    for e in range(E):
        for n in range(N):
            w = rng.normal(0, 0.06 + 0.01 * e + 0.004 * n, sizes[n])
            size = 1e-2 * decay ** -(N - 1 - n) * growth ** (e / (E - 1)) / (1 + 0.4 * e)
            g = rng.normal(0, size, sizes[n])
            weights[e, n] = np.histogram(w, weight_edges[n])[0]
            gradients[e, n] = np.histogram(np.log10(np.abs(g)), log_edges)[0]
            weight_norm[e, n], gradient_norm[e, n] = np.linalg.norm(w), np.linalg.norm(g)
    arrays = {
        "epochs": np.array(EPOCHS, np.int32),
        "names": np.array(names),
        "sizes": sizes,
        "weight_edges": weight_edges,
        "weight_counts": weights,
        "log_gradient_edges": log_edges,
        "log_gradient_counts": gradients,
        "gradient_zero": zeros,
        "weight_norm": weight_norm,
        "gradient_norm": gradient_norm,
    }
    np.savez(folder / "layers.npz", **arrays)
    return arrays


def write_attention(folder, cases, targets, classes, *, size=14, seed=0):
    """Spots that wander to the middle while the probability of the target grows; the last image is never found."""
    rng, E = np.random.default_rng(seed), len(EPOCHS)
    y, x = np.mgrid[0:size, 0:size] / (size - 1)
    p = np.zeros((E, len(cases), classes), np.float32)
    maps = {}
    for place, (case, target) in enumerate(zip(cases, targets, strict=True)):
        start = rng.uniform(0.1, 0.9, 2)
        drawn = []
        for e in range(E):
            middle = start + (0.5 - start) * e / (E - 1)
            drawn.append(
                np.exp(-((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / 0.03) * (0.3 + 0.7 * e / (E - 1))
            )
        last = place == len(cases) - 1
        maps[str(case)] = np.array(drawn, np.float32) * (0 if last else 1)
        for e in range(E):
            own = 0.1 if last else (1 + e) / (E + 1)
            p[e, place] = (1 - own) / (classes - 1)
            p[e, place, target] = own
    arrays = {
        "cases": np.array(cases, np.int32),
        "epochs": np.array(EPOCHS, np.int32),
        "target": np.array(targets, np.int32),
        "shape": np.array([[size, size]] * len(cases), np.int32),
        "p": p,
    }
    np.savez(folder / "attention.npz", **arrays, **maps)
    return arrays | maps
