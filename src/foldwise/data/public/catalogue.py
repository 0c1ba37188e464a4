"""The data sets that are known by name. Adding one is a row here and a conversion function.

What is not known is said: no size, licence or checksum here is a guess.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from foldwise.data.public import conversions
from foldwise.data.public.conversions import Progress, paths_of
from foldwise.data.public.volumes import FILES, IMAGES, convert_official, convert_with_zi, fetch_task2
from foldwise.study.training import Task


@dataclass(frozen=True)
class Web:
    """One file at an address. A `sha256` of None is not known here: the first download's is kept and checked."""

    url: str
    file_name: str
    sha256: str | None = None


@dataclass(frozen=True)
class Kaggle:
    """A data set, or a competition, of Kaggle: ``owner/name``, or the name of the competition."""

    slug: str
    competition: bool = False

    @property
    def url(self) -> str:
        """The page with the terms, where an account accepts them."""
        return f"https://www.kaggle.com/{'competitions' if self.competition else 'datasets'}/{self.slug}"


@dataclass(frozen=True)
class Cutouts:
    """Parts cut out of volumes in an image database by `fetch(folder, progress)`, which writes whole files.

    Sources with the same `shelf` share what was fetched.
    """

    url: str
    shelf: str
    fetch: Callable[[Path, Progress], None]


@dataclass(frozen=True)
class ByHand:
    """Nothing to download is known: `how` says where a copy may come from."""

    how: str


Origin = Web | Kaggle | Cutouts | ByHand


@dataclass(frozen=True)
class Source:
    """One public data set.

    Attributes:
        size_mb: of the images and their masks as they are published (10^6 bytes); None where it is not known.
        original: the files and folders that a local copy must hold.
        convert: from the folder of the original to the (empty) folder of the result; returns what was done in
            sentences. It reads the original and changes nothing in it.
        notes: what one should know before judging models on it: splits, groups, traps.
        study: the lines of a study file that this set needs beside its path; may be empty.
        as_it_is: whether foldwise reads the original as it is published, so that a copy need not be laid out.
    """

    name: str
    title: str
    task: Task
    licence: str
    citation: str
    origin: Origin
    original: tuple[str, ...]
    convert: Callable[[Path, Path, Progress], tuple[str, ...]]
    size_mb: float | None = None
    notes: tuple[str, ...] = ()
    study: str = ""
    as_it_is: bool = False

    @property
    def shelf(self) -> str:
        """The name of the folder that keeps its downloads."""
        return self.origin.shelf if isinstance(self.origin, Cutouts) else self.name

    @property
    def where(self) -> str:
        """Where it comes from, in one line."""
        return self.origin.how if isinstance(self.origin, ByHand) else self.origin.url


GITHUB = "https://github.com"
_TISSUE = "data: {classes: [background, blood vessel, cell, axon]}"
_ONE_BRAIN = (
    "All regions are cut from one volume: leaving a region out tests another place, not another animal."
)
_NEXT_SLICES = (
    "The official parts are slices of the same regions, 1 slice apart (train, val) and 11 (val, test)."
)

_MTNEURO = Source(
    name="mtneuro",
    title="MTNeuro task 2: blood vessels, cells and axons in slices of a brain volume",
    task="multiclass_segmentation",
    licence="CC BY 4.0",
    citation="MTNeuro benchmark, task 2 (2D, 4 classes); BossDB: prasad/prasad2020",
    origin=Cutouts(IMAGES, "mtneuro_task2", fetch_task2),
    original=FILES,
    convert=convert_official,
    notes=("1044 slices of 256×256 (807, 87, 150) of cortex, striatum and VP.", _NEXT_SLICES, _ONE_BRAIN),
    study=f"{_TISSUE}\nvalidate: {{folds: 3, group: group}}",
)
_MTNEURO_ZI = replace(
    _MTNEURO,
    name="mtneuro_zi",
    title="MTNeuro task 2 with the region ZI, which the official task leaves out",
    convert=convert_with_zi,
    notes=(
        "1392 slices of 256×256 (1076, 116, 200); numbers do not compare with the official task.",
        _NEXT_SLICES,
        _ONE_BRAIN,
    ),
    study=f"{_TISSUE}\nvalidate: {{folds: 4, group: group}}",
)

