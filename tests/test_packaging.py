"""What is handed out besides the wheel: the conda recipe, the documentation as a site, and the plugin of napari."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from ruamel.yaml import YAML

import foldwise

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
CALLED_BY_CONDA = {"torch": "pytorch"}  # where conda-forge has another name than PyPI


def read(name):
    return YAML(typ="safe").load((ROOT / name).read_text(encoding="utf-8"))


def requirements(lines):
    """Of each package its versions, by its name."""
    matches = [re.fullmatch(r"([\w.-]+) ?(.*)", line).groups() for line in lines]
    assert len(dict(matches)) == len(matches)
    return {name: SpecifierSet(versions) for name, versions in matches}


def test_the_conda_recipe_needs_what_the_wheel_needs():
    recipe = read("conda/recipe.yaml")
    needed = [Requirement(line) for line in PROJECT["dependencies"]]
    assert not any(row.marker or row.extras for row in needed)  # of which the recipe would have to say more
    by_name = {CALLED_BY_CONDA.get(row.name, row.name): row.specifier for row in needed}
    by_name["python"] = SpecifierSet(PROJECT["requires-python"])
    assert requirements(recipe["requirements"]["run"]) == by_name
    (backend,) = [Requirement(line) for line in PYPROJECT["build-system"]["requires"]]
    host = requirements(recipe["requirements"]["host"])
    assert host == {"python": by_name["python"], "pip": SpecifierSet(), backend.name: backend.specifier}


def test_the_conda_recipe_says_of_the_package_what_the_wheel_says():
    recipe = read("conda/recipe.yaml")
    assert recipe["package"]["name"] == PROJECT["name"]
    assert recipe["context"]["version"] == PROJECT["version"] == foldwise.__version__
    assert recipe["about"]["summary"] == PROJECT["description"]
    assert recipe["about"]["license"] == PROJECT["license"]
    assert [recipe["about"]["license_file"]] == PROJECT["license-files"]
    entries = [f"{name} = {where}" for name, where in PROJECT["scripts"].items()]
    assert recipe["build"]["python"]["entry_points"] == entries


def pages_of(nav):
    for entry in nav:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from [value] if isinstance(value, str) else pages_of(value)


def test_the_site_has_every_page_of_the_documentation_once():
    pages = list(pages_of(read("mkdocs.yml")["nav"]))
    there = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert sorted(pages) == sorted(there)
    assert read("mkdocs.yml")["strict"] is True


def test_the_site_is_built_without_a_fault_and_its_readers_fetch_nothing(tmp_path):
    pytest.importorskip("mkdocs", reason="mkdocs, material and mkdocstrings make the site")
    pytest.importorskip("mkdocstrings")
    ended = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for page in tmp_path.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"?(https?:)?//[^>]*", text)
        assert not fetched, page
    reference = (tmp_path / "api.html").read_text(encoding="utf-8")
    for name in (
        "foldwise.interface.api.run",
        "foldwise.interface.models.predict",
        "foldwise.interface.models.export",
        "foldwise.interface.results.Run.failures",
    ):
        assert f'id="{name}"' in reference, name
    # Examples are blocks of code; what begins with >>> in a docstring's text would be quoted.
    assert "<blockquote>" not in reference
    assert reference.count('class="highlight language-python"') >= 4
