"""Commands as a user types them, in this process."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest

from foldwise.interface import cli


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what it printed."""

    code: int
    out: str
    errors: str


def foldwise(*arguments, cwd, code=0):
    """`foldwise ...` as typed in the folder `cwd`, but in this process: it has imported torch already; any exit code where None."""
    out, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(errors):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["foldwise", *map(str, arguments)])
        patch.setattr(sys, "path", [*sys.path])  # the command adds its folder
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert code is None or ended.value.code == code, out.getvalue() + errors.getvalue()
    return Ended(ended.value.code, out.getvalue(), errors.getvalue())
