"""YAML to plain values that remember where they stood: YAML 1.2, so that ``no`` is a word and ``1e-3`` a number."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError, YAMLWarning
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from foldwise.errors import SpecError
from foldwise.study.ranges import shown
from foldwise.study.validation_errors import Invalid, Keys, dotted, in_a_dict
from foldwise.text import in_shell

Position = tuple[int, int]  # line and column, from 0
CONSTANTS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")
}
# Only as people write them: 010 and 0x1F stay texts, and are refused where a number is wanted instead of guessed.
WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
NUMBER = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# A study has some tens of keys. With these limits any file is read, or refused, within a second.
MAX_BYTES = 2**18
MAX_NODES = 10_000  # keys, values, lists and mappings; what an alias repeats counts each time
MAX_DEPTH = 40
MAX_LETTERS = 10_000  # of one value; of a key a fiftieth
MAX_DIGITS = 40
MAX_SHOWN = 120  # letters of a line in a message

# One row per error of form: what ruamel says, what we say, the cure, and whether the start of the thing shows it best.
FORMS = (
    ("found character '\\t'", "a tab stands where spaces belong", "Indent with spaces.", False),
    ("mapping values are not allowed here", "a colon stands where no key can be", "Check the indentation above, or put text that holds ': ' in quotes.", False),
    ("could not find expected ':'", "a key has no colon", "Write `key: value`, with a space after the colon.", True),
    ("expected ',' or ']'", "a list in brackets is not closed", "Close it with ].", True),
    ("expected ',' or '}'", "a mapping in braces is not closed", "Close it with }.", True),
    ("expected the node content", "a value is missing, or brackets do not match", "Write the value, or close the bracket.", False),
    ("found unexpected end of stream", "a text in quotes is not closed", "Close the quotes.", True),
    ("expected <block end>", "the indentation does not fit the lines above", "Begin keys of one part in the same column.", False),
    ("found undefined alias", "a name after * is stated nowhere", "Text that begins with * needs quotes.", False),
    ("expected a single document", "the file holds more than one document", "Remove the line ---.", False),
    ("cannot start any token", "a value begins with a character that YAML keeps for itself", "Put the value in quotes.", False),
)  # fmt: skip


@dataclass
class YamlSource:
    """A YAML text as plain values, with the place of every key and value.

    Attributes:
        name: how messages call it.
        value: dicts, lists, str, int, float, bool and None; keys are texts as written.
        data, num_nodes: the file as it was read; keys, values, lists and mappings, with what aliases repeat.
        positions: keys -> (position of the key, position of its value).
        errors: what is wrong with the form, such as a key that is stated twice.
        origins: keys of what a variant stated -> the keys where it stands in the text.
        overrides: keys that were set from outside -> how that was written.
        by_keys: whether errors name keys and no lines: of values of a program, which nobody has seen as a text.
    """

    name: str
    lines: list[str]
    value: Any = None
    data: bytes = b""
    num_nodes: int = 0
    positions: dict[Keys, tuple[Position, Position]] = field(default_factory=dict)
    errors: list[Invalid] = field(default_factory=list)
    origins: dict[Keys, Keys] = field(default_factory=dict)
    overrides: dict[Keys, str] = field(default_factory=dict)
    by_keys: bool = False

    def error(self, error: Invalid) -> SpecError:
        """The error that shows what is wrong: file, line and column, the line itself and a caret."""
        if outside := self.outside(error.keys):
            return SpecError(error.what, where=outside, cure=error.cure)
        if self.by_keys:
            path = dotted(error.keys)
            where = None if error.what.startswith(f"{path} ") else path or self.name
            return SpecError(error.what, where=where, cure=in_a_dict(error.cure))
        return self.error_at(*self.order(error), error.what, error.cure)

    def outside(self, keys: Keys) -> str | None:
        """How a key was set from outside, such as ``--set train.epochs=2``; None where it was not."""
        written = (self.overrides.get(keys[:length]) for length in range(len(keys), 0, -1))
        return next((text for text in written if text is not None), None)

    def where(self, keys: Keys) -> str:
        """Where a key was set: ``study.yaml:12:5``, or how that was written outside of the file."""
        line, column = self.position(keys, at="key")
        here = dotted(keys) if self.by_keys else f"{self.name}:{line + 1}:{column + 1}"
        return self.outside(keys) or here

    def error_at(self, line: int, column: int, what: str, cure: str | None) -> SpecError:
        """The error that shows a place, both from 0."""
        text = self.lines[line].rstrip() if line < len(self.lines) else ""
        where = f"{self.name}:{line + 1}:{column + 1}"
        if len(text) > MAX_SHOWN:  # what stands around the place
            first = max(0, column - MAX_SHOWN // 2)
            text, column = text[first : first + MAX_SHOWN], column - first
        margin = f"  {line + 1:>4} | "
        caret = " " * (len(margin) - 2) + "| " + " " * column + "^"
        shown = f"\n{margin}{text}\n{caret}" if text.strip() else ""
        return SpecError(f"{what}{shown}", where=where, cure=cure)

    def position(self, keys: Keys, *, at: str = "value") -> Position:
        """Line and column of a key or its value; of what is around it where the key is not written."""
        moved = next((keys[:k] for k in range(len(keys), 0, -1) if keys[:k] in self.origins), None)
        if moved is not None:
            keys = (*self.origins[moved], *keys[len(moved) :])
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.positions:
                key, value = self.positions[keys[:length]]
                return value if at == "value" and length == len(keys) else key
        return self.positions.get((), ((0, 0), (0, 0)))[0]

    def order(self, error: Invalid) -> Position:
        """What errors are sorted by: their place in the file."""
        return self.position(error.keys, at=error.at)


def read_source(path: Path) -> YamlSource:
    """The plain values of a YAML file.

    Raises:
        SpecError: there is no such file, or it is no text, or no YAML, or far too large for a study.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SpecError(f"there is no file {path}", cure="Name a study file, such as study.yaml.") from None
    except IsADirectoryError:
        raise SpecError(
            f"{path} is a folder",
            cure=f"Name the study file in it, or draft a study of its images: foldwise init {in_shell(path)}",
        ) from None
    except OSError as error:
        what = f"{path} cannot be read: {error.strerror}"
        raise SpecError(what, cure="Get leave to read it, or copy it to where you may.") from None
    if len(data) > MAX_BYTES:
        what = f"{path} is larger than {MAX_BYTES // 1024} kB, which no study is"
        raise SpecError(what, cure="Name the study file, such as study.yaml.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        cure = "Save it as UTF-8 text; a study is YAML, no spreadsheet and no word processor file."
        raise SpecError("the file is not UTF-8 text", where=f"{path}:{line}", cure=cure) from None
    source = parse(text, name=str(path))
    source.data = data
    return source


def parse(text: str, *, name: str, by_keys: bool = False) -> YamlSource:
    """The plain values of a YAML text.

    Raises:
        SpecError: it is no YAML; errors that leave it readable are collected in `YamlSource.errors` instead.
    """
    source = YamlSource(name, text.splitlines(), by_keys=by_keys)
    try:
        yaml = YAML(typ="safe", pure=True)
        yaml.Composer = _BoundedComposer
        root = yaml.compose(text)
        if root is not None:
            source.positions[()] = (_start(root), _start(root))
            source.value = _read(source, root, ())
    except (MarkedYAMLError, ReaderError, YAMLError, YAMLWarning) as error:
        raise _form_error(source, error) from None
    except RecursionError:
        cure = "Write it with fewer levels: nothing here needs so many."
        raise SpecError("lists or mappings are nested too deeply", where=name, cure=cure) from None
    except _TooManyNodes:
        what = f"there are more than {MAX_NODES:,} keys and values, with what aliases (*name) repeat"
        raise SpecError(what, where=name, cure="Leave most of them out: a study has some tens.") from None
    return source


def parse_value(text: str, *, where: str) -> Any:
    """The value that was typed after `where`, which errors name in place of a line.

    Raises:
        SpecError: it is no YAML.
    """
    try:
        source = parse(text, name=where)
    except SpecError as error:
        raise SpecError(error.what.partition("\n")[0], where=where, cure=error.cure) from None
    if source.errors:
        raise SpecError(source.errors[0].what, where=where, cure=source.errors[0].cure)
    return source.value


class _TooManyNodes(Exception):
    """A text has more nodes than any study."""


class _BoundedComposer(Composer):
    """Stops at a text that is nested too deeply or has too many nodes, before all of it is read."""

    depth = num_nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth, self.num_nodes = self.depth + 1, self.num_nodes + 1
        if self.depth > MAX_DEPTH + 1:
            raise RecursionError
        if self.num_nodes > MAX_NODES:
            raise _TooManyNodes
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _form_error(source: YamlSource, error: Exception) -> SpecError:
    if isinstance(error, ReaderError):
        before = "\n".join(source.lines)[: error.position]
        line, column = before.count("\n"), len(before) - before.rfind("\n") - 1
        return source.error_at(line, column, "a control character cannot stand here", "Delete it.")
    problem = getattr(error, "problem", None) or str(error)
    context = getattr(error, "context", None) or ""
    rows = (row[1:] for row in FORMS if row[0] in problem or row[0] in context)
    unknown = f"this is not YAML: {problem}", "See the example studies for the form.", False
    what, cure, at_start = next(rows, unknown)
    marks = [getattr(error, name, None) for name in ("problem_mark", "context_mark")]
    mark = marks[1] or marks[0] if at_start else marks[0] or marks[1]
    if mark is None:
        return SpecError(what, where=source.name, cure=cure)
    # An end of file is shown where the last line ends, not on a line that is not there.
    line = min(mark.line, max(len(source.lines) - 1, 0))
    column = mark.column if line == mark.line else len(source.lines[line])
    return source.error_at(line, column, what, cure)


def _start(node: Node) -> Position:
    return node.start_mark.line, node.start_mark.column


def _read(source: YamlSource, node: Node, keys: Keys) -> Any:
    """The plain value of a node; notes positions, and collects errors, so that all are said at once."""
    if len(keys) > MAX_DEPTH:  # also what refers to itself
        raise RecursionError
    source.num_nodes += 1
    if source.num_nodes > MAX_NODES:
        raise _TooManyNodes
    tag = str(node.tag or "")
    if not tag.startswith("tag:yaml.org,2002:") or tag.endswith((":binary", ":set", ":omap")):
        what = f"{dotted(keys)} has the tag {tag}, which means nothing here"
        source.errors.append(Invalid(keys, what, "Remove the tag."))
    if isinstance(node, MappingNode):
        return _mapping(source, node, keys)
    if isinstance(node, SequenceNode):
        for index, part in enumerate(node.value):
            source.positions[(*keys, index)] = (_start(part), _start(part))
        return [_read(source, part, (*keys, index)) for index, part in enumerate(node.value)]
    written = str(node.value)
    plain, name = not getattr(node, "style", None), dotted(keys) or "the value"
    _check_readable(source, keys, written, MAX_LETTERS, name)
    if plain and len(written) > MAX_DIGITS and NUMBER.fullmatch(written):
        what = f"{name} is a number of {len(written):,} digits; at most {MAX_DIGITS} are read"
        raise source.error(Invalid(keys, what, "Write fewer digits."))
    value = plain_value(written) if plain else written
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        what = f"{name} is a whole number beyond 64 bits, got {shown(value)}"
        raise source.error(Invalid(keys, what, "Write a smaller number."))
    return value


def _check_readable(source: YamlSource, keys: Keys, text: str, most: int, what: str) -> None:
    """Refuse a text that is longer than any of a study, or holds what no path and no name may."""
    if len(text) > most:
        error = f"{what} has {len(text):,} letters; at most {most:,} are read"
        raise source.error(Invalid(keys, error, "Shorten it."))
    if any((letter < " " and letter not in "\t\n\r") or "\ud800" <= letter <= "\udfff" for letter in text):
        error = f"{what} holds a control character or half a letter, written as an escape"
        raise source.error(Invalid(keys, error, "Remove the escape (\\0, \\x.., \\u....)."))


def _mapping(source: YamlSource, node: MappingNode, keys: Keys) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _key(key_node)
        inner = (*keys, key)
        source.positions.setdefault(inner, (_start(key_node), _start(key_node)))
        _check_readable(source, inner, key, MAX_LETTERS // 50, "a key")
        if key in value:
            first = source.positions[inner][0][0] + 1
            again = (*inner, f"again in line {key_node.start_mark.line}")
            source.positions[again] = (_start(key_node), _start(key_node))
            what = f"{dotted(inner)} is stated twice; first in line {first}"
            source.errors.append(Invalid(again, what, "Keep one of them.", at="key"))
            continue
        # ruamel puts a value that is left empty where the next one begins.
        empty = isinstance(value_node, ScalarNode) and not value_node.value and not value_node.style
        source.positions[inner] = (_start(key_node), _start(key_node if empty else value_node))
        value[key] = _read(source, value_node, inner)
    return value


def _key(node: Node) -> str:
    """A key as text; a list of numbers, such as the colour [255, 0, 0], with commas."""
    if isinstance(node, SequenceNode) and all(isinstance(part, ScalarNode) for part in node.value):
        return ",".join(str(part.value) for part in node.value)
    return str(node.value) if isinstance(node, ScalarNode) else "{...}"


def plain_value(text: str) -> Any:
    """What an unquoted word means: nothing, true, false, a number, or itself."""
    if text in CONSTANTS:
        return CONSTANTS[text]
    if WHOLE.fullmatch(text):
        return int(text)
    # 1e999 is beyond any number; as a text it is refused where a number is wanted.
    return float(text) if NUMBER.fullmatch(text) and math.isfinite(float(text)) else text
