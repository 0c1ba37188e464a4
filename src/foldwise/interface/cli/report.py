"""The command `foldwise report`: the page, its figures and tables as files, event files, or a page that follows a run."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foldwise.errors import SpecError

if TYPE_CHECKING:
    from foldwise.reporting.report_data import ReportData
    from foldwise.run.folder import RunFolder

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/gel.")]
Open = Annotated[bool, typer.Option("--open", help="Open it in the browser.")]
Figures = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Also every figure as SVG, and every table as CSV.")
]
Tensorboard = Annotated[Path | None, typer.Option(metavar="DIR", help="Also event files for TensorBoard.")]
Serve = Annotated[
    bool, typer.Option("--serve", help="Show it on this machine while the study runs, until Ctrl-C.")
]
Port = Annotated[
    int, typer.Option(min=0, max=65535, help="Of --serve. [default: a free one]", show_default=False)
]


def report(
    run: RunPath,
    open_: Open = False,
    figures: Figures = None,
    tensorboard: Tensorboard = None,
    serve: Serve = False,
    port: Port = 0,
) -> None:
    """Judge what is done so far and write report.html, verdict.json and results.csv; or serve it while it grows."""
    from foldwise.run.folder import RunFolder

    if port and not serve:
        raise SpecError("only a page that is served has a port", where="--port", cure="Add --serve.")
    if serve and (figures or tensorboard):
        cure = "Ask for them without --serve, when the study is done."
        raise SpecError("--serve writes no files", where="--figures, --tensorboard", cure=cure)
    folder = RunFolder.open(run)
    if serve:
        _serve(folder, port, open_=open_)
    else:
        _write(folder, figures, tensorboard)
        if open_:
            webbrowser.open(folder.report.resolve().as_uri())


def _write(folder: RunFolder, figures: Path | None, tensorboard: Path | None) -> None:
    from foldwise.interface.printing.report import say_events, say_figures
    from foldwise.interface.printing.study import say_answer
    from foldwise.pipeline.pipeline import finish

    verdict = finish(folder)
    say_answer(folder, verdict)
    if figures is not None:
        from foldwise.reporting.figure_files import write_figures

        say_figures(figures, write_figures(folder, figures))
    if tensorboard is not None:
        from foldwise.learning.checkpoints.event_files import write_events

        say_events(tensorboard, write_events(folder, verdict, tensorboard))


def _serve(folder: RunFolder, port: int, *, open_: bool) -> None:
    """Until Ctrl-C, which is the way to end it and no failure."""
    from foldwise.interface.printing.report import say_served, wait_for_stop
    from foldwise.reporting.live import serving

    with serving(folder, judged, port=port) as address:
        say_served(folder, address)
        if open_:
            webbrowser.open(address)
        wait_for_stop()


def judged(folder: RunFolder) -> ReportData:
    """What is done now, judged for the report; nothing is written into the run folder."""
    from foldwise.judging.judge import verdict_now
    from foldwise.judging.scores.curve_scores import curves_of
    from foldwise.reporting.report_data import gather

    verdict, rows = verdict_now(folder)
    return gather(folder, verdict.dump(), curves_of(rows, verdict))
