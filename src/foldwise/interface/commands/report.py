"""`foldwise report`, `predict` and `app`: what a run gives: its page, figures and tables; its winner's predictions; a page to drop images on."""

from __future__ import annotations

import threading
import webbrowser
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foldwise.errors import SpecError
from foldwise.interface.observer import Doing, say_answer
from foldwise.interface.study_options import Configuration, Fold, Model
from foldwise.interface.terminal import SIGNS, Device, PredictingBar, RunPath, TrustCode, console, say_message
from foldwise.text import count

if TYPE_CHECKING:
    from foldwise.runs.folder import RunFolder
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
Images = Annotated[Path, typer.Argument(metavar="IMAGES", help="A folder of images, or one image.")]
Out = Annotated[Path, typer.Option(help="Where the predictions go.")]
Pictures = Annotated[bool, typer.Option("--pictures", help="Also a page and a PNG to look at.")]
Runtime = Annotated[
    str, typer.Option(metavar="NAME", help="auto, torch or onnxruntime, which is faster on a processor.")
]
Flips = Annotated[bool, typer.Option("--flips", help="Mean over the image and its mirror images.")]
Probabilities = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="Of masks, also a file for each image: uint16 or float32 (OME-TIFF, a channel for each class), or npy.",
    ),
]
Submission = Annotated[
    Path | None, typer.Option(help="Of several labels, also a CSV: Id,Predicted with class indices.")
]
PagePort = Annotated[int, typer.Option(min=0, max=65535, help="[default: a free one]", show_default=False)]


def report(
    run: RunPath,
    open_: Open = False,
    figures: Figures = None,
    tensorboard: Tensorboard = None,
    serve: Serve = False,
    port: Port = 0,
) -> None:
    """Judge what is done so far and write report.html, verdict.json and results.csv; or serve it while it grows."""
    from foldwise.runs.folder import RunFolder

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
    from foldwise.pipeline.pipeline import finish

    verdict = finish(folder)
    say_answer(folder, verdict)
    if figures is not None:
        from foldwise.reporting.figure_files import write_figures
        from foldwise.reporting.report_data import gather

        say_figures(figures, write_figures(gather(folder), figures))
    if tensorboard is not None:
        from foldwise.learning.checkpoints.winner import write_events

        say_events(
            tensorboard, write_events(folder, verdict.metric.name, verdict.configurations, tensorboard)
        )


def _serve(folder: RunFolder, port: int, *, open_: bool) -> None:
    from foldwise.pipeline.pipeline import judged_now
    from foldwise.reporting.live import serving

    # The address comes from the server: without --port, it takes one that is free.
    with serving(folder, judged_now, port=port) as address:
        _until_stopped(
            address,
            f"{folder.root} is shown at {address} on this machine only.\n"
            "It grows while the study runs. Nothing is written. Ctrl-C ends it.",
            "The page is no longer served; the study goes on if it is running.",
            open_=open_,
        )


def say_figures(out: Path, files: Sequence[Path]) -> None:
    """How many figures and tables are where."""
    drawn = sum(file.suffix == ".svg" for file in files)
    numbers = f"{count(drawn, 'figure')} as SVG, {count(len(files) - drawn, 'table')} as CSV"
    console().print(f"Figures: {out} ({numbers})", markup=False)


def say_events(out: Path, fits: int) -> None:
    """How many fits are in event files, and how to look at them."""
    console().print(
        f"Events:  {out} ({count(fits, 'fit')}); look with: tensorboard --logdir {out}", markup=False
    )


def _until_stopped(address: str, begun: str, ended: str, *, open_: bool) -> None:
    """Say where a page is, and wait for Ctrl-C, which is the way to end it and no failure, as soon as the address is seen."""
    try:
        console().print(begun, markup=False, highlight=False)
        if open_:
            webbrowser.open(address)
        threading.Event().wait()
    except KeyboardInterrupt:
        console().print(f"\n{ended}", markup=False, highlight=False)


def predict(  # noqa: PLR0913 - each is an option
    run: Model,
    images: Images,
    out: Out,
    device: Device = "auto",
    runtime: Runtime = "auto",
    configuration: Configuration = None,
    fold: Fold = None,
    flips: Flips = False,
    pictures: Pictures = False,
    probabilities: Probabilities = None,
    submission: Submission = None,
    trust_code: TrustCode = False,
) -> None:
    """The winner, or another configuration, on new images: a CSV of probabilities, or masks and overlays."""
    from foldwise.pipeline import hand_over

    bar = PredictingBar()

    def warn(message: str) -> None:
        bar.stop()  # nothing is said beside it
        say_message(console(), SIGNS["warning"], message, code="", cure=None)

    how: dict[str, Any] = {
        "runtime": runtime,
        "flips": flips,
        "pictures": pictures,
        "probabilities": probabilities,
        "submission": submission,
        "trust_code": trust_code,
    }
    choice = hand_over.ModelChoice(configuration, fold)
    with bar:
        record = hand_over.predict(
            run, images, out, choice, device=device, warn=warn, progress=bar.show, doing=bar.say, **how
        )
    print(f"predictions: {out}")
    print(f"model:       {record['model'] or 'its score is not recorded'}")
    print(f"runtime:     {record['runtime']}")
    if "unlike" in record:
        print(f"unlike:      {record['unlike']}")
    if probabilities is not None:
        print(f"probabilities: {_size_of(out, probabilities)}")
    if submission is not None:
        print(f"submission:  {submission}")
    if pictures:
        print(f"pictures:    {out / 'pictures.html'}, {out / 'pictures.png'}")


def _size_of(out: Path, kind: str) -> str:
    """Where the probabilities are, what they take of the disk, and what their numbers are."""
    from foldwise.learning.probability_files import PROBABILITIES

    folder = out / "probabilities"
    mb = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
    return f"{folder} ({mb:,.1f} MB; {PROBABILITIES[kind].words})"


def app(
    run: Model,
    open_: Open = False,
    port: PagePort = 0,
    device: Device = "auto",
    trust_code: TrustCode = False,
) -> None:
    """A page on this computer: drop images on the winner, and see what it says and which training images are like them."""
    from foldwise.pipeline.trying import trying

    with ExitStack() as served:
        with Doing() as watch:
            how: dict[str, Any] = {"device": device, "port": port, "trust_code": trust_code}
            address = served.enter_context(trying(run, watch=watch, **how))
        begun = f"The model of {run} is at {address} on this computer only; Ctrl-C ends it."
        _until_stopped(address, begun, "The page is no longer served.", open_=open_)
