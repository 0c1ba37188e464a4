"""The measures of the house on a made-up package, where every value is known; its ceilings, its map, its evening."""

import tomllib

import pytest

from tools.house import ceilings, drawing
from tools.house.__main__ import main
from tools.house.dotted_names import name_problems
from tools.house.evening import Evening, evening_problems, read_evening
from tools.house.measures import Size, measure_shape, measure_size, measure_sizes, quantile
from tools.house.tree import read_house

PYPROJECT = """
[tool.importlinter]
root_package = "foldwise"

[[tool.importlinter.contracts]]
name = "No torch"
type = "forbidden"

[[tool.importlinter.contracts]]
name = "Floors"
type = "layers"
layers = ["top", "left | right", "errors"]
"""

FILES = {
    "__init__.py": '"""The root."""\n',
    "errors.py": '"""Every error. And more."""\n\nclass Refused(Exception):\n    pass\n',
    "top/__init__.py": '"""The walk: all of it.\n\nMore words.\n"""\n',
    "top/walk.py": """\
from typing import TYPE_CHECKING

from foldwise.left.tables import ROWS

if TYPE_CHECKING:
    from foldwise.right.deep import Row


def walk(told, one=1):
    # Why this is so.
    from foldwise.right.deep import rows  # not a line of comments

    known = rows(one)
    return known
""",
    "left/__init__.py": '"""The left hand."""\n',
    "left/tables.py": """\
from foldwise.left.zoo import lion
from foldwise.left.zoo.tiger import tiger
from .helper import helped


def late():
    from foldwise.left.zoo import zebra

    return zebra


ROWS = {"lion": lion.roar, "tiger": tiger, "late": late, "ape": "foldwise.left.zoo.ape:Ape"}
helped()
""",
    "left/helper.py": "from foldwise.errors import Refused\n\n\ndef helped():\n    raise Refused\n",
    "left/zoo/__init__.py": '"""Animals."""\n',
    "left/zoo/lion.py": '"""A lion."""\n\n\nclass Row:\n    pass\n',
    "left/zoo/tiger.py": "def tiger():\n    pass\n",
    "left/zoo/zebra.py": "",
    "left/zoo/ape.py": "Ape = object\n",
    "right/deep.py": "class Row:\n    def rows(self):\n        self.kept: int = 1\n\n\ndef rows():\n    pass\n",
}


def build(tmp_path, **changes):
    """A repository with the made-up package, `changes` made to its files; ``a__b`` stands for ``a/b.py``."""
    (tmp_path / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    files = FILES | {f"{name.replace('__', '/')}.py": text for name, text in changes.items()}
    for name, text in files.items():
        path = tmp_path / "src/foldwise" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "docs").mkdir(exist_ok=True)
    (tmp_path / "tools").mkdir(exist_ok=True)
    return tmp_path


def built(tmp_path, **changes):
    return read_house(build(tmp_path, **changes))


def shape_of(tmp_path, **changes):
    return measure_shape(built(tmp_path, **changes))


def test_floors_are_those_of_the_contract_from_the_top_down(tmp_path):
    house = built(tmp_path, attic="")
    assert house.levels == (("top",), ("left", "right"), ("errors",))
    assert house.floors == ("__init__", "attic", "top", "left", "right", "errors")


def test_a_contract_of_layers_is_needed(tmp_path):
    build(tmp_path)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.importlinter]\nroot_package = "foldwise"\ncontracts = []\n'
    )
    with pytest.raises(ValueError, match="has no contract of type 'layers'"):
        read_house(tmp_path)


def test_size_of_a_floor(tmp_path):
    assert measure_sizes(built(tmp_path))["top"] == Size(
        files=2, lines=18, functions=1, p50=6, p90=6, longest=6, comments=1 / 18
    )


def test_size_of_the_whole_is_that_of_all_floors(tmp_path):
    house = built(tmp_path)
    whole, floors = measure_size(list(house.modules.values())), measure_sizes(house).values()
    for key in ("files", "lines", "functions"):
        assert getattr(whole, key) == sum(getattr(size, key) for size in floors)


@pytest.mark.parametrize(
    ("lengths", "p50", "p90"), [([], 0, 0), ([7], 7, 7), ([1, 2, 3, 4], 2, 4), (list(range(1, 11)), 5, 9)]
)
def test_quantiles_are_lengths_of_functions(lengths, p50, p90):
    assert (quantile(lengths, 0.5), quantile(lengths, 0.9)) == (p50, p90)


