"""Tables of scores at random, whole and spoiled: the right model, or a question with its cure; never anything else."""

import csv
import string

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from judged import judge_files

from foldwise.errors import FoldwiseError
from foldwise.judging.external.options import ScoreOptions
from foldwise.metrics.names import MEASURES

LOWER = [name for (higher, _), names in MEASURES.items() if not higher for name in names.split(", ")]
SHARES = [
    name for (higher, share), names in MEASURES.items() if higher and share for name in names.split(", ")
]
JUNK = [
    "",
    "nan",
    "-",
    "failed",
    "0",
    "1e999",
    "-1",
    "999",
    "0,8",
    "87%",
    "=1+1",
    "\u0663",
    '"',
    "a;b",
    "mean",
    "\x00",
    "1_0",
    "x" * 3000,
]
SPOILT = st.sampled_from(
    [
        "percent",
        "one percent",
        "negative",
        "index",
        "age",
        "mean row",
        "twice",
        "cell",
        "name",
        "short",
        "bytes",
        "cut",
    ]
)


@st.composite
def tables(draw):
    """Rows of cells, the name of the scores, whether more is better, and what was done to them."""
    lower = draw(st.booleans())
    name = draw(st.sampled_from(LOWER if lower else SHARES))
    around = draw(
        st.sampled_from(
            ["{}", "{} (mm)", "mean_{}", "val {}", "{}_liver"]
            if lower
            else ["{}", "{} (%)", "Mean {}", "{}_test"]
        )
    )
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    good = rng.uniform(0.3, 0.6, draw(st.integers(10, 16)))
    scores = {"good": good, "bad": good + rng.uniform(0.05, 0.3, len(good)) * (1 if lower else -1)}
    names = [
        draw(st.sampled_from(["c{}", "{}", "12.{}", "{}.png", "P {}"])).format(place)
        for place in range(len(good))
    ]
    spoilt = draw(st.sets(SPOILT, max_size=2))
    if "percent" in spoilt:
        scores["bad" if draw(st.booleans()) else "good"] *= 100
    if "one percent" in spoilt:
        scores["bad"][draw(st.integers(0, 9))] *= 100
    if "negative" in spoilt:
        scores["bad"][0] = -1
    wide = draw(st.booleans())
    header, rows = (
        ["image", *scores],
        [
            [name, *map("{:.4f}".format, pair)]
            for name, pair in zip(names, zip(*scores.values(), strict=True), strict=True)
        ],
    )
    if not wide:
        header = ["image", "model", around.format(name)]
        rows = [[row[0], model, row[place]] for place, model in enumerate(scores, 1) for row in rows]
    if "mean row" in spoilt and wide:
        rows.append(["mean", *(f"{own.mean():.4f}" for own in scores.values())])
    for column, first in (("index", 0), ("age", 40)):
        if column in spoilt:
            at = draw(st.integers(0, len(header)))
            header.insert(at, {"index": "Unnamed: 0", "age": "age"}[column])
            for place, row in enumerate(rows):
                row.insert(at, str(first + place))
    places = st.tuples(st.integers(0, len(rows) - 1), st.integers(0, len(header) - 1))
    if "twice" in spoilt:
        rows.append(list(rows[0]))
    if "cell" in spoilt:
        row, column = draw(places)
        rows[row][column] = draw(st.sampled_from(JUNK))
    if "name" in spoilt:
        header[draw(places)[1]] = draw(
            st.sampled_from([*JUNK, "image", "model", "score", "class", "fold", "patient"])
        )
    if "short" in spoilt:
        row, column = draw(places)
        del rows[row][column:]
    return [header, *rows], around.format(name), lower, wide, spoilt, draw(st.sampled_from(",;\t"))


def written(path, rows, separator, spoilt, rng):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    raw = bytearray(path.read_bytes())
    if "cut" in spoilt:
        del raw[rng.integers(len(raw)) :]
    if "bytes" in spoilt:
        for place in rng.integers(len(raw) or 1, size=3)[: len(raw)]:
            raw[place] = ord(rng.choice([*string.printable]))
    path.write_bytes(raw)
    return path


def judged(path, options):
    try:
        return judge_files([path], options), None
    except FoldwiseError as error:
        return None, str(error)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(tables(), st.integers(0, 999))
def test_the_right_model_or_a_question(tmp_path_factory, table, seed):
    rows, name, lower, wide, spoilt, separator = table
    folder = tmp_path_factory.getbasetemp()
    path = written(folder / "any.csv", rows, separator, spoilt, np.random.default_rng(seed))
    verdict, error = judged(path, ScoreOptions(metric=name if wide else None))
    assert error is None or "\n  → " in error
    if verdict and spoilt <= {"index", "age", "mean row", "percent"}:
        assert {one["name"] for one in verdict["configurations"]} == {"good", "bad"}
        assert (
            verdict["num_images"] == len(rows) // (1 if wide else 2) - (wide and "mean row" in spoilt) - wide
        )
        assert verdict["answer"]["name"] == "good"
        assert verdict["metric"]["higher_is_better"] is not lower
        assert "percent" not in spoilt


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.binary(max_size=400)
    | st.text("model,image;score\t\n\"'.0123456789\r\x00é", max_size=300).map(str.encode)
)
@example(b"sep=;")
@example(b"sep=,\n\n")
@example(b"a,b\n" + b'"' + b"x" * 200_000)
@example(b"model,image,dice\n" + b"u,1,0.5\nu,1,0.5\r" * 3)
def test_any_bytes_end_in_an_error_with_a_cure(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "bytes.csv"
    path.write_bytes(raw)
    with pytest.raises(FoldwiseError, match=r"\n  → "):
        judge_files([path])
