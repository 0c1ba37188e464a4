"""Claims against verdicts, where differences were tested: what is shown, what is not, and what was never tested."""

import pytest
from judged import judge
from results_to_claim import verdict_of, verdicts
from tiny_run import Wanted, make_run

from foldwise.judging.claim_check.check import check
from foldwise.judging.claim_check.check import sentences as split
from foldwise.judging.claim_check.table import of_verdict, open_report
from foldwise.judging.wording import results

TRUE, FALSE, UNSUPPORTED, UNCHECKED = "true", "false", "not supported", "cannot check"

GRID = {"unet/linear": 0.8, "unet/mlp": 0.802, "vit/linear": 0.7, "vit/mlp": 0.703}


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    return of_verdict(verdict_of(tmp_path_factory.mktemp("grid") / "s.csv", GRID, repeats=10))


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """Three networks of which the first two are close, on few cases and with no margin."""
    skills = {"unet": 0.8, "fpn": 0.787, "vit": 0.7}
    path = tmp_path_factory.mktemp("noisy") / "s.csv"
    return of_verdict(verdict_of(path, skills, cases=20, repeats=1, equivalent_within=0.0))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of foldwise, from its folder: a clear winner, with other metrics and with baselines."""
    folder = make_run(
        tmp_path_factory.mktemp("run") / "r", Wanted(skills=(0.3, 2.5), num_cases=90, repeats=2)
    )
    judge(folder)
    return open_report(folder.root)


def told(table, name):
    """The printed estimate of a configuration."""
    row = next(row for row in table.rows if row.name == name)
    return row.values[table.default]


@pytest.mark.parametrize(
    ("sentence", "verdict"),
    [
        ("The U-Net is significantly better than the ViT.", TRUE),
        ("The ViT is worse than the U-Net in all settings.", TRUE),
        ("The ViT is better than the U-Net.", FALSE),
        ("The linear head is better than the mlp.", FALSE),
        ("The linear head and the mlp are equivalent.", TRUE),
        ("The U-Net and the ViT are comparable.", FALSE),
        ("There is no significant difference between the U-Net and the ViT.", FALSE),
        ("The U-Net is not significantly better than the ViT.", FALSE),
        ("The U-Net had the best estimate.", TRUE),
        ("The U-Net is the best network.", TRUE),
        ("The ViT performed worst.", TRUE),
        ("The ViT performed best.", FALSE),
        (
            "The mlp beats the linear head with the ViT.",
            UNSUPPORTED,
        ),  # of a part of the grid nothing was tested
    ],
)
def test_levels_are_told_by_the_test_of_their_factor(grid, sentence, verdict):
    assert verdicts(grid, sentence) == [verdict], check(grid, sentence).findings


@pytest.mark.parametrize(
    ("sentence", "verdict"),
    [
        ("unet is better than fpn.", UNSUPPORTED),
        ("fpn is better than unet.", FALSE),
        ("unet and fpn cannot be told apart.", TRUE),
        ("unet and fpn are equivalent.", UNSUPPORTED),
        ("unet is better than vit.", TRUE),
        ("unet is the best network.", UNSUPPORTED),
        ("unet had the best estimate.", TRUE),
        ("unet outperforms all others.", UNSUPPORTED),
        ("vit is worse than all others.", TRUE),
        ("dinov2 is better than vit.", UNCHECKED),
    ],
)
def test_configurations_are_told_by_the_test_of_all_pairs(noisy, sentence, verdict):
    assert verdicts(noisy, sentence) == [verdict], check(noisy, sentence).findings


def test_the_evidence_is_the_difference_and_its_interval(noisy):
    (one,) = check(noisy, "unet is better than fpn.").findings
    (pair,) = [pair for pair in noisy.verdict.pairs if {pair.a, pair.b} == {"unet", "fpn"}]
    assert "this study cannot tell them apart" in one.checks[0].why
    assert f"{told(noisy, 'unet'):.4f}" in one.checks[0].why
    assert "95 % interval of all pairs −0." in one.checks[0].why
    assert pair.conclusion == "not distinguishable"


def test_numbers_and_intervals_of_a_run(run):
    winner = run.verdict.configurations[0]
    low, high = winner.low, winner.high
    sentence = f"{winner.name} reached a balanced accuracy of {{:.3f}} (95 % interval {{:.3f}} to {{:.3f}})."
    assert verdicts(run, sentence.format(winner.estimate, low, high)) == [TRUE]
    assert verdicts(run, sentence.format(winner.estimate - 0.1, low, high)) == [FALSE]
    assert verdicts(run, sentence.format(winner.estimate, low - 0.1, high)) == [FALSE]


def test_of_other_metrics_only_the_numbers_are_known(run):
    better, worse = (one.name for one in run.verdict.configurations)
    (one,) = check(run, f"{better} has a better AUROC than {worse}.").findings
    assert one.verdict == UNSUPPORTED
    assert "only Balanced accuracy was tested" in one.checks[0].why
    assert verdicts(run, f"{better} has a higher AUROC than {worse}.") == [TRUE]
    assert verdicts(run, f"{worse} has a higher AUROC than {better}.") == [FALSE]
    assert verdicts(run, f"{better} has a lower log-loss than {worse}.") == [TRUE]
    assert verdicts(run, f"{better} has a higher Dice than {worse}.") == [UNCHECKED]


def test_a_clear_winner_is_the_best(run):
    better, worse = (one.name for one in run.verdict.configurations)
    assert verdicts(run, f"{better} is the best configuration.") == [TRUE]
    assert verdicts(run, f"{better} outperforms all others.") == [TRUE]
    assert verdicts(run, f"{worse} is worse than all others.") == [TRUE]
    assert verdicts(run, f"{worse} is the best configuration.") == [FALSE]


def test_sentences_of_the_verdict_are_compared_word_by_word(run):
    """Those that no other form reads: with another number they are false, with another word they are not known."""
    sentences = [sentence for text in results(run.verdict) for _, sentence in split(text)]
    (corrected,) = [sentence for sentence in sentences if sentence.startswith("Freed from")]
    assert f"about {run.verdict.selection.corrected:.2f}" in corrected
    assert verdicts(run, corrected) == [TRUE]
    assert verdicts(run, corrected.replace("95 %", "90 %")) == [FALSE]
    (one,) = check(run, corrected.replace("about 1.", "about 0.")).findings
    assert one.checks[0].why == f"The verdict says: {corrected}"
    assert verdicts(run, corrected.replace("its score", "its accuracy")) in ([UNCHECKED], [])


def test_scores_with_the_size_of_the_study(run):
    winner = run.verdict.configurations[0]
    sentence = f"{winner.name} reached {winner.estimate:.3f} on unseen images ({{}} images)."
    assert verdicts(run, sentence.format(90)) == [TRUE]
    assert verdicts(run, sentence.format(900)) == [FALSE]
    assert verdicts(run, f"{winner.name} reached {winner.estimate:.3f} (no interval: too few images).") == [
        FALSE
    ]


def test_a_configuration_that_is_not_complete_has_no_place(tmp_path):
    folder = make_run(tmp_path / "r", Wanted(skills=(0.5, 0.7, 2.5), missing=((2, 0, 1),)))
    judge(folder)
    table = open_report(folder.root / "verdict.json")
    lacking = table.verdict.configurations[-1]
    assert lacking.verdict == "incomplete"
    assert lacking.name not in {row.name for row in table.compared}
    assert verdicts(table, f"{lacking.name} had the best estimate.") == [FALSE]
    leading = table.verdict.configurations[0].name
    assert verdicts(table, f"{leading} had the best estimate.") == [TRUE]
    assert verdicts(table, f"{leading} is the best configuration.") == [UNSUPPORTED]
