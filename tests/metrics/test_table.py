"""The contract of the table: what any metric must do, tested for every row and task, and how a study names one."""

from dataclasses import fields, replace

import numpy as np
import pytest
from outputs_to_score import alone, drawn_outputs, drawn_truth, one_hot, outputs_with

from foldwise.errors import SpecError
from foldwise.metrics.confusion import ConfusionFunction, cells
from foldwise.metrics.influence import Units, unit_scores, unit_scores_of_each, value_of
from foldwise.metrics.outputs import SHARED, stacked
from foldwise.metrics.table import DEFAULTS, METRICS, choose_metric, metrics_of, reported

ROWS = [(name, family) for name, row in METRICS.items() for family in row.families]
every_row = pytest.mark.parametrize(("name", "family"), ROWS)


def cases(outputs, chosen):
    """The outputs of some cases, in this order."""
    arrays = {field.name: getattr(outputs, field.name) for field in fields(outputs)}
    return replace(
        outputs, **{key: array[chosen] for key, array in arrays.items() if isinstance(array, np.ndarray)}
    )


@every_row
def test_a_row_is_best_where_all_is_right_and_worse_where_all_is_wrong(name, family):
    metric, truth = METRICS[name], drawn_truth(family)
    hot = one_hot(family, truth)
    right = value_of(metric, outputs_with(family, truth, hot))
    mistaken = 1 - hot if family == "multilabel" else np.roll(hot, 1, axis=-1)
    wrong = value_of(metric, outputs_with(family, truth, mistaken))
    assert right == pytest.approx(metric.bounds[metric.higher_is_better], abs=1e-6)
    assert (right > wrong + 0.2) if metric.higher_is_better else (right < wrong - 0.2)


@every_row
def test_a_row_is_in_its_bounds_and_between_right_and_wrong_where_some_is_right(name, family):
    metric = METRICS[name]
    score = value_of(metric, drawn_outputs(family))
    assert metric.bounds[0] < score < metric.bounds[1]


@every_row
def test_of_configurations_together_each_has_the_scores_it_has_alone(name, family):
    metric, count = METRICS[name], len(drawn_outputs(family).case)
    groups = Units.from_groups([f"g{case % 7}" for case in range(count)])
    every = [mistaken(drawn_outputs(family), share) for share in (0, 1 / 3, 1 / 2)]
    for units in (alone(count), groups):
        together = unit_scores_of_each(metric, stacked(every), units)
        for outputs, scores in zip(every, together, strict=True):
            lonely = unit_scores(metric, outputs, units)
            assert scores.values.tobytes() == lonely.values.tobytes()
            assert (scores.estimate, scores.support) == (lonely.estimate, lonely.support)
            assert (scores.num_undefined, scores.num_positives) == (
                lonely.num_undefined,
                lonely.num_positives,
            )


def mistaken(outputs, share):
    """What is predicted of a share of the cases is taken from others."""
    order = np.arange(len(outputs.case))
    wrong = order < share * len(order)
    order[wrong] = np.roll(order[wrong], 1)
    arrays = {field.name: getattr(outputs, field.name) for field in fields(outputs)}
    return replace(
        outputs,
        **{
            key: array[order]
            for key, array in arrays.items()
            if isinstance(array, np.ndarray) and key not in SHARED
        },
    )


