"""`foldwise evaluate`: a finished run on labelled images of another source: scores with intervals, and the worst images.

The code is that of `data.external`, the external set that a study states before it is run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from foldwise.csv_cells import TableWriter
from foldwise.data.audit.pixel_sizes import file_of, pixel_sizes
from foldwise.data.cases import Case, Dataset
from foldwise.data.external_set import ExternalSet, read_external
from foldwise.data.formats.pixels import PixelUm
from foldwise.data.layouts.files import require_folder
from foldwise.data.novelty import UNLIKE_P, Novelty
from foldwise.data.overlays import displayed, overlay
from foldwise.errors import FoldwiseError, RunError, SpecError, unknown
from foldwise.judging.judge import judged_elsewhere
from foldwise.judging.verdict import read_verdict
from foldwise.judging.verdict_sections import ExternalSection
from foldwise.learning.checkpoints.winner import training_images, why_unknown
from foldwise.learning.prediction_files import other_pixels, other_pixels_sentence
from foldwise.metrics.outputs import FAMILIES
from foldwise.pipeline.devices import refuse_device
from foldwise.pipeline.hand_over import ModelChoice, model_of, own_code_of
from foldwise.pipeline.mending import files_of, packed_of
from foldwise.pipeline.options import UNWATCHED, Watch
from foldwise.pipeline.preparing import lay_out_external
from foldwise.reporting.evaluation import EvaluatedImage, write_evaluation
from foldwise.runs.folder import RunFolder, read_json
from foldwise.runs.paths import external_scores
from foldwise.sealed import read_table
from foldwise.sealed_arrays import read_arrays
from foldwise.storage import write_json, written_whole
from foldwise.study.spec import DataSpec, ExternalData
from foldwise.study.validation_errors import with_options

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed

RECORD, PAGE, IMAGES = "evaluation.json", "evaluation.html", "images.csv"
NUM_SHOWN = 24  # of the worst images
MEASURES = {"segmentation": "Dice", "multilabel": "mean probability of the right answers"}
MEASURE = "probability of the true class"
UNCHECKED = "The images of the study are not here, so nobody has looked whether some of these pictures were trained on."


@dataclass(frozen=True, repr=False)
class Evaluation:
    """What a configuration scores on labelled images elsewhere.

    Attributes:
        section: the scores, as ``external`` of the verdict has them.
        folder: ``evaluation.html``, ``evaluation.json``, ``images.csv`` and what they are made of.
        worst: names of the images, the worst first, each with its score between 0 and 1.
        notes: what to know of the comparison.
    """

    section: ExternalSection
    folder: Path
    worst: tuple[tuple[str, float], ...]
    notes: tuple[str, ...] = ()

    @property
    def page(self) -> Path:
        """The page."""
        return self.folder / PAGE

    def __repr__(self) -> str:
        return "\n".join((self.section.sentence, *self.notes))


def evaluate(  # noqa: PLR0913 - each is a thing of its own
    run: Path,
    images: Path,
    out: Path | None = None,
    *,
    configuration: str | None = None,
    labels: Mapping[str, Any] | None = None,
    device: str = "auto",
    trust_code: bool = False,
    watch: Watch = UNWATCHED,
) -> Evaluation:
    """Score a finished run on a labelled folder that nothing was trained or chosen on.

    Args:
        run, images: a run folder; the labelled images, laid out in any way that a study reads.
        out: gets the page, the scores as JSON and a row per image; an earlier evaluation in it is replaced.
            ``<run>-on-<folder>`` where None.
        configuration: by name or id; the winner by default.
        labels, device: keys of `data.external`, where the layout does not say everything; auto, cpu, cuda or mps.
        trust_code, watch: whether own code that the run folder names may be run; is told what is being done.

    Raises:
        RunError, SpecError: the run has no winner yet, or the configuration no network; `out` holds something else.
        DataError: the images cannot be read, or do not go with the study, or some are in it.
    """
    refuse_device(device)
    out = out or Path(f"{run.resolve().name}-on-{images.resolve().name}")
    model = _model_for(run, out, configuration)
    folder = RunFolder.open(run)
    record = read_json(model / "model.json")
    members = record["members"]
    external, notes = _read(folder, images, labels or {}, members[0]["model"], watch)
    fits = [str(member["fit"]) for member in members]
    with own_code_of(model, trust_code):
        scores = _scored(folder, model, external, out, fits=fits, device=device, watch=watch)
        section = judged_elsewhere(folder, out, _configuration_of(folder, fits[0]))
        if section is None:
            raise RunError(f"{run} has no fits that are done", cure="foldwise run goes on with it.")
        each = _each(scores, external, several=str(members[0]["model"]["task"]).startswith("multilabel"))
        novelties, warnings, sentences = _compared(model, external, record.get("pixel_um"), watch)
        drawn = _drawn(model, external, each, device)
        worst = [replace(image, warning="; ".join(warnings[image.name])) for image in drawn]
    notes += sentences
    measure = MEASURES.get(FAMILIES[external.dataset.task], MEASURE)
    write_evaluation(out / PAGE, section, read_verdict(folder.verdict), worst, measure=measure, notes=notes)
    _write_table(out / IMAGES, external.dataset, each, novelties, warnings)
    write_json(out / RECORD, section.model_dump(mode="json") | {"notes": list(notes)})
    names = [case.name for case in external.dataset.cases]
    scored = tuple((names[index], float(each[index])) for index in np.argsort(each, kind="stable"))
    return Evaluation(section, out, scored, tuple(notes))


def _compared(
    model: Path, external: ExternalSet, training: PixelUm | None, watch: Watch
) -> tuple[list[Novelty], dict[str, list[str]], list[str]]:
    """How unlike the training images each image is, its warnings by name, and what to say of all.

    Args:
        training: the pixel size of the training images, where it is known.
    """
    like, cases = training_images(model), external.dataset.cases
    watch.say("Comparing the images with those of the training")
    sizes = {} if training is None else pixel_sizes(external.dataset, len(cases))
    novelties, warnings = [], {}
    for index, case in enumerate(cases):
        watch.show(index, len(cases))
        novelties.append(like.novelty(external.packed.image(index)))
        warnings[case.name] = other_pixels(sizes.get(file_of(case)), training) + novelties[-1].warning
    sentences = other_pixels_sentence(list(warnings.values()), training)
    return novelties, warnings, [*sentences, *like.sentence(warnings), *why_unknown(like)]


def _scored(
    folder: RunFolder,
    model: Path,
    external: ExternalSet,
    out: Path,
    *,
    fits: list[str],
    device: str,
    watch: Watch,
) -> Path:
    """The folder of the scores of these networks on the images; scored where they were not before."""
    lay_out_external(external, out)
    scores = external_scores(out, fits)
    assert scores is not None  # it was laid out
    if not scores.is_dir():
        from foldwise.learning.external_scores import write_external_scores

        threads = folder.load_study().threads
        watch.say("Scoring images")
        how: dict[str, Any] = {"device": device, "threads": threads, "progress": watch.show}
        write_external_scores(model, external.packed, scores, **how)
    return scores


def _model_for(run: Path, out: Path, configuration: str | None) -> Path:
    """The folder of the model that is evaluated; raises where `out` is taken, or the run of the model is not there."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / RECORD).is_file())):
        what = f"{out} holds what is no evaluation, and would be lost"
        raise SpecError(what, where="--out", cure="Name a folder that is not there yet.")
    model = model_of(run, ModelChoice(configuration))
    if model == run:
        what = "a model that was handed over has no study to compare with"
        raise RunError(what, cure="Name the folder of the run.")
    return model


