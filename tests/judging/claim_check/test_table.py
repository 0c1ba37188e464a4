"""The worked example: claims about the seed study's table, which has no scores per image. Sentences are our own."""

import pytest
from results_to_claim import seed_table, verdicts

from foldwise.errors import DataError, RunError, SpecError
from foldwise.judging.claim_check.check import check
from foldwise.judging.claim_check.table import open_report

TRUE, FALSE, UNSUPPORTED, UNCHECKED = "true", "false", "not supported", "cannot check"


@pytest.fixture
def seed(tmp_path):
    (tmp_path / "results.csv").write_text(seed_table(), encoding="utf-8")
    return open_report(tmp_path / "results.csv")


def why(table, text, **options):
    """All that is said of the only sentence that claims something."""
    (one,) = check(table, text, **options).findings
    return one.verdict, " ".join(part.why for part in one.checks)


def test_columns_are_taken_for_what_they_are(seed):
    assert seed.factors == {
        "hardware_type": ("cpu", "gpu"),
        "pretrained_model": ("resnet18", "vgg16", "mobilenet-v3"),
        "classifier_head": ("single", "multi"),
        "opt_alg": ("adam", "sgd"),
    }
    assert list(seed.measures) == ["accuracy", "training_time_mins"]
    assert (seed.default, seed.measures["accuracy"].share, seed.verdict) == ("accuracy", True, None)
    assert seed.measures["training_time_mins"].higher_is_better is False


def test_the_gpu_was_not_better_in_every_setting(seed):
    verdict, said = why(seed, "The GPU gave better accuracy than the CPU for all models.")
    assert verdict == FALSE
    assert "8 of 12 matched pairs, equal in 4 (mean difference 0.087)" in said


def test_the_deeper_head_lost_in_two_settings(seed):
    verdict, said = why(seed, "Multi-layer heads outperformed single-layer heads in all settings.")
    assert verdict == FALSE
    assert "8 of 12 matched pairs, equal in 2, the other way round in 2" in said
    for against in (
        "#23 (gpu · mobilenet-v3 · multi · adam) 0.6364",
        "#24 (gpu · mobilenet-v3 · multi · sgd) 0.7273",
    ):
        assert against in said


def test_sgd_is_not_shown_to_be_significantly_better(seed):
    verdict, said = why(seed, "SGD was usually significantly better than Adam.")
    assert verdict == UNSUPPORTED
    assert "7 of 12 matched pairs, equal in 3, the other way round in 2" in said
    assert "a table of averages has no scores per image, so nothing says what is chance" in said


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("The best accuracy of MobileNetV3 was 81.82 % (model 24).", "#24 (gpu · mobilenet-v3 · multi · sgd) 0.7273. 81.82 % is the accuracy of #1"),
        ("The highest accuracy of VGG16 was 86.36 %.", "86.36 % is the accuracy of #15"),
        ("Model 14 had an accuracy of 86.36 %.", "It is #14 (gpu · resnet18 · single · sgd) 0.9091"),
        ("VGG16 reached accuracies of 77.27-86.36 % (models 7, 8 and 20).", "They go from #7 (cpu · vgg16 · multi · adam) 0.7727 to #20 (gpu · vgg16 · multi · sgd) 0.7727"),
        ("The highest accuracy was 97.1 %.", "97.1 % is nowhere in the table as accuracy"),
    ],
)  # fmt: skip
def test_numbers_that_the_table_does_not_have(seed, sentence, words):
    verdict, said = why(seed, sentence)
    assert verdict == FALSE
    assert words in said


@pytest.mark.parametrize(
    "sentence",
    [
        "Model 16 reached an accuracy of 95.45 %.",
        "Model 16 reached an accuracy of 0.95.",
        "ResNet-18 with a multi-layer head and SGD on the GPU had the highest accuracy, 95.45 %.",
        "The lowest accuracy was 50 %.",
        "Accuracies ranged from 50.00 to 95.45 %.",
        "ResNet18 had a mean accuracy of 84.66 %.",
        "Compared with VGG16, ResNet18 had a higher accuracy in all settings.",
        "SGD beat Adam in 7 of 12 settings.",
        "VGG16 is not better than ResNet18.",
        "Model 1 and model 3 have the same accuracy.",
        "MobileNetV3 had a lower accuracy than VGG16 on average, and VGG16 had a lower accuracy than ResNet18.",
        "ResNet18s had the highest accuracies.",
        "ResNet18 reached 90.91 % (model 14) and it reached 95.45 % (model 16).",
    ],
)
def test_what_the_numbers_bear_out(seed, sentence):
    assert verdicts(seed, sentence) == [TRUE], check(seed, sentence).findings


@pytest.mark.parametrize(
    "sentence",
    [
        "VGG16 is better than ResNet18.",
        "Model 16 is better than model 4 by 6 points.",
        "SGD beat Adam in 9 of 12 settings.",
        "The GPU was better than the CPU by 3-15 %.",
        "ResNet18 had the lowest accuracy.",
        "Adam is consistently worse than SGD.",
        "ResNet18 and VGG16 reached 78.41 %.",
        "Model 4 outperforms model 16.",
    ],
)
def test_what_the_numbers_contradict(seed, sentence):
    assert verdicts(seed, sentence) == [FALSE], check(seed, sentence).findings


