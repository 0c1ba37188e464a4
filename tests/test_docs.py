"""The documentation says what the code does, as far as that can be proven: keys, defaults, names, commands, links."""

import ast
import inspect
import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import typer.main
from pydantic import BaseModel
from ruamel.yaml import YAML

from foldwise.data.phantoms.catalogue import PHANTOMS
from foldwise.insight.shallow_baselines import BASELINES
from foldwise.interface.cli import app
from foldwise.learning.networks.models import HEADS, MODELS
from foldwise.learning.objectives.losses import LOSSES
from foldwise.learning.objectives.optimizers import OPTIMIZERS, SCHEDULES
from foldwise.learning.objectives.pretraining import PRETRAINING
from foldwise.learning.options import options_of
from foldwise.metrics.table import DEFAULTS, metrics_of
from foldwise.reporting.report import SECTIONS
from foldwise.reporting.sections.verdict.answer import WARNINGS
from foldwise.runs.folder import RunFolder
from foldwise.study.configurations import configurations
from foldwise.study.kubernetes import KubernetesProfile
from foldwise.study.profiles import RayProfile, SlurmProfile
from foldwise.study.reading import study_from_dict
from foldwise.study.spec import (
    DataSpec,
    Judging,
    Looking,
    Measuring,
    Robustness,
    Searching,
    Study,
    Validation,
)
from foldwise.study.training import AUGMENTS, Augment, Training

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
STUDY, DATA, MAP = (
    (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("study.md", "data.md", "map.md")
)
WHOLE = {"study": "a-name", "data": {"path": "somewhere"}, "train": {"model": "unet"}}


def section(text, title):
    """The lines under a heading, up to the next one of its level or above."""
    level, rest = re.search(rf"^(#+) {re.escape(title)}\n(.*)", text, re.MULTILINE | re.DOTALL).groups()
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text):
    """First cell without its quotes -> all cells, of every table row whose first cell is a name."""
    cells = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    return {row[0].strip("` "): row for row in cells}


def yaml_blocks():
    for page in PAGES:
        for number, block in enumerate(
            re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        ):
            yield pytest.param(block, id=f"{page.name}-{number}")


@pytest.mark.parametrize("block", list(yaml_blocks()))
def test_yaml_in_the_docs_is_a_study_or_a_part_of_one(block, tmp_path):
    written = YAML(typ="safe").load(block)
    for bundle in written.get("compare", {}).get("network", []):
        if bundle.get("weights", "imagenet") == "imagenet":
            continue
        (tmp_path / bundle["weights"]).parent.mkdir(exist_ok=True)
        (tmp_path / bundle["weights"]).write_bytes(b"")
    whole = {**WHOLE, **written}
    if "model" not in whole["train"] and "model" not in str(whole.get("compare")):
        whole["train"] = {"model": "unet", **whole["train"]}
    if "model" in str(written.get("compare")):
        whole["train"] = written.get("train", {})
    assert configurations(study_from_dict(whole, base=tmp_path))


def test_the_bundle_in_the_docs_has_the_levels_that_it_says(tmp_path):
    block = next(b for b in re.findall(r"```yaml\n(.*?)```", STUDY, re.DOTALL) if "network:" in b)
    written = YAML(typ="safe").load(block)
    (tmp_path / "weights").mkdir()
    for level in written["compare"]["network"]:
        (tmp_path / level["weights"]).write_bytes(b"")
    study = study_from_dict({**WHOLE, "train": {}, **written}, base=tmp_path)
    assert [made.levels for made in configurations(study)] == [
        {"network": network, "head": head}
        for network in ("ResNet-18", "VGG-16")
        for head in ("linear", "mlp")
    ]


@pytest.mark.parametrize(
    ("title", "part"),
    [
        ("Top", Study),
        ("data", DataSpec),
        ("train, and every factor of compare", Training),
        ("validate", Validation),
        ("judge", Judging),
        ("measure", Measuring),
        ("look", Looking),
        ("slurm", SlurmProfile),
        ("ray", RayProfile),
        ("search", Searching),
        ("kubernetes", KubernetesProfile),
        ("robustness", Robustness),
        ("Augmentation", Augment),
    ],
)
def test_every_key_of_the_study_stands_in_its_table_and_no_other(title, part: type[BaseModel]):
    keys = {field.alias or name: field for name, field in part.model_fields.items()}
    text = section(STUDY, title)
    told = rows(text.partition("\n### ")[0] if title != "Augmentation" else text)
    assert set(told) == set(keys)
    for key, field in keys.items():
        if title == "Augmentation" or field.is_required():
            continue
        stated = told[key][1].strip("`")
        if isinstance(field.default, bool | int | float | str):
            assert stated == shown(field.default), key
        elif isinstance(field.default, BaseModel) and hasattr(field.default, "name"):
            assert stated.replace(" (lr 0.001)", "") == field.default.name, key


