"""Images whose channels are files of their own: which files are one image, in which order, and what is left over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from foldwise.data.cases import Dataset
from foldwise.data.layouts.files import MARKS, errors_about
from foldwise.errors import DataError
from foldwise.study.spec import DataSpec
from foldwise.text import natural

# Words that name channels in microscopy; only such ones are suspected where nobody stated them.
WORDS = frozenset(
    ["red", "green", "blue", "yellow", "cyan", "magenta", "orange", "farred", "dapi", "hoechst", "gfp", "egfp", "rfp",
     "yfp", "cfp", "mcherry", "fitc", "tritc", "cy3", "cy5", "alexa488", "alexa555", "alexa647", "c0", "c1", "c2", "c3",
     "c4", "ch0", "ch1", "ch2", "ch3", "ch4", "w1", "w2", "w3", "w4", "w5"]
)  # fmt: skip


@dataclass(frozen=True)
class JoinedImages:
    """Images made of channel files.

    Attributes:
        names: place -> name: ``train/a_{red,green}.png`` is called ``train/a.png``; in natural order of the names.
        left_out: words that stand where a channel does, and that were not asked for -> how many files.
        statement: what was recognised, for the user.
    """

    names: dict[str, str]
    left_out: dict[str, int]
    statement: str


def images_at(paths: Sequence[str], data: DataSpec, *, where: str) -> JoinedImages:
    """The images at some paths: every file is one, unless the study states channel files; see `join_channels`."""
    if isinstance(data.channels, tuple):
        return join_channels(paths, data.channels, where=where)
    return JoinedImages({path: path for path in paths}, {}, "")


def with_channels(dataset: Dataset, data: DataSpec, joined: Sequence[JoinedImages]) -> Dataset:
    """The data set with what was joined: its channels, those left out, and a sentence about it."""
    if not isinstance(data.channels, tuple):
        return dataset
    left_out = tuple(sorted({word for part in joined for word in part.left_out}))
    statements = tuple(dict.fromkeys(part.statement for part in joined))
    statements += dataset.statements
    return replace(dataset, channels=data.channels, channels_left_out=left_out, statements=statements)


def join_channels(paths: Sequence[str], channels: Sequence[str], *, where: str) -> JoinedImages:
    """The images that the files at `paths` are channels of.

    A channel is named by the end of the file name (``a_red.png``), or by a folder (``red/a.png``).

    Raises:
        DataError: files belong to no channel, or images lack one; all are named.
    """
    files: dict[str, dict[str, str]] = {}
    others = []
    for path in paths:
        pattern, channel = _split(path, channels)
        if channel is None:
            others.append(path)
        else:
            files.setdefault(pattern, {})[channel] = path
    left_out, strange = _left_out(others, files)
    if errors := _errors(files, strange, channels, where):
        raise DataError.together(errors)
    all_channels = f"{{{','.join(channels)}}}" if len(channels) > 1 else channels[0]
    names = {pattern.replace("{}", all_channels): _name(pattern) for pattern in files}
    ordered = dict(sorted(names.items(), key=lambda row: natural(row[1])))
    order = ", ".join(channels)
    statement = f"{len(ordered)} images were joined from one file per channel, in this order: {order}."
    if left_out:
        counts = ", ".join(f"{word} ({number})" for word, number in sorted(left_out.items()))
        statement += f" Files of other channels were left out: {counts}."
    return JoinedImages(ordered, left_out, statement)


def _split(path: str, channels: Sequence[str]) -> tuple[str, str | None]:
    """The path with ``{}`` where a channel is named, and that channel; None where none is."""
    whole = PurePosixPath(path)
    for channel in channels:
        stem = whole.stem
        # A mark must stand before the word: infrared.png is no image of the channel red.
        if stem.endswith(channel) and len(stem) > len(channel) + 1 and stem[-len(channel) - 1] in MARKS:
            named = f"{stem[: -len(channel)]}{{}}{whole.suffix}"
            return whole.with_name(named).as_posix(), channel
        parts = whole.parts
        if channel in parts[:-1]:
            k = len(parts) - 2 - parts[-2::-1].index(channel)
            return "/".join((*parts[:k], "{}", *parts[k + 1 :])), channel
    return path, None


def _name(pattern: str) -> str:
    """What an image is called: its files without the channel."""
    if "{}/" in pattern:
        return pattern.replace("{}/", "")
    head, tail = pattern.split("{}")
    return head[:-1] + tail


def _left_out(others: Sequence[str], files: dict[str, dict[str, str]]) -> tuple[dict[str, int], list[str]]:
    """Words that stand where the channels of known images do, with their counts; and files that fit nothing."""
    heads = {tuple(pattern.split("{}")) for pattern in files}
    words = [(path, _word(path, heads)) for path in others]
    strange = [path for path, word in words if word is None]
    return dict(Counter(word for _, word in words if word is not None)), strange


def _word(path: str, heads: set[tuple[str, ...]]) -> str | None:
    """The word in a path that stands where a channel of a known image does."""
    whole = PurePosixPath(path)
    for start in (k for k, letter in enumerate(path) if letter in MARKS):
        word = path[start + 1 : len(path) - len(whole.suffix)]
        if "/" not in word and (path[: start + 1], whole.suffix) in heads:
            return word
    for k, part in enumerate(whole.parts[:-1]):
        before = "".join(f"{name}/" for name in whole.parts[:k])
        if (before, "/" + "/".join(whole.parts[k + 1 :])) in heads:
            return part
    return None


def _errors(
    files: dict[str, dict[str, str]], strange: list[str], channels: Sequence[str], where: str
) -> list[DataError]:
    if not files:
        what = f"no file belongs to a channel called {' or '.join(channels)}"
        cure = "State in data.channels the ends of the file names (a_red.png) or the names of folders (red/a.png)."
        return [DataError(what, where=where, cure=cure)]
    missing = [
        pattern.replace("{}", channel)
        for pattern, by_channel in files.items()
        for channel in channels
        if channel not in by_channel
    ]
    cure = "Name every channel in data.channels, or take the files out."
    errors = errors_about(strange, "file belongs", "files belong", "to no channel", where=where, cure=cure)
    cure = "Add them, all of one file type, or leave their channel out of data.channels."
    missing = sorted(missing, key=natural)
    return errors + errors_about(
        missing, "channel file is", "channel files are", "not there", where=where, cure=cure
    )


def suspected_channels(paths: Sequence[str]) -> tuple[str, ...]:
    """Words such as red and green that name the files of every image, where all files have one; none otherwise."""
    ends: dict[str, set[str]] = {}
    for path in paths:
        whole = PurePosixPath(path)
        end = max(whole.stem.rfind(mark) for mark in MARKS)
        word = whole.stem[end + 1 :]
        # One file that is named otherwise is enough: a wrong suspicion would cost a reader's trust in the audit.
        if end < 1 or word.casefold() not in WORDS:
            return ()
        ends.setdefault(whole.with_name(whole.stem[:end] + whole.suffix).as_posix(), set()).add(word)
    words = next(iter(ends.values()), set())
    alike = all(found_words == words for found_words in ends.values())
    return tuple(sorted(words)) if alike and len(words) > 1 else ()
