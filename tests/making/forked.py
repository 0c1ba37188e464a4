"""Commands in processes of their own that start at once: forked from one that has imported torch and done nothing.

A process that imports torch takes seconds to start; tests that kill runs, or have several at once, start many.
"""

import json
import os
import subprocess
import sys
import traceback
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent


class Forked:
    """Starts `foldwise ...` in processes that can be killed and waited for.

    Args:
        library: is loaded before the C library, by all of them: see `faulty_disk`.
    """

    def __init__(self, library=None):
        self.preloaded = {} if library is None else {"LD_PRELOAD": str(library)}

    def __enter__(self):
        code = f"import sys; sys.path.insert(0, {str(HERE)!r}); import forked; forked.serve()"
        self.server = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | self.preloaded,
        )
        return self

    def __exit__(self, *_):
        self.server.stdin.close()
        self.server.wait(200)
        self.server.stdout.close()

    def start(self, *arguments, cwd, changed=(), before=(), out=None):
        """The process id of a command that has begun in the folder `cwd`, with this process's environment.

        Args:
            changed: (module, name, value) of constants that are others in that process.
            before: (module, function, arguments) of what is called in it before it begins.
            out: the file to which all that it prints is added; by default only errors are seen.
        """
        request = {"arguments": [*map(str, arguments)], "cwd": str(cwd), "environment": {**os.environ}}
        return self._ask(request | {"changed": [*changed], "before": [*before], "out": out and str(out)})

    def run(self, code, *words, cwd, out):
        """The exit code of Python's `code`, run in the folder `cwd` with these words as its arguments.

        Args:
            out: the file to which all that it prints is added.
        """
        request = {"arguments": words, "cwd": str(cwd), "environment": {**os.environ}, "code": code}
        return self.wait(self._ask(request | {"changed": [], "before": [], "out": str(out)}))

    def wait(self, pid):
        """The exit code of a command once it has ended; negative where a signal ended it."""
        return self._ask({"wait": pid})

    def _ask(self, request):
        print(json.dumps(request), file=self.server.stdin, flush=True)
        return int(self.server.stdout.readline())


def serve():
    """Fork a process for every line that asks for one, until there are no more lines."""
    import foldwise.interface.api
    import foldwise.interface.cli
    import foldwise.learning.training.fit
    import foldwise.pipeline.pipeline  # noqa: F401 - imported here, once, for all who are forked

    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        else:
            answer = os.fork() or _be_the_command(**request)
        print(answer, file=answers, flush=True)


def _be_the_command(arguments, cwd, environment, changed, before, out, code=None):
    from foldwise.interface import cli

    if "LD_PRELOAD" not in os.environ:  # of a disk on which that may fail, too
        os.fsync = lambda _: None  # these processes are killed, and the power stays on
    for module, name, value in changed:
        setattr(import_module(module), name, value)

    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):  # errors are seen where pytest shows them
        os.dup2(silent, stream)
    if out:
        file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(file, stream)
    os.chdir(cwd)
    os.environ.update(environment)
    for module, name, values in before:
        getattr(import_module(module), name)(*values)
    sys.argv = ["foldwise" if code is None else "-c", *arguments]
    try:
        cli.main() if code is None else exec(code, {"__name__": "__main__"})
    except SystemExit as ended:
        os._exit(ended.code or 0)
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(1 if code is None else 0)
