"""Profiles of engines: from the study, from files and from options, and what may stand in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldwise.errors import SpecError
from foldwise.study.laid_over import from_profile, user_profile
from foldwise.study.profiles import OURS, PROFILES, RayProfile, SlurmProfile, bytes_of_memory, seconds_of_time
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
        ("gpus", "this is no KEY=VALUE"),
        ("gpus=a100", "must be a number of GPUs, or a type and a number"),
        ("gpus=99999999999999999999", "the value is a whole number beyond 64 bits"),
        ("memory=9999999999T", "must be at most 1024T"),
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


@pytest.mark.parametrize(
    ("text", "size"),
    [("2G", 2 * 2**30), ("512", 512 * 2**20), ("3T", 3 * 2**40), ("1K", 1024), ("7M", 7 * 2**20)],
)
def test_memory_is_read_as_sbatch_reads_it(text, size):
    assert bytes_of_memory(text) == size


@pytest.mark.parametrize(
    "address", ["auto", "head:6379", "10.0.0.1:6379", "ray://head.lab.edu:10001", "[::1]:6379"]
)
def test_addresses_are_what_ray_takes(address):
    assert RayProfile(address=address).address == address


@pytest.mark.parametrize("address", ["local", "head", "http://x:1", "ray://", "a b:1", "x:1;y", "'x':1", ""])
def test_an_address_is_one_of_a_ray_and_nothing_else(address):
    with pytest.raises(ValueError, match="must be where a Ray listens"):
        RayProfile(address=address)


@pytest.mark.parametrize(("engine", "kind"), PROFILES.items())
def test_every_engine_with_a_profile_is_a_key_of_the_study_and_counts_its_workers(tmp_path, engine, kind):
    (tmp_path / "study.yaml").write_text("study: a\ndata: {path: x}\ntrain: {model: unet}\n")
    study = open_study(tmp_path / "study.yaml", profile=(engine, ["workers=3"])).study
    assert study.profile_of(engine) == kind(workers=3)
    assert study.profile_of(engine).at_a_time == 3
    assert study.profile_of("local") is None
    assert engine not in study.model_dump(mode="json")


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ("image=lab/fold wise", "must be the name of an image"),
        ("image=Lab/Foldwise", "must be the name of an image"),
        ("image='foldwise:latest\n'", "must be the name of an image"),
        ("namespace=Lab", "must be a namespace"),
        ("namespace=-lab", "must be a namespace"),
        (f"namespace={'a' * 64}", "must be a namespace"),
        ("claim=my_claim", "must be a name as Kubernetes takes it"),
        ("claim=a..b", "must be a name as Kubernetes takes it"),
        ("queue='lab: x'", "must be a name as Kubernetes takes it"),
        ("service_account=Me", "must be a name as Kubernetes takes it"),
        ("mount=study", "must be a whole path"),
        ("mount=/opt", "must not hide a folder of the image"),
        ("mount=/a/../usr/", "must not hide a folder of the image"),
        ("mount=/a:b", "must be a whole path without colons"),
        ("memory=16", "must be a number with Mi, Gi, M or G"),
        ("memory=16GB", "must be a number with Mi, Gi, M or G"),
        ("memory=100m", "must be a number with Mi, Gi, M or G"),
        ("memory=0Gi", "must be a number with Mi, Gi, M or G"),
        ("gpus=a100:1", "must be a number of GPUs, or a resource and a number"),
        ("gpus=nvidia.com/gpu:0", "must be a number of GPUs, or a resource and a number"),
        ("gpus=65", "kubernetes.gpus"),
        ("user=0", "kubernetes.user"),
        ("workers=0", "kubernetes.workers"),
        ("labels={'a b': c}", "must hold keys of labels"),
        ("labels={a/b/c: d}", "must hold keys of labels"),
        ("labels={a: 'b c'}", "must hold labels of letters, digits"),
        ("node_selector={gpu: [a]}", "kubernetes.node_selector"),
        ("pod={containers: []}", "Set image, cpus, gpus, memory of the profile."),
        ("pod={restartPolicy: Always}", "Remove it: foldwise sets it itself."),
        ("pod={nodeSelector: {a: b}}", "Set node_selector of the profile."),
        ("pod={'a b': 1}", "must hold fields of the spec of a pod"),
        ("pod=[]", "kubernetes.pod"),
        ("claims=study", "Did you mean 'claim'?"),
    ],
)
def test_what_kubernetes_would_refuse_is_refused_where_it_was_stated(tmp_path, stated, words):
    (tmp_path / "study.yaml").write_text(STUDY)
    with pytest.raises(SpecError) as refused:
        open_study(tmp_path / "study.yaml", profile=("kubernetes", [stated]))
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("stated", "key", "value"),
    [
        ("image=foldwise", "image", "foldwise"),
        ("image=lab/foldwise:1.0", "image", "lab/foldwise:1.0"),
        (
            "image=images.lab:5000/a/b__c:v1@sha256:" + "0" * 64,
            "image",
            "images.lab:5000/a/b__c:v1@sha256:" + "0" * 64,
        ),
        ("mount=/mnt/lab/", "mount", "/mnt/lab"),
        ("memory=16Gi", "memory", "16Gi"),
        ("gpus=nvidia.com/mig-1g.10gb:2", "gpu_limits", {"nvidia.com/mig-1g.10gb": 2}),
        ("gpus=1", "gpu_limits", {"nvidia.com/gpu": 1}),
        ("gpus=0", "gpu_limits", {}),
        ("labels={a: true, lab.org/b: 1, c: ''}", "labels", {"a": "true", "lab.org/b": "1", "c": ""}),
    ],
)
def test_what_kubernetes_takes_is_taken(tmp_path, stated, key, value):
    (tmp_path / "study.yaml").write_text(STUDY)
    study = open_study(tmp_path / "study.yaml", profile=("kubernetes", [stated])).study
    assert getattr(study.kubernetes, key) == value
    assert "kubernetes" not in study.model_dump(mode="json")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes the profile of the user."""
    path = tmp_path / "config" / "profile.yaml"
    path.parent.mkdir()
    monkeypatch.setenv("FOLDWISE_PROFILE", str(path))
    return path


