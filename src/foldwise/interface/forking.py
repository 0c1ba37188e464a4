"""The process that workers of one machine are forked from: a program for `foldwise.runs.launchers.warm`, and for nobody else.

It imports what the items of a run need and does nothing with it: no thread is started and no device is touched, since
neither would be whole in a worker. It is asked a line of JSON at a time: ``{"command": [...], "log": path}`` forks a
worker and answers its process id, ``{"wait": id}`` answers its exit code, or null while it runs.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from foldwise.runs.folder import RunFolder
from foldwise.runs.launchers.warm import ENDING

# Whatever a worker needs before it does its first item, and by the beginnings of their names what networks are made with.
NEEDED = ("foldwise.interface.cli", "foldwise.pipeline.by_hand", "foldwise.learning.training.fit")
LIBRARIES = {"timm": "timm", "torchvision": "torchvision", "smp": "segmentation_models_pytorch"}


def serve(root: Path) -> None:
    """Fork workers until nobody asks any more."""
    # Whoever ends a run ends its workers; this one ends when it is asked nothing more.
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ENDING}
    for name in NEEDED:
        with suppress(Exception):  # the worker that needs it says what is wrong
            import_module(name)
    with suppress(Exception):
        _import_libraries(root)
    gc.freeze()  # what is never looked through is never copied for a worker
    answers = os.fdopen(os.dup(1), "w")
    print("warm", file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = _exit_code(request["wait"])
        elif not (answer := _fork()):
            answers.close()
            _be_a_worker(request["command"], request["log"], before)
        print(json.dumps(answer), file=answers, flush=True)


def _import_libraries(root: Path) -> None:
    """Import what the networks of a plan are made with, as far as libraries make them."""
    from foldwise.learning.networks.lean_imports import library

    settings = [
        item.settings.get("training") or item.settings.get("encoder")
        for item in RunFolder(root).load_plan().items
    ]
    prefixes = {training["model"]["name"].partition(":")[0] for training in settings if training}
    for prefix in sorted(prefixes & LIBRARIES.keys()):
        library(LIBRARIES[prefix])


def _fork() -> int:
    # What comes before the worker can take it waits until then.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    return pid


def _exit_code(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _be_a_worker(command: list[str], log: str, before: dict[signal.Signals, Any]) -> None:
    """Do what the command `foldwise` does in a process of its own, and end."""
    code: Any = 1
    try:
        printed = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (printed, 1), (printed, 2)):
            os.dup2(source, target)
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        sys.argv = ["foldwise", *command]
        from foldwise.interface.cli import main

        main()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        # Without what the parent has put off to its own end.
        os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
