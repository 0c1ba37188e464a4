"""The answer in one breath, written from the numbers and honest in every state a study can be in."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from foldwise.judging.judgement import Judgement
from foldwise.judging.scores.rows import Rows
from foldwise.judging.sections.fit_warnings import unbeaten_cure
from foldwise.judging.verdict import TRIVIAL_UNBEATEN, Answer, State, VerdictWarning
from foldwise.judging.verdict_configurations import ConfigurationResult
from foldwise.judging.wording import all_others, capital, show, unseen, with_interval, worse_than_winner
from foldwise.text import count, in_text

Results = Sequence[ConfigurationResult]


def state_of(rows: Rows, judgement: Judgement, configurations: Results) -> State:
    """Which of the answers a run can give; see docs/verdict.md."""
    if not any(fit.status == "done" for fit in rows.fits):
        return "nothing_done"
    if not judgement.comparable or any(fit.status == "missing" for fit in rows.fits):
        return "incomplete"
    if not beats_trivial(judgement, configurations[0]):
        return _why_unbeaten(judgement)
    if len(judgement.comparable) == 1:
        return "single_configuration"
    return tied_or_clear(configurations)


def tied_or_clear(configurations: Results) -> State:
    """Whether more than one configuration could be the best."""
    could_be_best = sum(configuration.could_be_best for configuration in configurations)
    return "several_tied" if could_be_best > 1 else "clear_winner"


def beats_trivial(judgement: Judgement, winner: ConfigurationResult) -> bool:
    """Whether the winner is shown to be better than the best trivial predictor.

    Its interval (its estimate, without one) must not reach that far, and in the test of all configurations together,
    with the trivial predictor as one more, that predictor must be ruled out.
    """
    metric, trivial = judgement.metric, judgement.best_trivial
    if trivial is None:
        return True
    # The test of all together first: the best of many that only guess looks better than a guess.
    if judgement.trivial_test is not None and judgement.trivial_test.p > judgement.judge.alpha:
        return False
    end = winner.low if metric.higher_is_better else winner.high
    worst = end if end is not None and isfinite(end) else winner.estimate
    assert worst is not None  # it is compared
    return judgement.sign * worst > judgement.sign * trivial[1].estimates[metric.name]


def _why_unbeaten(judgement: Judgement) -> State:
    """Whether the trivial predictor is shown to be as good, or what hides that it is not: runs or images.

    Only an interval that leaves no difference of consequence shows that nothing is better. Every other answer is that
    of a study too small, and names what there is too little of: the larger part of the variance.
    """
    test = judgement.trivial_test
    if test is None:  # nothing could be tested, for which there are too few images
        return "too_few_images"
    if test.high <= judgement.judge.equivalent_within:
        return "no_better_than_trivial"
    return "too_few_runs" if test.run_share > 0.5 else "too_few_images"


def num_early(configurations: Results) -> int:
    """How many a race has ruled out on the way."""
    return sum(result.verdict == "ruled out early" for result in configurations)


def answer_of(judgement: Judgement, configurations: Results, sentence: str) -> Answer:
    """The first of the configurations that are compared, its numbers, and how many others could be the best."""
    ranked = [configuration for configuration in configurations if configuration.compared]
    winner, comparison = ranked[0], judgement.comparison
    assert winner.estimate is not None  # it is compared
    num_tied = sum(configuration.could_be_best for configuration in ranked) - 1
    return Answer(
        configuration=winner.id,
        name=winner.name,
        estimate=winner.estimate,
        low=winner.low,
        high=winner.high,
        sentence=sentence,
        num_ruled_out=len(ranked) - 1 - num_tied + num_early(configurations),
        num_tied=num_tied,
        minimal_detectable_difference=comparison.minimal_detectable_difference if comparison else None,
    )


def run_sentence(
    rows: Rows, judgement: Judgement, state: State, configurations: Results, unbeaten: VerdictWarning | None
) -> str:
    """How sure the answer of a run is, and which shallow baseline it does not beat."""
    ranked = [configuration for configuration in configurations if configuration.compared]
    sentence = _run_sentence(rows, judgement, state, ranked)
    if early := num_early(configurations):
        spared = sum(fit.status == "spared" for fit in rows.fits)
        sentence += (
            f" {count(early, 'more was', 'more were')} ruled out early, which spared {count(spared, 'fit')}."
        )
    return f"{sentence} {unbeaten.message}" if unbeaten else sentence


def _run_sentence(rows: Rows, judgement: Judgement, state: State, ranked: Results) -> str:
    winner, metric = ranked[0], judgement.metric
    score = f"{in_text(metric.title)} {with_interval(winner, judgement.confidence)}"
    reached = f"{score} on {_sample(rows)}"
    if state in TRIVIAL_UNBEATEN:
        return _unbeaten_sentence(rows, judgement, state, winner.name, reached)
    if state == "incomplete":
        done = sum(fit.status == "done" for fit in rows.fits)
        planned = sum(fit.status != "spared" for fit in rows.fits)
        return f"The study is not finished ({done} of {planned} fits are done). So far {winner.name} leads with {reached}."
    if state == "single_configuration":
        return f"{winner.name} reaches {reached}. There is nothing it could be compared with."
    return comparison_sentence(judgement, state, ranked, reached)


def _unbeaten_sentence(rows: Rows, judgement: Judgement, state: State, name: str, reached: str) -> str:
    """That the trivial predictor is not beaten, which of three reasons this has, and the cure."""
    assert judgement.best_trivial is not None
    baseline, scored = judgement.best_trivial
    trivial = f"a trivial predictor ({baseline.name}, {show(scored.estimates[judgement.metric.name])})"
    test = judgement.trivial_test
    if state == "no_better_than_trivial":
        assert test is not None
        by = f"at most {show(test.high)} better" if test.high > 0 else "worse"
        return f"Nothing here is better than {trivial}: the best configuration, {name}, reaches {reached} and is {by}."
    units = count(judgement.units.count, *judgement.noun)
    runs = (
        f"{count(len({split.fold for split in rows.splits}), 'fold')} in {count(len(rows.repeats), 'repeat')}"
    )
    few = f"{runs} are few runs" if state == "too_few_runs" else f"{units} are few"
    between = (
        f"The difference is between {show(test.low)} and {show(test.high)}{_although(judgement)}, as {few}"
        if test
        else capital(few)
    )
    return (
        f"This study cannot tell whether its best configuration is better than {trivial}: {name} reaches {reached}. {between}. "
        f"{unbeaten_cure(rows, judgement, state)}"
    )


def _although(judgement: Judgement) -> str:
    """Why a difference whose interval leaves 0 out shows nothing; no words where it does not."""
    test = judgement.trivial_test
    if test is None or test.low <= 0:
        return ""
    if test.p > judgement.judge.alpha:
        return ", which the best of several may reach by luck"
    return ", but the interval of the score itself reaches as far as the trivial predictor"


def comparison_sentence(judgement: Judgement, state: State, ranked: Results, reached: str) -> str:
    """The winner, what it `reached`, and how many others could be the best."""
    winner, others = ranked[0], len(ranked) - 1
    if judgement.comparison is None:
        return f"{winner.name} has the best estimate, {reached}, but the data is too small for a test: no difference is claimed."
    if state == "clear_winner":
        worse = worse_than_winner(ranked[1:], sign=judgement.sign, confidence=judgement.confidence)
        return f"Use {winner.name}: {reached}. {worse}."
    tied = sum(configuration.could_be_best for configuration in ranked) - 1
    if tied == others:
        rest = f"but {all_others(others)} could be the best as well"
    else:
        out = count(others - tied, "is", "are")
        rest = f"but {tied} of the {others} other configurations could be the best as well; {out} ruled out"
    first = f"No single winner: {winner.name} has the best estimate, {reached}, {rest}."
    detectable = judgement.comparison.minimal_detectable_difference
    nothing = unseen(detectable, bounded=judgement.metric.bounded)
    return f"{first} {capital(nothing)} with this data."


def _sample(rows: Rows) -> str:
    images = count(len(rows.tested), "image", "images")
    if not rows.units.grouped:
        return f"unseen images ({images})"
    return f"images of unseen groups ({images} in {count(rows.units.count, 'group', 'groups')})"
