"""The page that follows a run: what it serves, to whom, and that it grows with the run."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from grow_run import growing
from make_run import RUNS, make_run
from typed import foldwise

from foldwise.errors import RunError
from foldwise.pipeline.pipeline import judged_now as judged
from foldwise.reporting import live as serving


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A whole run with two configurations and three folds, pictures packed in a cache of this module."""
    patch = pytest.MonkeyPatch()
    patch.setenv("FOLDWISE_CACHE", str(tmp_path_factory.mktemp("cache")))
    folder, _ = make_run(tmp_path_factory.mktemp("runs") / "whole", RUNS["trivial"])
    yield folder
    patch.undo()


@pytest.fixture
def grown(made, tmp_path):
    """The same run before anything was done, and a function that commits the next so many of its items."""
    return growing(made, tmp_path / "growing")


def asked(address, path="/", host=None):
    """Status, headers and words of an answer."""
    place = address.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(place, timeout=200)
    connection.request("GET", path, headers={"Host": host or place})
    answer = connection.getresponse()
    told = answer.status, dict(answer.getheaders()), answer.read().decode()
    connection.close()
    return told


def test_it_waits_grows_with_the_run_and_keeps_the_last_good_page(grown):
    folder, commit = grown
    live = serving.Live(folder, judged)
    assert not live.look()
    assert "No fit is done yet" in live.page
    assert live.state() == {
        "done": 0,
        "failed": 0,
        "total": 6,
        "finished": False,
        "running": [],
        "digest": "",
        "problem": "",
    }
    commit(2)
    assert live.look()
    first = live.digest
    assert f'data-live="{first}"' in live.page
    assert "connect-src 'self'" in live.page
    assert "2 of 6 fits done" in live.page
    assert not live.look()  # nothing is new
    commit(1)
    broken = folder.done(folder.load_plan().items[2].id) / "scores.npz"
    whole = broken.read_bytes()
    broken.write_bytes(b"not an archive")
    before = live.page
    assert not live.look()
    assert live.page == before
    assert live.digest == first
    assert live.state()["problem"]
    broken.write_bytes(whole)
    commit(3)
    assert live.look()
    state = live.state()
    assert (state["done"], state["finished"], state["problem"]) == (6, True, "")
    assert state["digest"] not in ("", first)
    assert not folder.verdict.exists()  # a page that is served writes nothing
    assert not folder.report.exists()


def test_items_in_progress_are_told_with_how_far_they_are(grown):
    folder, _ = grown
    item = folder.load_plan().items[0]
    attempt = folder.attempts_of(item.id) / "1"
    attempt.mkdir(parents=True)
    (attempt / "beat").write_text(
        '7\n{"epoch": 3, "epochs": 12, "metric": "log_loss", "score": 0.25}', encoding="utf-8"
    )
    running = serving.Live(folder, judged).state()["running"]
    assert running == [{"title": item.title, "far": "epoch 3 of 12", "score": "log_loss 0.250"}]


def test_it_serves_two_addresses_to_this_machine_only(made):
    with serving.serving(made, judged) as address:
        assert address.startswith("http://127.0.0.1:")
        port = address.rstrip("/").rpartition(":")[2]
        status, headers, page = asked(address)
        assert status == 200
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert headers["Cache-Control"] == "no-store"
        assert "<!doctype html>" in page
        status, _, told = asked(address, "/state.json")
        assert status == 200
        assert json.loads(told)["total"] == 6
        assert asked(address, host=f"localhost:{port}")[0] == 200
        for other in (
            "/verdict.json",
            "/../study.yaml",
            "/done/",
            "/state.json/..",
            "/?",
            "/index.html",
        ):
            assert asked(address, other)[0] == 404, other
        for host in (
            "evil.example",
            f"evil.example:{port}",
            "127.0.0.1",
            "127.0.0.1:1",
            f"127.0.0.1.evil.example:{port}",
            f"[::1]:{port}",
        ):
            status, _, told = asked(address, host=host)
            assert status == 403, host
            assert "study" not in told
    with pytest.raises(ConnectionRefusedError):
        asked(address)


def test_a_port_that_is_taken_is_refused_with_a_cure(made):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(RunError, match=f"port {port} cannot be used") as refused,
            serving.serving(made, judged, port=port),
        ):
            pass
    assert "Name another one, or leave --port out" in str(refused.value)


def test_it_looks_again_by_itself(grown, monkeypatch):
    monkeypatch.setattr(serving, "LOOK_EVERY_S", 0.05)
    folder, commit = grown
    with serving.serving(folder, judged) as address:
        assert "No fit is done yet" in asked(address)[2]
        commit(4)
        ends = time.monotonic() + 200
        while not json.loads(asked(address, "/state.json")[2])["digest"] and time.monotonic() < ends:
            time.sleep(0.1)
        assert "4 of 6 fits done" in asked(address)[2]
    assert not [one for one in threading.enumerate() if "serve_forever" in str(one)]


def test_ctrl_c_ends_the_command_and_is_no_failure(made):
    # Tests that are started in the background inherit an ignored signal; a terminal does not.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from foldwise.interface import cli; cli.main()"
    command = [sys.executable, "-c", code, "report", str(made.root), "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        line = running.stdout.readline()
        address = line.split(" shown at ")[1].split()[0]
        assert asked(address, "/state.json")[0] == 200
        running.send_signal(signal.SIGINT)
        out, errors = running.communicate(timeout=200)
    assert running.returncode == 0, errors
    assert "no longer served" in out
    assert "Traceback" not in errors


def test_ctrl_c_is_no_failure_either_while_the_page_is_opened(made, monkeypatch):
    def interrupted(address):
        raise KeyboardInterrupt

    monkeypatch.setattr("webbrowser.open", interrupted)
    ended = foldwise("report", str(made.root), "--serve", "--open", cwd=made.root.parent)
    assert "is shown at" in ended.out
    assert "no longer served" in ended.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "8000"], "only a page that is served has a port"),
        (["--serve", "--figures", "x"], "--serve writes no files"),
        (["--serve", "--tensorboard", "x"], "--serve writes no files"),
    ],
)
def test_options_that_do_not_go_together_are_refused(made, options, words, monkeypatch, capsys):
    from foldwise.interface import cli

    monkeypatch.setattr(sys, "argv", ["foldwise", "report", str(made.root), *options])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
