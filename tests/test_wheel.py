"""The wheel: it holds every file of the source, and what is installed of it runs by itself."""

import configparser
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
STUDY = """\
study: gel
data: {phantom: {kind: gels, images: 20, size: 32}}
train: {model: {conv: {width: 4, depth: 1}}, epochs: 1}
validate: {folds: 2}
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    ended = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode and re.search(
        "No matching distribution|NewConnectionError|No module named pip", ended.stderr
    ):
        pytest.skip(f"hatchling, which builds the wheel, cannot be had here: {ended.stderr.strip()[-200:]}")
    assert ended.returncode == 0, ended.stderr
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_holds_every_file_of_the_source(wheel):
    """Templates, styles and scripts of the report as well, without which it is written nowhere but here."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "src"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    source = {name.removeprefix("src/") for name in listed if (ROOT / name).is_file()}
    assert any(not name.endswith(".py") for name in source)
    with zipfile.ZipFile(wheel) as files:
        names = {name for name in files.namelist() if ".dist-info/" not in name}
        texts = {Path(name).name: files.read(name) for name in files.namelist() if ".dist-info/" in name}
    assert names == source
    entries = configparser.ConfigParser()
    entries.read_string(texts["entry_points.txt"].decode())
    assert dict(entries["console_scripts"]) == PROJECT["scripts"]
    assert (ROOT / "LICENSE").read_bytes() == texts["LICENSE"]


def test_what_is_installed_of_the_wheel_runs_a_study(wheel, tmp_path):
    """Without its dependencies, which are those of this environment; nothing of the source is in reach."""
    place = tmp_path / "site"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--target",
            place,
            wheel,
        ],
        check=True,
    )
    (tmp_path / "study.yaml").write_text(STUDY)
    environment = os.environ | {"PYTHONPATH": str(place), "FOLDWISE_CACHE": str(tmp_path / "cache")}

    def foldwise(*words):
        return subprocess.run(
            [sys.executable, "-P", place / "bin" / "foldwise", *words],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    where = "import foldwise; print(foldwise.__file__)"
    imported = subprocess.run(
        [sys.executable, "-P", "-c", where],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert Path(imported).is_relative_to(place)
    assert "run" in foldwise("--help").stdout
    ended = foldwise("run", "study.yaml", "--workers", "1")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    page = (tmp_path / "runs/gel/report.html").read_text(encoding="utf-8")
    assert "<style" in page
    assert "<script" in page