def test_the_longest_chain_follows_late_imports_but_not_those_for_type_checkers(tmp_path):
    end = ("foldwise.left.tables", "foldwise.left.helper", "foldwise.errors")
    assert shape_of(tmp_path).chain == ("foldwise.top.walk", *end)
    typed = "if TYPE_CHECKING:\n    from foldwise.top import walk\n"
    assert shape_of(tmp_path, peak=typed).chain == ("foldwise.top.walk", *end)
    typed += "else:\n    import foldwise.top.walk\n"
    assert shape_of(tmp_path, peak=typed).chain == ("foldwise.peak", "foldwise.top.walk", *end)
    late = "def climb():\n    from foldwise.top import walk\n"
    assert shape_of(tmp_path, peak=late).chain == ("foldwise.peak", "foldwise.top.walk", *end)


def test_a_circle_of_imports_has_no_longest_chain(tmp_path):
    with pytest.raises(ValueError, match=r"import each other in a circle: .*right\.deep"):
        shape_of(tmp_path, right__deep="import foldwise.top.walk\n")


def test_arrows_are_pairs_of_rooms_and_the_lowest_modules_are_one_room(tmp_path):
    shape = shape_of(tmp_path)
    assert shape.arrows == (("left", "foundations"), ("top", "left"), ("top", "right"))


def test_modules_with_one_importer_and_which_are_no_rows_of_a_table(tmp_path):
    shape = shape_of(tmp_path)
    zoo = [f"foldwise.left.zoo.{animal}" for animal in ("ape", "lion", "tiger", "zebra")]
    others = ["foldwise.errors", "foldwise.left.helper", "foldwise.left.tables", "foldwise.right.deep"]
    assert sorted(shape.one_importer) == sorted([*zoo, *others])
    assert sorted(shape.small_one_importer) == sorted(others)


def test_a_module_imported_for_no_table_is_no_row(tmp_path):
    name = "foldwise.left.zoo.ape"
    for imported in (
        "from foldwise.left.zoo import ape",
        "from foldwise.left.zoo.ape import Ape",
        f"import {name}",
    ):
        shape = shape_of(tmp_path, left__tables=f"{imported}\n\nROWS = {{'lion': 1}}\nrows = [ape, Ape]\n")
        assert name in shape.small_one_importer


def test_what_is_handed_to_a_call_at_module_level_is_a_row(tmp_path):
    text = "from foldwise.left.zoo.tiger import tiger\n\n{}register()(tiger)\n"
    name = "foldwise.left.zoo.tiger"
    assert name not in shape_of(tmp_path, left__tables=text.format("")).small_one_importer
    assert name in shape_of(tmp_path, left__tables=text.format("done = ")).small_one_importer


def test_a_package_is_no_module_with_one_importer(tmp_path):
    assert (
        "foldwise.left.zoo" not in shape_of(tmp_path, left__helper="import foldwise.left.zoo\n").one_importer
    )


def test_a_module_of_80_lines_may_have_one_importer(tmp_path):
    name = "foldwise.right.deep"
    assert name in shape_of(tmp_path, right__deep="\n" * 79).small_one_importer
    assert name not in shape_of(tmp_path, right__deep="\n" * 80).small_one_importer


def test_class_names_of_several_modules(tmp_path):
    assert shape_of(tmp_path).repeated_classes == {"Row": ["foldwise.left.zoo.lion", "foldwise.right.deep"]}


def test_vague_words_are_counted_where_they_are_stored(tmp_path):
    counts = {word: number for word, number in shape_of(tmp_path).vague_names.items() if number}
    assert counts == {"told": 1, "known": 1, "one": 1, "kept": 1}


def test_long_files_and_functions_and_crowded_folders(tmp_path):
    def function(lines):
        return "def long():\n" + "    pass\n" * (lines - 1)

    crowd = {f"right__more{number}": "" for number in range(19)}
    shape = shape_of(tmp_path, right__deep="\n" * 320, left__helper=function(50), **crowd)
    assert (shape.long_files, shape.long_functions, shape.crowded_folders) == ((), (), ())
    shape = shape_of(tmp_path, right__deep="\n" * 321, left__helper=function(51), right__last="")
    assert shape.long_files == ("foldwise.right.deep",)
    assert [(f.name, f.num_lines) for f in shape.long_functions] == [("foldwise.left.helper.long", 51)]
    assert shape.crowded_folders == ("foldwise.right",)


def propose(root, capsys):
    capsys.readouterr()
    assert main(["--propose"], root) == 0
    text = capsys.readouterr().out
    (root / ceilings.PATH).write_text(text, encoding="utf-8")
    return text


def test_proposed_ceilings_hold_what_stands(tmp_path, capsys):
    tables = tomllib.loads(propose(build(tmp_path), capsys))
    assert tables["floors"]["top"] == {"files": 2, "lines": 50, "p90": 10, "longest": 10}
    assert tables["whole"]["chain"] == 4
    assert tables["whole"]["vague_names"] == 4
    assert main(["--check"], tmp_path) == 0
    assert capsys.readouterr().err == ""


