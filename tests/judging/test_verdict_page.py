"""docs/verdict.md describes every field of a verdict, by its type, and no other."""

import re

import pytest
from repository import ROOT
from verdict_fields import HEADINGS, own_fields, type_words

from foldwise.judging import verdict, verdict_configurations, verdict_sections, verdict_textbook
from foldwise.judging.verdict_configurations import VerdictPart

PAGE = (ROOT / "docs" / "verdict.md").read_text(encoding="utf-8")
MODELS = {
    name: model
    for module in (verdict_configurations, verdict_sections, verdict_textbook, verdict)
    for name, model in vars(module).items()
    if isinstance(model, type) and issubclass(model, VerdictPart) and model is not VerdictPart
}


def table_of(heading):
    """Field, type and meaning of every row below a heading."""
    section = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section, f"no heading {heading}"
    rows = [line.strip("|").split(" | ") for line in section[1].splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in rows]


def test_every_part_of_a_verdict_has_a_heading():
    assert set(MODELS) == set(HEADINGS)


@pytest.mark.parametrize("name", HEADINGS)
def test_every_field_is_described_and_every_field_that_is_described_exists(name):
    rows = table_of(HEADINGS[name])
    expected = [[f"`{field}`", type_words(hint)] for field, hint in own_fields(MODELS[name]).items()]
    assert [row[:2] for row in rows] == expected
    assert all(len(row) == 3 and row[2] for row in rows)


@pytest.mark.parametrize("name", HEADINGS)
def test_a_part_that_has_the_fields_of_another_says_so(name):
    base = MODELS[name].__bases__[0].__name__
    heading = f"# {HEADINGS[name]}\n"
    section = PAGE[PAGE.index(heading) + len(heading) :].partition("\n#")[0]
    assert ("The fields of [" in section) == (base != "VerdictPart")
    if base != "VerdictPart":
        assert f"The fields of [{HEADINGS[base]}](" in section


def test_the_schema_is_that_of_the_page():
    assert f"`schema` is {verdict.SCHEMA};" in PAGE
