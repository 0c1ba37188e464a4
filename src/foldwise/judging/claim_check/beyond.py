"""Claims that are no kind of ours: they are named, not passed over."""

from __future__ import annotations

import re

from foldwise.judging.claim_check.comparing import comparing_words
from foldwise.judging.claim_check.finding import UNCHECKED, Check, printed
from foldwise.judging.claim_check.mentions import Told

KIND = "beyond"
EFFECTS = r"differences?|gaps?|effects?|improvements?|gains?|impacts?|influence|drops?|advantages?|factors?"
LARGEST = r"biggest|largest|smallest|greatest|strongest|weakest|most important|least important"
THAN = r"as|the|more|less|faster|slower|better|worse|higher|lower"
RULES = (
    (rf"\b(?:{LARGEST}) (?:\w+ )?(?:{EFFECTS})\b|\b(?:interact|correlat)\w*", "effects and interactions are not looked up; the report shows them under What mattered."),
    (rf"\b(?:twice|half|three times|\d+(?:\.\d+)? times|\d+-fold)(?= (?:{THAN})\b)|\b(?:doubl|tripl|halv)(?:ed?|es|ing)\b", "ratios are not looked up."),
    (r"■\s*[<>≥≤]\s*■", "signs between names are not read."),
    (r"\b(?:improve[sd]?|help(?:s|ed)?|boost(?:s|ed)?|hurts?|degrade[sd]?|harm(?:s|ed)?|benefit(?:s|ed)?|due to|because of the)\b", "what causes what is not looked up: say what is better than what."),
    (r"\b(?:but not|except|(?<!told )apart from|with the exception)\b", "exceptions are not read: say them in a sentence of their own."),
)  # fmt: skip
COMPILED = [(re.compile(rule, re.IGNORECASE), why) for rule, why in RULES]


def beyond(told: Told, used: set[int]) -> list[Check]:
    """Effects, ratios, causes and exceptions, of what the table knows; and a difference of nobody knows what."""
    if not (told.mentions or told.measured or told.factors):
        return []
    words = [(one.start, one.end) for one in comparing_words(told)]
    made = [
        Check(KIND, one[0], UNCHECKED, why)
        for rule, why in COMPILED
        for one in rule.finditer(told.masked)
        if not any(start <= one.start() < end for start, end in words)
    ]
    left = [one for one in told.quantities if one.kind == "difference" and one.start not in used]
    used |= {one.start for one in left}
    return made + [
        Check(KIND, f"a difference of {printed(one)}", UNCHECKED, "between what it is, is not said.")
        for one in left
    ]