def shown(value):
    """A default as the page writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)


def test_the_named_augmentations_have_the_parts_that_the_page_says():
    told = rows(section(STUDY, "Augmentation"))
    for column, name in enumerate(("flips", "standard", "strong"), start=2):
        for key in Augment.model_fields:
            assert told[key][column] == shown(getattr(AUGMENTS[name], key)), (name, key)


def optional():
    tables = {
        "Heads": {name: [make] for name, make in HEADS.items()},
        "Losses": {name: [row.make] for name, row in LOSSES.items()},
        "Optimisers and schedules": {name: [make] for name, make in (OPTIMIZERS | SCHEDULES).items()},
        "Pretraining": {name: [make] for name, make in PRETRAINING.items()},
        "baselines": {name: [make] for name, make in BASELINES.items()},
        "Models": {name: [f for f in (row.encoder, row.segmenter) if f] for name, row in MODELS.items()},
    }
    for title, table in tables.items():
        for name, functions in table.items():
            yield pytest.param(title, name, functions, id=name)


@pytest.mark.parametrize(("title", "name", "functions"), list(optional()))
def test_every_option_stands_beside_its_name_with_its_default(title, name, functions):
    cell = rows(section(STUDY, title))[name][1]
    told = {
        option: re.findall(r"[\w.]+|\[.*?\]", rest)
        for option, rest in re.findall(r"`(\w+)` ((?:\[.*?\]|\([^)]*\)|[^,])*)", cell)
    }
    known = [{key: shown(option.default) for key, option in options_of(make).items()} for make in functions]
    assert told.keys() == set().union(*known)
    for option, words in told.items():
        first, *more = list(dict.fromkeys(table[option] for table in known if option in table))
        assert words[0] == first, option
        assert set(more) <= set(words), option


def test_no_name_is_told_that_there_is_not():
    for title, table in (
        ("Heads", HEADS),
        ("Losses", LOSSES),
        ("Optimisers and schedules", OPTIMIZERS | SCHEDULES),
        ("Pretraining", PRETRAINING),
        ("baselines", BASELINES),
    ):
        assert set(rows(section(STUDY, title))) == set(table)
    assert {name for name in rows(section(STUDY, "Models")) if ":" not in name} == set(MODELS)


@pytest.mark.parametrize(
    ("told_as", "family"),
    [
        ("two classes", "binary"),
        ("more classes", "multiclass"),
        ("several labels", "multilabel"),
        ("masks", "segmentation"),
    ],
)
def test_the_metrics_of_every_task_are_listed(told_as, family):
    line = next(line for line in section(STUDY, "Metrics").splitlines() if line.startswith(f"| {told_as} "))
    assert re.findall(r"`(\w+)`", line) == list(metrics_of(family))


@pytest.mark.parametrize(("key", "purpose"), [("metric", "judge"), ("select", "select")])
def test_what_auto_stands_for_is_listed(key, purpose):
    line = rows(section(STUDY, "judge"))[key][2].split(". ")[0]
    assert re.findall(r"`(\w+)`", line) == list(dict.fromkeys(DEFAULTS[purpose].values()))


def codes_in_the_source():
    """The first argument of every `Finding(...)`; what is filled in at run time as a pattern."""
    for path in (ROOT / "src/foldwise/data/audit").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding":
                code = node.args[0]
                parts = code.values if isinstance(code, ast.JoinedStr) else [code]
                yield "".join(part.value if isinstance(part, ast.Constant) else r"\w+" for part in parts)


def test_the_audit_page_lists_every_code_and_no_other():
    told, made = rows(section(DATA, "What the audit finds")), set(codes_in_the_source())
    assert len(made) > 15
    assert not [pattern for pattern in made if not any(re.fullmatch(pattern, code) for code in told)]
    assert not [code for code in told if not any(re.fullmatch(pattern, code) for pattern in made)]
    assert {row[1] for row in told.values()} <= {"error", "warning", "note"}


def warnings_in_the_source():
    """Every word in capitals that stands as a text of its own in the judge: the codes of its warnings."""
    judge = ROOT / "src/foldwise/judging"
    for path in set(judge.rglob("*.py")) - set(
        (judge / "claim_check").rglob("*.py")
    ):  # whose words are patterns
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and re.fullmatch(r"[A-Z_]{6,}", str(node.value)):
                yield node.value


def test_the_page_of_warnings_lists_every_code_with_a_cure_and_no_other():
    page = (ROOT / "docs/warnings.md").read_text(encoding="utf-8")
    told = {
        code: cells
        for title in re.findall(r"^## (.*)$", page, re.MULTILINE)
        for code, cells in rows(section(page, title)).items()
    }
    assert set(told) == set(warnings_in_the_source())
    assert set(WARNINGS) <= set(told)
    assert all(len(cells) == 3 and cells[2] for cells in told.values())


def test_the_phantoms_are_listed():
    assert set(rows(section(DATA, "Built-in data sets"))) == set(PHANTOMS)


def test_the_map_names_every_folder_of_the_source_and_every_file_of_a_run():
    source = ROOT / "src/foldwise"
    for path in source.iterdir():
        if not path.name.startswith("_") and path.suffix in ("", ".py"):
            assert f"`{path.name}{'/' if path.is_dir() else ''}`" in MAP, path.name
    for path in (source / "data").iterdir():
        if path.is_dir() and not path.name.startswith("_"):
            assert f"`{path.name}/`" in MAP, path.name
    folder = RunFolder(Path())
    for name, value in vars(RunFolder).items():
        if isinstance(value, property):
            assert getattr(folder, name).name in MAP, name


def code():
    """What stands in the docs as code: fenced, or in a line of text."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        yield from re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        yield from re.findall(r"`([^`\n]+)`", text)


def test_commands_in_the_docs_exist():
    known = typer.main.get_command(app).commands
    written = {
        name for part in code() for name in re.findall(r"(?:^|/)foldwise ([a-z]+)", part, re.MULTILINE)
    }
    assert {"check", "run", "status", "predict"} <= written <= set(known)


def test_make_targets_in_the_docs_exist():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    written = {name for part in code() for name in re.findall(r"^make (\w+)", part, re.MULTILINE)}
    assert {"demo", "test", "check"} <= written <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}


def test_the_tables_that_contributors_are_sent_to_exist():
    told = section((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), "Contributing")
    for line in told.splitlines():
        cells = line.strip("| ").split(" | ")
        if len(cells) != 3 or "`" not in cells[2]:
            continue
        elsewhere = re.findall(r"`([a-z_/]+)\.py`", cells[1])  # where the table is beside what it lists
        for part in cells[2].split(";"):
            names = re.findall(r"`([A-Z_]+)`", part)
            modules = (re.findall(r"`([a-z_/]+)\.py`", part) or elsewhere) if names else []
            for name in names:
                assert hasattr(import_module("foldwise." + modules[0].replace("/", ".")), name), line


