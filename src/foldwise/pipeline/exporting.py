"""`foldwise export`: a model in forms that other programs run, each proven on real images, with a model card."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foldwise.data.folds.splits import cases_tested, read_splits
from foldwise.errors import MissingExtra, RunError, SpecError, choose
from foldwise.judging.verdict import Verdict
from foldwise.learning.checkpoints.winner import digest_of_networks
from foldwise.learning.export.handover import weights_licence
from foldwise.learning.export.proof import in_batches
from foldwise.metrics.outputs import FAMILIES
from foldwise.metrics.table import Metric, find_metric
from foldwise.pipeline.hand_over import ModelChoice, chosen, model_of, own_code_of
from foldwise.pipeline.mending import packed_of
from foldwise.pipeline.model_card import CardFacts, card_facts, model_card, side_um
from foldwise.pipeline.options import UNWATCHED, Watch
from foldwise.runs.folder import RunFolder
from foldwise.runs.share import NEW_FOLDER, refuse_file
from foldwise.sealed import seal
from foldwise.storage import folder_replaced

if TYPE_CHECKING:
    from foldwise.learning.checkpoints.saved import Winner
    from foldwise.learning.export.handover import Handover
    from foldwise.learning.export.writing import Exported
    from foldwise.learning.runtimes import TorchRuntime

RECORD, CARD = "export.json", "MODEL_CARD.md"
MAX_IMAGES = 24  # of a proof


@dataclass(frozen=True)
class ExportOptions:
    """What the user says of an export.

    Attributes:
        formats: rows of `EXPORTERS`; all that can be written where none is stated.
        choice: which model of the run.
        images: a folder of images to prove the formats on; the test images of the run where None.
        authors, licence: of the model.
        pixel_um: the side of a pixel of the training images; where None, as the study or its files state it.
        ort_web: the npm package of onnxruntime for browsers; of the page.
        examples: how many test images the page may show.
    """

    formats: tuple[str, ...] = ()
    choice: ModelChoice = field(default_factory=ModelChoice)
    images: Path | None = None
    authors: tuple[str, ...] = ()
    licence: str | None = None
    pixel_um: float | None = None
    ort_web: Path | None = None
    examples: int = 0


@dataclass(frozen=True, repr=False)
class Export:
    """What an export gave: the files with their proofs, formats that were left out and why, and what to know of the model."""

    folder: Path
    exported: tuple[Exported, ...]
    left_out: dict[str, str]
    warnings: tuple[str, ...]
    examples: int = 0

    @property
    def refused(self) -> tuple[str, ...]:
        """In a sentence each, which files were not written, and why."""
        return tuple(f"{each.file} was not written: {each.refusal}" for each in self.exported if each.refusal)

    def sentences(self) -> Iterator[str]:
        """What was written and how it was proven, what was left out, and what others will see of the images."""
        proven = [each for each in self.exported if not each.refusal]
        for each in proven:
            if each.comparison is not None:
                sizes = "" if each.any_size else "; for images of the training size only"
                yield f"{each.file}: {each.comparison.sentence()}{sizes}"
        yield from (f"{name} is left out: {why}" for name, why in self.left_out.items())
        formats = {each.format for each in proven}
        if "bioimageio" in formats:
            yield "bioimageio.zip shows two images of the study: its cover and its test tensor."
        if "try-it" in formats and self.examples:
            yield "try-it.html shows images of the study to whoever gets it, as its examples."
        yield f"export: {self.folder} (read {CARD} before you pass it on)"

    def __repr__(self) -> str:
        return "\n".join((*self.refused, *self.warnings, *self.sentences()))


def export(
    run: Path,
    out: Path | None = None,
    options: ExportOptions = ExportOptions(),
    *,
    trust_code: bool = False,
    watch: Watch = UNWATCHED,
) -> Export:
    """Write a model of a run, or one that was handed over, into `out`, whole or not at all.

    Args:
        out: a folder that is not there yet, is empty, or holds an earlier export, which is replaced. ``<run>-export``
            where None, with the names of the configuration and the fold that are stated.
        trust_code: whether own code that the folder names may be run.
        watch: is told what is being done.

    Raises:
        SpecError: a format does not exist, lacks an author or a licence, or `out` holds something else.
        MissingExtra: a package that a format needs is not installed.
        RunError: there is no such model; there are no images for the proof; or a format that was asked for cannot be written,
            or differs from what foldwise says.
    """
    winner = model_of(run, options.choice)
    folder = None if winner == run else RunFolder.open(run)
    out = out or _beside(run, options.choice)
    _refuse_to_replace(out)
    with own_code_of(winner, trust_code):
        return _export(winner, folder, out, options, watch)


def _beside(run: Path, choice: ModelChoice) -> Path:
    """A folder here of a name that tells the models of a run apart: ``cells-unet-fold-2-export``."""
    fold = "" if choice.fold is None else f"fold-{choice.fold}"
    words = (re.sub(r"[^\w.=]+", "-", word).strip("-.") for word in (choice.configuration or "", fold))
    return Path("-".join([run.resolve().name, *filter(None, words), "export"]))


def _refuse_to_replace(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()) and not (out / RECORD).is_file():
        what = f"{out} holds files that are no export, and would be lost"
        raise SpecError(what, where="--out", cure=NEW_FOLDER)
    refuse_file(out)


def _export(
    winner: Path, folder: RunFolder | None, out: Path, options: ExportOptions, watch: Watch
) -> Export:
    import torch

    from foldwise.learning.checkpoints.saved import load_winner
    from foldwise.learning.export.exporters import EXPORTERS
    from foldwise.learning.export.writing import write_formats
    from foldwise.learning.runtimes import TorchRuntime, keep_graph

    cpu = torch.device("cpu")
    loaded = load_winner(winner, cpu)
    options = replace(options, pixel_um=options.pixel_um or side_um(loaded))
    weights = weights_licence(loaded.model.training)
    stated: dict[str, Any] = {"authors": options.authors, "licence": options.licence}
    facts = card_facts(winner, folder, loaded, weights, pixel_um=options.pixel_um, **stated)
    if facts.verdict is not None:
        facts = replace(facts, title=facts.title + _of_choice(facts.verdict, options.choice))
    watch.say("Reading the images of the proof")
    images = _proof_images(loaded, folder, options)
    handover = _handover(loaded, TorchRuntime(loaded, cpu), images, facts, options)
    formats, left_out = _chosen(options.formats, handover)
    with folder_replaced(out) as scratch:
        exported = write_formats(handover, formats, scratch, watch.say)
        _refuse_refused(exported, options.formats, formats)
        (scratch / CARD).write_text(model_card(facts, exported), encoding="utf-8")
        record = {"about": facts.about, "networks": digest_of_networks(winner), "weights": asdict(weights)}
        proofs = {"formats": [each.record() for each in exported], "left_out": left_out}
        seal(scratch / RECORD, record | proofs, [path for path in scratch.iterdir() if path.is_file()])
    if any(each.format == "onnx" and not each.refusal for each in exported):
        with suppress(OSError):  # the folder of somebody else
            keep_graph(winner, out / EXPORTERS["onnx"].file)
    cautions = [weights.caution, str(facts.model.get("caution") or "")]
    return Export(out, tuple(exported), left_out, tuple(filter(None, cautions)), options.examples)


def _of_choice(verdict: Verdict, choice: ModelChoice) -> str:
    """What is added to the title of a study where another model than the winner is exported."""
    if choice == ModelChoice():
        return ""
    of_fold = "" if choice.fold is None else f", fold {choice.fold} alone"
    return f": {chosen(verdict, choice.configuration).name}{of_fold}"


def _handover(
    loaded: Winner,
    networks: TorchRuntime,
    images: tuple[list[np.ndarray], list[np.ndarray]],
    facts: CardFacts,
    options: ExportOptions,
) -> Handover:
    import torch

    from foldwise.learning.export.handover import Handover

    classes = ", ".join(loaded.model.classes)
    return Handover(
        loaded,
        networks,
        *images,
        metric=_metric(loaded.model.task, facts.verdict),
        about=facts.about,
        title=facts.title,
        description=f"{loaded.model.task.replace('_', ' ')}: {classes}. {facts.about['answer'] or facts.about['score']}",
        card=model_card(facts),
        authors=options.authors,
        licence=options.licence,
        pixel_um=options.pixel_um,
        threads=torch.get_num_threads(),
        ort_web=options.ort_web,
        examples=options.examples,
    )


def _metric(task: str, verdict: Verdict | None) -> Metric | None:
    """That of the verdict where decisions alone decide it; else a usual one that they do."""
    family = FAMILIES[task]
    usual = {"multilabel": "label_accuracy", "segmentation": "dice_img_macro"}.get(family, "accuracy")
    named = None if verdict is None else find_metric(verdict.metric.name, family)
    return named if named is not None and named.needs == "decisions" else find_metric(usual, family)


def _chosen(stated: Sequence[str], handover: Handover) -> tuple[list[str], dict[str, str]]:
    """The formats that are written, and of the others why not; what was stated and cannot be is an error."""
    from foldwise.learning.export.exporters import EXPORTERS

    formats, left_out = [], {}
    for name in stated or [name for name, row in EXPORTERS.items() if row.by_default]:
        row = choose(EXPORTERS, name, "format", where="--format")
        lacks = row.lacks(handover)
        try:
            if lacks:
                what = f"a {name} file names its authors and its licence"
                raise SpecError(what, where="--format", cure=f"Add {' and '.join(lacks)}.")
            row.refuse_without_modules()
            row.refuse(handover)
        except (SpecError, MissingExtra) as error:
            if stated:
                raise
            left_out[name] = f"{error.what}. {error.cure}"
        else:
            formats.append(name)
    if not formats:
        raise MissingExtra("no format can be written", cure="pip install 'foldwise[export]'")
    return formats, left_out


def _refuse_refused(exported: Sequence[Exported], stated: Sequence[str], formats: Sequence[str]) -> None:
    """Raise where a format that was stated was refused, or none is left."""
    refused = [each for each in exported if each.refusal and each.format in (stated or formats)]
    if stated and refused:
        first = refused[0]
        raise RunError(f"{first.file} was not written: {first.refusal}", cure="Use another --format.")
    if len(refused) == len(formats):
        what = f"no format could be written; {refused[0].file}: {refused[0].refusal}"
        raise RunError(what, cure="Export another --configuration, or please report it with this message.")


def _proof_images(
    loaded: Winner, folder: RunFolder | None, options: ExportOptions
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Real images as they are fed to the networks, in batches of one size, and their truth where it is known."""
    if options.images is not None:
        from foldwise.learning.on_arrays import some_fed

        return in_batches([(image, None) for image in some_fed(loaded, options.images, MAX_IMAGES)])
    if folder is None:
        what = "the model came without its run, so there are no images to prove the formats on"
        raise RunError(what, cure="Name a folder of images like those it was trained on, with --images.")
    packed, splits, fold = packed_of(folder), read_splits(folder.splits), options.choice.fold
    # The network of one fold has seen the test images of all others.
    tested = cases_tested(
        [each for each in splits if fold is None or (each.repeat, each.fold) == (0, fold - 1)]
    )
    evenly = np.unique(np.linspace(0, len(tested) - 1, min(MAX_IMAGES, len(tested))).round().astype(int))
    truth = packed.target if loaded.model.task.endswith("segmentation") else packed.labels.__getitem__
    return in_batches([(packed.image(case), truth(case)) for case in tested[evenly].tolist()])
