"""What the report says of two that are compared, of a place among all, and of scores, and every form of sentence.

What none of the `FORMS` reads as a whole cannot be checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, product

from foldwise.judging.claim_check.grammar import GRAVEST, Answer, CannotCheck, Form, Found, Party, Reading
from foldwise.judging.claim_check.table import MAX_NAMED, Contrast, Row
from foldwise.judging.wording import show

SURE = {"significantly", "clearly", "shown", "chance"}
Judge = Callable[[Reading, Contrast], Answer]
ALWAYS, MOSTLY = {"always", "consistently"}, {"usually", "generally", "mostly"}


def contrasts(reading: Reading, a: Party, b: Party) -> list[Contrast]:
    """Every two that are compared: configurations, or levels of the one factor in which the parties differ."""
    table, measure = reading.table, reading.measure
    if a.single and b.single:
        made = [table.of_rows(measure, *two) for two in product(a.rows, b.rows) if two[0] is not two[1]]
    else:
        apart = [factor for factor, of in a.levels.items() if not set(of) & set(b.levels.get(factor, of))]
        shared = (factor for factor in a.levels if factor in b.levels and factor not in apart)
        if len(apart) != 1 or any(set(a.levels[factor]) != set(b.levels[factor]) for factor in shared):
            raise CannotCheck("the two do not differ in one factor, and are not two configurations")
        among = {name: sum(of, ()) for name, of in {**a.levels, **b.levels}.items() if name != apart[0]}
        twos = product(a.levels[apart[0]], b.levels[apart[0]])
        made = [table.of_levels(measure, apart[0], two, among) for two in twos]
    every = [contrast for contrast in made if contrast is not None]
    if not every or len(every) < len(made):
        raise CannotCheck(f"there is no {measure.title} of two that differ in this alone")
    return every


def compare(reading: Reading) -> Found:
    """``a is better than b``."""
    a, b = (reading.party([*reading.names(slot), *reading.names("c")]) for slot in "ab")
    return _worst(reading, contrasts(reading, a, b), _better, reading.sign)


def ahead(reading: Reading) -> Found:
    """Better, or worse, than every other configuration, or than every other level of its factor."""
    party, table, levels = reading.party(reading.names("a")), reading.table, {}
    for factor, of in party.levels.items():
        levels[factor] = tuple((level,) for level in table.factors[factor] if (level,) not in of)
    others = Party([row for row in table.compared if row not in party.rows], party.single, levels)
    answer, why = _worst(reading, contrasts(reading, party, others), _better, reading.sign)
    if answer == "true" and table.verdict and table.verdict.num_done < table.verdict.num_planned:
        return "not supported", f"{why} The study is not finished."
    return answer, why


def _better(reading: Reading, contrast: Contrast) -> Answer:
    """Whether the first is the larger or the smaller one, as it is said."""
    how, agrees = reading.words("how", "chance"), reading.sign * contrast.value > 0
    always, mostly, sure = bool(ALWAYS & how) or "always" in reading, bool(MOSTLY & how), bool(SURE & how)
    agree, total = sum(reading.sign * value > 0 for value in contrast.each), len(contrast.each)
    if "not" in how:
        if agree == total if always else agrees and contrast.sure:
            return "false"
        return "true" if always or not agrees or (sure and contrast.conclusion) else "not supported"
    if not agrees or (always and agree < total) or (mostly and 2 * agree <= total):
        return "false"
    by_number = not contrast.conclusion and (always or mostly or reading.by_number)
    return "true" if contrast.sure or (not sure and ("agree" in reading or by_number)) else "not supported"


def alike(reading: Reading) -> Found:
    """``a and b are equivalent`` needs a margin; that they cannot be told apart only that no difference was shown."""
    each = [reading.party([name, *reading.names("c")]) for name in reading.names("a")]
    others = [reading.party([*reading.names("b"), *reading.names("c")])] if "b" in reading else []
    twos = [*product(each, others)] if others else [*combinations(each, 2)]
    every = [contrast for two in twos for contrast in contrasts(reading, *two)]
    if not every:
        raise CannotCheck(f"it does not name two that {reading.table.source} compares")
    return _worst(reading, every, _same, 1)


def _same(reading: Reading, contrast: Contrast) -> Answer:
    if contrast.sure and ("apart" in reading or contrast.conclusion != "equivalent"):
        return "false"
    if contrast.intervals and ("apart" in reading or contrast.conclusion == "equivalent"):
        return "true"
    return "not supported" if contrast.conclusion or any(contrast.each) else "true"


def _worst(reading: Reading, every: Sequence[Contrast], answer: Judge, sign: int) -> Found:
    """The worst of the answers, with its evidence and what is wrong with the numbers that the sentence quotes."""
    worst, k = min((GRAVEST.index(answer(reading, contrast)), k) for k, contrast in enumerate(every))
    wrong, tested = list(_wrong_quotes(reading, every, sign)), every[k].conclusion or worst > 0
    test = [_test(reading, every[k])] if tested else []
    return "false" if wrong else GRAVEST[worst], " ".join([_evidence(reading, every[k], sign), *test, *wrong])


def _evidence(reading: Reading, contrast: Contrast, sign: int) -> str:
    """The two scores, or ``It is so in 8 of 12 matched pairs, equal in 4`` with those that are against it."""
    shown_of = reading.measure.shown_of
    if len(contrast.pairs) == 1:
        return f"{shown_of(contrast.pairs[0])}."
    against = [pair for pair, value in zip(contrast.pairs, contrast.each, strict=True) if sign * value < 0]
    equal = sum(value == 0 for value in contrast.each)
    text = f"It is so in {len(contrast.each) - equal - len(against)} of {len(contrast.each)} matched pairs"
    text += f", equal in {equal}" if equal else ""
    text += f", the other way round in {len(against)}" if against else ""
    shown = "; ".join(f"{shown_of([a])} against {shown_of([b])}" for a, b in against[:MAX_NAMED])
    return f"{text} (mean difference {show(contrast.value)}{'; against it: ' + shown if shown else ''})."


def _test(reading: Reading, contrast: Contrast) -> str:
    verdict, why = reading.table.verdict, "a table of averages has no scores per image"
    if contrast.conclusion and verdict:
        of = f", {verdict.confidence} interval of {contrast.family}"
        ends = "".join(f"{of} {' to '.join(map(show, pair))}" for pair in contrast.intervals[:1])
        words = {"better": "beyond chance", "not distinguishable": "this study cannot tell them apart"}
        conclusion = "better" if contrast.sure else contrast.conclusion
        return f"Difference {show(contrast.value)}{ends}: {words.get(conclusion, conclusion)}."
    if verdict:
        why = f"only {verdict.metric.title} was tested"
        why = "these were not tested against each other" if reading.measure.tested else why
    return f"Numbers only: {why}, so nothing says what is chance."


def _wrong_quotes(reading: Reading, every: Sequence[Contrast], sign: int) -> Iterator[str]:
    """What is wrong with the difference, its interval and the count of pairs that a sentence quotes."""
    each, agrees = sorted(abs(value) for contrast in every for value in contrast.each), reading.agrees
    whole = [abs(contrast.value) for contrast in every]
    if "gap2" in reading and not (agrees("gap", each[0]) and agrees("gap2", each[-1])):
        low, high = (reading.number("gap").of(reading.measure, value) for value in (each[0], each[-1]))
        yield f"The differences go from {low:.4g} to {high:.4g}."
    if "gap2" not in reading and not any(agrees("gap", value) for value in (*whole, *each)):
        yield f"The difference is {reading.number('gap').of(reading.measure, whole[0]):.4g}."
    signed = [(contrast.value, pair) for contrast in every for pair in contrast.intervals]
    turned = [pair if value >= 0 else (-pair[1], -pair[0]) for value, pair in signed]
    if not reading.interval_agrees(turned):
        yield f"The interval is {' to '.join(map(show, turned[0]))}."
    counts = {(sum(sign * value > 0 for value in contrast.each), len(contrast.each)) for contrast in every}
    along = (contrast for contrast in every if contrast.agree and sign * contrast.value > 0)
    counts |= {(contrast.agree, len(contrast.each)) for contrast in along}
    if not any(agrees("agree", agree) and agrees("matched", total) for agree, total in counts):
        yield f"It is so in {' or '.join(f'{agree} of {total}' for agree, total in sorted(counts))}."


def score(reading: Reading) -> Found:
    """A score; of several configurations that of each, their mean, the lowest, the highest, or both ends."""
    measure, names = reading.measure, [name for slot in "acd" for name in reading.names(slot)]
    party = reading.party(names) if names else Party(reading.table.compared, False, {})
    rows = _ascending(reading, party.rows)
    rows = rows[:: -reading.sign][:1] if "better" in reading else rows
    values = [row.values[measure.name] for row in rows]
    wrong = [row for row, value in zip(rows, values, strict=True) if not reading.agrees("x", value)]
    why, mean = f"It is {measure.shown_of(wrong or rows)}.", sum(values) / len(values)
    if "y" in reading:
        why = f"They go from {measure.shown_of(rows[:1])} to {measure.shown_of(rows[-1:])}."
        wrong = [rows[k] for k, slot in ((0, "x"), (-1, "y")) if not reading.agrees(slot, values[k])]
    elif not party.single and all(len(of) == 1 for of in party.levels.values()) and reading.agrees("x", mean):
        wrong, why = [], f"It is the mean of {len(rows)} ({mean:.4f})."
    elif wrong and len(wrong) < len(rows) and not party.single:
        right = len(rows) - len(wrong)
        raise CannotCheck(f"it names {len(rows)} configurations, and {right} have this score")
    if wrong:
        return "false", why + "".join(_whose(reading, rows, slot) for slot in "xy" if slot in reading)
    return _with_extras(reading, rows, why)


def _ascending(reading: Reading, rows: Sequence[Row]) -> list[Row]:
    name = reading.measure.name
    having = [row for row in rows if name in row.values]
    if not having:
        raise CannotCheck(f"there is no {reading.measure.title} of it")
    return sorted(having, key=lambda row: row.values[name])


def _whose(reading: Reading, rows: Sequence[Row], slot: str) -> str:
    """Where a number that is wrong of these rows does stand."""
    measure, every = reading.measure, _ascending(reading, reading.table.rows)
    having = [row for row in every if reading.agrees(slot, row.values[measure.name])]
    who = f"the {measure.title} of {', '.join(row.shown for row in having[:MAX_NAMED])}"
    who = who if having else f"nowhere in the table as {measure.title}"
    return "" if set(having) & set(rows) else f" {reading.number(slot)} is {who}."


def _with_extras(reading: Reading, rows: Sequence[Row], why: str) -> Found:
    """True, if the interval and the size of the study are so, too."""
    name, verdict = reading.measure.name, reading.table.verdict
    ends = [row.intervals[name] for row in rows if name in row.intervals]
    if not reading.interval_agrees(ends if len(rows) == 1 else []):
        return "false", f"{why} The interval is {' to '.join(map(show, ends[0]))}."
    images, groups = (verdict.num_images, verdict.num_groups) if verdict else (None, None)
    right = reading.agrees("images", images) and reading.agrees("groups", groups)
    answer: Answer = "true" if right else "false"
    return answer, why if right else f"{why} There are {images} images in {groups or 'no'} groups."


def best(reading: Reading) -> Found:
    """The best is better than every other; the highest, and the best estimate, need only the numbers."""
    if not reading.by_number and "estimate" not in reading:
        return ahead(reading)
    name, party = reading.measure.name, reading.party(reading.names("a"))
    rows = _ascending(reading, reading.table.compared)[:: -reading.sign]
    first = [row for row in rows if row.values[name] == rows[0].values[name]]
    right = bool(set(first) & set(party.rows)) and reading.agrees("n", len(rows))
    right = right and reading.agrees("x", rows[0].values[name])
    why = f"Of {len(rows)}, in order: {reading.measure.shown_of(rows[: max(MAX_NAMED, len(first))])}."
    return _with_extras(reading, first[:1], why) if right else ("false", why)


FORMS = (
    Form("comparison", "ResNet18 is significantly better than VGG16 in all settings, by 3 points. SGD beat Adam in 7 of 12 settings.", compare, (
        "[WITH ,] {a} (BE|performed|performs) HOW BETTER [{chance: beyond chance}] (than|to) {b} EXTENT",
        "[WITH ,] {a} HAS HOW BETTER SCORE than {b} EXTENT",
        "[WITH ,] {a} HOW BEATS {b} EXTENT",
        "SCORE of {a} BE HOW BETTER than (that|those) of {b} EXTENT",
        "compared (with|to) {b} , {a} HAS HOW BETTER SCORE EXTENT",
        "of {f} , {a} BE HOW BETTER than {b} EXTENT",
    )),
    Form("equivalent", "Adam and SGD are equivalent. ResNet18 and VGG16 cannot be told apart.", alike, (
        "[of {f} ,] {a} BE (equivalent|comparable) [(to|with) {b}] [in {m}] [WITH] [: they differed GAP]",
        "[of {f} ,] {a} {apart: could not} be told apart [in {m}] [WITH] [: they differed GAP]",
        "there BE {apart: no significant difference} between {a} [in {m}] [WITH]",
        "{a} HAS same SCORE",
    )),
    Form("all others", "ResNet18 outperforms all others.", ahead, (
        "{a} (BE HOW BETTER than|HOW BEATS) (all [other NOUN]|[all] others) [in {m}] [{chance: beyond chance}]",
    )),
    Form("best", "ResNet18 had the highest accuracy, 95.45 %. VGG16 is the best network.", best, (
        "{a} (BE|performed|performs) BEST [NOUN] [in {m}]",
        "{a} HAS BEST ({estimate: estimate}|SCORE) [, {x} [INTERVAL]]",
        "of {n} NOUN , {a} had BEST {estimate: estimate} : {m} {x} INTERVAL UNSEEN",
    )),
    Form("score", "VGG16 reached an accuracy of 86.4 % (95 % interval 80 to 91 %). The best accuracy of ResNet18 was 0.95.", score, (
        "[WITH ,] {a} HAS [[mean] SCORE] [of] {x} [to {y}] [INTERVAL] [WITH] [« {d} »] [UNSEEN]",
        "[mean] SCORE of {a} BE {x} [to {y}] [INTERVAL] [WITH] [« {d} »] [UNSEEN]",
        "([{a}] BEST SCORE|BEST SCORE of {a}) BE {x} [WITH] [« {d} »]",
        "SCORE ranged from {x} to {y}",
    )),
)  # fmt: skip
