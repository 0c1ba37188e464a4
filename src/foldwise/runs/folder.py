"""The run folder: the only durable state of a run."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import Any, Self, TypeVar

from foldwise.errors import RunError
from foldwise.foreign import checked_id, is_id, refuse_strange
from foldwise.processes import collecting_later
from foldwise.runs.paths import RunPaths, external_scores, last_progress
from foldwise.runs.plan import Plan, skipped, with_proposals
from foldwise.runs.racing import forget_rulings
from foldwise.sealed import Damaged, check_sizes, damaged, decoding, read_record, seal, seal_folder, texts_of
from foldwise.sealed import read_json as read_json
from foldwise.storage import matching, names_in, sync
from foldwise.storage import write_json as write_json
from foldwise.storage import written_whole as written_whole
from foldwise.study.spec import Study

T = TypeVar("T")
NAME_A_RUN = "Name the folder of a run, such as runs/gel."


@lru_cache(maxsize=100_000)
def _result_at(path: Path, changed_ns: int, moved_ns: int) -> dict[str, Any]:
    # Committed results never change, and every worker asks for all of them twice a second.
    result, seals = read_record(path)
    check_sizes(path, seals)
    item_id = path.parent.name
    if result.get("item", item_id) != item_id:
        raise damaged(path, f"the file is the result of {result['item']}, not of {item_id}")
    return result


@dataclass(frozen=True)
class ItemCounts:
    """How many items of a plan are in each state; they add up to the plan."""

    done: int
    running: int
    waiting: int
    failed: int
    skipped: int


@dataclass(frozen=True)
class RunFolder(RunPaths):
    """What is done of a run, and what it made.

    Attributes:
        met: where stated, an item that is damaged counts as not done, as the next run will have it, and the damage is
            put here by the id of its item; else it is raised.
    """

    met: dict[str, Damaged] | None = field(default=None, compare=False)
    # Results by item with the number of their folder, as `outcomes` saw them last.
    _seen: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict, repr=False, compare=False)
    # The same of what they came to, as `settled` saw it last.
    _ends: dict[str, tuple[int, str]] = field(default_factory=dict, repr=False, compare=False)
    # Whether items were not looked through when the folder was opened, and those that were since.
    _unseen: bool = field(default=False, repr=False, compare=False)
    _looked_through: set[str] = field(default_factory=set, repr=False, compare=False)

    @classmethod
    def open(cls, path: Path, *, items: bool = True) -> Self:
        """A run folder that is there.

        Args:
            items: whether all that is done is looked through now; else each item is when its result is first read.

        Raises:
            RunError: the folder is not there, is none that a run has made, or holds what no run folder does.
        """
        folder = cls(path, _unseen=not items)
        if folder.plan.is_file():
            refuse_strange(path, but_inside="" if items else "done")
            return folder
        if not path.is_dir():
            what = f"{path} is a file" if path.is_file() else f"there is no folder {path}"
            raise RunError(what, cure=NAME_A_RUN)
        runs = [name for name in names_in(path) if cls(path / name).plan.is_file()]
        inside = f"It holds runs: {', '.join(runs)}." if runs else NAME_A_RUN
        raise RunError(f"{path} is not the folder of a run: it has no plan.json", cure=inside)

    def save_study(self, study: Study) -> None:
        """Write the study as it was read, whole."""
        write_json(self.study_record, study.model_dump(mode="json", by_alias=True))

    def load_study(self) -> Study:
        """The study as it was read."""
        return Study.model_validate(read_json(self.study_record))

    def save_plan(self, plan: Plan, *, beside: Iterable[Path] = ()) -> None:
        """Write the plan whole, as the record of the files `beside` it; the one before is kept where it is another one."""
        with suppress(RunError):  # there is none, or it is damaged
            if read_json(self.plan) != plan.to_json():
                before = self.plan.read_bytes()
                with written_whole(self.earlier / f"{sha256(before).hexdigest()[:16]}.json") as scratch:
                    scratch.write_bytes(before)
        seal(self.plan, plan.to_json(), beside)

    def load_plan(self) -> Plan:
        """The plan of the run, as it was saved last, with what searches have proposed and a race has ruled since.

        Raises:
            Damaged: it, or what was laid out with it.
            RunError: it names an item or a configuration by a path.
        """
        record, seals = read_record(self.plan)
        check_sizes(self.plan, seals)
        with decoding(self.plan), collecting_later():
            plan = Plan.from_json(record, where=str(self.plan))
        return with_proposals(plan, self.proposals) if plan.grows else plan

    def plan_version(self, plan: Plan | None = None) -> tuple[int, ...]:
        """What is another once the plan was written anew, or, unless `plan` has no race, there are rulings; or nothing."""
        try:
            about = self.plan.stat()
        except OSError:
            return ()
        races = plan is None or plan.race is not None
        rulings = [len(matching(self.root / "search", "race-*/*.json"))] if races else []
        return about.st_size, about.st_mtime_ns, about.st_ctime_ns, *rulings

    def result(self, item_id: str) -> dict[str, Any] | None:
        """The committed result of an item; None while there is none. Not to be changed: it is remembered.

        Raises:
            Damaged: it, or a file that was committed with it, is gone, has another size, or is of another item.
        """
        path = self.done(item_id) / "result.json"
        try:
            about = path.stat()
        except OSError:
            if not path.parent.is_dir():  # an item is committed with all its files or not at all
                return None
            about = None
        try:
            if about is None:
                raise damaged(path, "the file is gone")
            if self._unseen and item_id not in self._looked_through:
                refuse_strange(path.parent)
                self._looked_through.add(item_id)
            return _result_at(path, about.st_mtime_ns, about.st_ctime_ns)
        except Damaged as damage:
            if self.met is None:
                raise
            self.met[item_id] = damage
            return None

    def committed(self) -> dict[str, int]:
        """The names in `done`, those of committed items and foreign ones, each with the number of its folder.

        One listing, however many they are. An item that was put away and done again has another number.
        """
        try:
            with os.scandir(self.root / "done") as listed:
                return {entry.name: entry.inode() for entry in listed}
        except (FileNotFoundError, NotADirectoryError):
            return {}

    def leased(self) -> list[str]:
        """The names in `leases`: items that somebody has, or had and did not finish, and foreign ones."""
        return names_in(self.root / "leases")

    def outcomes(self) -> dict[str, dict[str, Any]]:
        """The result of every committed item, also of those that the present plan does not ask for.

        Each is read once by this object, and again where its folder is another one.
        """
        return dict(sorted(self._listed(self._seen, self.result).items()))

    def _listed(self, seen: dict[str, tuple[int, T]], read: Callable[[str], T | None]) -> dict[str, T]:
        """What is read of every committed item, which was `seen` before or is put there."""
        before, now = seen.copy(), {}
        with collecting_later():
            for name, number in self.committed().items():
                if (last := before.get(name)) and last[0] == number:
                    now[name] = last
                elif is_id(name) and (value := read(name)) is not None:
                    now[name] = number, value
        seen.clear()
        seen.update(now)
        return {name: value for name, (_, value) in now.items()}

    def settled(self) -> tuple[set[str], set[str]]:
        """The ids of the items that are done, and of those that failed; of a result only that is decoded."""
        ends = self._listed(self._ends, self._status_of)
        failed = {name for name, status in ends.items() if status == "failed"}
        return ends.keys() - failed, failed

    def _status_of(self, item_id: str) -> str | None:
        """The status of a committed item, as its `result` states it."""
        if not self._unseen:
            path = f"{self.root}{os.sep}done{os.sep}{item_id}{os.sep}result.json"
            texts = texts_of(path, ("status", "item"))
            if texts and texts["status"] and texts["item"] in (None, item_id):
                return texts["status"]
        return (self.result(item_id) or {}).get("status")

    def external_scores(self, fits: Iterable[str]) -> Path | None:
        """Where the scores of these fits' models on the external set are, or are to be; None where there is no such set."""
        return external_scores(self.external, fits)

    def commit(self, scratch: Path, item_id: str, result: Mapping[str, Any] | None = None) -> bool:
        """Make a scratch folder the outcome of an item, in one step; whoever commits first wins.

        Args:
            result: what its ``result.json`` says; what lies there by default.

        Returns:
            Whether it was this one; if not, the scratch folder is left where it is.

        Raises:
            RunError: there is no result.
        """
        ours = scratch / "result.json"
        if result is None and not ours.is_file():
            what = "an item must leave a result.json"
            raise RunError(what, where=str(scratch), cure="Report this: it is a bug of foldwise.")
        seal_folder(ours, result)
        text = ours.read_bytes()
        for part in scratch.rglob("*"):
            sync(part)
        sync(scratch)
        target = self.done(item_id)
        self.make(target.parent)
        try:
            scratch.rename(target)
        except OSError:
            if not target.is_dir():
                raise  # nobody was first: the disk is full, or the folder may not be written
            if not self._is_whole(item_id):
                target.rename(self._put_away(item_id))
                scratch.rename(target)
                return True
            # A network file system may report a failure after it has renamed.
            return (target / "result.json").read_bytes() == text
        sync(target.parent)
        for _, path in self.checkpoints().get(item_id, ()):
            with suppress(OSError):  # the item is done; what is left of it is cleaned up later
                path.unlink(missing_ok=True)
        return True

    def _is_whole(self, item_id: str) -> bool:
        """Whether an item is committed; not where its result is damaged, or a hand has deleted it."""
        try:
            return self.result(item_id) is not None
        except Damaged:
            return False

    def beats(self) -> dict[str, str]:
        """The last words of whoever holds an item that is not done yet, by item id; "" before the first word."""
        leased = [name for name in self.leased() if is_id(name)]
        done = self.committed() if leased else {}
        newest = (
            (name, attempt) for name in leased if name not in done for attempt in self.attempts(name)[-1:]
        )
        return {
            name: last_progress(attempt) for name, attempt in newest if not (attempt / "released").exists()
        }

    def attempts(self, item_id: str) -> list[Path]:
        """The folders of all leases on an item, the oldest first."""
        leases = self.attempts_of(item_id)
        return [leases / name for name in sorted(filter(str.isdigit, names_in(leases)), key=int)]

    def status(self, plan: Plan, *, lost: Collection[str] = ()) -> ItemCounts:
        """How many items of the plan are done, running, waiting, failed, or skipped since they need a failed one.

        Args:
            lost: ids of items whose workers are known to be dead, which count as waiting.
        """
        done, failed = self.settled()
        ids = {item.id for item in plan.items}
        done, failed, running = done & ids, failed & ids, self.beats().keys() & ids - set(lost)
        without = {item.id for item in skipped(plan, failed)}
        waiting = ids - done - failed - without - running
        return ItemCounts(len(done), len(running), len(waiting), len(failed), len(without))

    def retry(self, item_ids: set[str] | None = None) -> int:
        """Put failed items away, with their leases, so that they are done again; how many were.

        Args:
            item_ids: which; all that failed by default. Items that did not fail are left alone.
        """
        _, failed = self.settled()
        chosen = failed if item_ids is None else failed & item_ids
        for item_id in sorted(chosen):
            self.withdraw(item_id)
        forget_rulings(matching(self.root / "search", "race-*/*.json"), chosen)
        if any(item_id.startswith("trial-") for item_id in chosen):
            for choice in matching(self.root / "search", "*/[ep]*-*.json"):
                choice.unlink(missing_ok=True)  # another trial may be the best now
        return len(chosen)

    def _put_away(self, item_id: str) -> Path:
        """A new place for a failed item that is tried again; the folder above it is made."""
        away = self.root / "retried" / f"{checked_id(item_id, 'item')}.{uuid.uuid4().hex[:8]}"
        self.make(away.parent)
        return away

    def withdraw(self, item_id: str) -> None:
        """Put an item away, with its leases."""
        away = self._put_away(item_id)
        # The leases go first: were they left, a kill between the two would leave an item with its attempts used up.
        if self.attempts_of(item_id).exists():
            leases = self.attempts_of(item_id).rename(away.with_name(away.name + ".leases"))
            for never_taken in matching(leases, ".*"):  # of a worker that was killed as it began
                rmtree(never_taken, ignore_errors=True)
        self.done(item_id).rename(away)
