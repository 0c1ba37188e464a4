"""The stair: every command, what it takes, and the exit code it ends with."""

from __future__ import annotations

import errno
import os
import sys
import webbrowser
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from foldwise.errors import FoldwiseError, ItemsFailed, RunError

app = typer.Typer(
    name="foldwise",
    help="Which deep-learning model should I use on my images, how sure can I be, and what does it cost?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# What a disk or a folder says no with; any other OSError is a bug, and its traceback is wanted.
REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
REFUSALS |= {errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG}
StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="The study file (YAML).")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/gel.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps; never another one than asked.")]
Set = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change the study, e.g. train.epochs=2.")
]


@app.command()
def check(study: StudyFile, set_: Set = []) -> None:  # noqa: B006 - typer wants the default value itself
    """Read the study, decode and audit its images, make the folds and the plan. Trains nothing."""
    from foldwise.launching.local import default_workers
    from foldwise.terminal import Decoding, say_check
    from foldwise.walk import check_models, prepare

    with Decoding() as decoding:
        prepared = prepare(study, overrides=set_, progress=decoding.show)
    workers = default_workers("auto", prepared.study.threads)
    say_check(prepared, check_models(prepared), workers=workers)


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
    from foldwise.api import drive, refuse_device, run_root
    from foldwise.launching.local import default_workers
    from foldwise.study.folder import RunFolder
    from foldwise.terminal import Decoding, Watching, say_answer, say_check, say_done_already
    from foldwise.walk import check_models, finish, lay_out, prepare
    from foldwise.work import all_settled

    refuse_device(device)
    with Decoding() as decoding:
        prepared = prepare(study, overrides=set_, progress=decoding.show)
    threads, folder_path = prepared.study.threads, run_root(prepared, out)
    workers = workers or default_workers(device, threads)
    if retry:
        RunFolder(folder_path).retry()
    if all_settled(RunFolder(folder_path), prepared.plan):
        say_done_already(prepared.study, RunFolder(folder_path), prepared.plan)
    else:
        say_check(prepared, check_models(prepared, device=device), workers=workers, brief=True)
    folder = lay_out(prepared, folder_path)
    with Watching(folder) as watching:
        drive(folder, workers=workers, device=device, threads=threads, progress=watching)
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
    from foldwise.api import refuse_device
    from foldwise.study.folder import RunFolder
    from foldwise.work import do_by_hand
    from foldwise.work import work as pull

    refuse_device(device)
    folder = RunFolder.open(run)
    if item is None:
        pull(folder, device=device, log=lambda line: print(line, flush=True))
        return
    done, result = do_by_hand(folder, item, device=device)
    if result["error"]:
        raise ItemsFailed(result["error"]["message"], where=done.title)
    print(f"done {done.title}: {folder.done(done.id)}")


@app.command()
def predict(
    run: RunPath,
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="A folder of images, or one image.")],
    out: Annotated[Path, typer.Option(help="Where the predictions go.")],
    device: Device = "auto",
) -> None:
    """The winner on new images: a CSV of probabilities, or masks and overlays."""
    from foldwise.api import predict as predict_with
    from foldwise.api import refuse_device

    refuse_device(device)
    print(f"predictions: {predict_with(run, images, out=out, device=device)}")


data_app = typer.Typer(
    help="Public data sets by name: list, get, verify.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(data_app, name="data")
SourceName = Annotated[str, typer.Argument(metavar="NAME", help="A name that foldwise data list shows.")]
SourceFolder = Annotated[Path | None, typer.Option("--out", help="Its folder.", show_default="data/<name>")]
Local = Annotated[
    Path | None, typer.Option(help="A folder or archive with the original, in place of a download.")
]


@data_app.command("list")
def data_list() -> None:
    """Say which public data sets are known by name, with their licence, size and traps."""
    from foldwise.data.sources.getting import list_sources
    from foldwise.terminal_data import say_sources

    say_sources(list_sources())


@data_app.command("get")
def data_get(name: SourceName, local: Local = None, out: SourceFolder = None) -> None:
    """Fetch a data set, or take a local copy, check it and lay it out for foldwise. Call it again to go on."""
    from foldwise.data.sources.getting import get, read_record
    from foldwise.terminal_data import Fetching, say_fetched

    with Fetching() as fetching:
        folder = get(name, out or Path("data") / name, local=local, progress=fetching.show)
    say_fetched(read_record(folder), folder)


@data_app.command("verify")
def data_verify(name: SourceName, out: SourceFolder = None) -> None:
    """Compare every file of a data set with what was recorded when it was got."""
    from foldwise.data.sources.getting import verify
    from foldwise.terminal_data import Fetching

    with Fetching() as fetching:
        found = verify(name, out or Path("data") / name, progress=fetching.show)
    print(f"{found.basis}\n{found.num_files} files, SHA-256 of all: {found.digest}")
    found.require_whole()
    print("Every file is as it was.")


def main() -> NoReturn:
    """The command `foldwise`: runs it, and turns every error of ours into its message and exit code."""
    if (
        os.getcwd() not in sys.path
    ):  # where a user's own `module:function` lies; `python -m foldwise` looks there too
        sys.path.insert(0, os.getcwd())
    try:
        app(standalone_mode=True)
        sys.exit(0)
    except FoldwiseError as error:
        print(f"foldwise: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:  # a full disk, a folder that may not be written: no fault of the program
        if error.errno not in REFUSALS:
            raise
        what = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        refused = RunError(what, cure="What is done stays done: mend this, and the same command goes on.")
        print(f"foldwise: {refused}", file=sys.stderr)
        sys.exit(refused.exit_code)
    except KeyboardInterrupt:
        _say_stopped()
        sys.exit(130)
    except SystemExit as ended:  # typer makes this of Ctrl-C
        if ended.code == 130:
            _say_stopped()
        raise


def _say_stopped() -> None:
    print("\nfoldwise: stopped; the same command goes on from here", file=sys.stderr)
