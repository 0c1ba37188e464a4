"""The pipeline, written once: from a study file to a verdict, a report and a winner, whoever watches.

The command line and the Python API call `check`, `plan`, `run` and `finish`; they differ only in the `Observer`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from foldwise.data.cache.packed import Packed
from foldwise.errors import RunError, choose, refuse_without
from foldwise.foreign import refuse_strange
from foldwise.judging.judge import judge, verdict_now
from foldwise.judging.scores.curve_scores import curves_of
from foldwise.judging.verdict import Verdict
from foldwise.pipeline.devices import Agendas, all_settled, refuse_device
from foldwise.pipeline.hand_over import hand_over
from foldwise.pipeline.mending import Mending, mend_pack, put_damaged_away
from foldwise.pipeline.options import Observer, RunOptions
from foldwise.pipeline.preflight import Costs, preflight
from foldwise.pipeline.preparing import Prepared, Progress, as_stated, fetch, lay_out, prepare, run_root
from foldwise.pipeline.worker import work
from foldwise.reporting.report import write_report
from foldwise.reporting.report_data import ReportData, gather
from foldwise.runs.agenda import DRIVER_SHARE
from foldwise.runs.folder import RunFolder
from foldwise.runs.launchers.launcher import Crew, Engine, Launcher
from foldwise.runs.launchers.local import bearable_workers, default_workers
from foldwise.runs.launchers.table import LAUNCHERS
from foldwise.runs.plan import with_proposals
from foldwise.runs.stopping import refuse_if_stopped
from foldwise.sealed import Damaged
from foldwise.study.own_code import trusted
from foldwise.study.reading import StudyFile


def check(
    file: StudyFile, *, progress: Progress | None = None, trying: Progress | None = None, device: str = "auto"
) -> tuple[Prepared, Costs]:
    """Decode, audit, fold and plan, and try everything once; nothing is trained.

    Args:
        progress: called with how many images are decoded, and of how many.
        trying: called with how many configurations are tried, and of how many.
        device: for settings that say `auto`.

    Raises:
        FoldwiseError: everything that would stop the study.
    """
    with as_stated(file):
        prepared = prepare(file, progress=progress)
        return prepared, preflight(prepared, device=device, trying=trying)


def run(file: StudyFile, options: RunOptions, observer: Observer) -> tuple[RunFolder, Verdict]:
    """Check a study, do what is not done yet, judge and report; the run folder and the verdict."""
    with as_stated(file):
        return _run(file, options, observer)


def _run(file: StudyFile, options: RunOptions, observer: Observer) -> tuple[RunFolder, Verdict]:
    engine = engine_of(options)
    prepared, crew = _laid_out(file, options, observer)

    def until_judged() -> Verdict:
        # Only an inline launcher does the work here; the local one starts processes of `foldwise work`.
        launcher = engine.make(crew, lambda log: work(crew.folder, device=crew.device, log=log))
        drive(crew.folder, launcher, observer, elsewhere=engine.elsewhere)
        if prepared.external is not None:
            here = "auto" if engine.elsewhere else options.device
            _score_external(crew.folder, prepared.external.packed, here)
        return finish(crew.folder)

    verdict = Mending(crew.folder, observer.mending).until_whole(until_judged)
    observer.judged(crew.folder, verdict)
    return crew.folder, verdict


def plan(file: StudyFile, options: RunOptions, observer: Observer) -> RunFolder:
    """Check a study and lay its run folder out, for workers that somebody else starts; nothing is trained."""
    with as_stated(file):
        # Whoever works may have devices that this machine has not; how many they are nobody knows.
        prepared, _ = _tried(file, options, observer, elsewhere=True, workers=lambda *_: 1)
        return lay_out(prepared, run_root(file, options.out))


def script(file: StudyFile, options: RunOptions, observer: Observer) -> str:
    """What a run would start, as text to be kept; nothing is written into a run folder."""
    engine = engine_of(options)
    with as_stated(file):
        prepared = _prepared(file, options, observer)
        root = run_root(file, options.out)
        costs = preflight(
            prepared, device=options.device, elsewhere=engine.elsewhere, run=root, trying=observer.trying
        )
        return engine.make(_crew(prepared, options, costs), lambda log: None).script()


def engine_of(options: RunOptions) -> Engine:
    """Where the workers of a run are.

    Raises:
        SpecError: there is no such engine, or no device of that name.
        MissingExtra: this machine, which does the work, has no such device.
    """
    engine = choose(LAUNCHERS, options.launcher, "launcher", where="--on")
    refuse_device(options.device, elsewhere=engine.elsewhere)
    return engine


def _laid_out(file: StudyFile, options: RunOptions, observer: Observer) -> tuple[Prepared, Crew]:
    """A study that was checked and whose run folder is laid out, and the workers that it asks for."""
    engine = engine_of(options)
    if engine.extra:
        refuse_without(engine.extra, engine.extra)
    prepared, costs = _tried(
        file,
        options,
        observer,
        elsewhere=engine.elsewhere,
        workers=lambda prepared, costs: _crew(prepared, options, costs).workers,
    )
    crew = _crew(prepared, options, costs)
    lay_out(prepared, crew.folder.root)
    return prepared, crew


def _tried(
    file: StudyFile,
    options: RunOptions,
    observer: Observer,
    *,
    elsewhere: bool,
    workers: Callable[[Prepared, Costs], int],
) -> tuple[Prepared, Costs | None]:
    """A study of which everything was tried, and what is foretold of it: None where nothing is left to do.

    Args:
        elsewhere: whether other machines do the work.
        workers: how many there will be.
    """
    prepared = _prepared(file, options, observer)
    folder = RunFolder(run_root(file, options.out))
    refuse_strange(folder.root)
    for line in put_damaged_away(folder):
        observer.mending(line)
    if options.retry:  # before it is asked what is left, since failed items count as settled
        folder.retry()
    if all_settled(folder, with_proposals(prepared.plan, folder.proposals), elsewhere=elsewhere):
        observer.done_already(prepared, folder)
        return prepared, None
    # Before anything is laid out: a study that cannot run leaves no run folder behind.
    costs = preflight(
        prepared, device=options.device, elsewhere=elsewhere, run=folder.root, trying=observer.trying
    )
    observer.checked(prepared, costs, workers(prepared, costs))
    return prepared, costs


def _prepared(file: StudyFile, options: RunOptions, observer: Observer) -> Prepared:
    if options.fetch:
        fetch(file, observer.fetching, observer.fetched)
    return prepare(file, progress=observer.decoding)


def _crew(prepared: Prepared, options: RunOptions, costs: Costs | None) -> Crew:
    """The workers of a run; of what is done already, no memory is foretold."""
    study, profile = prepared.study, prepared.file.study.profile_of(options.launcher)
    memory_mb = costs.memory_mb() + _pixels_mb(prepared) if costs else 0.0
    most = None
    if profile is not None:
        bearable = min(profile.at_a_time, len(prepared.plan.items))
    else:
        bearable = default_workers(options.device, study.threads, memory_mb)
        most = None if options.workers else bearable_workers(study.threads, memory_mb)
    return Crew(
        RunFolder(run_root(prepared.file, options.out)),
        options.workers or bearable,
        options.device,
        study.threads,
        trust_code=bool(trusted()),
        memory_mb=memory_mb,
        reads=(prepared.dataset.root.resolve(),),
        profile=profile,
        most=most,
    )


def _pixels_mb(prepared: Prepared) -> float:
    """What a worker that keeps all pixels in memory needs for them."""
    in_memory = any(row.training.cache == "memory" for row in prepared.configurations)
    return prepared.packed.num_bytes / 1e6 if in_memory else 0.0


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


def drive(folder: RunFolder, launcher: Launcher, observer: Observer, *, elsewhere: bool = False) -> None:
    """Have workers do the items of a run until every one is done, failed or skipped.

    Raises:
        RunError: workers died again and again while work was left; or another run changed the plan meanwhile.
    """
    if all_settled(folder, folder.load_plan(), elsewhere=elsewhere):
        return
    launcher.run(
        finished=_finished(folder, elsewhere=elsewhere), tick=observer.working, stopping=observer.stopping
    )


def _finished(folder: RunFolder, *, elsewhere: bool = False) -> Callable[[], bool]:
    """Whether all items are settled; refuses to wait for items which are no longer planned."""
    plan = folder.load_plan()
    items = {item.id for item in plan.items}
    agendas = Agendas(folder, plan=plan, elsewhere=elsewhere, share=DRIVER_SHARE)
    seen = folder.plan_version(plan)

    def finished() -> bool:
        nonlocal seen
        refuse_if_stopped(folder)
        now = folder.plan_version(plan)
        if now != seen and not items <= {item.id for item in folder.load_plan().items}:
            raise RunError(
                "another foldwise run has changed the plan of this folder: its study is another one",
                where=str(folder.root),
                cure="Wait for the other run and start this one again, or give each its own --out.",
            )
        seen = now
        return agendas.now().is_done()

    return finished


def finish(folder: RunFolder) -> Verdict:
    """Judge what is done, write the report, and lay the winner out for prediction; the verdict.

    Raises:
        Damaged: a file of an item is, which only a run can do again; nothing of the winner was changed.
    """

    def finished() -> Verdict:
        verdict = judge(folder)
        hand_over(folder, verdict)
        write_report(folder)
        return verdict

    return Mending(folder, lambda line: None, mend=_mend_for_verdict).until_whole(finished)


def _mend_for_verdict(folder: RunFolder, damage: Damaged) -> str | None:
    # Another run that ends at the same moment may replace what was judged between two looks: judging again is the cure.
    judged = (folder.judged, folder.verdict, folder.curves, folder.results, folder.scores)
    return damage.what if Path(str(damage.where)) in judged else mend_pack(folder, damage)


def judged_now(folder: RunFolder) -> ReportData:
    """What is done now, judged for the report; nothing is written into the run folder."""
    verdict, rows = verdict_now(folder)
    return gather(folder, verdict, curves_of(rows, verdict))
