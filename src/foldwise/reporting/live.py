"""The report of a running study, served on this machine: drawn again as fits are done. Nothing is written."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from foldwise.errors import FoldwiseError
from foldwise.reporting.loopback import Handler, listening
from foldwise.reporting.report import render, waiting_page
from foldwise.reporting.report_data import ReportData
from foldwise.runs.folder import RunFolder
from foldwise.runs.leases import how_far, items_in_progress

LOOK_EVERY_S = 3.0
PAUSE = 2.0  # times as long as judging and drawing took: training needs the cores more

Judged = Callable[[RunFolder], ReportData]


class Live:
    """The newest page of a run, and how far the run is.

    Attributes:
        judged: judges what is done now, and gathers it for the report.
        digest: of the results that the page shows; empty while no fit is done.
        page: what is served: the report, or a page that waits for the first fit.
        problem: why the newest results are not shown; empty where they are.
    """

    def __init__(self, folder: RunFolder, judged: Judged) -> None:
        self.folder, self.judged, self.digest, self.problem = folder, judged, "", ""
        self.page = waiting_page(folder.load_study())
        self._seen = ""

    def look(self) -> bool:
        """Judge and draw again if anything was committed since; whether the page is another one now.

        Where that fails, the last page stays, and `problem` says why until something else is committed.
        """
        plan = self.folder.load_plan()
        outcomes = self.folder.outcomes()
        statuses = {item.id: outcomes[item.id]["status"] for item in plan.items if item.id in outcomes}
        # Which items are planned and how they ended: anything else that changes in the folder changes no result.
        seen = sha256(
            json.dumps([sorted(statuses.items()), [item.id for item in plan.items]]).encode()
        ).hexdigest()
        fits = {item.id for item in plan.items if item.kind == "fit"}
        if seen == self._seen or not any(
            status == "done" and name in fits for name, status in statuses.items()
        ):
            return False
        self._seen = seen
        try:
            page = render(self.judged(self.folder), live=seen[:16])
        except FoldwiseError as error:
            self.problem = str(error)
            return False
        except Exception as error:  # a page that is a little old is better than none
            self.problem = f"{type(error).__name__}: {error}"
            return False
        self.page, self.digest, self.problem = page, seen[:16], ""
        return True

    def state(self) -> dict[str, Any]:
        """How far the run is, what is being done, and which page is the newest."""
        plan = self.folder.load_plan()
        counts = self.folder.status(plan)
        settled = counts.done + counts.failed + counts.skipped
        return {
            "done": counts.done,
            "failed": counts.failed + counts.skipped,
            "total": len(plan.items) + plan.num_to_come,
            "finished": settled == len(plan.items) + plan.num_to_come,
            "running": [
                {"title": title, "far": how_far(beat), "score": _score(beat)}
                for title, beat in items_in_progress(self.folder, plan)
            ],
            "digest": self.digest,
            "problem": self.problem,
        }


def _score(beat: dict[str, Any]) -> str:
    return f"{beat['metric']} {beat['score']:.3f}" if beat.get("score") is not None else ""


@contextmanager
def serving(folder: RunFolder, judged: Judged, *, port: int = 0) -> Iterator[str]:
    """The report of a run on this machine only, for as long as the context lasts; its address.

    Args:
        folder: of a run, which may still be running.
        judged: judges what is done now, and gathers it for the report.
        port: 0 takes a free one.

    Raises:
        RunError: the port is taken.
    """
    live, stop = Live(folder, judged), threading.Event()
    with listening(_handler(live), port) as address:
        threading.Thread(target=_keep_looking, args=(live, stop), daemon=True).start()
        try:
            yield address
        finally:
            stop.set()


def _keep_looking(live: Live, stop: threading.Event) -> None:
    while not stop.is_set():
        began = time.monotonic()
        try:
            live.look()
        except (FoldwiseError, OSError, ValueError) as error:  # the run is being laid out again
            live.problem = str(error)
        stop.wait(max(LOOK_EVERY_S, PAUSE * (time.monotonic() - began)))


def _handler(live: Live) -> type[Handler]:
    class Pages(Handler):
        """Two addresses, and no other: the page, and its state."""

        def get(self) -> None:
            """The page or the state; 404 for all else."""
            if self.path == "/":
                self.answer(200, "text/html", live.page)
            elif self.path == "/state.json":
                self._state()
            else:
                super().get()

        def _state(self) -> None:
            try:
                self.answer(200, "application/json", json.dumps(live.state()))
            except (FoldwiseError, OSError, ValueError) as error:  # the plan is being written
                self.answer(503, "text/plain", str(error))

    return Pages
