"""Tables of labels and of scores that are none, or far too large for one: a message, soon and in little memory."""

import time
import tracemalloc

import pytest
from judged import judge_files
from small_sets import labelled

from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import DataError
from foldwise.study.spec import DataSpec

LABELS = b"image,label\n" + b"".join(b"i%d.png,%s\n" % (i, [b"a", b"b"][i % 2]) for i in range(6))
SCORES = b"image,unet,vit\n" + b"".join(b"c%d,0.%d,0.%d\n" % (i, 10 + i, 30 + i) for i in range(12))


def widened(table, columns):
    """The same with more columns, each with a name of its own."""
    first, *others = table.splitlines()
    names = b"".join(b",k%d" % place for place in range(columns))
    return b"\n".join([first + names, *(line + b",0" * columns for line in others)])


HOSTILE = {
    "a null byte in a cell": lambda table: table.replace(b"0", b"0\0", 1),
    "a null byte in the header": lambda table: table.replace(b"\n", b"\0\n", 1),
    "null bytes at the end": lambda table: table + b"\0" * 5000,
    "nothing but null bytes": lambda table: b"\0" * 10**6,
    "UTF-16": lambda table: table.decode().encode("utf-16"),
    "Latin-1": lambda table: table.replace(b"0", b"\xe9", 1),
    "a picture": lambda table: b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 400,
    "an archive": lambda table: b"PK\3\4" + bytes(range(256)) * 400,
    "an archive that begins like a table": lambda table: table + b"\x1f\x8b\x08\0" + bytes(range(256)) * 400,
    "a huge cell": lambda table: table.replace(b"0", b"0" * 10**7, 1),
    "a huge name": lambda table: b"x" * 10**7 + table,
    "a quote that never ends": lambda table: table + b'"' + b"x" * 10**7,
    "quotes": lambda table: b'"' * 10**6,
    "a million columns": lambda table: table.replace(b"\n", b",a" * 10**6 + b"\n", 1),
    "60,000 columns": lambda table: widened(table, 60_000),
    "spaces": lambda table: b" " * 10**7,
    "nothing": lambda table: b"",
    "a header": lambda table: table.partition(b"\n")[0],
}


READERS = {
    "labels": lambda path: read_dataset(DataSpec(path=str(path.parent)), base=path.parent),
    "scores": lambda path: judge_files([path]),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", READERS)
def test_it_is_refused_within_seconds_and_in_little_memory(kind, name, tmp_path):
    labelled(tmp_path, "", num_images=6)
    path = tmp_path / ("labels.csv" if kind == "labels" else "scores.csv")
    path.write_bytes(HOSTILE[name](LABELS if kind == "labels" else SCORES))
    began = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as refused:
            READERS[kind](path)
        assert tracemalloc.get_traced_memory()[1] < 3e8
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < 30  # under five where nothing else runs
    assert len(str(refused.value)) < 1000
    assert path.name in str(refused.value)
    assert "→" in str(refused.value)


def test_cases_without_any_score_are_said(tmp_path):
    (tmp_path / "scores.csv").write_bytes(SCORES + b"z\nlast,,\n")
    verdict = judge_files([tmp_path / "scores.csv"])
    assert verdict["num_images"] == 12
    assert any("2 cases have no score of any configuration: " in line for line in verdict["recognised"])
