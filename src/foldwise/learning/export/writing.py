"""Formats written into a folder, each proven on real images before it counts, and none of which half of it is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foldwise.data.formats.pixels import resize_image
from foldwise.errors import FoldwiseError
from foldwise.learning.export.exporters import EXPORTERS, Exporter
from foldwise.learning.export.handover import Handover
from foldwise.learning.export.proof import Agreement, Predictor, compared, of_other_sizes

MAX_SCORE_DIFFERENCE = 1e-6  # of the same metric on the same images: labels that differ would show


@dataclass(frozen=True)
class Exported:
    """What became of one format.

    Attributes:
        comparison: with foldwise itself; None where the format could not be written or run.
        any_size: whether it gives the same for images of other sizes, too.
        scores: of the images: the metric by foldwise, and by the format; empty where their truth is not known.
        refusal: why the file is not there; empty where it is.
    """

    format: str
    file: str
    title: str
    comparison: Agreement | None = None
    any_size: bool = False
    scores: tuple[float, ...] = ()
    refusal: str = ""

    def record(self) -> dict[str, Any]:
        """As export.json has it."""
        proof = self.comparison
        return {
            "format": self.format,
            "file": None if self.refusal else self.file,
            "refusal": self.refusal or None,
            "images": proof and proof.images,
            "max_difference": proof and proof.difference,
            "allowed": proof and proof.allowed,
            "labels": proof and proof.decisions,
            "labels_agree": proof and proof.agreed,
            "any_size": self.any_size,
            "scores": list(self.scores),
        }


def write_formats(
    handover: Handover, formats: Sequence[str], folder: Path, say: Callable[[str], None] = lambda _: None
) -> list[Exported]:
    """Write formats, and those that they are made of, into `folder`; what became of each, in the order of the table.

    A file that cannot be written, or that does not give what foldwise gives, is removed again. `say` is told which is made.
    """
    wanted = set(formats).union(*(EXPORTERS[name].made_of for name in formats))
    made: list[Exported] = []
    for name, row in EXPORTERS.items():
        if name not in wanted:
            continue
        lacking = [each.format for each in made if each.refusal and each.format in row.made_of]
        if len(lacking) == len(row.made_of) > 0:
            refusal = f"it is made of {' and '.join(lacking)}, which could not be written"
            made.append(Exported(name, row.file, row.title, refusal=refusal))
        else:
            say(f"Writing {row.file} and comparing it with foldwise")
            made.append(_written(name, row, handover, folder))
    return made


def _written(name: str, row: Exporter, handover: Handover, folder: Path) -> Exported:
    try:
        row.write(handover, folder)
        run = row.run(folder, handover.threads)
        exported = [run(batch) for batch in handover.batches]
        comparison = compared(exported, handover.wanted, several=handover.ensemble.several)
        scores = tuple(
            score for score in map(handover.score, (handover.wanted, exported)) if score is not None
        )
        equal = comparison.is_equal and np.allclose(
            scores, scores[:1] * len(scores), atol=MAX_SCORE_DIFFERENCE, equal_nan=True
        )
        if equal:
            any_size = _takes_any_size(row, run, handover)
            handover.any_size[row.file] = any_size
            return Exported(name, row.file, row.title, comparison, any_size, scores)
        refusal = f"it differs from foldwise: {comparison.sentence()}" + (
            f"; the score is {scores[1]:.6f} in place of {scores[0]:.6f}" if scores else ""
        )
    except FoldwiseError as error:
        comparison, scores, refusal = None, (), f"{error.what} {error.cure or ''}".strip()
    except Exception as error:  # whatever torch and other libraries meet in a network
        reason = (str(error).strip() or "no reason").splitlines()[0]
        comparison, scores, refusal = (
            None,
            (),
            f"it cannot be written ({type(error).__name__}: {reason:.200})",
        )
    (folder / row.file).unlink(missing_ok=True)
    return Exported(name, row.file, row.title, comparison, scores=scores, refusal=refusal)


def _takes_any_size(row: Exporter, run: Predictor, handover: Handover) -> bool:
    """Whether an exported model gives what foldwise gives for images of other sizes, too."""
    model, others = handover.winner.model, of_other_sizes(handover.batches[0])
    fed = others
    if row.resizes and model.resized and model.size_hw:
        size_hw = model.size_hw
        fed = [np.stack([resize_image(image, size_hw) for image in batch]) for batch in others]
    try:
        wanted = [handover.networks(batch) for batch in fed]
        return compared([run(batch) for batch in others], wanted, several=handover.ensemble.several).is_equal
    except Exception:  # whatever a network of one size, or a program, says to another
        return False
