"""The stair: every command, what it takes, and the exit code it ends with."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from foldwise.errors import FoldwiseError, ItemsFailed, RunError
from foldwise.interface.cli.claims import claims
from foldwise.interface.cli.data import data_app
from foldwise.interface.cli.fit_options import Fit, takes
from foldwise.interface.cli.judge import judge
from foldwise.interface.cli.look import look
from foldwise.interface.cli.report import report

if TYPE_CHECKING:
    from foldwise.run.folder import RunFolder

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
Variant = Annotated[
    list[str], typer.Option("--variant", metavar="NAME", help="Lay a variant of the study over it.")
]
Phantom = Annotated[bool, typer.Option("--phantom", help="--variant phantom, laid over it first.")]
Quick = Annotated[bool, typer.Option("--quick", help="--variant quick, laid over it last.")]


@app.command()
def check(
    study: StudyFile,
    set_: Set = [],  # noqa: B006 - typer wants the default value itself
    variant: Variant = [],  # noqa: B006
    phantom: Phantom = False,
    quick: Quick = False,
) -> None:
    """Read the study, decode and audit its images, make the folds and the plan. Trains nothing."""
    from foldwise.interface.printing.study import Decoding, say_check
    from foldwise.pipeline.pipeline import prepare
    from foldwise.pipeline.preflight import check_models
    from foldwise.run.launchers.local import default_workers

    with Decoding() as decoding:
        variants = _variants(variant, phantom, quick)
        prepared = prepare(study, overrides=set_, variants=variants, progress=decoding.show)
    workers = default_workers("auto", prepared.study.threads)
    say_check(prepared, check_models(prepared), workers=workers)


@app.command()
def run(  # noqa: PLR0913 - every one is an option of the command
    study: StudyFile,
    out: Annotated[Path | None, typer.Option(help="The run folder.", show_default="runs/<study>")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes at a time.", show_default="from the cores")
    ] = None,
    device: Device = "auto",
    set_: Set = [],  # noqa: B006
    variant: Variant = [],  # noqa: B006
    phantom: Phantom = False,
    quick: Quick = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try failed items again.")] = False,
    no_fetch: Annotated[bool, typer.Option("--no-fetch", help="Download no data set.")] = False,
) -> None:
    """Check, train what is not done yet, judge and report. Call it again to go on after an interrupt."""
    variants = _variants(variant, phantom, quick)
    if not no_fetch:
        _fetch(study, set_, variants)
    folder, verdict = _walk(
        study, out, workers=workers, device=device, overrides=set_, variants=variants, retry=retry
    )
    _fail_if_items_failed(verdict, folder.root)


def _variants(named: list[str], phantom: bool, quick: bool) -> list[str]:
    """The variants in the order in which they are laid over the study, each once."""
    return list(dict.fromkeys([*(["phantom"] if phantom else []), *named, *(["quick"] if quick else [])]))


def _fetch(study: Path, overrides: list[str], variants: list[str]) -> None:
    """Get the public data set of a study that is not here yet."""
    from foldwise.data.public.getting import read_record
    from foldwise.interface.api import fetch_data
    from foldwise.interface.printing.data import Fetching, say_fetched

    with Fetching() as fetching:
        got = fetch_data(study, overrides=overrides, variants=variants, progress=fetching.show)
    if got is not None:
        say_fetched(read_record(got), got, brief=True)


def _walk(
    study: Path,
    out: Path | None,
    *,
    workers: int | None,
    device: str,
    overrides: list[str],
    variants: list[str] | None = None,
    retry: bool = False,
) -> tuple[RunFolder, dict[str, Any]]:
    """The whole walk, said aloud: the run folder and the verdict."""
    from foldwise.interface.api import drive, refuse_device, run_root
    from foldwise.interface.printing.progress import Watching
    from foldwise.interface.printing.study import Decoding, say_answer, say_check, say_done_already
    from foldwise.pipeline.pipeline import finish, lay_out, prepare
    from foldwise.pipeline.preflight import check_models
    from foldwise.pipeline.worker import all_settled
    from foldwise.run.folder import RunFolder
    from foldwise.run.launchers.local import default_workers

    refuse_device(device)
    with Decoding() as decoding:
        prepared = prepare(study, overrides=overrides, variants=variants or (), progress=decoding.show)
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
    return folder, verdict


def _fail_if_items_failed(verdict: dict, folder: Path) -> None:  # type: ignore[type-arg]
    failures = [failure for row in verdict["configurations"] for failure in row["failures"]]
    what = "fits" if failures else "items beside the fits"
    failures = failures or verdict["failed_items"]
    if failures:
        raise ItemsFailed(
            f"{len(failures)} of the {what} failed; the first says: {failures[0]['message']}",
            cure=f"foldwise status {folder} lists them. Mend the cause, then: foldwise run STUDY --retry",
        )


@app.command()
@takes(Fit)
def fit(**options: Any) -> None:
    """One model on one folder of images: a study of a single configuration, from folds to report."""
    from foldwise.interface.api import refuse_device
    from foldwise.interface.cli.fit import hand_over, save

    asked = Fit(**options)
    refuse_device(asked.device)
    study = save(asked)
    folder, verdict = _walk(study, asked.root, workers=asked.workers, device=asked.device, overrides=[])
    hand_over(asked, folder, verdict)
    _fail_if_items_failed(verdict, folder.root)


@app.command()
def status(run: RunPath) -> None:
    """How far a run is, what is being done, and what failed and why."""
    from foldwise.interface.printing.progress import say_status
    from foldwise.run.folder import RunFolder

    say_status(RunFolder.open(run))


app.command()(report)


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
    from foldwise.interface.api import refuse_device
    from foldwise.pipeline.worker import do_by_hand
    from foldwise.pipeline.worker import work as pull
    from foldwise.run.folder import RunFolder

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
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or a model handed over by fit.")],
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="A folder of images, or one image.")],
    out: Annotated[Path, typer.Option(help="Where the predictions go.")],
    device: Device = "auto",
    pictures: Annotated[bool, typer.Option("--pictures", help="Also a page and a PNG to look at.")] = False,
    submission: Annotated[
        Path | None, typer.Option(help="Of several labels, also a CSV: Id,Predicted with class indices.")
    ] = None,
) -> None:
    """The winner on new images: a CSV of probabilities, or masks and overlays."""
    from foldwise.interface.api import predict as predict_with
    from foldwise.interface.api import refuse_device

    refuse_device(device)
    told = predict_with(run, images, out=out, device=device, pictures=pictures, submission=submission)
    print(f"predictions: {told}")
    if submission is not None:
        print(f"submission:  {submission}")
    if pictures:
        print(f"pictures:    {told / 'pictures.html'}, {told / 'pictures.png'}")


app.command()(judge)
app.command()(claims)
app.command()(look)
app.add_typer(data_app, name="data")


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
