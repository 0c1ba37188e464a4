"""A study drafted from a folder: what is recognised and asked, contenders that fit, and a file that is whole or not there."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from foldwise.errors import DataError, FoldwiseError
from foldwise.learning.networks import weights
from foldwise.pipeline import contenders
from foldwise.pipeline.drafting import Question, _Drafting, draft, first, safest
from foldwise.pipeline.options import Silent
from foldwise.study.reading import open_study

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _no_weights_here(monkeypatch):
    monkeypatch.setattr(weights, "pretrained_here", lambda: None)


def picture(path, *, size=(24, 24), colour=False, mode=None, seed=None):
    rng = RNG if seed is None else np.random.default_rng(seed)
    shape = (*size, 3) if colour else size
    image = Image.fromarray(rng.integers(0, 255, shape, np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    (image.convert(mode) if mode else image).save(path)


def classes(root, *, num=12, **how):
    for name in ("healthy", "infected"):
        for k in range(num):
            picture(root / name / f"{name}{'abcdefghijklmnop'[k]}.png", **how)
    return root


def drafted(tmp_path, root, **how):
    return draft(root, tmp_path / "study.yaml", observer=Silent(), **how)


def levels(study):
    return [level["name"] for level in study.compare["network"]]


def test_the_pixel_size_that_the_files_state_is_filled_in(tmp_path):
    for k in range(12):
        folder = tmp_path / "cells" / "ab"[k % 2]
        folder.mkdir(parents=True, exist_ok=True)
        resolution = {"resolution": (20000, 40000), "resolutionunit": "CENTIMETER"}
        tifffile.imwrite(folder / f"{k}.tif", RNG.integers(0, 255, (24, 24), np.uint8), **resolution)
    made = drafted(tmp_path, tmp_path / "cells")
    assert "pixel_um: [0.25, 0.5]" in made.path.read_text()
    assert made.prepared.audit.pixel_um == (0.25, 0.5)
    assert not [each for each in made.prepared.audit.findings if each.code.startswith("pixel_size")]


def test_the_study_of_class_folders_can_be_run_as_it_is(tmp_path):
    made = drafted(tmp_path, classes(tmp_path / "my cells"))
    study = open_study(made.path).study
    assert study == made.prepared.file.study
    assert study.study == "my-cells"
    assert (study.data.path, study.data.size, study.data.channels) == ("my cells", "native", "native")
    assert levels(study) == ["small from scratch", "residual from scratch"]
    assert made.prepared.dataset.task == "binary_classification"
    assert made.seconds > 0
    assert not list(tmp_path.glob(".*"))


def test_masks_get_networks_of_masks_and_a_shallow_baseline(tmp_path):
    for k in range(10):
        picture(tmp_path / "set/images" / f"{'abcdefghij'[k]}.png", size=(32, 40))
        mask = np.zeros((32, 40), np.uint8)
        mask[4 : 12 + k, 6:20] = 255
        (tmp_path / "set/masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(tmp_path / "set/masks" / f"{'abcdefghij'[k]}.png")
    made = drafted(tmp_path, tmp_path / "set")
    study = open_study(made.path).study
    assert made.prepared.dataset.task == "binary_segmentation"
    assert [choice.name for choice in study.baselines] == ["random_forest"]
    assert study.data.size == "native"


def test_a_pretrained_encoder_is_compared_frozen_and_tuned_where_weights_can_be_had(tmp_path, monkeypatch):
    root, chosen = (
        classes(tmp_path / "set"),
        weights.PretrainedEncoder("ResNet-18", "resnet18", "resnet18", "none"),
    )
    monkeypatch.setattr(weights, "pretrained_here", lambda: chosen)
    study = open_study(drafted(tmp_path, root).path).study
    assert levels(study) == ["small from scratch", "ResNet-18 frozen", "ResNet-18 tuned"]
    assert [level.get("freeze") for level in study.compare["network"]] == [None, "encoder", None]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(64, 64)], None),
        ([(240, 320)], [168, 224]),
        ([(320, 240)], [224, 168]),
        ([(300, 300)], 224),
        ([(90, 90), (90, 300)], 64),
        ([(20, 20), (20, 90)], 32),
    ],
)
def test_sizes_keep_the_proportions_that_all_images_have(sizes, expected):
    class Labelled:
        task = "binary_classification"

    look = contenders.FolderContents(Labelled, tuple(sizes), {})
    assert contenders._size(look) == expected


def test_grey_and_coloured_files_are_all_brought_to_colour(tmp_path):
    root = classes(tmp_path / "set", colour=True)
    for name in ("healthy", "infected"):
        picture(root / name / "grey.png")
    study = open_study(drafted(tmp_path, root).path).study
    assert study.data.channels == "rgb"


def test_a_colour_mode_that_gives_the_class_away_is_taken_out(tmp_path):
    root = tmp_path / "set"
    for k in range(20):
        picture(root / "cat" / f"c{'abcdefghijklmnopqrst'[k]}.png", colour=True)
        picture(root / "gel" / f"g{'abcdefghijklmnopqrst'[k]}.png")
    made = drafted(tmp_path, root)
    assert "data.channels=gray" in made.answers
    assert open_study(made.path).study.data.channels == "gray"


def two_readings(root):
    for k in range(10):
        picture(root / "images" / f"{'abcdefghij'[k]}.png")
        mask = np.zeros((24, 24), np.uint8)
        mask[2:9, 3 : 9 + k] = 255
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(root / "masks" / f"{'abcdefghij'[k]}.png")
    rows = "".join(f"{'abcdefghij'[k]}.png,{'xy'[k % 2]}\n" for k in range(10))
    (root / "labels.csv").write_text(f"image,label\n{rows}")
    return root


def test_what_only_the_owner_knows_is_never_guessed(tmp_path):
    with pytest.raises(DataError, match="could be segmented") as refused:
        drafted(tmp_path, two_readings(tmp_path / "set"))
    assert "--set 'data.masks=masks' or --set 'data.table=labels.csv'" in refused.value.cure
    assert not (tmp_path / "study.yaml").exists()


@pytest.mark.parametrize(("number", "task"), [(0, "binary_segmentation"), (1, "binary_classification")])
def test_each_answer_gives_another_study(tmp_path, number, task):
    questions = []

    def ask(question):
        questions.append(question)
        return question.choices[number] if question.severity == "error" else None

    made = drafted(tmp_path, two_readings(tmp_path / "set"), ask=ask)
    assert made.prepared.dataset.task == task
    assert len([question for question in questions if question.severity == "error"]) == 1


def test_who_does_not_want_to_be_asked_gets_the_first_answer_and_is_told(tmp_path):
    made = drafted(tmp_path, two_readings(tmp_path / "set"), ask=first)
    assert made.answers == ("data.masks=masks",)


def test_nobody_is_taken_to_mean_that_a_plane_is_dropped(tmp_path):
    for name in ("cat", "dog"):
        for letter in "abcdefgh":
            pixels = RNG.integers(0, 255, (24, 24, 4), np.uint8)
            (tmp_path / "set" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels, "RGBA").save(tmp_path / "set" / name / f"{name}{letter}.png")
    with pytest.raises(DataError, match="alpha channel") as refused:
        drafted(tmp_path, tmp_path / "set", ask=first)
    assert "--set 'data.decoding.alpha=keep'" in refused.value.cure
    made = drafted(tmp_path, tmp_path / "set", ask=first, stated=["data.decoding.alpha=keep"])
    assert made.prepared.packed.num_channels == 4


def test_images_of_one_patient_are_kept_together_unasked(tmp_path):
    root = classes(tmp_path / "set")
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    rows = "".join(f"{name},{name.split('/')[0]},p{k // 2:02}\n" for k, name in enumerate(names))
    (root / "labels.csv").write_text(f"image,label,patient\n{rows}")
    made = drafted(tmp_path, root)
    assert "validate.group=patient" in made.answers
    assert open_study(made.path).study.validate_.group == "patient"
    assert not made.left_open


def test_a_note_is_left_open_and_shown(tmp_path):
    root = tmp_path / "set"
    for name in ("healthy", "infected"):
        for k in range(24):
            picture(root / name / f"{k // 4}x_{k}_{name}.png")
    made = drafted(tmp_path, root)
    assert [question.severity for question in made.left_open] == ["note"]
    assert made.left_open[0].choices[0].startswith("validate.group='pattern:")
    assert safest(made.left_open[0]) is None


def test_too_little_time_takes_repeats_before_folds(tmp_path):
    root = classes(tmp_path / "set", num=15)
    plenty = open_study(drafted(tmp_path, root, hours=1000).path).study
    little = open_study(draft(root, tmp_path / "b.yaml", hours=1e-6, observer=Silent()).path).study
    assert (plenty.validate_.folds, plenty.validate_.repeats) == (5, 3)
    assert (little.validate_.folds, little.validate_.repeats) == (3, 1)
    assert little.train["epochs"] < plenty.train["epochs"]


def test_names_that_are_no_plain_text_do_no_harm(tmp_path):
    root = tmp_path / "set"
    for name in ('a: {b} # "c"', "- 'x'\ny"):
        for k in range(8):
            picture(root / name / f"{name[0]}{'abcdefgh'[k]}{len(name)}.png")
    made = drafted(tmp_path, root)
    assert set(made.prepared.dataset.classes) == {'a: {b} # "c"', "- 'x' y"}
    assert open_study(made.path).study.data.path == "set"


def test_what_is_stated_wrongly_is_said_and_nothing_is_written(tmp_path):
    with pytest.raises(FoldwiseError, match="tsak"):
        drafted(tmp_path, classes(tmp_path / "set"), stated=["data.tsak=x"])
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize(("rare", "folds"), [(4, 4), (3, 3), (2, 5)])
def test_folds_are_as_few_as_the_rarest_class_that_three_folds_can_test(tmp_path, rare, folds):
    root = classes(tmp_path / "set")
    for k in range(rare):
        picture(root / "odd" / f"odd{'abcd'[k]}.png")
    made = drafted(tmp_path, root)
    assert open_study(made.path).study.validate_.folds == folds
    assert (f"validate.folds={folds}" in made.answers) is (rare >= 3)


def test_what_is_drafted_is_explained_and_a_contender_is_a_line(tmp_path, monkeypatch):
    here = weights.PretrainedEncoder(
        "EfficientNet-Lite0", "tf_efficientnet_lite0", "tu-tf_efficientnet_lite0", "none"
    )
    monkeypatch.setattr(weights, "pretrained_here", lambda: here)
    text = contenders_text(classes(tmp_path / "set"), tmp_path, ["validate.group='pattern:^(.*?).\\.png$'"])
    assert [line for line in text.splitlines() if "name:" in line] == [
        line for line in text.splitlines() if line.startswith("  - {") and line.endswith("}")
    ]
    group = next(line for line in text.splitlines() if "group: pattern" in line)
    assert group.endswith("# files whose names agree in what (...) matches stay in one fold")


def contenders_text(root, tmp_path, stated):
    """The study as it is first written, before anything is tried."""
    drafting = _Drafting(tmp_path / "s.yaml", "s.yaml", root, safest, Silent(), stated)
    drafting._write(contenders.document_of(drafting.look(), root, tmp_path, (5, 1, 1.0), stated), named=True)
    return drafting.scratch.read_text()


def test_one_test_part_takes_as_many_runs_as_there_would_be_folds(tmp_path):
    root = tmp_path / "set"
    for part in ("train", "val", "test"):
        classes(root / part, num=4)
    text = contenders_text(root, tmp_path, ["validate.split=folders"])
    assert "repeats: 5  # other seeds" in text
    assert "folds:" not in text


@pytest.mark.parametrize("names", [["unet.csv"], ["unet.csv", "resnet.csv"]])
def test_a_folder_of_scores_alone_is_sent_to_judge(tmp_path, names):
    (tmp_path / "scores").mkdir()
    for name in names:
        (tmp_path / "scores" / name).write_text("case,dice\na,0.8\nb,0.9\n")
    with pytest.raises(DataError, match=f"no images, but .*{names[0]}") as caught:
        drafted(tmp_path, tmp_path / "scores")
    assert "foldwise judge TABLE" in caught.value.cure


@pytest.mark.parametrize("key", ["data.run_order=rows", "data.decoding.orientation=apply"])
def test_nobody_is_taken_to_mean_that_pixels_are_turned(key):
    assert first(Question("which?", "State it.", (key,), "error")) is None
    assert first(Question("which?", "State it.", ("data.task=x",), "error")) == "data.task=x"


def test_all_images_that_cannot_be_read_are_named_at_once(tmp_path):
    root = classes(tmp_path / "cells")
    (root / "healthy/healthya.png").write_bytes(b"")
    cut = root / "infected/infectedc.png"
    cut.write_bytes(cut.read_bytes()[:60])
    with pytest.raises(DataError, match="2 problems") as refused:
        drafted(tmp_path, root)
    assert "healthya.png: the file is empty" in str(refused.value)
    assert "infectedc.png: the file is damaged" in str(refused.value)
