"""The stair: every command, what it takes, and the exit code it ends with."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from foldwise.errors import FoldwiseError, ItemsFailed

app = typer.Typer(
    name="foldwise",
    help="Which deep-learning model should I use on my images, how sure can I be, and what does it cost?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="The study file (YAML).")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/gel.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps; never another one than asked.")]
Set = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change the study, e.g. train.epochs=2.")
]


@app.command()
def check(study: StudyFile, set_: Set = []) -> None:  # noqa: B006 - typer wants the default value itself
    """Read the study, decode and audit its images, make the folds and the plan. Trains nothing."""
    from foldwise.terminal import Decoding, say_check
    from foldwise.walk import check_models, prepare

    with Decoding() as decoding:
        prepared = prepare(study, overrides=set_, progress=decoding.show)
    say_check(prepared, check_models(prepared))


@app.command()
def run(
    study: StudyFile,
    out: Annotated[Path | None, typer.Option(help="The run folder.", show_default="runs/<study>")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes at a time.", show_default="from the cores")
    ] = None,
    device: Device = "auto",
    set_: Set = [],  # noqa: B006
    retry: Annotated[bool, typer.Option("--retry", help="Try failed items again.")] = False,
) -> None:
    """Check, train what is not done yet, judge and report. Call it again to go on after an interrupt."""
    from foldwise.api import drive, run_root
    from foldwise.terminal import Decoding, Watching, say_answer, say_check
    from foldwise.walk import check_models, finish, lay_out, prepare

    with Decoding() as decoding:
        prepared = prepare(study, overrides=set_, progress=decoding.show)
    folder_path = run_root(prepared, out)
    say_check(prepared, check_models(prepared), brief=True)
    folder = lay_out(prepared, folder_path)
    if retry:
        folder.retry()
    with Watching(folder) as watching:
        drive(folder, workers=workers, device=device, threads=prepared.study.threads, progress=watching.show)
    verdict = finish(folder)
    say_answer(folder, verdict)
    _fail_if_items_failed(verdict, folder_path)


def _fail_if_items_failed(verdict: dict, folder: Path) -> None:  # type: ignore[type-arg]
    failures = [failure for row in verdict["configurations"] for failure in row["failures"]]
    if failures:
        raise ItemsFailed(
            f"{len(failures)} of the fits failed; the first says: {failures[0]['message']}",
            cure=f"foldwise status {folder} lists them. Mend the cause, then: foldwise run STUDY --retry",
        )


@app.command()
def status(run: RunPath) -> None:
    """How far a run is, what is being done, and what failed and why."""
    from foldwise.study.folder import RunFolder
    from foldwise.terminal import say_status

    say_status(RunFolder.open(run))


@app.command()
def report(
    run: RunPath, open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False
) -> None:
    """Judge what is done so far and write report.html, verdict.json and results.csv."""
    from foldwise.study.folder import RunFolder
    from foldwise.terminal import say_answer
    from foldwise.walk import finish

    folder = RunFolder.open(run)
    say_answer(folder, finish(folder))
    if open_:
        webbrowser.open(folder.report.resolve().as_uri())


@app.command()
def work(
    run: RunPath,
    item: Annotated[
        str | None, typer.Argument(metavar="[ITEM]", help="One item, by (the beginning of) its id.")
    ] = None,
    device: Device = "auto",
    worker_index: Annotated[int, typer.Option(hidden=True)] = 0,
) -> None:
    """Be a worker: do ready items until none is left; or do one item by hand."""
    from foldwise.study.folder import RunFolder
    from foldwise.work import do_item, find_item
    from foldwise.work import work as pull

    folder = RunFolder.open(run)
    if item is None:
        pull(folder, device=device, log=lambda line: print(line, flush=True))
        return
    result = do_item(folder, find_item(folder.load_plan(), item), device=device)
    if result["error"]:
        raise ItemsFailed(result["error"]["message"], where=result["title"])
    print(f"done {result['title']}: {folder.done(result['item'])}")


@app.command()
def predict(
    run: RunPath,
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="A folder of images, or one image.")],
    out: Annotated[Path, typer.Option(help="Where the predictions go.")],
    device: Device = "auto",
) -> None:
    """The winner on new images: a CSV of probabilities, or masks and overlays."""
    from foldwise.api import predict as predict_with

    print(f"predictions: {predict_with(run, images, out=out, device=device)}")


def main() -> NoReturn:
    """The command `foldwise`: runs it, and turns every error of ours into its message and exit code."""
    try:
        app(standalone_mode=True)
        sys.exit(0)
    except FoldwiseError as error:
        print(f"foldwise: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("\nfoldwise: stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
