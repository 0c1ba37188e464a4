"""The images in containers/: every step of both files is read, and agrees with the project and with one another."""

import re
import shlex
import subprocess
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE, DEFINITION = ROOT / "containers/Dockerfile", ROOT / "containers/foldwise.def"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NEEDED = {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"], "src", "constraints.txt"}
# What a slim image of Python has: a shell, the programs of Debian's essential packages, and Python.
PROGRAMS = {"python", "useradd", "install", "rm", "cd", "set", "[", "exec", "export", "/opt/foldwise/bin/pip"}
PROGRAMS |= {"/opt/foldwise/bin/foldwise"}
SECTIONS = {"arguments", "files", "post", "environment", "runscript", "test", "labels", "help"}


@dataclass(frozen=True)
class Step:
    instruction: str
    words: str
    stage: int


def without_comments(text):
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def steps():
    """The steps of the Dockerfile, with their lines joined."""
    made, stage = [], -1
    for line in without_comments(DOCKERFILE.read_text()).replace("\\\n", " ").splitlines():
        if line.strip():
            instruction, words = line.split(maxsplit=1)
            stage += instruction == "FROM"
            made.append(Step(instruction, words.strip(), stage))
    return made


def of(instruction, stage=None):
    return [step.words for step in steps() if step.instruction == instruction and stage in (None, step.stage)]


def sections():
    """Header and sections of the definition, with the arguments put in."""
    header, *parts = re.split(r"^%(\w+)\n", without_comments(DEFINITION.read_text()), flags=re.M)
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    arguments = dict(line.strip().split("=", 1) for line in found["arguments"].split("\n") if line.strip())

    def put_in(text):
        return re.sub(r"\{\{ (\w+) \}\}", lambda match: arguments[match[1]], text)

    return put_in(header), {name: put_in(text) for name, text in found.items()}


def is_ignored(path):
    """Whether `.dockerignore` keeps a file out; the last line that fits counts."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.lstrip("!")
        parts = Path(path).parts
        heads = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        if (
            line
            and not line.startswith("#")
            and any(
                fnmatch(head, pattern)
                or (pattern.startswith("**/") and fnmatch(Path(head).name, pattern[3:]))
                for head in heads
            )
        ):
            ignored = not line.startswith("!")
    return ignored


def programs_of(script):
    """The first word of every command of a script."""
    words = shlex.split(script.replace("\\\n", " ").replace("\n", " ; "), comments=True)
    first = [word for before, word in zip([";", *words], words, strict=False) if before in (";", "&&", "||")]
    return {word for word in first if word != ";" and not re.match(r"[A-Z_]+=", word)}


@pytest.mark.parametrize("path", [DOCKERFILE, DEFINITION], ids=lambda path: path.name)
def test_no_host_is_named(path):
    """Images come from where Docker and Apptainer look by themselves, packages from where pip does."""
    text = path.read_text()
    assert "://" not in text
    assert not re.search(r"(?:FROM|From:) \S*\.\S*/", text)


def test_the_dockerfile_has_known_steps_in_their_order():
    known = {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "LABEL", "ENV", "USER", "VOLUME", "ENTRYPOINT", "CMD"}
    assert {step.instruction for step in steps()} <= known
    order = [step.instruction for step in steps() if step.stage == 1]
    assert (
        order.index("RUN") < order.index("USER") < order.index("ENTRYPOINT")
    )  # what makes a user is done by root
    assert "ADD" not in order


def test_the_python_below_is_pinned_and_bears_foldwise():
    (argument,) = [words for words in of("ARG") if words.startswith("PYTHON")]
    python = argument.partition("=")[2]
    assert "Bootstrap: docker" in sections()[0]
    bases = [words.split()[0].replace("${PYTHON}", python) for words in of("FROM")]
    assert set(bases) == {f"python:{python}-slim-bookworm"} == {re.search(r"From: (\S+)", sections()[0])[1]}
    least = PROJECT["requires-python"].removeprefix(">=")
    assert tuple(map(int, python.split("."))) >= tuple(map(int, least.split(".")))
    assert f"Programming Language :: Python :: {python}" in PROJECT["classifiers"]


def test_what_is_copied_is_there_and_is_all_that_a_wheel_needs():
    copied = [words.split() for words in of("COPY")]
    assert {name for *names, _ in copied for name in names if "--from" not in names[0]} == NEEDED
    assert [words for words in copied if words[0].startswith("--from")] == [
        ["--from=build", *["/opt/foldwise"] * 2]
    ]
    assert of("FROM")[0].endswith("AS build")
    files = [line.split() for line in sections()[1]["files"].strip().splitlines()]
    assert {name for name, _ in files} == NEEDED
    for name, there in files:
        assert there == f"/opt/source/{name}"
    assert all((ROOT / name).exists() for name in NEEDED)


@pytest.mark.parametrize(
    "name", ["src/foldwise/reporting/templates/macros.html.j2", *sorted(NEEDED - {"src"})]
)
def test_what_is_needed_goes_into_the_image(name):
    assert (ROOT / name).is_file()
    assert not is_ignored(name)


@pytest.mark.parametrize(
    "name", ["runs/gel/plan.json", ".venv/bin/python", ".git/HEAD", "studies/x.png", "src/__pycache__/a.pyc"]
)
def test_what_is_yours_does_not(name):
    assert is_ignored(name)


def test_the_image_runs_foldwise_as_somebody_who_is_not_root():
    assert of("USER") == ["1000:1000"]
    assert any("useradd --uid 1000 " in words for words in of("RUN", 1))
    (program,) = PROJECT["scripts"]
    assert of("ENTRYPOINT") == [f'["{program}"]']
    assert of("CMD") == ['["--help"]']
    assert sections()[1]["runscript"].strip() == f'exec {program} "$@"'


def test_the_cache_is_a_volume_that_this_user_may_write():
    environment = dict(shlex.split(word)[0].split("=", 1) for words in of("ENV") for word in words.split())
    assert of("VOLUME") == [environment["FOLDWISE_CACHE"]]
    assert environment["HF_HOME"].startswith(f"{environment['FOLDWISE_CACHE']}/")
    assert environment["PATH"].startswith("/opt/foldwise/bin:")
    made = next(words for words in of("RUN", 1) if "install" in words)
    assert f"--owner=1000 --group=1000 {environment['FOLDWISE_CACHE']}" in made
    assert of("WORKDIR", 1)[0] in made


def test_both_files_take_the_same_steps():
    """The wheel is built and installed by the same commands, in the versions of the constraints."""
    post = sections()[1]["post"]
    for command in (
        "python -m pip wheel --no-cache-dir --no-deps --wheel-dir",
        "python -m venv /opt/foldwise",
        "/opt/foldwise/bin/pip install --no-cache-dir --constraint constraints.txt",
    ):
        assert command in post
        assert any(command in words for words in of("RUN", 0))


def scripts():
    yield from (pytest.param(words, id=f"RUN {number}") for number, words in enumerate(of("RUN")))
    yield from (
        pytest.param(text, id=name)
        for name, text in sections()[1].items()
        if name in ("post", "environment", "runscript", "test")
    )


@pytest.mark.parametrize("script", list(scripts()))
def test_every_step_is_a_script_of_programs_that_are_there(script):
    subprocess.run(["sh", "-n", "-c", script], check=True)
    assert programs_of(script) <= PROGRAMS


def test_the_definition_has_known_sections_and_uses_every_argument():
    assert set(sections()[1]) == SECTIONS
    text = DEFINITION.read_text()
    for name in re.findall(r"^\s+(\w+)=", text.partition("%arguments")[2].partition("%")[0], re.M):
        assert f"{{{{ {name} }}}}" in text
    assert set(of("ARG", 0)) == {'TORCH_INDEX=""'}


@pytest.mark.parametrize("index", ["", "where it is"])
def test_wheels_for_the_cpu_are_looked_for_where_the_user_says(index, tmp_path):
    """The command as the shell makes it: no empty word without an address, one word with it."""
    (tmp_path / "pip").write_text('#!/bin/sh\nfor word in "$@"; do printf "%s\\n" "$word"; done\n')
    (tmp_path / "pip").chmod(0o755)
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "a.whl").touch()
    for script, dist in (
        (next(words for words in of("RUN") if "pip install" in words).partition("&&")[2], "/dist"),
        (sections()[1]["post"].partition("-m venv /opt/foldwise\n")[2].partition("cd /\n")[0], "dist"),
    ):
        typed = script.replace('"none" = none', f'"{index or "none"}" = none').replace(
            'index-url "none"', f'index-url "{index}"'
        )
        typed = typed.replace("/opt/foldwise/bin/pip", str(tmp_path / "pip")).replace(
            f"{dist}/*", str(tmp_path / "dist/*")
        )
        said = subprocess.run(
            ["sh", "-euc", typed],
            capture_output=True,
            text=True,
            check=True,
            env={"TORCH_INDEX": index, "PATH": "/bin"},
        ).stdout.splitlines()
        more = ["--extra-index-url", index] if index else []
        assert said == [
            "install", "--no-cache-dir", "--constraint", "constraints.txt", *more, str(tmp_path / "dist/a.whl"),
        ]  # fmt: skip
