import pytest

from foldwise.errors import DataError, FoldwiseError, MissingExtra, SpecError, choose, need


def test_an_error_says_what_where_and_the_cure():
    error = SpecError("no loss is called 'dise'", where="study.yaml:4", cure="Did you mean 'dice'?")
    assert str(error) == "study.yaml:4: no loss is called 'dise'\n  → Did you mean 'dice'?"


def test_several_errors_are_said_together():
    both = DataError.together([DataError("a.png is empty"), DataError("b.png is empty", cure="Delete it.")])
    assert str(both) == "2 problems:\n1. a.png is empty\n2. b.png is empty\n  → Delete it."
    assert str(DataError.together([DataError("alone")])) == "alone"


def test_the_same_of_many_files_is_said_once_with_the_first_of_them():
    same = [DataError("the file is empty", where=f"{k}.png", cure="Delete it.") for k in range(7)]
    places = "0.png, 1.png, 2.png, 3.png, 4.png and 2 more"
    assert str(DataError.together(same)) == f"{places}: the file is empty\n  → Delete it."
    other = DataError("the file is empty", where="x.tif", cure="Copy it again.")
    assert str(DataError.together([*same, other])).startswith(f"2 problems:\n1. {places}: the file is empty")


def test_a_file_with_many_places_is_named_once():
    same = [DataError("no such label", where=f"a.csv, row {k}") for k in (2, 5)]
    assert str(DataError.together(same)) == "a.csv, row 2, row 5: no such label"
    assert str(DataError.together([*same, DataError("no such label", where="b.csv")])).startswith(
        "a.csv, row 2, a.csv, row 5"
    )


def test_no_more_problems_are_listed_than_anybody_reads():
    text = str(DataError.together([DataError(f"problem {k}") for k in range(30)]))
    assert text.startswith("30 problems:\n1. problem 0\n")
    assert text.endswith("20. problem 19\n... and 10 more")


def test_choose_suggests_the_nearest():
    assert choose({"dice": 1}, "dice", "loss") == 1
    with pytest.raises(SpecError) as caught:
        choose({"dice": 1, "focal": 2}, "dise", "loss")
    assert str(caught.value) == "no loss is called 'dise'\n  → Did you mean 'dice'? Known: dice, focal."


def test_a_missing_extra_names_its_cure():
    with pytest.raises(MissingExtra, match="is not installed") as caught:
        need("no_such_package_at_all", "export")
    assert caught.value.cure == "pip install 'foldwise[export]'"


def test_every_error_has_its_own_exit_code():
    kinds = [FoldwiseError, *FoldwiseError.__subclasses__()]
    assert len({kind.exit_code for kind in kinds}) == len(kinds)
    assert 0 not in {kind.exit_code for kind in kinds}
