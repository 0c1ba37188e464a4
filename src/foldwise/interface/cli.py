"""The command `foldwise`: its commands, and the exit code that each error ends it with."""

from __future__ import annotations

import errno
import os
import sys
from typing import NoReturn

import typer

from foldwise.errors import FoldwiseError, RunError
from foldwise.interface.commands.claims import claims
from foldwise.interface.commands.data import data_app
from foldwise.interface.commands.fit import fit
from foldwise.interface.commands.judge import judge
from foldwise.interface.commands.look import look
from foldwise.interface.commands.report import predict, report
from foldwise.interface.commands.run import check, plan, run, status, work

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

# Each imports what it does when it is called: the pipeline takes seconds to import, and --help must not wait for it.
COMMANDS = (check, plan, run, fit, status, report, work, predict, judge, claims, look)
for command in COMMANDS:
    app.command()(command)
app.add_typer(data_app, name="data")


def main() -> NoReturn:
    """The command `foldwise`: runs it, and turns every error of ours into its message and exit code."""
    # `python -m foldwise` puts the current folder first, where a file called like a library would be run in its place.
    # Own code that the user trusts is found there all the same.
    if sys.path[:1] == [os.getcwd()]:
        del sys.path[0]
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
    except KeyboardInterrupt:  # 130 is what shells say of a program that Ctrl-C ended
        _say_stopped()
        sys.exit(130)
    except SystemExit as ended:  # typer makes this of Ctrl-C
        if ended.code == 130:
            _say_stopped()
        raise


def _say_stopped() -> None:
    print("\nfoldwise: stopped; the same command goes on from here", file=sys.stderr)
