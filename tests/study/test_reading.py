"""Reading: a study is read whole, or every error in it is said at once and to the letter."""

import re
from pathlib import Path

import pytest
from malformed_studies import MALFORMED
from repository import ROOT

from foldwise.errors import SpecError
from foldwise.study.configurations import configurations
from foldwise.study.reading import CURES, PARTS, open_study, study_from_dict
from foldwise.study.training import SYNONYM_CURES, Augment, Choice
from foldwise.study.validation_errors import SWITCHED_ON, known_keys
from foldwise.study.yaml_places import parse, plain_value

STUDY = """\
# A comment.
study: gel
data:
  path: gels
  size: [64, 96]
  mask_values: {0: background, [255, 0, 0]: cell}
  classes: [no, yes]
compare:
  model: [unet, {conv: {width: 8}}]
train:
  epochs: 3
  optimizer: {adam: {lr: 1e-3}}
  augment: flips
"""


@pytest.fixture
def study_file(tmp_path, monkeypatch):
    """Writes a study in the current folder, so that messages begin with its plain name."""
    monkeypatch.chdir(tmp_path)

    def write(text):
        Path("study.yaml").write_text(text, encoding="utf-8")
        return Path("study.yaml")

    return write


@pytest.mark.parametrize("case", MALFORMED, ids=[case.title for case in MALFORMED])
def test_a_malformed_study_is_refused_with_this_message(case, study_file, tmp_path):
    with pytest.raises(SpecError) as refused:
        open_study(study_file(case.text), case.overrides)
    assert str(refused.value).replace(str(tmp_path.resolve()), "{here}") == case.message
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    "jargon", ["Input should", "valid", "pydantic", "literal", "dict", "NoneType", "ruamel", "Extra inputs"]
)
def test_no_jargon_reaches_a_user(jargon):
    # "validate" is a key of the study.
    assert not [case.title for case in MALFORMED if jargon in case.message.replace("validate", "")]


def test_a_study_is_read(study_file):
    study = open_study(study_file(STUDY)).study
    assert study.data.size == (64, 96)
    assert study.data.mask_values == {"0": "background", "255,0,0": "cell"}
    assert study.data.classes == ("no", "yes")
    assert study.train["optimizer"] == {"adam": {"lr": 0.001}}
    assert study.validate_.folds == 5


def test_overrides_change_make_and_replace(study_file):
    asked = ["train.epochs=7", "judge.alpha=0.1", "compare.model=[vit]", "data.size=native", "title=A: b: c"]
    with pytest.raises(SpecError, match="a colon stands where no key can be"):
        open_study(study_file(STUDY), asked)
    study = open_study(study_file(STUDY), [*asked[:-1], "title='A: b'", "compare.model.0=resnet"]).study
    assert (study.train["epochs"], study.judge.alpha, study.title) == (7, 0.1, "A: b")
    assert study.compare["model"] == ["resnet"]
    assert study.data.size == "native"


def test_one_override_may_be_a_text_of_its_own(study_file):
    assert (
        open_study(study_file(STUDY), "train.epochs=2").study
        == open_study(study_file(STUDY), ["train.epochs=2"]).study
    )


def test_overrides_of_an_empty_file_make_a_study(study_file):
    study = open_study(study_file(""), ["study=x", "data.phantom.kind=gels", "train.model=conv"]).study
    assert study.data.phantom.kind == "gels"


def test_weights_are_relative_to_the_study(tmp_path, monkeypatch):
    folder = tmp_path / "studies"
    folder.mkdir()
    (folder / "w.safetensors").touch()
    (folder / "study.yaml").write_text(
        "study: a\ndata: {path: x}\ntrain: {model: conv}\ncompare: {weights: [none, w.safetensors]}\n"
    )
    monkeypatch.chdir(tmp_path)
    study = open_study(Path("studies/study.yaml")).study
    assert study.compare["weights"] == ["none", str((folder / "w.safetensors").resolve())]
    assert study.data.path == "x"  # the floor that reads images knows the folder of the study


