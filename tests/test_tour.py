"""The tour of docs/tour.md, walked: its commands are read from the page and run one after the other, at tiny settings."""

import csv
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from foldwise.interface import cli
from foldwise.judging.verdict import read_verdict

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/tour.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^```sh\nfoldwise (.*)\n```", PAGE, re.MULTILINE)
SCRIPT = re.search(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]
# One small network, one epoch, two folds: what is tested is that each step finds what the one before has left.
TINY = {
    "init": ["--hours", "0.01"],
    "run": [
        "--on",
        "inline",
        "--set",
        "train.epochs=1",
        "--set",
        "validate.folds=2",
        "--set",
        "baselines=[]",
    ],
}


@pytest.fixture
def foldwise(monkeypatch, capsys, tmp_path):
    """Runs a command of the page in an empty folder; what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))

    def run(line):
        words = shlex.split(line)
        if words[0] == "app":  # a process of its own, for which one of the folders is enough
            return served(words) if (tmp_path / "my_cells/drawn").is_dir() else ""
        options = list(TINY.get(words[0], []))
        if words[0] == "run":
            model = "unet" if (tmp_path / "my_cells/drawn").is_dir() else "conv"
            options += [
                "--set",
                f"compare.network=[{{name: small, model: {{{model}: {{width: 4, depth: 2}}}}}}]",
            ]
        monkeypatch.setattr(sys, "argv", ["foldwise", *words, *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        assert not ended.value.code, (line, printed.out, printed.err)
        return " ".join(printed.out.split())

    return run


def served(words):
    """The page that a command serves, fetched once; then the command is stopped as by Ctrl-C, and ends well."""
    command = [sys.executable, "-u", "-m", "foldwise", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = next(match[0] for line in process.stdout if (match := re.search(r"http://\S+", line)))
            with urlopen(address, timeout=60) as answer:
                page = answer.read().decode()
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=120)  # read to the end: where nobody reads, it ends with 1
    assert process.returncode in (0, 130)
    return page


def drawn(tmp_path, request):
    """The folder of the page."""
    exec(compile(SCRIPT, "docs/tour.md", "exec"), {})
    return "drawn/ has few values and no colour", "validate.group: group"


def real(tmp_path, request):
    """Real blood cells of two classes, with names that say nothing."""
    folders = request.getfixturevalue("shared_data") / "blood_cells_4class"
    for name in ("monocyte", "neutrophil"):
        files = sorted(path for path in (folders / name).iterdir() if path.suffix == ".jpg")
        for number, path in enumerate(files[:9]):
            to = tmp_path / ("my_cells" if number < 6 else "new_cells/images")
            to = to / name / f"{number}.jpg" if number < 6 else to / f"{name}-{number}.jpg"
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to)
    rows = [f"{path.name},{path.name.split('-')[0]}\n" for path in (tmp_path / "new_cells/images").iterdir()]
    (tmp_path / "new_cells/labels.csv").write_text("image,label\n" + "".join(rows))
    return "One folder per class was recognised: monocyte 6, neutrophil 6.", ""


@pytest.mark.parametrize("folder", [drawn, real])
def test_the_tour(folder, foldwise, request, tmp_path):
    recognised = folder(tmp_path, request)
    printed = {line.split()[0]: foldwise(line) for line in COMMANDS}
    assert list(printed) == ["init", "check", "run", "report", "predict", "evaluate", "app", "export"]
    assert all(words in printed["init"] for words in (*recognised, "Next: foldwise run study.yaml"))
    answer = read_verdict(tmp_path / "runs/my_cells/verdict.json").answer
    assert " ".join(answer.sentence.split()[:8]) in printed["run"]
    assert answer.name in (tmp_path / "runs/my_cells/report.html").read_text(encoding="utf-8")
    assert {path.suffix for path in (tmp_path / "figures").iterdir()} >= {".svg", ".csv"}
    with (tmp_path / "predictions/predictions.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 6
    assert (tmp_path / "predictions/pictures.html").is_file()
    given = tmp_path / "for-others"
    assert {path.name for path in given.iterdir()} >= {"model.onnx", "predict.py", "MODEL_CARD.md"}
    # The colleague, who has no foldwise.
    images, theirs = tmp_path / "new_cells/images", tmp_path / "theirs"
    subprocess.run([sys.executable, given / "predict.py", images, "--out", theirs], check=True)
    assert any(theirs.iterdir())
