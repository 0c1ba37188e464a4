"""Event files of a run, read back with TensorBoard's own reader."""

import sys

import pytest
from make_run import RUNS, make_run

from foldwise.errors import MissingExtra, RunError
from foldwise.judging.verdict import read_verdict
from foldwise.learning.checkpoints.winner import write_events


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("FOLDWISE_CACHE", str(tmp_path_factory.mktemp("cache")))
    folder, _ = make_run(tmp_path_factory.mktemp("runs") / "failed", RUNS["failed"])
    patch.undo()
    return folder, read_verdict(folder.verdict)


def events_of(folder, verdict, out):
    return write_events(folder, verdict.metric.name, verdict.configurations, out)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_epoch_of_every_fit_that_is_done_can_be_read_back(made, tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    folder, verdict = made
    done = [one for one in folder.outcomes().values() if one["status"] == "done"]
    assert events_of(folder, verdict, tmp_path / "events") == len(done) == 8
    runs = sorted({file.parent for file in (tmp_path / "events").rglob("events.out.*")})
    fits = [run for run in runs if run.name.startswith("repeat ")]
    assert len(fits) == 8
    told = 0
    for run in fits:
        place = int(run.parent.name[:3]) - 1
        fold = int(run.name.split()[-1]) - 1
        own = folder.load_plan().configurations[place].id
        result = next(one for one in done if (one["configuration"], one["fold"]) == (own, fold))
        events = reader.EventAccumulator(str(run)).Reload()
        for key, tag in (
            ("train_loss", "loss/training"),
            ("val_loss", "loss/validation"),
            ("lr", "learning rate"),
            ("val_score", "score/log_loss"),
        ):
            read = [(one.step, one.value) for one in events.Scalars(tag)]
            assert [step for step, _ in read] == [one["epoch"] for one in result["epochs"]]
            assert [value for _, value in read] == pytest.approx(
                [one[key] for one in result["epochs"]], rel=1e-6
            )
            told += len(read)
    assert told == 8 * 4 * 12
    settings = reader.EventAccumulator(str(fits[0].parent)).Reload()
    own = folder.load_plan().configurations[int(fits[0].parent.name[:3]) - 1]
    estimate = verdict.configuration(own.id).estimate
    assert settings.Scalars(f"estimate/{verdict.metric.name}")[0].value == pytest.approx(estimate)
    held = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2").HParamsPluginData()
    held.ParseFromString(settings.SummaryMetadata("_hparams_/session_start_info").plugin_data.content)
    asked = {name: one.string_value for name, one in held.session_start_info.hparams.items()}
    assert asked == own.levels


def test_a_folder_with_event_files_is_not_mixed_with_others(made, tmp_path):
    folder, verdict = made
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "events.out.tfevents.1").touch()
    with pytest.raises(RunError, match="holds event files already") as refused:
        events_of(folder, verdict, tmp_path)
    assert "Name a new folder." in str(refused.value)
    assert [file.name for file in tmp_path.rglob("events.*")] == ["events.out.tfevents.1"]


def test_without_tensorboard_the_error_names_the_extra(made, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtra) as refused:
        events_of(*made, tmp_path / "events")
    assert str(refused.value) == "tensorboard is not installed\n  → pip install 'foldwise[tensorboard]'"
    assert not (tmp_path / "events").exists()
