"""`foldwise work`: a worker, or one item by hand."""

from __future__ import annotations

from typing import Annotated

import typer

from foldwise.errors import ItemsFailed
from foldwise.interface.terminal import Device, RunPath

ItemId = Annotated[
    str | None, typer.Argument(metavar="[ITEM]", help="One item, by (the beginning of) its id.")
]
WorkerIndex = Annotated[int, typer.Option(hidden=True)]  # tells workers of a run apart in a list of processes


def work(run: RunPath, item: ItemId = None, device: Device = "auto", worker_index: WorkerIndex = 0) -> None:
    """Be a worker: do ready items until none is left; or do one item by hand."""
    from foldwise.pipeline.worker import do_by_hand, refuse_device
    from foldwise.pipeline.worker import work as pull
    from foldwise.runs.folder import RunFolder

    refuse_device(device)
    folder = RunFolder.open(run)
    if item is None:
        pull(folder, device=device, log=lambda line: print(line, flush=True))
        return
    done, result = do_by_hand(folder, item, device=device)
    if result["error"]:
        raise ItemsFailed(result["error"]["message"], where=done.title)
    print(f"done {done.title}: {folder.done(done.id)}")