def test_places_are_found_again(study_file):
    path = study_file(STUDY)
    assert open_study(path).locate("train", "epochs") == "study.yaml:11:3"
    assert open_study(path).locate("compare", "model", 1) == "study.yaml:9:17"
    assert open_study(path).locate("train", "not there") == "study.yaml:10:1"
    assert open_study(path).locate() == "study.yaml:2:1"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 0.001),
        (".5", 0.5),
        ("5.", 5.0),
        ("-3", -3),
        ("0", 0),
        ("010", "010"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("no", "no"),
        ("on", "on"),
        ("True", True),
        ("false", False),
        ("~", None),
        ("", None),
        ("2026-01-01", "2026-01-01"),
        (".nan", ".nan"),
        ("1e999", "1e999"),
    ],
)
def test_a_word_means_what_yaml_1_2_says_or_stays_a_word(written, value):
    assert plain_value(written) == value
    assert type(plain_value(written)) is type(value)


def test_quotes_anchors_and_literal_blocks():
    source = parse('a: "1"\nb: &b [1, x]\nc: *b\nd: |\n  two\n  lines\n', name="x")
    assert source.value == {"a": "1", "b": [1, "x"], "c": [1, "x"], "d": "two\nlines\n"}


def test_files_that_are_no_text(tmp_path, study_file):
    path = study_file("")
    path.write_bytes(b"study: gel\ntitle: \xff\xfe\n")
    with pytest.raises(SpecError) as refused:
        open_study(path)
    assert str(refused.value) == (
        "study.yaml:2: the file is not UTF-8 text\n"
        "  → Save it as UTF-8 text; a study is YAML, no spreadsheet and no word processor file."
    )
    with pytest.raises(SpecError) as refused:
        open_study(Path("absent.yaml"))
    assert str(refused.value) == "there is no file absent.yaml\n  → Name a study file, such as study.yaml."
    Path("folder").mkdir()
    with pytest.raises(SpecError) as refused:
        open_study(Path("folder"))
    assert str(refused.value) == (
        "folder is a folder\n"
        "  → Name the study file in it, or draft a study of its images: foldwise init folder"
    )


def test_a_byte_order_mark_and_windows_lines_are_read(study_file):
    path = study_file("")
    path.write_bytes(b"\xef\xbb\xbf" + STUDY.replace("\n", "\r\n").encode())
    assert open_study(path).study.study == "gel"


def test_a_study_from_plain_values():
    study = study_from_dict({"study": "a", "data": {"path": "x"}, "train": {"model": "conv"}})
    assert study.train == {"model": "conv"}
    with pytest.raises(SpecError) as refused:
        study_from_dict({"study": "a", "data": {"path": "x"}, "train": {"model": "conv", "epochs": "ten"}})
    assert str(refused.value) == "train.epochs must be a whole number, got 'ten'"


def test_the_worked_studies_are_read():
    worked = sorted((ROOT / "studies").glob("*.yaml"))
    assert worked
    for path in worked:
        if "weights:" not in path.read_text():  # those need files that are not everywhere
            assert open_study(path).study.study


def test_choices_and_augmentations_print_as_people_write_them():
    assert (
        str(Choice(name="adam", options={"lr": 0.001, "betas": [0.9, 0.99]}))
        == "adam (lr 0.001, betas 0.9-0.99)"
    )
    assert str(Choice(name="dice")) == "dice"
    assert Augment().flip is False


def test_an_error_of_a_key_that_was_typed_names_what_was_typed(tmp_path):
    (tmp_path / "study.yaml").write_text("study: one\ndata: {path: images}\ntrain: {model: unet}\n")
    file = open_study(tmp_path / "study.yaml", ["data.path=nowhere"])
    one = SpecError("it is not there", where="data.path", cure="State data.path: images.")
    file.restate(one)
    assert (one.where, one.cure) == ("--set data.path=nowhere", "State data.path: images.")
    several = SpecError.together(
        [one, SpecError("few", where="data.path"), SpecError("none", where="judge.metric")]
    )
    file.restate(several)
    assert "\n2. --set data.path=nowhere: few" in str(several)
    assert "\n3. judge.metric: none" in str(several)