FUNCTION_OF_11 = "def long():\n" + "    pass\n" * 10
BREACHES = {
    "files": ({"right__new": ""}, "right: 2 files, ceiling 1"),
    "lines": ({"right__deep": "\n" * 51}, "right: 51 lines of Python, ceiling 50"),
    "p90": ({"left__helper": FUNCTION_OF_11}, "left: 11 lines in nine of ten functions, ceiling 5"),
    "longest": ({"left__helper": FUNCTION_OF_11}, "left: 11 lines in the longest function, ceiling 5"),
    "chain": (
        {"top__above": "import foldwise.top.walk"},
        "the whole: 5 modules in the longest chain of imports, ceiling 4",
    ),
    "arrows": (
        {"right__deep": "import foldwise.errors"},
        "the whole: 4 arrows between rooms, ceiling 3",
    ),
    "small_one_importer": (
        {"left__helper": "import foldwise.errors, foldwise.left.small", "left__small": ""},
        "the whole: 5 modules under 80 lines with one importer, rows of tables aside, ceiling 4",
    ),
    "repeated_classes": (
        {"left__helper": "class Refused: pass"},
        "the whole: 2 names of classes defined in more than one module, ceiling 1",
    ),
    "vague_names": (
        {"left__helper": "found = 1"},
        "the whole: 5 names and arguments that say nothing of their value, ceiling 4",
    ),
    "long_files": ({"errors": "\n" * 321}, "the whole: 1 files over 320 lines, ceiling 0"),
    "crowded_folders": (
        {f"right__more{number}": "" for number in range(20)},
        "the whole: 1 folders with more than 20 files beside each other, ceiling 0",
    ),
}


def test_every_ceiling_has_a_case_here():
    assert BREACHES.keys() == ceilings.WHOLE_CEILINGS.keys()


@pytest.mark.parametrize("key", BREACHES)
def test_every_ceiling_fails_when_it_is_breached(key, tmp_path, capsys):
    changes, message = BREACHES[key]
    propose(build(tmp_path), capsys)
    build(tmp_path, **changes)
    assert main(["--check"], tmp_path) == 1
    cure = ceilings.WHOLE_CEILINGS[key][1]
    raised = f"Else raise {key!r} in tools/house.toml, with a comment that says for what."
    assert f"{message}. Cure: {cure} {raised}" in capsys.readouterr().err.splitlines()


def test_ceilings_that_do_not_fit_the_house_are_breaches(tmp_path, capsys):
    text = propose(build(tmp_path), capsys)
    text = text.replace("chain = 4", "chains = 4").replace("right = {", "cellar = {")
    (tmp_path / ceilings.PATH).write_text(text, encoding="utf-8")
    assert main(["--check"], tmp_path) == 1
    told = capsys.readouterr().err
    assert "the whole: nothing measured is called 'chains'. Cure: Use one of: files, lines, p90," in told
    assert "the whole: no ceiling for chain, measured 4. Cure: Add it to tools/house.toml." in told
    assert "right: no ceiling for files, measured 1. Cure: Add it to tools/house.toml." in told
    assert "cellar: no floor has this name, but a ceiling. Cure: Take it out of tools/house.toml." in told


def test_measures_are_printed_and_the_chain_where_it_is_asked_for(tmp_path, capsys):
    build(tmp_path)
    assert main([], tmp_path) == 0
    short = capsys.readouterr().out
    assert "top            2      18          1    6    6        6     5.6%" in short
    assert "    4  modules in the longest chain of imports" in short
    assert "foldwise.top.walk" not in short
    assert main(["--verbose"], tmp_path) == 0
    assert "         foldwise.top.walk\n         foldwise.left.tables\n" in capsys.readouterr().out


def test_a_circle_is_told_without_a_traceback(tmp_path, capsys):
    assert main([], build(tmp_path, right__deep="import foldwise.top.walk\n")) == 1
    assert capsys.readouterr().err.startswith("Modules import each other in a circle")


def evening_page(paths, total):
    listed = [f"{number}. `{path}` — what it shows" for number, path in enumerate(paths, 1)]
    return "\n".join(
        [
            "## A newcomer's evening",
            "",
            *listed,
            "",
            f"Together {total} lines.",
            "",
            "## Next",
            "9. `no.py` — no",
        ]
    )


LISTED = [*FILES, "README.md", "left/fifteenth.py"]  # of 15 files in all, 1,100 lines


def page(tmp_path, evening):
    build(
        tmp_path, left__fifteenth="\n" * (1100 - sum(len(text.splitlines()) for text in FILES.values()) - 10)
    )
    (tmp_path / "README.md").write_text("\n" * 10, encoding="utf-8")
    text = f"# Map\n\n{drawing.BEGIN}\n{drawing.END}\n\n{evening}\n"
    (tmp_path / drawing.PATH).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_map_shows_floors_rooms_and_modules(tmp_path):
    picture = drawing.draw(built(tmp_path))
    assert "  top       ─► left, right\n┌ left      ─► errors\n└ right\n  errors\n" in picture
    assert "### `top/`\n\nThe walk: all of it.\n\n- `walk.py`\n\n" in picture
    assert "- **`zoo/`** Animals.\n  - `ape.py`\n  - `lion.py`: A lion.\n" in picture
    assert picture.endswith("### `errors.py`\n\nEvery error.")


