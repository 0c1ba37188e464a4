"""Names in natural order: any names can be sorted; sizes, and paths as they are typed."""

import shlex

from hypothesis import given
from hypothesis import strategies as st

from foldwise.text import in_shell, natural, size


@given(st.lists(st.text("ab19.² \u0663", max_size=6)))
def test_any_names_can_be_sorted(names):
    mirrored = names[::-1]
    mirrored.sort(key=natural)
    assert mirrored == sorted(names, key=natural)


def test_numbers_in_names_count():
    assert sorted(["cell10", "cell2", "cell", "a.png2.png", "a.png", "", "7", "012"], key=natural) == [
        "", "7", "012", "a.png", "a.png2.png", "cell", "cell2", "cell10"
    ]  # fmt: skip
    assert sorted(["9" * 5000, "8" * 5000, "1"], key=natural)[0] == "1"


@given(st.text(min_size=1))
def test_a_path_in_a_command_that_is_copied_is_one_word(path):
    assert shlex.split(f"foldwise status {in_shell(path)}")[2:] == [path]


def test_a_size_is_never_nothing():
    assert [size(value) for value in (12e9, 1e9, 34e6, 1e6, 8e3)] == [
        "12.0 GB",
        "1.0 GB",
        "34 MB",
        "1 MB",
        "8 kB",
    ]