def test_what_the_user_says_once_counts_less_than_any_study(profile, own, tmp_path):
    own.write_text(
        "slurm: {partition: mine, account: lab, modules: [cuda/12.4]}\nray: {address: 'head:6379'}\n"
    )
    assert profile() == SlurmProfile(
        partition="gpu", time="90", gpus=1, account="lab", modules=("cuda/12.4",)
    )
    assert profile("account=other").account == "other"
    file = open_study(tmp_path / "study.yaml", profile=("slurm", ()))
    assert from_profile(file.source, "slurm") == (
        f"slurm: account 'lab', modules [\"cuda/12.4\"] from your profile {own}"
    )
    assert open_study(tmp_path / "study.yaml", profile=("ray", ())).study.ray == RayProfile(
        address="head:6379"
    )
    local = open_study(tmp_path / "study.yaml", profile=("local", ()))  # no cluster is asked
    assert (local.study.slurm.account, from_profile(local.source, "local")) == (None, "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("partition: gpu\n", "a profile says of which kind of cluster it is"),
        ("slurm: {acount: lab}\n", "no key is called 'acount' in slurm"),
        ("slurm: [gpu]\n", "a profile is made of `key: value` lines"),
        ("slurm: {account: 'a b'}\n", "slurm.account must be one word"),
        ("slurm: {\n", "brackets do not match"),
    ],
)
def test_what_is_wrong_with_it_is_said_with_its_file(profile, own, text, words):
    own.write_text(text)
    with pytest.raises(SpecError) as refused:
        profile()
    assert words in str(refused.value)
    assert str(own) in str(refused.value)


def test_a_profile_beside_a_study_is_none_and_one_that_is_named_has_to_be_there(
    profile, own, tmp_path, monkeypatch
):
    (tmp_path / "profile.yaml").write_text("slurm: {account: somebody}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match="there is no file"):
        profile()
    monkeypatch.delenv("FOLDWISE_PROFILE")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert profile().account is None
    (tmp_path / "config" / "foldwise").mkdir()
    (tmp_path / "config" / "foldwise" / "profile.yaml").write_text("slurm: {account: mine}\n")
    if user_profile() == tmp_path / "config" / "foldwise" / "profile.yaml":  # of Linux
        assert profile().account == "mine"
