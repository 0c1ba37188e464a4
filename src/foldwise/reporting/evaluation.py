"""The page of an evaluation: scores on labelled images of another source, beside those of the study, and the worst images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foldwise.data.overlays import Pixels
from foldwise.judging.verdict import Verdict
from foldwise.judging.verdict_sections import ExternalSection
from foldwise.reporting.drawing.pictures import data_uri
from foldwise.reporting.pages import environment
from foldwise.reporting.predictions import legend_of
from foldwise.reporting.sections.images.gallery import MAX_BARS, ClassBar, Picture, ShownCase
from foldwise.reporting.sections.verdict.metrics import of_external
from foldwise.reporting.wording import count
from foldwise.storage import written_whole


@dataclass(frozen=True)
class EvaluatedImage:
    """One labelled image with what was predicted on it.

    Attributes:
        score: 0 to 1, the higher the better; by it the worst come first.
        truth, predicted: indices of classes; none of a segmentation.
        shares: of every class, its probability, or its share of the pixels.
        pictures: the image, and of a segmentation both outlines, each with its words.
        warning: why the score may say nothing of the model; empty where there is nothing to say.
    """

    name: str
    score: float
    truth: tuple[int, ...]
    predicted: tuple[int, ...]
    shares: tuple[float, ...]
    pictures: tuple[tuple[Pixels, str], ...]
    warning: str = ""


def _shown(image: EvaluatedImage, classes: Sequence[str]) -> ShownCase:
    """An image as the page shows it: its pictures, the classes with most of it, and what is true and was predicted."""
    largest = sorted(range(len(classes)), key=lambda k: -image.shares[k])[:MAX_BARS]
    labelled = len(image.pictures) == 1
    return ShownCase(
        image.name,
        f"{image.score:.2f}",
        [Picture(data_uri(pixels), words) for pixels, words in image.pictures],
        [
            ClassBar(classes[k], image.shares[k], k in image.truth, k in image.predicted or not labelled)
            for k in largest
        ],
        image.predicted == image.truth if labelled else None,
        ", ".join(classes[k] for k in image.truth) or "none",
        ", ".join(classes[k] for k in image.predicted) or "none",
    )


def write_evaluation(
    path: Path,
    external: ExternalSection,
    verdict: Verdict,
    worst: Sequence[EvaluatedImage],
    *,
    measure: str,
    notes: Sequence[str] = (),
) -> None:
    """A page with scores on labelled images elsewhere beside those of the study, and the worst images."""
    classes = list(verdict.classes)
    shown = [_shown(image, classes) for image in worst]
    segments = str(verdict.task).endswith("segmentation")
    page = (
        environment()
        .get_template("predictions.html.j2")
        .render(
            title=f"{external.name} on {Path(external.path).name}",
            external=of_external(external, verdict),
            pictures_title="The worst images",
            measure=measure,
            shown=shown,
            facts=[
                f"{count(external.num_images, 'image')}; evaluated with foldwise",
                f"{len(shown)} of {count(external.num_images, 'image')}, by {measure}, the lowest first.",
                *notes,
            ],
            legend=legend_of(classes) if segments else [],
            segments=segments,
            caution=None,
            warnings={image.name: image.warning for image in worst},
        )
    )
    with written_whole(path) as scratch:
        scratch.write_text(page, encoding="utf-8")
