"""What an edit of a study undid: items that were done before under other settings, and which settings these are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from foldwise.errors import FoldwiseError
from foldwise.runs.folder import RunFolder, read_json
from foldwise.runs.items import LABELS, Item
from foldwise.runs.plan import Plan

MAX_REASONS = 3  # that one item names
# How a study says what an item is made of.
WORDS = {
    "packed": "the images, or how they are read",
    "split": "the folds",
    "seed": "the seed",
    "encoder_seed": "the seed",
    "draw_seed": "the seed",
    "training": "train",
    "encoder": "train",
    "augment": "train.augment",
    "select": "judge.select",
}
NOT_IN_THE_STUDY = "what it stands on: weights, own code, or how foldwise computes it"


def done_again(folder: RunFolder, plan: Plan) -> Counter[str]:
    """Why items are done again that were done before: how many for each reason, such as ``train.epochs: 3, was 2``.

    An item is the same one as before if it has the same title: configuration and fold.
    """
    done, failed = folder.settled()
    before = _done_before(folder, done - {item.id for item in plan.items})
    reasons: Counter[str] = Counter()
    for item in plan.items:
        old = before.get((item.kind, item.title))
        if old is not None and item.id not in done | failed:
            reasons[_reason(item, old)] += 1
    return reasons


def _done_before(folder: RunFolder, done: Collection[str]) -> dict[tuple[str, str], Item]:
    """Items of earlier plans that were done, the latest one of each title."""
    try:
        files = sorted(folder.earlier.glob("*.json"), key=lambda path: path.stat().st_mtime)
    except OSError:
        return {}
    items: dict[tuple[str, str], Item] = {}
    for path in files:
        try:
            earlier = Plan.from_json(read_json(path))
        except (FoldwiseError, ValueError):  # of another version, or damaged: nothing hangs on it
            continue
        items |= {(item.kind, item.title): item for item in earlier.items if item.id in done}
    return items


def _reason(item: Item, old: Item) -> str:
    changes = list(dict.fromkeys(_changes(item.settings, old.settings)))
    if not changes and item.needs != old.needs:
        return "it needs an item that is done again"
    if not changes:
        return NOT_IN_THE_STUDY
    # Another split brings another seed, and other images another split: only the first of these is the reason.
    for words in ("the images, or how they are read", "the folds"):
        if words in changes:
            return words
    more = f" and {len(changes) - MAX_REASONS} more" if len(changes) > MAX_REASONS else ""
    return ", ".join(changes[:MAX_REASONS]) + more


def _changes(new: Mapping[str, Any], old: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Settings that differ, in words: ``train.epochs: 3, was 2``."""
    for key in dict.fromkeys((*new, *old)):
        a, b = new.get(key), old.get(key)
        if a == b or (not above and key in LABELS):
            continue
        name = f"{above}.{key}" if above else WORDS.get(key, key)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from _changes(a, b, name)
        elif not above and key in WORDS and " " in name:
            yield name
        else:
            yield f"{name}: {_shown(a)}, was {_shown(b)}"


def _shown(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:40]} ..."
