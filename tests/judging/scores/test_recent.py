from collections import Counter

import numpy as np

from foldwise.judging.scores.recent import Recent, Waiting


def test_what_is_kept_is_made_once_and_what_was_asked_for_longest_ago_is_given_up():
    made, recent = Counter(), Recent(max_bytes=30)

    def ask(key, size=10):
        def make():
            made[key] += 1
            return key * 2

        assert recent.get(key, make, lambda _: size) == key * 2

    for key in ("a", "b", "c", "a", "d", "a", "c"):
        ask(key)
    assert made == {"a": 1, "b": 1, "c": 1, "d": 1}
    ask("b")  # was given up for d; d, asked for before a and c, now goes for it
    ask("d")
    assert made == {"a": 1, "b": 2, "c": 1, "d": 2}


def test_what_is_larger_than_all_that_may_be_kept_is_not_kept():
    recent, made = Recent(max_bytes=30), []
    for _ in range(2):
        recent.get("a", lambda: made.append(1), lambda _: 31)
    assert len(made) == 2


def test_arrays_that_wait_on_the_disk_come_back_as_they_were():
    rng = np.random.default_rng(0)
    every = [{name: rng.normal(size=(3, size)) for name in "abc"} for size in (4, 5, 6, 1)]
    with Waiting(max_bytes=200) as waiting:  # the first only: after it all go to the disk
        kept = [waiting.put(arrays, but="c") for arrays in every]
        assert [arrays is own for arrays, own in zip(kept, every, strict=True)] == [True, False, False, False]
        for arrays, own in [*zip(kept, every, strict=True)][::-1]:
            assert (sorted(arrays), len(arrays)) == (["a", "b", "c"], 3)
            assert all(arrays[name].tobytes() == own[name].tobytes() for name in own)
    assert kept[-1]["c"] is every[-1]["c"]