@pytest.mark.parametrize(
    "sentence",
    [
        "ResNet18 is better than VGG16.",
        "Model 16 outperforms all others.",
        "MobileNetV3 was the worst.",
        "Adam and SGD are comparable.",
        "There is no significant difference between Adam and SGD.",
        "ResNet18 has a significantly higher accuracy than VGG16 in all settings.",
    ],
)
def test_what_averages_cannot_show(seed, sentence):
    assert verdicts(seed, sentence) == [UNSUPPORTED], check(seed, sentence).findings


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("nnU-Net is better than VGG16.", "No form of sentence has these words: nnu, net."),
        ("It was clearly better.", "these words: it"),
        ("The Dice of ResNet18 was 0.9.", "results.csv has no such metric"),
        ("Model 99 had an accuracy of 90.91 %.", "in no form"),
        ("Model 4 with Adam reached 90.91 %.", "a level that it does not have"),
        ("On small gels ResNet18 reached an accuracy of 95.45 %.", "these words: small, gels."),
        ("ResNet18 is better than VGG16 on every image.", "these words: image."),
        ("ResNet18 had the highest accuracy of rare patients.", "these words: rare, patients."),
        ("SGD was significantly better than Adam, p < 0.05.", "these words: p."),
        ("ResNet18 may be better than VGG16.", "these words: may."),
        ("ResNet18 could be the best.", "in no form"),
        ("ResNet18 with SGD is better than VGG16 with Adam.", "do not differ in one factor"),
        ("The optimiser had the largest effect on accuracy.", "these words: largest, effect."),
        ("VGG16 > ResNet18 > MobileNetV3.", "in no form in this order"),
        ("SGD improved the accuracy.", "these words: improved."),
        ("ResNet18 beat VGG16 in all settings except MobileNetV3.", "these words: except."),
        ("SGD is twice as fast as Adam.", "these words: twice, as, fast."),
        ("VGG16 had an accuracy of 77.27 %.", "it names 8 configurations, and 5 have this score"),
        ("In ResNet18 the last 5 % of the epochs were dropped.", "these words: last, epochs, dropped."),
        (
            "Model 16 reached an accuracy of 95.45 % (95 % interval 78 to 99 %).",
            "no interval to compare with",
        ),
        ("Is ResNet18 better than VGG16?", "in no form"),
        ("Model 1 reached 81.82 % (no interval: too few images) in mice.", "these words: mice."),
    ],
)
def test_what_cannot_be_checked_says_why(seed, sentence, words):
    verdict, said = why(seed, sentence)
    assert verdict == UNCHECKED
    assert words.casefold() in said.casefold()


@pytest.mark.parametrize(
    "sentence",
    [
        "The images were gathered by hand.",
        "We trained 24 models with a learning rate of 0.001.",
        "Batches held 23 images.",
    ],
)
def test_sentences_that_claim_nothing_are_counted_and_left_alone(seed, sentence):
    found = check(seed, sentence)
    assert (found.num_sentences, found.findings) == (1, ())


def test_a_word_of_the_text_may_be_said_to_mean_a_name(seed):
    sentence = "The TPU was better than the CPU for all models."
    assert verdicts(seed, sentence) == [UNCHECKED]
    assert verdicts(seed, sentence, same={"TPU": "gpu"}) == [FALSE]
    with pytest.raises(SpecError, match=r"'TPU' is to mean 'tpu', which results.csv does not have"):
        check(seed, sentence, same={"TPU": "tpu"})


def test_of_several_claims_the_worst_decides(seed):
    (one,) = check(seed, "Model 16 had an accuracy of 95.45 %, and model 4 had one of 95.45 %.").findings
    assert [part.verdict for part in one.checks] == [TRUE, FALSE]
    assert one.verdict == FALSE


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ("model,image,dice\na,1,0.5\na,2,0.6\n", DataError, "2 rows of 1 configuration;"),
        ("model,size\na,1\nb,2\n", DataError, "no column is a score"),
        ('model,dice\na,0.5\nb,"0.6\n', DataError, "the table cannot be read"),
        (
            "configuration,name,verdict,metric,estimate\na,a,winner,dice,0.5\n",
            DataError,
            "a copy of a verdict",
        ),
    ],
)
def test_tables_of_another_kind_are_refused(tmp_path, content, error, words):
    (tmp_path / "t.csv").write_text(content, encoding="utf-8")
    with pytest.raises(error, match=words):
        open_report(tmp_path / "t.csv")


def test_what_is_no_report_is_refused(tmp_path):
    with pytest.raises(SpecError, match="there is no file"):
        open_report(tmp_path / "none.csv")
    with pytest.raises(RunError, match=r"there is no verdict.json in this folder"):
        open_report(tmp_path)
    (tmp_path / "x.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RunError, match="this is no verdict of foldwise"):
        open_report(tmp_path / "x.json")
    (tmp_path / "t.csv").write_text("model,dice\na,0.5\nb,0.6\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"no metric of .* is called 'iou'"):
        open_report(tmp_path / "t.csv", metric="iou")


def test_numbers_of_other_countries_and_without_factors(tmp_path):
    (tmp_path / "t.csv").write_text("model;dice;hd95\nunet;0,91;4,5\nvit;0,85;7,25\n", encoding="utf-8")
    table = open_report(tmp_path / "t.csv")
    assert verdicts(table, "The U-Net reached a Dice of 0.91, and the ViT reached a Dice of 0.85.") == [TRUE]
    assert verdicts(table, "The U-Net had a lower HD95 than the ViT.") == [TRUE]
    assert verdicts(table, "The ViT has a better HD95 than the U-Net.") == [FALSE]


def test_blank_lines_are_no_configurations(tmp_path):
    (tmp_path / "t.csv").write_text("model,dice\n\nunet,0.91\n,\nvit,0.85\n\n", encoding="utf-8")
    table = open_report(tmp_path / "t.csv")
    assert [(row.name, dict(row.values)) for row in table.rows] == [
        ("unet", {"dice": 0.91}),
        ("vit", {"dice": 0.85}),
    ]
