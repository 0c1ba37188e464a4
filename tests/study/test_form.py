"""Texts that are no study, or far too large for one: a message within a second, whatever they hold."""

import re
import time
from pathlib import Path

import pytest

from foldwise.errors import SpecError
from foldwise.study import ranges, yaml_places
from foldwise.study.reading import open_study, study_from_dict
from foldwise.study.spec import Study

STUDY = "study: s\ndata: {path: x}\ntrain: {model: unet}\n"
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "aliases of aliases": (LAUGHS, "more than 10,000 keys and values"),
    "an alias of itself": ("study: &a [*a]\n", "nested too deeply"),
    "brackets": ("study: " + "[" * 100_000, "nested too deeply"),
    "brackets that close": ("study: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
    "braces": ("study: " + "{a: " * 50_000, "nested too deeply"),
    "dashes": ("- " * 100_000, "nested too deeply"),
    "questions": ("? " * 100_000, "nested too deeply"),
    "a list of many": (STUDY + f"title: [{','.join('1' * 100_000)}]\n", "more than 10,000 keys and values"),
    "many keys": (STUDY + "".join(f"k{i}: 1\n" for i in range(20_000)), "more than 10,000 keys and values"),
    "thousands of keys": (STUDY + "".join(f"k{i}: 1\n" for i in range(4000)), "4000 problems:"),
    "one key thousands of times": (STUDY + "k: 1\n" * 4000, "... and 3980 more"),
    "many variants": (
        STUDY + "variants:\n" + "".join(f"  v{i}: {{seed: 1}}\n" for i in range(2000)),
        "2,000 variants; at most 50",
    ),
    "many digits": (STUDY + f"seed: {'9' * 5000}\n", "seed is a number of 5,000 digits; at most 40"),
    "many digits after the point": (
        STUDY + f"judge: {{alpha: 0.{'1' * 5000}}}\n",
        "a number of 5,002 digits",
    ),
    "more digits": (STUDY + f"seed: {'9' * 200_000}\n", "seed has 200,000 letters; at most 10,000"),
    "a long text": (STUDY + f"title: '{'x ' * 50_000}'\n", "title has 100,000 letters; at most 10,000"),
    "a long key": (STUDY + f"{'k' * 900}: 1\n", "a key has 900 letters; at most 200"),
    "a long list of levels": (
        STUDY + f"compare: {{epochs: [{', '.join(map(str, range(1, 3000)))}]}}\n",
        "2,999 levels",
    ),
    "a null letter": ('study: s\ndata: {path: "a\\0b"}\n', "data.path holds a control character"),
    "a null letter in a key": ('study: s\n"a\\0b": 1\n', "a key holds a control character"),
    "half a letter": ('study: s\ndata: {path: "a\\ud800"}\n', "data.path holds a control character or half"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not UTF-8 text"),
    "null bytes": (b"\0" * 1000, "a control character cannot stand here"),
    "UTF-16": (STUDY.encode("utf-16"), "not UTF-8 text"),
    "a large file": (b"k: v\n" * 1_000_000, "larger than 256 kB"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_text_that_is_no_study_is_refused_within_a_second(name, tmp_path):
    text, words = HOSTILE[name]
    path = tmp_path / "study.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    began = time.process_time()
    with pytest.raises(SpecError) as refused:
        open_study(path)
    assert time.process_time() - began < 10  # a second where nothing else runs
    assert words in str(refused.value)
    assert len(str(refused.value)) < 50_000
    assert max(map(len, str(refused.value).splitlines())) < 1000


def test_the_limits_of_the_page_are_those_of_the_code():
    page = (Path(__file__).parents[2] / "docs/study.md").read_text(encoding="utf-8")
    limits = page.partition("## Limits")[2].partition("\n## ")[0]
    stated = {
        int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\d|\d", limits.partition("|---|")[2])
    }
    kept = {
        yaml_places.MAX_BYTES // 1024,
        yaml_places.MAX_NODES,
        yaml_places.MAX_DEPTH,
        yaml_places.MAX_DIGITS,
    }
    kept |= {yaml_places.MAX_LETTERS // 50, 300, Study.model_config["str_max_length"], 64}
    kept |= {
        value for name, value in vars(ranges).items() if name.startswith("MAX_") and name != "MAX_MARGIN"
    }
    assert stated == kept


def test_what_never_ends_is_not_read_to_its_end():
    with pytest.raises(SpecError, match="larger than 256 kB"):
        open_study(Path("/dev/zero"))


def test_a_long_line_is_shown_around_the_place(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("study: s\ndata: {path: x, classes: [" + "a, " * 200 + "7]}\ntrain: {model: unet}\n")
    with pytest.raises(SpecError) as refused:
        open_study(path)
    _, line, caret, *_ = str(refused.value).splitlines()
    assert line[caret.index("^")] == "7"
    assert len(line) < 140


class Unknown:
    """What no YAML can say."""


ITSELF: dict = {"study": "s"}
ITSELF["data"] = ITSELF


@pytest.mark.parametrize(
    "value",
    [
        {"study": Unknown()},
        {"study": {1, 2}},
        {"study": b"s"},
        ITSELF,
        {"study": "s", "data": {"path": "x\ud800"}},
        {1: 2},
        {(1, 2): 3},
        {None: {}},
        [],
        "study",
    ],
    ids=lambda value: str(type(value)) + str(value)[:15],
)
def test_values_of_python_that_are_no_study_are_refused(value):
    with pytest.raises(SpecError):
        study_from_dict(value)


def test_a_path_of_python_is_a_text(tmp_path):
    assert study_from_dict(
        {"study": "s", "data": {"path": tmp_path}, "train": {"model": "unet"}}
    ).data.path == str(tmp_path)
