"""From a verdict to a model that predicts: the winner is laid out in its folder, and used on new images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldwise.errors import RunError, SpecError, unknown
from foldwise.foreign import checked_id, refuse_strange
from foldwise.judging.scores.rows import read_rows
from foldwise.judging.sections.external_set import judged_fold
from foldwise.judging.sections.threshold_report import thresholds_section
from foldwise.judging.verdict import Answer, Verdict, read_verdict
from foldwise.judging.verdict_configurations import ConfigurationResult
from foldwise.judging.wording import reached_by
from foldwise.learning.checkpoints.winner import (
    MODEL,
    Decision,
    Seen,
    copied_code,
    make_winner,
    numbers_of_training,
)
from foldwise.pipeline.devices import refuse_device
from foldwise.runs.folder import RunFolder, read_json
from foldwise.runs.share import refuse_file
from foldwise.sealed import read_table
from foldwise.storage import as_json
from foldwise.study.own_code import own_names, refuse_untrusted, trusting, unchanged_files
from foldwise.text import in_shell, some

if TYPE_CHECKING:
    from foldwise.learning.on_arrays import Model


@dataclass(frozen=True)
class ModelChoice:
    """Which model of a run folder predicts; by default the winner with the networks of all its folds.

    Attributes:
        configuration: its name, or (the beginning of) its id.
        fold: of the first repeat, from 1: the network of this fold alone.
    """

    configuration: str | None = None
    fold: int | None = None


def hand_over(folder: RunFolder, verdict: Verdict) -> None:
    """Lay the models of the winner out for prediction; nothing where there is no answer."""
    if verdict.answer is None:
        return
    decision = replace(
        _decision(verdict, verdict.answer), score=reached_by(verdict, verdict.answer.configuration)
    )
    done = _fits_of(folder, verdict.answer.configuration)
    make_winner(done, folder.winner, decision=decision, seen=_seen(folder, done, folder.winner))


def _fits_of(folder: RunFolder, configuration: str, fold: int | None = None) -> list[Path]:
    """The folders of the fits of the first repeat: of all folds, or of one, from 0."""
    fits = [item for item in folder.load_plan().items if item.kind == "fit"]
    return [
        folder.done(item.id)
        for item in fits
        if (item.settings["configuration"], item.settings["repeat"]) == (configuration, 0)
        and fold in (None, item.settings["fold"])
    ]


def _seen(folder: RunFolder, done: list[Path], out: Path, fold: int | None = None) -> Seen:
    audited = read_json(folder.audit)
    names = own_names(
        [read_json(fit / MODEL)["training"]["model"] for fit in done if (fit / MODEL).is_file()]
    )
    code = unchanged_files(names, read_json(folder.environment).get("own_code") or {}) if names else {}
    seen = Seen(audited.get("channels", ()), _sizes_px(folder), audited.get("decoding", {}), code)
    numbers = numbers_of_training(folder, (out, folder.winner), fold)
    return replace(seen, pixel_um=audited.get("pixel_um"), numbers=numbers)


def _sizes_px(folder: RunFolder) -> tuple[tuple[int, int], tuple[int, int]]:
    """The least and the greatest height and width of the image files."""
    rows = read_table(folder.cases)
    heights, widths = ([int(row[side]) for row in rows] for side in ("height", "width"))
    return (min(heights), max(heights)), (min(widths), max(widths))


def _decision(verdict: Verdict, answer: Answer) -> Decision:
    """The mean over folds of the thresholds of several labels, and the median of the temperature."""
    thresholds, calibration = verdict.thresholds, verdict.calibration
    temperature = None
    for own in calibration.configurations if calibration else ():
        if own.id == answer.configuration and own.temperature:
            temperature = own.temperature.median
    values = [threshold.mean for threshold in thresholds.classes.values()] if thresholds else []
    return Decision(
        answer=answer.model_dump(mode="json"),
        thresholds={"method": thresholds.method, "values": values} if thresholds else None,
        temperature=temperature,
        caution=None if verdict.beats_trivial else answer.sentence,
    )


def predict(  # noqa: PLR0913 - each is an option of the command
    run: Path,
    images: Path,
    out: Path,
    choice: ModelChoice = ModelChoice(),
    *,
    device: str = "auto",
    runtime: str = "auto",
    flips: bool = False,
    pictures: bool = False,
    probabilities: str | None = None,
    submission: Path | None = None,
    trust_code: bool = False,
    warn: Callable[[str], None] = lambda _: None,
    progress: Callable[[float, int], None] = lambda *_: None,
    doing: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Write what a model says of new images: a CSV of probabilities, or masks and overlays; its ``predictions.json``.

    Args:
        run, choice: a run folder, and which model of it; or the folder of a model that was handed over.
        images, out: a folder of new images, or one image; the folder of the predictions.
        device, runtime, flips, probabilities, submission, warn, progress, doing: see `predict_images`.
        pictures: draw them too.
        trust_code: whether own code that the folder names may be run.

    Raises:
        LeftOut: some images cannot be used; all others are predicted, and drawn, first.
        RunError: the run has no such model yet, or it needs own code that nobody trusts.
        SpecError: there is no such configuration, fold or runtime.
    """
    from foldwise.learning.predict import predict_images
    from foldwise.learning.prediction_files import RECORD, LeftOut
    from foldwise.reporting.predictions import write_pictures

    refuse_device(device)
    refuse_file(out)
    winner = model_of(run, choice)
    with own_code_of(winner, trust_code):
        how: dict[str, Any] = {"device": device, "runtime": runtime, "flips": flips, "warn": warn}
        how |= {"probabilities": probabilities, "submission": submission}
        try:
            predict_images(winner, images, out, progress=progress, doing=doing, **how)
        except LeftOut:  # says which images could not be used; the others have their predictions
            if pictures:
                write_pictures(winner, images, out)
            raise
    if pictures:
        write_pictures(winner, images, out)
    return dict(read_json(out / RECORD))


