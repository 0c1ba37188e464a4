from collections import Counter

from foldwise.judging.scores.recent import Recent


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
