"""Names in natural order: any names can be sorted."""

from hypothesis import given
from hypothesis import strategies as st

from foldwise.text import natural


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