def _configuration_of(folder: RunFolder, fit: str) -> str:
    """The id of the configuration that a fit is of."""
    return next(str(item.settings["configuration"]) for item in folder.load_plan().items if item.id == fit)


def _read(
    folder: RunFolder, images: Path, labels: Mapping[str, Any], saved: Mapping[str, Any], watch: Watch
) -> tuple[ExternalSet, list[str]]:
    """The labelled images, checked against those of the study as far as these are here; and what was not checked."""
    study, notes = folder.load_study(), []
    keys = [key for key in ExternalData.model_fields if key != "path"]
    for key in labels:
        if key not in keys:
            raise unknown(key, keys, "setting of labelled images", where="--set")
    require_folder(images)
    stated = with_options(ExternalData(path=str(images.resolve())), labels, under="labelled images")
    validation = study.validate_
    packed: Packed
    try:
        dataset, data = files_of(folder)
        packed = packed_of(folder)
    except FoldwiseError:
        data = DataSpec.model_validate(study.data.model_dump(exclude_defaults=True))
        dataset, packed = _recorded(folder, saved)
        validation = validation.model_copy(update={"near_duplicates": "ignore"})
        notes.append(UNCHECKED)
    data = data.model_copy(update={"external": stated})
    how: dict[str, Any] = {"base": Path.cwd(), "validation": validation, "progress": watch.show}
    watch.say("Reading the images")
    try:
        external = read_external(data, dataset, packed, **how)
    except FoldwiseError as error:
        if error.where and error.where.startswith("data."):  # nobody wrote a study of them
            error.where = str(images)
        raise
    assert external is not None  # it is stated
    return external, notes


