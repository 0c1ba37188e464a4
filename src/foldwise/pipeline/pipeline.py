"""The pipeline, written once: from a study file to a verdict, a report and a winner, whoever watches.

The command line and the Python API call `check`, `run`, `finish` and `look`; they differ only in the `Observer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from foldwise.data.cache.packed import Packed
from foldwise.data.public.getting import fetch_source
from foldwise.errors import ItemsFailed, RunError, choose
from foldwise.foreign import refuse_strange
from foldwise.judging.judge import judge, verdict_now
from foldwise.judging.scores.curve_scores import curves_of
from foldwise.judging.verdict import Verdict, read_verdict
from foldwise.pipeline.devices import all_settled, refuse_device
from foldwise.pipeline.hand_over import hand_over
from foldwise.pipeline.preflight import Costs, preflight
from foldwise.pipeline.preparing import Prepared, Progress, lay_out, prepare
from foldwise.pipeline.worker import code_named, do_item, work
from foldwise.reporting.report import write_report
from foldwise.reporting.report_data import ReportData, gather
from foldwise.runs.folder import RunFolder, read_json
from foldwise.runs.items import Item
from foldwise.runs.landscapes import check_epochs, finely, fit_to_look_at, landscape_of
from foldwise.runs.launcher import Crew, Launcher
from foldwise.runs.launchers import LAUNCHERS, default_workers
from foldwise.runs.leases import Beat
from foldwise.study.own_code import own_names
from foldwise.study.reading import StudyFile
from foldwise.study.spec import Looking
from foldwise.study.trusted_code import refuse_untrusted, trusted, trusting


class Observer(Protocol):
    """Who watches a run, and is called as it goes on; nothing that it does changes the run."""

    def fetching(self, what: str, done: int, total: int | None) -> None:
        """How much of a public data set is here: bytes of a download or an archive, else files."""

    def fetched(self, data: Path) -> None:
        """A public data set was got into this folder."""

    def decoding(self, done: int, total: int) -> None:
        """How many images are decoded."""

    def trying(self, done: int, total: int) -> None:
        """How many configurations are tried."""

    def checked(self, prepared: Prepared, costs: Costs, workers: int) -> None:
        """Everything a study asks for was tried once; training is about to begin."""

    def done_already(self, prepared: Prepared, folder: RunFolder) -> None:
        """A run has nothing left to do here."""

    def working(self, folder: RunFolder) -> None:
        """Called again and again while workers work."""

    def stopping(self, folder: RunFolder) -> None:
        """The run was asked to stop, and its workers are."""

    def judged(self, folder: RunFolder, verdict: Verdict) -> None:
        """The verdict and the report are written."""


def _nothing(*_: Any, **__: Any) -> None:
    """Nothing."""


class Silent:
    """An observer that says nothing."""

    fetching = fetched = decoding = trying = checked = done_already = working = stopping = judged = _nothing


@dataclass(frozen=True)
class RunOptions:
    """How and where a study is run; none of it changes a result.

    Attributes:
        out: the run folder; runs/<study> where None.
        workers: processes at a time; as many as the machine bears where None.
        device: for settings that say `auto`.
        launcher: a row of `LAUNCHERS`.
        retry: whether failed items are done again.
        fetch: whether a public data set that is not here is downloaded.
    """

    out: Path | None = None
    workers: int | None = None
    device: str = "auto"
    launcher: str = "local"
    retry: bool = False
    fetch: bool = True


def check(
    file: StudyFile,
    *,
    progress: Progress | None = None,
    trying: Progress | None = None,
    device: str = "auto",
) -> tuple[Prepared, Costs]:
    """Decode, audit, fold and plan, and try everything once; nothing is trained.

    Args:
        progress: called with how many images are decoded, and of how many.
        trying: called with how many configurations are tried, and of how many.
        device: for settings that say `auto`.

    Raises:
        FoldwiseError: everything that would stop the study.
    """
    with trusting(own_names_of(file)):
        prepared = prepare(file, progress=progress)
        return prepared, preflight(prepared, device=device, trying=trying)


def own_names_of(file: StudyFile) -> frozenset[str]:
    """The code of a study file that the user hands over himself: that is how he says that it may be run."""
    return own_names(file.study.model_dump(mode="json"), as_written=True)


def run(file: StudyFile, options: RunOptions, observer: Observer) -> tuple[RunFolder, Verdict]:
    """Check a study, do what is not done yet, judge and report; the run folder and the verdict."""
    with trusting(own_names_of(file)):
        return _run(file, options, observer)


def _run(file: StudyFile, options: RunOptions, observer: Observer) -> tuple[RunFolder, Verdict]:
    refuse_device(options.device)
    launch = choose(LAUNCHERS, options.launcher, "launcher", where="--launcher")
    if options.fetch:
        fetch(file, observer)
    prepared = prepare(file, progress=observer.decoding)
    folder, threads = RunFolder(run_root(file, options.out)), prepared.study.threads
    refuse_strange(folder.root)
    workers = options.workers or default_workers(options.device, threads)
    if options.retry:  # before it is asked what is left, since failed items count as settled
        folder.retry()
    if all_settled(folder, prepared.plan):
        observer.done_already(prepared, folder)
    else:
        observer.checked(
            prepared, preflight(prepared, device=options.device, trying=observer.trying), workers
        )
    # Not before everything was tried: a study that cannot run leaves no run folder behind.
    lay_out(prepared, folder.root)
    crew = Crew(folder, workers, options.device, threads, trust_code=bool(trusted()))
    # Only an inline launcher does the work here; the local one starts processes of `foldwise work`.
    drive(folder, launch(crew, lambda log: work(folder, device=options.device, log=log)), observer)
    if prepared.external is not None:
        _score_external(folder, prepared.external.packed, options.device)
    verdict = finish(folder)
    observer.judged(folder, verdict)
    return folder, verdict


def _score_external(folder: RunFolder, packed: Packed, device: str) -> None:
    """Ask the winner's models about the external set, once, and not before all fits are done."""
    verdict, rows = verdict_now(folder)
    if verdict.answer is None or verdict.num_done < verdict.num_planned:
        return
    fits = rows.done(verdict.answer.configuration, rows.repeats[0])
    out = folder.external_scores(fit.item for fit in fits)
    if out is None or out.is_dir():
        return
    from foldwise.learning.external_scores import write_external_scores

    hand_over(folder, verdict)
    threads = folder.load_study().threads
    write_external_scores(folder.winner, packed, out, device=device, threads=threads)


