"""Which images are shown."""

import pytest

from foldwise.reporting.sections.images.gallery import best_median_worst


def test_worst_median_and_best_are_chosen_and_none_twice():
    chosen = best_median_worst({case: case / 10 for case in range(11)} | {99: float("nan")}, 3)
    assert chosen == {"Worst": [0, 1, 2], "Median": [4, 5, 6], "Best": [10, 9, 8]}


@pytest.mark.parametrize("number", range(12))
def test_few_cases_give_fewer_pictures_and_none_twice(number):
    chosen = [
        case for cases in best_median_worst(dict.fromkeys(range(number), 0.5), 3).values() for case in cases
    ]
    assert len(chosen) == len(set(chosen)) == min(number, 9)