def load(
    run: Path,
    choice: ModelChoice = ModelChoice(),
    *,
    device: str = "auto",
    runtime: str = "auto",
    flips: bool = False,
    trust_code: bool = False,
) -> Model:
    """A model that answers to arrays; for the arguments see `predict`.

    Raises:
        RunError: the run has no such model yet, or it needs own code that nobody trusts.
        SpecError: there is no such configuration, fold or runtime.
    """
    from foldwise.learning.checkpoints.saved import load_winner
    from foldwise.learning.on_arrays import Model
    from foldwise.learning.runtimes import pick_runtime
    from foldwise.learning.training.devices import pick_device

    refuse_device(device)
    model, picked = model_of(run, choice), pick_device(device)
    with own_code_of(model, trust_code):
        loaded = load_winner(model, picked)
    # How many images will come is not known: a graph is used where there is one.
    return Model(
        loaded, pick_runtime(runtime, loaded, model, device=picked, num_images=1, flips=flips), picked
    )


@contextmanager
def own_code_of(winner: Path, trust_code: bool) -> Iterator[None]:
    """Within it, own code that the model names may be run if it is trusted; refused where nobody trusts it."""
    named = _networks_named(winner)
    copies = copied_code(winner) if named else None
    with trusting(named if trust_code else (), copies=copies):
        refuse_untrusted(named, where=str(winner), copies=copies)
        yield


def _networks_named(winner: Path) -> frozenset[str]:
    """The own networks of a winner; its losses are not needed any more. What is malformed is said when it is loaded."""
    record = read_json(winner / MODEL)
    members = record.get("members") if isinstance(record, dict) else None
    models = [member.get("model") for member in members or () if isinstance(member, dict)]
    trainings = [model.get("training") for model in models if isinstance(model, dict)]
    return own_names([training.get("model") for training in trainings if isinstance(training, dict)])


def winner_of(run: Path) -> Path:
    """The folder of the winner of a run, or `run` where it is one itself.

    Raises:
        RunError: it is neither, or the run has no winner yet.
    """
    if (run / MODEL).is_file():
        refuse_strange(run)
        return run
    winner = RunFolder.open(run).winner
    if not winner.is_dir():
        raise RunError(
            f"{run} has no winner yet", cure=f"Finish the run, then: foldwise report {in_shell(run)}"
        )
    return winner