def fetch(file: StudyFile, observer: Observer) -> None:
    """Get the public data set of a study, if it is not here yet."""
    data = fetch_source(file.study, file.base, progress=observer.fetching)
    if data is not None:
        observer.fetched(data)


def run_root(file: StudyFile, out: Path | None) -> Path:
    """Where the run of a study lies: each choice of variants has a folder of its own."""
    return out or Path("runs") / "-".join([file.study.study, *file.variants])


def drive(folder: RunFolder, launcher: Launcher, observer: Observer) -> None:
    """Have workers do the items of a run until every one is done, failed or skipped.

    Raises:
        RunError: workers died again and again while work was left; or another run changed the plan meanwhile.
    """
    if all_settled(folder, folder.load_plan()):
        return
    launcher.run(finished=_finished(folder), tick=observer.working, stopping=observer.stopping)


def _finished(folder: RunFolder) -> Callable[[], bool]:
    """Whether all items are settled; refuses to wait for items which are no longer planned."""
    plan = folder.load_plan()
    items = {item.id for item in plan.items}
    # By the time of its file, as it is asked again and again, and a large plan takes long to read.
    seen = folder.plan.stat().st_mtime_ns

    def finished() -> bool:
        nonlocal seen
        now = folder.plan.stat().st_mtime_ns
        if now != seen and not items <= {item.id for item in folder.load_plan().items}:
            raise RunError(
                "another foldwise run has changed the plan of this folder: its study is another one",
                where=str(folder.root),
                cure="Wait for the other run and start this one again, or give each its own --out.",
            )
        seen = now
        return all_settled(folder, plan)

    return finished


def finish(folder: RunFolder) -> Verdict:
    """Judge what is done, write the report, and lay the winner out for prediction; the verdict."""
    verdict = judge(folder)
    hand_over(folder, verdict)
    write_report(folder)
    return verdict


def judged_now(folder: RunFolder) -> ReportData:
    """What is done now, judged for the report; nothing is written into the run folder."""
    verdict, rows = verdict_now(folder)
    return gather(folder, verdict, curves_of(rows, verdict))


def look(
    folder: RunFolder,
    fit: str | None,
    options: Mapping[str, Any],
    *,
    device: str = "auto",
    trust_code: bool = False,
    beat: Beat,
) -> Path:
    """Look inside the training of one fit that is done, and write the report again; the folder of the look.

    A look that was done already is not done again.

    Args:
        fit: (the beginning of) its id; the winner's first fold where None.
        options: what of `look` in the study is to be otherwise: epochs, points, directions, images, losses.
        device: the device for settings that say `auto`.
        trust_code: whether own code that the run folder names may be run; losses that `options` name may.
        beat: called with what is being done.

    Raises:
        RunError: the run has no winner and no fit is named, or the fit is not one, or not done; or it needs own code.
        SpecError: an option cannot be used: a number, a loss that does not exist or fit, or an epoch that never was.
        ItemsFailed: the look ended with an error.
    """
    refuse_device(device)
    stated = own_names(finely(Looking(), {"losses": options.get("losses")}).model_dump(mode="json"))
    with trusting(stated | (code_named(folder) if trust_code else frozenset())):
        return _look(folder, fit, options, device=device, beat=beat)


def _look(folder: RunFolder, fit: str | None, options: Mapping[str, Any], *, device: str, beat: Beat) -> Path:
    item = _landscape(folder, fit, options)
    refuse_untrusted(own_names(item.settings), where=str(folder.root))
    before = folder.result(item.id)
    if before is None or before["status"] != "done":
        if before is not None:
            folder.retry({item.id})
        do_item(folder, item, device=device, beat=beat)
    result = folder.result(item.id) or {}
    if result["status"] == "failed":
        raise ItemsFailed(result["error"]["message"], where=item.title)
    finish(folder)
    return folder.done(item.id)


def _landscape(folder: RunFolder, fit: str | None, options: Mapping[str, Any]) -> Item:
    """The look as an item, which need not be in the plan of the run."""
    plan, study = folder.load_plan(), folder.load_study()
    done, _ = folder.settled()
    fits = [item for item in plan.items if item.kind == "fit"]
    answer = read_verdict(folder.verdict).answer if folder.verdict.is_file() else None
    winner = answer.configuration if answer else None
    chosen = fit_to_look_at(fits, fit, winner=winner, done=done, run=str(folder.root))
    detail = finely(study.look or Looking(), options)
    check_epochs(detail, last=len((folder.result(chosen.id) or {}).get("epochs", ())))
    if detail.losses != "auto":
        from foldwise.insight.landscape.criteria import check_losses

        classes = len(read_json(folder.done(chosen.id) / "model.json")["classes"])
        check_losses(detail.losses, task=chosen.settings["task"], num_classes=classes, where="look.losses")
    others = [item for item in fits if item.id in done]
    return landscape_of(chosen, others, detail, metric=study.judge.metric)
