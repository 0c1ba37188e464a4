"""The command `foldwise`: its commands, and the exit code that each error ends it with."""

from __future__ import annotations

import codecs
import gc
import io
import os
import sys
from contextlib import suppress
from typing import NoReturn

import typer

from foldwise.errors import GO_ON, FoldwiseError, RunError, SpecError, of_machine, unknown
from foldwise.interface.commands.claims import claims
from foldwise.interface.commands.data import data_app
from foldwise.interface.commands.doctor import doctor
from foldwise.interface.commands.export import evaluate, export
from foldwise.interface.commands.fit import fit
from foldwise.interface.commands.init import demo, init
from foldwise.interface.commands.judge import judge
from foldwise.interface.commands.look import look
from foldwise.interface.commands.measure import measure
from foldwise.interface.commands.report import app as try_page
from foldwise.interface.commands.report import predict, report
from foldwise.interface.commands.run import check, plan, run, work
from foldwise.interface.commands.status import status, stop
from foldwise.processes import sigterm_as_interrupt
from foldwise.text import in_shell

app = typer.Typer(
    name="foldwise",
    help="Which deep-learning model should I use on my images, how sure can I be, and what does it cost?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# Signs of our messages in ASCII, for terminals that have no others.
PLAIN = {
    "→": "->", "–": "-", "−": "-", "×": "x", "·": "-", "●": "*", "✗": "x", "±": "+-", "≤": "<=", "≥": ">=", "…": "...",
}  # fmt: skip

# Common names of what a command does, in other programs.
SYNONYMS = {
    "init": "new create start setup draft",
    "run": "train compare tune sweep",
    "check": "validate lint verify",
    "predict": "infer inference apply segment classify",
    "evaluate": "eval test score",
    "report": "show results view serve",
    "status": "ps list progress",
    "export": "deploy package convert save",
    "data": "download datasets dataset get",
}

# Each imports what it does when it is called: the pipeline takes seconds to import, and --help must not wait for it.
COMMANDS = (
    init, check, plan, run, fit, status, stop, report, work, predict, evaluate, export, try_page, judge, claims, look, measure,
    doctor, demo,
)  # fmt: skip
for command in COMMANDS:
    app.command()(command)
app.add_typer(data_app, name="data")


def main() -> NoReturn:
    """The command `foldwise`: runs it, and turns every error of ours into its message and exit code."""
    _open_streams()
    code = _written(_code_of_commands())
    # The last look for garbage, as Python ends, takes half a second where a plan is large. Compilers that torch brings
    # print a page about what they then still hold, so that it is spared only where there is none.
    if "torch" not in sys.modules:
        gc.freeze()
    sys.exit(code)


def _code_of_commands() -> int:
    """The exit code of the command that was asked for, whose errors are printed."""
    try:
        _look_for_no_modules_here()
        with (
            sigterm_as_interrupt()
        ):  # in the middle of whatever it may come: then what is half written is removed
            _refuse_no_command(sys.argv[1:2])
            app(standalone_mode=True)
    except FoldwiseError as error:
        return _refused(error)
    except Exception as error:
        if (refused := of_machine(error)) is None:
            raise  # a fault of foldwise, whose traceback helps who mends it
        return _refused(refused)
    except KeyboardInterrupt:  # 130 is what shells say of a program that Ctrl-C ended
        return _stopped()
    except SystemExit as ended:  # typer makes this of Ctrl-C, of a wrong option, and of a reader who has gone
        return _stopped() if ended.code == 130 else int(ended.code or 0)
    return 0


def _refuse_no_command(first: list[str]) -> None:
    """Point from a folder, a study or a word of other programs, where a command is to stand, to the command that is meant."""
    names = [*(command.__name__ for command in COMMANDS), "data"]
    if not first or first[0].startswith("-") or first[0] in names:
        return
    if not os.path.exists(first[0]):
        meant = {word: name for name, words in SYNONYMS.items() for word in words.split()}
        refused = unknown(first[0], names, "command")
        if name := meant.get(first[0].casefold()):
            refused.cure = f"Did you mean {name!r}? foldwise {name} -h"
        raise refused
    path = in_shell(first[0])
    if not os.path.isdir(first[0]):
        raise SpecError(f"{first[0]} is a file, and no command", cure=f"foldwise run {path}")
    is_run = os.path.exists(os.path.join(first[0], "plan.json"))
    raise SpecError(
        f"{first[0]} is a folder, and no command",
        cure=f"foldwise report {path}" if is_run else f"foldwise init {path}, which drafts a study of it",
    )


def _look_for_no_modules_here() -> None:
    """Take the current folder from where modules are looked for; refuse to work in one that is gone.

    `python -m foldwise` puts it first, where a file called like a library would be run in its place. Own code that the
    user trusts is found there all the same.
    """
    try:
        here = os.getcwd()
    except OSError:
        what = "the current folder is not there any more"
        raise FoldwiseError(what, cure="cd to a folder that is.") from None
    if sys.path[:1] == [here]:
        del sys.path[0]


def _refused(error: FoldwiseError) -> int:
    _say(f"foldwise: {error}")
    return error.exit_code


def _stopped() -> int:
    _say("\nfoldwise: stopped; the same command goes on from here")
    return 130


def _say(message: str) -> None:
    # Where nobody can be told, the exit code still says it.
    with suppress(OSError):
        print(message, file=sys.stderr, flush=True)


def _open_streams() -> None:
    """Give closed streams a number that leads nowhere, and let those that lack a letter write another for it."""
    # Else the next file that is opened, a table of the run perhaps, gets the number of the output and all that is printed.
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, open(number, "r+" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
    codecs.register_error("foldwise", _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="foldwise")


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """Letters that a terminal lacks, in those that it has; as escapes where there are none."""
    assert isinstance(error, UnicodeEncodeError)
    letters = error.object[error.start : error.end]
    return "".join(
        PLAIN.get(letter) or letter.encode("ascii", "backslashreplace").decode() for letter in letters
    ), error.end


def _written(code: int) -> int:
    """The exit code, when all that was printed is out; 1 where nobody reads it any more, and 5 where it cannot be."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = code or 1
    except OSError as error:
        code = code or _refused(RunError(f"the output cannot be written: {error.strerror}", cure=GO_ON))
    else:
        return code
    # What is left would be tried again when Python ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return code