def refused_key(part, word, study_file):
    values = {"train": "1", "compare": "[1, 2]"}
    model = "" if part == "train" else "train: {model: conv}\n"
    more = "model: conv, " if part == "train" else ""
    text = f"study: s\ndata: {{phantom: {{kind: gels}}}}\n{model}{part}: {{{more}{word}: {values[part]}}}\n"
    with pytest.raises(SpecError) as refused:
        open_study(study_file(text))
    return str(refused.value)


@pytest.mark.parametrize("word", [word for word, cure in SYNONYM_CURES.items() if " once " in cure])
def test_a_common_name_of_what_all_share_is_stated_as_the_cure_says(word, study_file):
    cure = SYNONYM_CURES[word]
    assert cure in refused_key("compare", word, study_file)
    part, key, value = re.search(r"as (\w+)\.(\w+): (.*)\.$", cure).groups()
    text = "study: s\ndata: {phantom: {kind: gels}}\ntrain: {model: conv}\n"
    study = open_study(study_file(text), [f"{part}.{key}={value}"]).study
    assert key in getattr(study, "validate_" if part == "validate" else part).model_fields_set


@pytest.mark.parametrize("word", [word for word, cure in SYNONYM_CURES.items() if " once " not in cure])
def test_a_common_name_of_a_setting_is_stated_as_the_cure_says(word, study_file):
    cure = SYNONYM_CURES[word]
    shown = [refused_key(part, word, study_file) for part in ("train", "compare")]
    assert all(cure in each for each in shown)
    base = {"study": "s", "data": {"phantom": {"kind": "gels"}}}
    one, several = re.search(r"State it as (.*) in train, or several as compare\.(.*)\.$", cure).groups()
    single = parse(f"{{{one}}}", name="cure").value
    assert len(configurations(study_from_dict(base | {"train": {"model": "conv"} | single}))) == 1
    compared = parse(f"{{{several}}}", name="cure").value
    train = {"model": "conv"} if "model" not in compared else {}
    assert len(configurations(study_from_dict(base | {"train": train, "compare": compared}))) == 2


@pytest.mark.parametrize("setting", SWITCHED_ON)
@pytest.mark.parametrize("value", ["true", "false"])
def test_a_setting_that_is_switched_on_or_off_is_told_its_names(setting, value, study_file):
    base = "study: s\ndata: {phantom: {kind: cells}}\ntrain: {model: unet}\n"
    with pytest.raises(SpecError) as alone:
        open_study(study_file(base.replace("unet", f"unet, {setting}: {value}")))
    with pytest.raises(SpecError) as among:
        open_study(study_file(f"{base}compare: {{{setting}: [{value}]}}\n"))
    assert f"train.{setting} must be a name, got {value}" in str(alone.value)
    assert f"compare.{setting} must be a name, got {value}" in str(among.value)
    assert alone.value.cure == among.value.cure
    stated = re.fullmatch(r"State (\w+: [\w-]+)(?:, for example)?\.", alone.value.cure)[1]
    assert open_study(study_file(base.replace("unet", f"unet, {stated}"))).study.train


@pytest.mark.parametrize(
    "line", ["epochs: 3", "validate: {epochs: 3}", "data: {path: a, epochs: 3}", "judge: {epochs: 3}"]
)
def test_a_key_of_another_part_is_told_where_it_belongs(line, study_file):
    data = "" if line.startswith("data") else "data: {path: a}\n"
    with pytest.raises(
        SpecError, match=r"no key is called 'epochs'.*\n(.*\n)*  → Write it as train.epochs.$"
    ) as refused:
        open_study(study_file(f"study: s\n{data}train: {{model: conv}}\n{line}\n"))
    assert "Known:" not in str(refused.value)


def test_a_key_that_is_nearly_one_of_its_part_is_a_typing_error(study_file):
    text = "study: s\ndata: {path: a}\ntrain: {model: conv}\nmeasure: {batch_size: [1, 2]}\n"
    with pytest.raises(SpecError, match="Did you mean 'batch_sizes'"):
        open_study(study_file(text))


@pytest.mark.parametrize("part", PARTS)
def test_every_key_of_the_largest_parts_is_told_its_part(part):
    assert all(CURES[key] == f"Write it as {part}.{key}." for key in known_keys(PARTS[part]))