def test_exit_codes_are_those_of_the_errors():
    from foldwise import errors

    told = {
        int(code)
        for code in re.findall(
            r"^\| (\d+) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    made = {
        value.exit_code
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, errors.FoldwiseError)
    }
    assert told == made | {0, 130}


def test_the_package_brings_the_types_that_it_says_it_has():
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "classifiers"
    ]
    assert "Typing :: Typed" in classifiers
    assert (ROOT / "src/foldwise/py.typed").is_file()


def studies():
    return sorted((ROOT / "docs/studies").glob("[0-9]-*.md"))


@pytest.mark.parametrize("page", studies(), ids=lambda page: page.name)
def test_a_page_of_a_study_names_tests_and_sections_that_there_are(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", text)
    assert len(named) > 8
    for file, test in named:
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), (file, test)
    figures, known = section(text, figures_of(text)), {part.name for part in SECTIONS}
    for line in figures.splitlines():
        if line.startswith("| ") and not line.startswith("| there"):
            words = set(re.findall(r"`([a-z-]+)`", line.split(" | ", 1)[1]))
            assert words & known or "](" in line or "foldwise " in line, line


def figures_of(text):
    return next(title for title in re.findall(r"^## (.*)$", text, re.MULTILINE) if title.startswith("Every"))


def test_every_study_has_its_page_and_every_page_its_study():
    files = {path.stem for path in (ROOT / "studies").glob("[0-9]-*.yaml")}
    assert files == {path.stem for path in studies()}
    for page in studies():
        assert f"]({page.name})" in (page.parent / "README.md").read_text(encoding="utf-8")
