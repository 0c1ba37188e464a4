"""Every kind of sentence that is understood; what none of them reads as a whole cannot be checked."""

from __future__ import annotations

from foldwise.judging.claim_check.grammar import Form
from foldwise.judging.claim_check.lookups import ahead, alike, best, compare, score

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
