"""Claims that only a verdict can bear out: the corrected score, calibration, what could have been seen, its size."""

from __future__ import annotations

import re

from foldwise.judging.claim_check.finding import FALSE, TRUE, UNCHECKED, Check, is_printed, printed
from foldwise.judging.claim_check.mentions import Told
from foldwise.judging.claim_check.numbers import ends_agree
from foldwise.judging.claim_check.table import Record
from foldwise.judging.wording import show

FREED = re.compile(
    r"(?:freed from|corrected for|correct\w* for|adjusted for)(?: the)?(?: luck of)?(?: the)? (?:choice|selection|chosen)|optimism",
    re.IGNORECASE,
)
BECOMES = re.compile(r"\s*(?:becomes|became|becoming|falls to|fell to)\b", re.IGNORECASE)
LESS = re.compile(r"\s*(?:worse|lower|less)\b", re.IGNORECASE)
BELOW = re.compile(
    r"difference below (?:about )?(?P<low>\d+(?:\.\d+)?)(?P<rest>[^.]*\b(?:could not|cannot|not)\b[^.]*\b(?:seen|detected))",
    re.IGNORECASE,
)
TRUSTED = re.compile(r"\b(?P<way>over|under)-?confident", re.IGNORECASE)
SIZE = re.compile(
    r"\((?P<images>[\d,]+) (?:images?|cases?)(?: in (?P<groups>[\d,]+) groups?)?\)", re.IGNORECASE
)
UNBEATEN = re.compile(
    r"not shown to be better than (?:a|any|the best) (?:trivial )?predictor|nothing (?:here )?(?:is|was) shown to be better than a trivial predictor",
    re.IGNORECASE,
)


def corrected(told: Told, used: set[int]) -> list[Check]:
    """``Freed from the luck of the choice, its score was about 0.88 (95 % interval 0.85 to 0.91)``."""
    found = FREED.search(told.masked)
    if not found:
        return []
    used |= {one.start() for one in re.finditer(r"\bworse\b", told.masked)}
    known = told.table.verdict.get("selection")
    numbers = [
        one for one in told.quantities if one.kind in ("score", "difference") and one.start > found.start()
    ]
    if not known or not numbers:
        return [
            Check(
                "corrected score",
                found[0],
                UNCHECKED,
                f"{told.table.source} has no corrected score, or the sentence no number.",
            )
        ]
    measure = told.table.measures[told.table.default]
    words = f"the corrected score is {show(known['corrected'])}, the luck of the choice {show(known['optimism'])}."
    made = []
    for one in numbers:
        used.add(one.start)
        behind = told.masked[one.end :]
        which = "naive" if BECOMES.match(behind) else "corrected"
        which = "optimism" if one.kind == "difference" or LESS.match(behind) else which
        agrees = is_printed(one, measure, known[which])
        made.append(Check("corrected score", printed(one), TRUE if agrees else FALSE, words))
    for one in told.quantities:
        if one.kind == "interval" and one.start not in used and one.start > found.start():
            used.add(one.start)
            verdict, why = ends_agree(one, measure, (known["low"], known["high"]))
            made.append(Check("corrected score", f"interval {printed(one)}", verdict, why))
    return made


def detectable(told: Told, used: set[int]) -> list[Check]:
    """``A difference below about 0.03 could not have been seen``."""
    found = BELOW.search(told.masked)
    if not found:
        return []
    known = (told.table.verdict.get("answer") or {}).get("minimal_detectable_difference")
    if known is None:
        return [Check("detectable difference", found[0], UNCHECKED, "nothing was tested.")]
    digits = len(found["low"].partition(".")[2])
    agrees = abs(float(found["low"]) - known) <= 0.5 * 10.0**-digits + 1e-12
    return [Check("detectable difference", found["low"], TRUE if agrees else FALSE, f"it is {show(known)}.")]


def calibrated(told: Told, used: set[int]) -> list[Check]:
    """``The probabilities of a were over-confident by 0.04 (95 % interval 0.01 to 0.07)``."""
    found = TRUSTED.search(told.masked)
    if not found:
        return []
    known = {
        one["id"]: one for one in (told.table.verdict.get("calibration") or {}).get("configurations", ())
    }
    rows = [row for one in told.mentions if one.alone for row in one.rows if row.id in known]
    trust = known[rows[0].id].get("before", {}).get("overconfidence") if len(rows) == 1 else None
    if trust is None:
        return [
            Check(
                "calibration",
                found[0],
                UNCHECKED,
                "it does not name one configuration whose calibration is known.",
            )
        ]
    said = f"{found['way'].lower()}-confident"
    why = f"it is told as: {trust['conclusion']}, by {show(trust['estimate'])}."
    made = [
        Check("calibration", f"{rows[0].name}: {said}", TRUE if trust["conclusion"] == said else FALSE, why)
    ]
    return made + _by_how_much(told, trust, 1 if said == "over-confident" else -1, used)


def _by_how_much(told: Told, trust: Record, sign: int, used: set[int]) -> list[Check]:
    """The difference between what a model says and what comes true, and its interval, in the direction that is said."""
    made, measure = [], told.table.measures[told.table.default]
    for one in told.quantities:
        if one.start in used or one.kind == "score":
            continue
        used.add(one.start)
        if one.kind == "difference":
            agrees = abs(sign * trust["estimate"] - one.low) <= one.tolerance(one.low)
            why = f"it is {show(sign * trust['estimate'])}."
            made.append(Check("calibration", printed(one), TRUE if agrees else FALSE, why))
        elif trust["low"] is not None:
            verdict, why = ends_agree(one, measure, (sign * trust["low"], sign * trust["high"]))
            made.append(Check("calibration", f"interval {printed(one)}", verdict, why))
    return made


def size(told: Told, used: set[int]) -> list[Check]:
    """``(92 images in 60 groups)``, of a verdict."""
    made = []
    for found in SIZE.finditer(told.masked):
        if told.table.verdict:
            known = told.table.verdict["num_images"], told.table.verdict.get("num_groups")
            said = tuple(
                None if one is None else int(one.replace(",", ""))
                for one in (found["images"], found["groups"])
            )
            agrees = said[0] == known[0] and said[1] in (None, known[1])
            words = f"{known[0]} images" + (f" in {known[1]} groups." if known[1] else ".")
            made.append(Check("size", found[0], TRUE if agrees else FALSE, words))
    return made


def unbeaten(told: Told, used: set[int]) -> list[Check]:
    """``Nothing here is shown to be better than a trivial predictor``."""
    found = UNBEATEN.search(told.masked)
    if not found:
        return []
    used |= {
        one.start()
        for one in re.finditer("better", told.masked)
        if found.start() <= one.start() < found.end()
    }
    state = told.table.verdict.get("state")
    if state is None:
        return [Check("trivial predictor", found[0], UNCHECKED, "nothing was tested.")]
    agrees = state == "not_better_than_trivial"
    return [
        Check(
            "trivial predictor", found[0], TRUE if agrees else FALSE, f"the state of the verdict is {state}."
        )
    ]