@every_row
def test_the_mean_of_the_values_is_the_metric(name, family):
    outputs = drawn_outputs(family)
    count = len(outputs.case)
    for units in (alone(count), Units.from_groups([str(i // 4) for i in range(count)])):
        scores = unit_scores(METRICS[name], outputs, units)
        assert scores.values.shape == (units.count,)
        assert scores.values.mean() == pytest.approx(scores.estimate)
        assert scores.support > 0
    assert value_of(METRICS[name], outputs) == pytest.approx(
        unit_scores(METRICS[name], outputs, alone(count)).estimate
    )


@every_row
def test_influence_is_what_the_jackknife_finds(name, family):
    """Within one fold: how much of the images each fold has is no chance."""
    metric, outputs = METRICS[name], drawn_outputs(family)
    count = len(outputs.case)
    outputs = replace(outputs, fold=np.zeros(count, dtype=int))
    values = unit_scores(metric, outputs, alone(count)).values
    without = np.array([value_of(metric, cases(outputs, np.arange(count) != i)) for i in range(count)])
    jackknifed = (count - 1) * (without.mean() - without)
    influence = values - values.mean()
    # The weights of these, the images of each class, are taken as they are.
    least = 0.95 if name in ("precision_weighted", "f1_weighted") else 0.99
    assert np.corrcoef(influence, jackknifed)[0, 1] > least
    assert influence.std() == pytest.approx(jackknifed.std(), rel=0.1)


@every_row
def test_the_order_of_cases_does_not_matter(name, family):
    metric, outputs = METRICS[name], drawn_outputs(family)
    count = len(outputs.case)
    order = np.random.default_rng(3).permutation(count)
    plain = unit_scores(metric, outputs, alone(count))
    shuffled = unit_scores(metric, cases(outputs, order), alone(count))
    assert shuffled.estimate == pytest.approx(plain.estimate, rel=1e-12)
    np.testing.assert_allclose(shuffled.values, plain.values, rtol=1e-9, atol=1e-9)


@every_row
def test_nothing_to_score_is_nan_and_never_an_error(name, family):
    """Of classes that no image has, and of images that all are of one class, whatever is predicted."""
    truth = drawn_truth(family)
    hot = one_hot(family, truth)
    first = np.zeros_like(truth)
    if family in ("binary", "multiclass"):
        first[:, 0] = True
    for p in (hot, one_hot(family, first), np.full_like(hot, 1 / hot.shape[-1])):
        outputs = outputs_with(family, first, p)
        scores = unit_scores(METRICS[name], outputs, alone(len(outputs.case)))
        assert (
            np.isnan(scores.values).all() if np.isnan(scores.estimate) else np.isfinite(scores.values).all()
        )
        assert METRICS[name].bounds[0] - 1e-9 <= scores.estimate <= METRICS[name].bounds[1] or np.isnan(
            scores.estimate
        )


@pytest.mark.parametrize(
    ("name", "family"), [pair for pair in ROWS if isinstance(METRICS[pair[0]].formula, ConfusionFunction)]
)
def test_a_function_of_counts_knows_its_derivative_and_no_scale(name, family):
    of = METRICS[name].formula.of
    total_KK = cells(drawn_outputs(family))[0]
    value, derivative_KK = of(total_KK)
    step = 1e-5 * total_KK.sum()
    for place in np.ndindex(total_KK.shape):
        change = np.zeros_like(total_KK)
        change[place] = step
        slope = (of(total_KK + change)[0] - of(total_KK - change)[0]) / (2 * step)
        assert derivative_KK[place] == pytest.approx(slope, rel=1e-4, abs=1e-9 / total_KK.sum())
    assert of(7 * total_KK)[0] == pytest.approx(value)
    assert (derivative_KK * total_KK).sum() == pytest.approx(0, abs=1e-12)


def test_every_row_says_what_it_is():
    for name, row in METRICS.items():
        assert row.name == name
        assert row.title
        assert row.averaging
        assert row.formula is not None


@pytest.mark.parametrize("purpose", DEFAULTS)
@pytest.mark.parametrize("family", DEFAULTS["judge"])
def test_every_task_has_a_default(family, purpose):
    assert choose_metric("auto", family, purpose).name == DEFAULTS[purpose][family]


def test_a_macro_may_be_named_without_it():
    assert choose_metric("auroc", "multiclass").name == "auroc_macro"
    assert choose_metric("dice", "segmentation").name == "dice_img_macro"


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(SpecError) as caught:
        choose_metric("acuracy", "binary")
    assert caught.value.what == "no metric for binary tasks is called 'acuracy'"
    assert "Did you mean 'accuracy'?" in str(caught.value)


def test_weighted_kappa_is_only_reported_where_a_study_says_that_classes_are_ordered():
    plain = reported(METRICS["accuracy"], "multiclass", boundary=False)
    ordered = reported(METRICS["kappa_linear"], "multiclass", boundary=False)
    assert set(ordered) - set(plain) == {"kappa_linear", "kappa_quadratic"}
    assert set(metrics_of("multiclass")) == set(ordered)


def test_boundary_scores_are_only_reported_where_there_are_some():
    dice = METRICS["dice_img_macro"]
    with_them, without = (reported(dice, "segmentation", boundary=boundary) for boundary in (True, False))
    assert set(with_them) - set(without) == {"nsd_img_macro"}