def model_of(run: Path, choice: ModelChoice) -> Path:
    """The folder of the model that is chosen, laid out in the run folder where it is not the winner.

    Raises:
        RunError: there is no winner yet, or the configuration has no network of that fold.
        SpecError: no, or more than one, configuration is called so; or the model was handed over without its run.
    """
    if choice == ModelChoice():
        return winner_of(run)
    if (run / MODEL).is_file():
        what = "a model that was handed over is one configuration with all its networks"
        raise SpecError(what, where="--configuration, --fold", cure="Name the run folder in place of it.")
    winner_of(run)  # says what to do while nothing is judged
    folder = RunFolder.open(run)
    verdict = read_verdict(folder.verdict)
    row = chosen(verdict, choice.configuration)
    folds = {score.fold + 1 for score in row.folds if score.repeat == 0}
    if choice.fold is not None and choice.fold not in folds:
        raise unknown(str(choice.fold), map(str, folds), f"fold of {row.name}", where="--fold")
    fold = None if choice.fold is None else choice.fold - 1
    name = checked_id(row.id, "configuration", where=str(folder.verdict))
    out = folder.models / (name if fold is None else f"{name}-fold-{choice.fold}")
    done, decision = _fits_of(folder, row.id, fold), _decision_on(folder, verdict, row, fold)
    if not _is_laid_out(out, done, decision):
        out.parent.mkdir(exist_ok=True)
        make_winner(done, out, decision=decision, seen=_seen(folder, done, out, fold))
    return out


def chosen(verdict: Verdict, name: str | None) -> ConfigurationResult:
    """The configuration of that name or id, or whose id begins so; the winner where none is named."""
    rows, answer = verdict.configurations, verdict.answer
    if name is None:
        assert answer is not None  # there is a winner
        return verdict.configuration(answer.configuration)
    exact = [row for row in rows if name in (row.name, row.id)]
    matching = exact or [row for row in rows if row.id.startswith(name)]
    if len(matching) > 1:
        several = some(f"{row.name} ({row.id})" for row in matching)
        cure = f"There are: {several}. Write more of the id."
        raise SpecError(f"{name!r} is more than one configuration", where="--configuration", cure=cure)
    if not matching:
        raise unknown(name, [row.name for row in rows], "configuration", where="--configuration")
    return matching[0]


def _is_laid_out(out: Path, done: list[Path], decision: Decision) -> bool:
    """Whether the folder holds these networks already, with what the judge says of them now."""
    if not (out / MODEL).is_file():
        return False
    refuse_strange(out)
    record = read_json(out / MODEL)
    fits = [folder.name for folder in done if (folder / MODEL).is_file()]
    stated: dict[str, Any] = as_json(asdict(decision))
    return [member["fit"] for member in record["members"]] == fits and all(
        record.get(key) == value for key, value in stated.items()
    )


def _decision_on(folder: RunFolder, verdict: Verdict, row: ConfigurationResult, fold: int | None) -> Decision:
    """What the judge settles about a configuration that need not be the winner, or about one fold of it."""
    thresholds = None
    if verdict.thresholds is not None:
        section = thresholds_section(read_rows(folder), row.id)
        assert section is not None  # the winner has one
        values = [threshold.mean for threshold in section.classes.values()]
        thresholds = {"method": section.method, "values": values}
    calibrated = verdict.calibration.configurations if verdict.calibration else ()
    temperatures = [own.temperature for own in calibrated if own.id == row.id]
    return Decision(
        thresholds=thresholds,
        temperature=temperatures[0].median if temperatures and temperatures[0] else None,
        caution=_caution(verdict, row),
        score=reached_by(verdict, row.id) if fold is None else judged_fold(folder, row.id, fold),
    )


def _caution(verdict: Verdict, row: ConfigurationResult) -> str | None:
    """Why not to rely on a configuration: its interval reaches the best of the trivial predictors, or it has none."""
    sign = 1 if verdict.metric.higher_is_better else -1
    trivial = [each.estimate for each in verdict.baselines if each.kind == "trivial"]
    best = max((sign * estimate for estimate in trivial if estimate is not None), default=None)
    worst = row.low if verdict.metric.higher_is_better else row.high
    if best is None or (worst is not None and sign * worst > best):
        return None
    return f"{row.name} is not shown to be better than a trivial predictor."
