"""Fits of heads beside a bare loop: the features of all images at once, a head, an optimiser, epochs, a validation after each."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from benchmarks.measuring import Figure
from benchmarks.straight.finished_run import Fit, network_of, optimizer_of, order_of, read_fits
from benchmarks.table import Equality, Measured

SAME_P = 1e-3


class Heads:
    """The heads of a finished run with one frozen encoder, fitted again by both."""

    def __init__(self, run: Path, images: Path) -> None:
        from foldwise.runs.folder import RunFolder

        torch.set_num_threads(1)
        self.folder = RunFolder(run)
        self.items = {item.id: item for item in self.folder.load_plan().items}
        self.fits = [fit for fit in read_fits(run) if fit.training["optimizer"]["name"] == "adam"]
        self.features, self.labels = self._features(images)

    @torch.no_grad()
    def _features(self, images: Path) -> tuple[torch.Tensor, torch.Tensor]:
        """Of all cases, by the encoder that all fits share; and their labels."""
        fit = self.fits[0]
        rows = {int(row["index"]): row for part in fit.parts.values() for row in part}
        model = json.loads((self.folder.done(fit.id) / "model.json").read_text(encoding="utf-8"))
        norm = model["normalization"]
        pictures = [
            np.asarray(Image.open(images / rows[case]["image"]).convert("L"), np.float32)
            for case in sorted(rows)
        ]
        batch = torch.from_numpy((np.stack(pictures) - norm["mean"][0]) / norm["std"][0])[:, None].float()
        network = network_of(fit, 1, tuple(batch.shape[2:])).eval()
        labels = torch.tensor([int(rows[case]["labels"]) for case in sorted(rows)])
        return network.features(batch), labels

    def measured(self, rounds: int) -> Measured:
        """Both take turns, fit by fit; the ratio of each round is over the fits of all folds."""
        ours_s: dict[str, list[float]] = {}
        bare_s: dict[str, list[float]] = {}
        apart: list[float] = []
        for turn in range(rounds + 1):  # the first loads what both import
            took = {(head, way): 0.0 for head in ("linear", "mlp") for way in ("ours", "bare")}
            for fit in self.fits:
                head = fit.training["head"]["name"]
                best_epoch, seconds = self._again(fit)
                took[head, "ours"] += seconds
                p, seconds = self._bare(fit, best_epoch)
                took[head, "bare"] += seconds
                if head == "linear":  # another stream of dropout is another fit
                    apart.append(self._difference(fit, p))
            for (head, way), seconds in took.items():
                (ours_s if way == "ours" else bare_s).setdefault(head, []).extend([seconds] * bool(turn))
        figures = {
            head: Figure.of([our / bare for our, bare in zip(ours_s[head], bare_s[head], strict=True)])
            for head in ours_s
        }
        each = {head: 1000 * statistics.median(ours_s[head]) / (len(self.fits) / 2) for head in ours_s}
        remarks = tuple(f"{head}: {ms:.0f} ms of CPU a fit" for head, ms in each.items())
        return Measured(
            figures,
            Equality.within(max(apart), SAME_P, "probabilities of test folds, linear heads"),
            "",
            remarks,
        )

    def _again(self, fit: Fit) -> tuple[int, float]:
        """The fit done again by foldwise, with its files and its commit: its best epoch, and CPU seconds."""
        from foldwise.pipeline.worker import do_item

        self.folder.withdraw(fit.id)
        began = time.process_time()
        result = do_item(self.folder, self.items[fit.id], device="cpu", log=lambda line: None)
        return result["best_epoch"], time.process_time() - began

    def _bare(self, fit: Fit, best_epoch: int) -> tuple[np.ndarray, float]:
        """The probabilities of the test fold at an epoch, and CPU seconds of all epochs and one look at the test fold."""
        network = network_of(
            fit, 1, (64, 64)
        )  # what a bare fit begins with; to build the encoder is no part of it
        head, orders = network.head, [order_of(fit, epoch) for epoch in range(1, fit.training["epochs"] + 1)]
        parts = {name: torch.from_numpy(cases) for name, cases in fit.cases.items()}
        p = torch.empty(0)
        began = time.process_time()
        optimizer = optimizer_of(fit, head)
        features = {name: self.features[cases] for name, cases in parts.items()}
        labels = {name: self.labels[cases] for name, cases in parts.items()}
        for epoch, order in enumerate(orders, 1):
            head.train()
            for places in order:
                batch = torch.from_numpy(places)
                loss = F.cross_entropy(head(features["train"][batch]), labels["train"][batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            head.eval()
            with torch.no_grad():
                F.cross_entropy(head(features["validation"]), labels["validation"]).item()
                if epoch == best_epoch:
                    p = head(features["test"]).softmax(1)
        return p.numpy(), time.process_time() - began

    def _difference(self, fit: Fit, p: np.ndarray) -> float:
        with np.load(self.folder.done(fit.id) / "scores.npz") as ours:
            order = [int(np.flatnonzero(fit.cases["test"] == case)[0]) for case in ours["case"]]
            own = ours["probabilities"]
        other = p[order] if own.shape == p.shape else p[order][:, 1].reshape(own.shape)
        return float(np.abs(own - other).max())
