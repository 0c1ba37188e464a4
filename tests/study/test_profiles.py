"""Profiles of engines: from the study, from files and from options, and what may stand in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldwise.errors import SpecError
from foldwise.study.profiles import OURS, SlurmProfile, seconds_of_time
from foldwise.study.reading import open_study

STUDY = "study: a\ndata: {path: x}\ntrain: {model: unet}\nslurm: {partition: gpu, time: 90, gpus: 1}\n"


@pytest.fixture
def profile(tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY)

    def read(*stated):
        return open_study(tmp_path / "study.yaml", profile=("slurm", stated)).study.slurm

    return read


def test_options_count_more_than_files_and_files_more_than_the_study(profile, tmp_path):
    (tmp_path / "lab.yaml").write_text("partition: lab\naccount: ours\n")
    (tmp_path / "part.yaml").write_text("slurm: {account: theirs}\n")
    assert profile() == SlurmProfile(partition="gpu", time="90", gpus=1)
    stated = profile(f"{tmp_path}/lab.yaml", f"{tmp_path}/part.yaml", "gpus=a100:2", "modules=[cuda/12.4]")
    assert stated == SlurmProfile(
        partition="lab", account="theirs", time="90", gpus="a100:2", modules=("cuda/12.4",)
    )


def test_a_profile_is_no_part_of_what_a_run_records(tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY)
    study = open_study(tmp_path / "study.yaml").study
    assert "slurm" not in study.model_dump(mode="json")


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ("partitoin=gpu", "Did you mean 'partition'?"),
        ("time=soon", "must be a time limit as sbatch takes it"),
        ("time=0", "must be a time limit"),
        ("memory=lots", "must be a number with K, M, G or T"),
        ("environment=env", "must be a whole path"),
        ("workers=0", "slurm.workers"),
        ("sbatch=[--array=1-9]", "Set workers of the profile."),
        ("sbatch=['-o x']", "foldwise sets it itself"),
        ("sbatch=['--qos=a b']", "options of sbatch, each in one text"),
        ("nofile.yaml", "there is no file"),
    ],
)
def test_what_cannot_be_is_refused_where_it_was_stated(profile, stated, words):
    with pytest.raises(SpecError) as refused:
        profile(stated)
    assert words in str(refused.value)
    assert stated.partition("=")[0] in str(refused.value)


def test_an_engine_without_a_profile_takes_none(tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY)
    with pytest.raises(SpecError, match="workers of 'local' have no profile"):
        open_study(tmp_path / "study.yaml", profile=("local", ["a=b"]))


@pytest.mark.parametrize("key", ["partition", "account", "gpus", "modules"])
@given(text=st.text(min_size=1))
def test_no_text_that_means_anything_to_a_shell_is_taken(key, text):
    words = {key: [text] if key == "modules" else text}
    try:
        SlurmProfile.model_validate(words)
    except ValueError:
        return
    assert not set(text) & set(" \t\n\r;&|<>$`'\"\\(){}[]*?!#~\0")
    assert not text.startswith("-")


@given(text=st.text(min_size=1))
def test_no_option_of_sbatch_has_a_second_line(text):
    try:
        SlurmProfile(sbatch=(f"--{text}",))
    except ValueError:
        return
    assert len(f"--{text}".splitlines()) == 1
    assert text.partition("=")[0] not in OURS


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 5400),
        ("1:30", 90),
        ("8:00:00", 28800),
        ("2-0", 172800),
        ("1-2:3", 93780),
        ("1-2:3:4", 93784),
        ("x", None),
    ],
)
def test_time_limits_are_read_as_sbatch_reads_them(text, seconds):
    assert seconds_of_time(text) == seconds
