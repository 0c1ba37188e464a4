"""A study drafted from a folder of images: what is recognised, contenders that fit, and folds that this machine can afford."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from foldwise.data.audit.pixel_sizes import common_size, pixel_sizes
from foldwise.data.formats.reading import read_pixels
from foldwise.data.layouts.files import require_folder
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import DataError, FoldwiseError, RunError
from foldwise.pipeline.contenders import FolderContents, document_of
from foldwise.pipeline.options import Observer
from foldwise.pipeline.preflight import Costs, preflight
from foldwise.pipeline.preparing import Prepared, as_stated, prepare
from foldwise.runs.launchers.local import default_workers
from foldwise.storage import whole_path, written_whole
from foldwise.study.reading import StudyFile, open_study
from foldwise.study.validation_errors import Keys
from foldwise.study.yaml_places import parse_value
from foldwise.text import duration

T = TypeVar("T")

NUM_LOOKED_AT = 40  # images, spread evenly, whose sizes and channels decide
MOST_QUESTIONS = 20
# Keys of answers that turn, invert or drop pixels, or that say which folders are the classes.
TURNS = ("data.decoding.", "data.run_order=", "data.classes=")
# Folds, repeats and the share of the epochs, from what decides best to what is quickest.
EFFORTS = ((5, 3, 1.0), (5, 1, 1.0), (5, 1, 0.5), (3, 1, 0.5), (3, 1, 0.25))
HEAD = """\
# Which network fits these images? Written by `foldwise init` from what is in the folder; docs/study.md lists every key.
#   foldwise check {name}     what will run and what it takes; trains nothing
#   foldwise run {name}       trains, judges, and writes the report
"""


@dataclass(frozen=True)
class Question:
    """What a folder leaves open.

    Attributes:
        what: what is not clear, in which files.
        cure: what may be stated, in words.
        choices: the same as ``data.task=binary_segmentation``, the safest first.
        severity: ``error`` where no study can be drafted without an answer; else as of a finding.
    """

    what: str
    cure: str
    choices: tuple[str, ...]
    severity: str


Ask = Callable[[Question], str | None]


def safest(question: Question) -> str | None:
    """The answer where nobody can be asked: what keeps a leak out, where that is a warning; None for all others."""
    return question.choices[0] if question.severity == "warning" else None


def first(question: Question) -> str | None:
    """The answer of whom does not want to be asked: also to what no study can be without; None where there is none.

    None too where an answer turns, inverts or drops pixels, or names the classes: what was meant, only the owner knows.
    """
    if question.severity != "error" or any(choice.startswith(TURNS) for choice in question.choices):
        return safest(question)
    return next(iter(question.choices), None)


@dataclass(frozen=True, repr=False)
class Draft:
    """A study that was drafted.

    Attributes:
        seconds: that it will take here, by the clock.
        answers: what was stated or answered, such as ``validate.group=patient``.
        left_open: questions without an answer.
    """

    path: Path
    prepared: Prepared
    costs: Costs
    seconds: float
    answers: tuple[str, ...]
    left_open: tuple[Question, ...]

    def __repr__(self) -> str:
        stated = [f"stated: {answer.replace('=', ': ', 1)}" for answer in self.answers]
        open_ = [f"left open: {question.what} {question.cure}".strip() for question in self.left_open]
        names = ", ".join(row.name for row in self.prepared.configurations)
        takes = f"{self.path}: compares {names}; takes about {duration(max(self.seconds, 60))} here"
        return "\n".join([*self.prepared.dataset.statements, *stated, *open_, takes])


def draft(
    images: Path,
    path: Path,
    *,
    stated: Sequence[str] = (),
    hours: float = 2.0,
    ask: Ask = safest,
    force: bool = False,
    observer: Observer,
) -> Draft:
    """Draft the study of a folder of images and write it, whole or not at all; nothing is trained.

    Args:
        images: the folder.
        path: the study file that is written; paths in it are relative to its folder.
        stated: what is clear beforehand, as ``data.task=binary_segmentation``.
        hours: that the study may take on this machine; folds, repeats and epochs follow.
        ask: called with what is left open; None leaves it so.
        force: whether a file that is there is replaced.

    Raises:
        RunError: there is a file already.
        SpecError: what is stated does not exist.
        DataError: the images cannot be read as one data set, or a question that must be answered was not.
    """
    if path.exists() and not force:
        cure = "Name another file with --out, or add --force to replace it."
        raise RunError("there is a file of this name already", where=str(path), cure=cure)
    require_folder(images)
    with written_whole(path) as scratch:
        drafting = _Drafting(scratch, path.name, whole_path(images, Path()), ask, observer, list(stated))
        look = drafting.settled(drafting.look)
        for effort in EFFORTS:
            prepared, costs = drafting.settled(lambda: drafting.checked(look, effort))  # noqa: B023 - called at once
            workers = default_workers("auto", prepared.study.threads, costs.memory_mb())
            seconds = costs.seconds(prepared.plan) / min(workers, len(prepared.plan.items))
            if seconds <= hours * 3600:
                break
    return Draft(path, prepared, costs, seconds, tuple(drafting.answers), tuple(drafting.left_open))


@dataclass
class _Drafting:
    scratch: Path
    name: str
    images: Path
    ask: Ask
    observer: Observer
    answers: list[str]
    left_open: list[Question] = field(default_factory=list)

    def settled(self, do: Callable[[], T]) -> T:
        """What `do` gives once every question is answered that it cannot do without."""
        for _ in range(MOST_QUESTIONS):
            try:
                return do()
            except FoldwiseError as error:
                answer = self.ask(Question(str(error), error.cure or "", error.choices, "error"))
                if answer is None:
                    if error.choices:
                        stated = " or ".join(f"--set {choice!r}" for choice in error.choices)
                        error.cure = f"{error.cure or ''} Answer with {stated}.".lstrip()
                    raise
                self.answers.append(answer)
        return do()

    def look(self) -> FolderContents:
        """The data set, and what a sample of its images holds."""
        self._write({"study": "draft", "data": {"path": str(self.images)}, "train": {"model": "conv"}})
        file = self._opened()
        division = file.study.validate_
        with as_stated(file):
            dataset = read_dataset(
                file.study.data, base=file.base, group=division.group, split=division.split
            )
        chosen = np.unique(np.linspace(0, len(dataset.cases) - 1, NUM_LOOKED_AT).astype(int))
        seen, errors = [], []
        for index in chosen:  # all that cannot be read is said at once
            try:
                seen.append(read_pixels(dataset.root, dataset.cases[index].image, dataset.decoding))
            except DataError as error:
                errors.append(error)
        if errors:
            raise DataError.together(errors)
        # Palettes are colours, and a plane of transparency is left out, as when they are decoded.
        channels = [
            3 if image.mode in ("P", "RGBA") else 1 if image.mode == "LA" else len(image.values)
            for image in seen
        ]
        sizes = tuple((int(image.values.shape[-2]), int(image.values.shape[-1])) for image in seen)
        pixel_um = common_size(list(pixel_sizes(dataset).values()))
        return FolderContents(dataset, sizes, Counter(channels), pixel_um)

    def checked(self, look: FolderContents, effort: tuple[int, int, float]) -> tuple[Prepared, Costs]:
        """The study as far as it is drafted, tried once; what its images leave open is asked, each thing once."""
        seen: set[str] = set()
        while True:
            self._write(document_of(look, self.images, self.scratch.parent, effort, self.answers), named=True)
            file = self._opened()
            with as_stated(file):
                prepared = prepare(file, progress=self.observer.decoding)
                costs = preflight(prepared, trying=self.observer.trying)
            fresh = [
                finding
                for finding in prepared.audit.findings
                if finding.choices and finding.code not in seen and not self._is_answered(finding.choices)
            ]
            answered = False
            for finding in fresh:
                seen.add(finding.code)
                question = Question(finding.message, finding.cure, finding.choices, finding.severity)
                if question in self.left_open:
                    continue
                if (answer := self.ask(question)) is not None:
                    self.answers.append(answer)
                    answered = True
                    break
                self.left_open.append(question)
            if not answered:
                return prepared, costs

    def _opened(self) -> StudyFile:
        """The study as far as it is drafted; its errors name what was answered, and never the file, which nobody wrote."""
        written = [answer.partition("=")[0].strip() for answer in self.answers]
        typed: dict[Keys, str] = {
            tuple(key.split(".")): f"--set {answer}"
            for key, answer in zip(written, self.answers, strict=True)
        }
        return open_study(self.scratch, typed=typed)

    def _is_answered(self, choices: Sequence[str]) -> bool:
        keys = {answer.partition("=")[0] for answer in self.answers}
        return any(choice.partition("=")[0] in keys for choice in choices)

    def _write(self, document: dict[str, Any], *, named: bool = False) -> None:
        for answer in self.answers:
            _state(document, answer)
        yaml = YAML()
        yaml.width = 10_000  # a contender is a line
        text = StringIO()
        yaml.dump(document, text)
        head = HEAD.format(name=self.name) if named else ""
        self.scratch.write_text(head + text.getvalue(), encoding="utf-8")


def _state(document: dict[str, Any], answer: str) -> None:
    """Lay an answer such as ``validate.group=patient`` over a document."""
    written, _, text = answer.partition("=")
    *above, last = written.strip().split(".")
    for key in above:
        document = document.setdefault(key, CommentedMap())
    document[last] = parse_value(text, where=f"--set {answer}")
    if str(document[last]).startswith("pattern:") and isinstance(document, CommentedMap):
        document.yaml_add_eol_comment("files whose names agree in what (...) matches stay in one fold", last)