_ROWS = (
    Source(
        name="fives",
        title="FIVES: vessels in photographs of the retina",
        task="binary_segmentation",
        licence="see the page of the data set (figshare article 19688169)",
        citation="Jin et al. 2022, Scientific Data 9:475, doi:10.1038/s41597-022-01564-3",
        origin=Web("https://figshare.com/ndownloader/files/34969398", "FIVES.rar"),
        original=paths_of(conversions.FIVES),
        convert=conversions.convert_fives,
        notes=(
            "800 RGB images of 2048×2048: 600 train, 200 test; 200 each of diabetic retinopathy, glaucoma, macular"
            " degeneration (AMD) and normal.",
            "The download is a RAR archive: unpack it with another program, then give the folder with --local.",
            "The official split and the disease letter stay in the names and in metadata.csv.",
            "Which images are of one patient is not known here. With bdello and neurons it is about 4.1 GB.",
        ),
        study="data: {classes: [background, vessel]}",
    ),
    Source(
        name="bdello",
        title="Bdellovibrio in phase contrast",
        task="binary_segmentation",
        licence="see the page of the data set at Kaggle",
        citation="Kaggle: shepbryan/phase-contrast-bdellovibrio",
        origin=Kaggle("shepbryan/phase-contrast-bdellovibrio"),
        original=tuple(f"Cleaned/{name}" for name in paths_of(conversions.BDELLO)),
        convert=conversions.convert_bdello,
        notes=(
            "Grey images of 1024×1024. No split and no groups are stated: frames of one film may look alike.",
        ),
        study="data: {classes: [background, bacteria]}",
    ),
    Source(
        name="neurons",
        title="Fluorescent neuronal cells",
        task="binary_segmentation",
        licence="CC BY-SA 4.0",
        citation="Morelli et al. 2021, Scientific Reports, doi:10.1038/s41598-021-01929-5",
        origin=Kaggle("nbroad/fluorescent-neuronal-cells"),
        original=paths_of(conversions.NEURONS),
        convert=conversions.convert_neurons,
        notes=(
            "283 RGB images of 1600×1200; 252 masks were drawn semi-automatically, 31 by hand.",
            "Images of one animal look alike: keep the groups read from the names together.",
        ),
        study="data: {classes: [background, neuron]}\nvalidate: {group: group}",
    ),
    Source(
        name="gels",
        title="Gel electrophoresis, or another picture",
        task="binary_classification",
        licence="none stated; pictures gathered from the internet, some show people: for your own tests, do not pass on",
        citation="GitHub: kalthommusa/Gel-Electrophoresis-Image-Classification, commit 81e0ed5",
        size_mb=7.0,
        origin=Web(
            f"{GITHUB}/kalthommusa/Gel-Electrophoresis-Image-Classification/archive/81e0ed5806ced4b2f421071804171d4442e7376b.zip",
            "gels.zip",
        ),
        original=conversions.GELS,
        convert=conversions.convert_gels,
        notes=(
            "114 images: 46 + 46, and 11 + 11 of the author's test set.",
            "The colour mode of the files gives the class away: state channels: gray.",
            "Some gels were cut out by their alpha channel: state decoding: {alpha: drop}.",
            "38 of the 46 gels are near-duplicates of each other, and not_gel_11.jpg is in both parts: group them.",
        ),
        study="data: {channels: gray, decoding: {alpha: drop}}\nvalidate: {group: near-duplicates}",
    ),
    Source(
        name="isbi2012",
        title="ISBI 2012: membranes in serial-section electron microscopy",
        task="binary_segmentation",
        licence="non-commercial research; cite",
        citation="Cardona et al. 2010; Arganda-Carreras et al. 2015",
        size_mb=6.5,
        origin=Web(f"{GITHUB}/ugent-korea/pytorch-unet-segmentation/archive/69169d8.zip", "isbi2012.zip"),
        original=tuple(f"data/{path}" for path in paths_of(conversions.ISBI)),
        convert=conversions.convert_isbi,
        notes=(
            "30 grey sections of 512×512 from one volume, 27 train and 3 val; the repository's test masks are copies"
            " of these 30 and are left out.",
            "Neighbouring sections look alike: blocks of them are groups. 78 % of the pixels are inside of cells.",
        ),
        study="data: {mask_values: {'255': inside, '0': membrane}}\nvalidate: {group: group}",
    ),
    Source(
        name="optic_disc",
        title="Optic disc in stereo photographs of the retina",
        task="binary_segmentation",
        licence="not known",
        citation="Laguna ONhE; Estimation of the Relative Amount of Hemoglobin ...",
        origin=ByHand("No address is known: ask the authors of Laguna ONhE for the pictures."),
        original=conversions.DISC,
        convert=conversions.convert_disc,
        notes=(
            "159 images in the seed study, 150 train and 9 test; the disc is about 10 % of the pixels.",
            "Which images are of one patient is not known here.",
        ),
        study="data: {classes: [background, disc]}",
    ),
    _MTNEURO,
    _MTNEURO_ZI,
    Source(
        name="protein_atlas",
        title="Human Protein Atlas: where in the cell is the protein? (28 labels)",
        task="multilabel_classification",
        licence="the rules of the Kaggle competition",
        citation="Kaggle: human-protein-atlas-image-classification",
        origin=Kaggle("human-protein-atlas-image-classification", competition=True),
        original=conversions.ATLAS,
        convert=conversions.convert_atlas,
        notes=(
            "31072 fields of 512×512 in four channels; 1 to 5 labels each, 12885 of the commonest and 11 of the rarest.",
            "Needs an account that has accepted the rules of the competition.",
            "All labels at once give a macro F1 of 0.0996: a useful lower bound.",
        ),
        study=f"data: {{images: train, table: train.csv, channels: [{', '.join(conversions.STAINS)}],"
        f" task: multilabel_classification, classes: [{', '.join(conversions.CLASSES)}]}}",
        as_it_is=True,
    ),
)

SOURCES: dict[str, Source] = {source.name: source for source in _ROWS}