def _recorded(folder: RunFolder, saved: Mapping[str, Any]) -> tuple[Dataset, Packed]:
    """What the run recorded of its images, as far as others are compared with them."""
    audited, rows = read_json(folder.audit), read_table(folder.cases)
    cases = tuple(
        Case(index, row["name"], row["image"], None, (), row["group"] or None)
        for index, row in enumerate(rows)
    )
    dataset = Dataset(
        folder.root,
        audited["task"],
        tuple(audited["classes"]),
        cases,
        audited["layout"],
        (),
        None,
        channels=tuple(audited.get("channels", ())),
    )
    sizes = np.array([[int(row["height"]), int(row["width"])] for row in rows])
    packed = SimpleNamespace(num_channels=saved["num_channels"], dtype=saved["dtype"], shapes=sizes)
    return dataset, cast("Packed", packed)


def _each(scores: Path, external: ExternalSet, *, several: bool) -> np.ndarray:
    """(n,) of every image a score between 0 and 1, by which the worst are found; see `MEASURES`."""
    cases = external.dataset.cases
    each = np.ones(len(cases))
    if external.dataset.task.endswith("segmentation"):
        whole = read_arrays(scores / "together.npz", ("case", "confusion"))
        counts_NKK = whole["confusion"].astype(np.float64)
        hits_NK = np.diagonal(counts_NKK, axis1=1, axis2=2)[:, 1:]
        sizes_NK = (counts_NKK.sum(1) + counts_NKK.sum(2))[:, 1:]
        dice_NK = np.where(sizes_NK > 0, 2 * hits_NK / np.maximum(sizes_NK, 1), np.nan)
        # An image without any class, of which none was predicted, is right.
        there = np.isfinite(dice_NK)
        values = np.where(there.any(1), np.nansum(dice_NK, axis=1) / np.maximum(there.sum(1), 1), 1.0)
    else:
        whole = read_arrays(scores / "together.npz", ("case", "probabilities"))
        truth_NK = np.zeros(whole["probabilities"].shape, bool)
        for row, case in enumerate(whole["case"].tolist()):
            truth_NK[row, list(cases[case].labels)] = True
        p_NK = whole["probabilities"].astype(np.float64)
        values = np.where(truth_NK, p_NK, 1 - p_NK).mean(1) if several else (p_NK * truth_NK).sum(1)
    each[whole["case"].astype(np.int64)] = values
    return each


def _drawn(model: Path, external: ExternalSet, each: np.ndarray, device: str) -> list[EvaluatedImage]:
    """The worst images as they were seen, with what all networks together say of them."""
    from foldwise.learning.checkpoints.saved import load_winner
    from foldwise.learning.runtimes import TorchRuntime
    from foldwise.learning.training.devices import pick_device

    picked = pick_device("auto", device)
    loaded = load_winner(model, picked)
    runtime, drawn = TorchRuntime(loaded, picked), []
    for index in np.argsort(each, kind="stable")[:NUM_SHOWN].tolist():
        case, image_CHW = external.dataset.cases[index], external.packed.image(index)
        p = runtime(image_CHW[None])[0]
        judged = EvaluatedImage(
            case.name,
            float(each[index]),
            case.labels,
            (),
            tuple(p.tolist()),
            ((displayed(image_CHW), "image"),),
        )
        if p.ndim == 3:
            labels_HW = p.argmax(0).astype(np.uint8)
            shares = np.bincount(labels_HW.ravel(), minlength=len(p)) / labels_HW.size
            masks = {"label": external.packed.target(index).astype(np.uint8), "prediction": labels_HW}
            pictures = [(overlay(image_CHW, mask_HW), words) for words, mask_HW in masks.items()]
            judged = replace(judged, shares=tuple(shares.tolist()), pictures=(*judged.pictures, *pictures))
        else:
            judged = replace(judged, predicted=tuple(loaded.decided(p)))
        drawn.append(judged)
    return drawn


def _write_table(
    path: Path,
    dataset: Dataset,
    each: np.ndarray,
    novelties: Sequence[Novelty],
    warnings: Mapping[str, Sequence[str]],
) -> None:
    """A row per image, the worst first."""
    with written_whole(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        table = TableWriter(file)
        table.row(["image", "score", UNLIKE_P, "warning"])
        for index in np.argsort(each, kind="stable").tolist():
            name, own = dataset.cases[index].name, novelties[index]
            table.row([name, f"{each[index]:.6f}", own.cell, "; ".join(warnings[name])])