def test_the_map_fails_when_it_is_stale(tmp_path, capsys):
    root = page(tmp_path, evening_page(LISTED, "1,100"))
    assert main(["--map", "--check"], root) == 1
    stale = "docs/map.md: the drawing is not that of the code. Cure: `make map`, and commit the page.\n"
    assert capsys.readouterr().err == stale
    assert main(["--map"], root) == 0
    assert main(["--map", "--check"], root) == 0
    text = (root / drawing.PATH).read_text(encoding="utf-8")
    assert text.startswith("# Map\n")
    assert "Together 1,100 lines." in text
    build(tmp_path, left__zoo__lion='"""A lion that roars."""\n\n\nclass Row:\n    pass\n')
    assert main(["--map", "--check"], root) == 1
    assert capsys.readouterr().err == stale


def test_a_map_without_markers_is_refused(tmp_path, capsys):
    root = page(tmp_path, "")
    (root / drawing.PATH).write_text("# Map\n", encoding="utf-8")
    assert main(["--map"], root) == 1
    assert capsys.readouterr().err.startswith("docs/map.md lacks the lines between which the house is drawn:")


def problems(tmp_path, evening):
    return evening_problems(read_house(page(tmp_path, evening)))


def test_the_evening_is_read_to_the_end_of_its_section():
    text = f"# Map\n\n{evening_page(['a.py', 'b/c.py'], '1,234')}"
    assert read_evening(text) == Evening(("a.py", "b/c.py"), 1234)
    assert read_evening("# Map\n") is None


@pytest.mark.parametrize("total", ["1,100", "1045", "1,155"])
def test_an_evening_may_be_five_percent_off(total, tmp_path):
    assert problems(tmp_path, evening_page(LISTED, total)) == []


@pytest.mark.parametrize("total", ["1,044", "1,156"])
def test_an_evening_fails_on_a_wrong_total(total, tmp_path):
    (problem,) = problems(tmp_path, evening_page(LISTED, total))
    assert problem.endswith(f"together {total} lines are stated, 1,100 counted. Cure: state 1,100.")


def test_an_evening_fails_on_a_missing_file(tmp_path):
    (problem,) = problems(tmp_path, evening_page([*LISTED, "left/gone.py"], "1,100"))
    assert problem == (
        'docs/map.md, "A newcomer\'s evening": there is no file left/gone.py. Cure: name the file that shows this now.'
    )


def test_an_evening_fails_without_section_or_total_or_with_too_few_files(tmp_path):
    assert "there is no such section" in problems(tmp_path, "")[0]
    assert (
        "no total is stated. Cure: write 'Together 1,100 lines'."
        in problems(tmp_path, evening_page(LISTED, "some"))[0]
    )
    assert "14 files, not 15 to 25" in problems(tmp_path, evening_page(LISTED[:14], "1,100"))[0]


def test_an_evening_is_not_longer_than_an_evening(tmp_path):
    root = page(tmp_path, evening_page(LISTED, "4,500"))
    (root / "README.md").write_text("\n" * 3410, encoding="utf-8")
    (problem,) = evening_problems(read_house(root))
    assert "4,500 lines, more than 4,400. Cure: leave out what can wait." in problem


def test_a_name_in_a_text_leads_to_what_there_is(tmp_path, capsys):
    house = build(tmp_path)
    propose(house, capsys)
    assert name_problems(read_house(house)) == []
    tests, docs = house / "tests", house / "docs"
    tests.mkdir()
    docs.mkdir(exist_ok=True)
    (tests / "test_walk.py").write_text(
        'patched = "foldwise.top.walk.walk"\ngone = "run foldwise.top.tour in a process"\nlate = "foldwise.left.zoo.ape:Bear"\n'
    )
    (docs / "page.md").write_text(
        "`foldwise.left.tables.ROWS`, foldwise.yaml,\nand `foldwise.right.deep.gone()`\n"
    )
    assert main(["--check"], house) == 1
    assert [line for line in capsys.readouterr().err.splitlines() if "there is no foldwise" in line] == [
        f"{place}: there is no {name}. Cure: name what stands in its stead."
        for place, name in (
            ("tests/test_walk.py:2", "foldwise.top.tour"),
            ("tests/test_walk.py:3", "foldwise.left.zoo.ape:Bear"),
            ("docs/page.md:2", "foldwise.right.deep.gone"),
        )
    ]
