"""What in a table is a score: columns that are none (a running number, an age, a class), and rows that sum up the others.

Such rows are no cases, and are left out by name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from foldwise.errors import DataError
from foldwise.judging.external.options import Roles, ScoreOptions
from foldwise.judging.external.pieces import Piece
from foldwise.judging.external.text import EMPTY, UNNAMED, Text
from foldwise.metrics.names import named_score, plain, words_of
from foldwise.metrics.outputs import Bools, Floats
from foldwise.text import count, some

COUNTERS = ("index", "idx", "row", "nr", "no", "number", "id", "levelindex", "")
# The last word of what is measured of a case or computed of others, and is no score of a model.
_NO_SCORES = (
    "age year month day date timestamp time duration volume vol size area length width height depth weight "
    "bmi diameter radius slice frame spacing thickness resolution class label target truth gt true y category "
    "grade stage sex gender site center centre scanner batch epoch step iteration seed fold run repeat mean "
    "average avg median std sd sem min max sum total count diff difference delta rank best worst id index idx "
    "row nr number pred predicted prediction prob probability confidence alter volumen klasse mittelwert "
    "p pvalue pval fraction proportion prevalence"
)
NO_SCORES = frozenset(_NO_SCORES.split())
_UNITS = "mm cm um m ml l kg g years px voxels s ms min h hours days percent"
UNITS = frozenset(_UNITS.split())
COUNTING = ("n", "num", "number", "count", "no", "p", "fraction", "proportion")  # as a first word
# What is segmented: of a column whose name says no more than that, the scores are of a class.
_CLASSES = (
    "background foreground object objects cell cells nucleus nuclei cytoplasm membrane bacteria bacterium neuron axon "
    "mitochondria organ organs liver kidney kidneys spleen pancreas stomach gallbladder bowel colon oesophagus esophagus "
    "aorta heart atrium ventricle ventricles myocardium lung lungs lobe brain hippocampus cortex gm wm csf bladder prostate "
    "uterus breast bone bones femur tibia spine vertebra vertebrae cartilage muscle fat skin tissue stroma epithelium gland "
    "tumour tumor lesion lesions edema oedema necrosis core enhancing polyp nodule et tc wt vessel vessels artery vein veins "
    "disc cup fovea retina exudates drusen left right upper lower whole lv rv myo"
)
CLASSES = frozenset(_CLASSES.split())
TURNED_OVER, MANY = 3, 6  # times as many columns as rows, and so many: images side by side
FROM = "from"  # how a doubt about the scale begins
OF_CLASS = "by its name a class"
OTHER_SCALE = 10  # times the others, which lie between 0 and 1
Statistic = Callable[[Floats], Any]
# A case is hardly called so. In the languages of spreadsheets.
_SURE = (
    "mean means average averages avg median std sd stdev stddev stdv std.dev variance sem iqr overall summary "
    "aggregate aggregated mittelwert mittel durchschnitt stdabw standardabweichung moyenne médiane mediane "
    "media promedio desviación deviation medelvärde medel gennemsnitt gemiddelde mediana średnia 平均 平均值 标准差 "
    "標準差"
)
SURE = frozenset((*_SURE.split(), "pvalue", "ci"))
# An animal or a subset may be called so: they sum up where they stand beside such a row, or have the value of one.
PERHAPS: dict[str, Statistic] = {
    "max": np.max, "maximum": np.max, "min": np.min, "minimum": np.min, "sum": np.sum, "total": np.sum,
    "count": len, "n": len, "all": np.mean, "global": np.mean, "range": np.ptp, "50%": np.median,
    "25%": lambda values: float(np.percentile(values, 25)), "75%": lambda values: float(np.percentile(values, 75)),
}  # fmt: skip
_AROUND = (
    "of the over all cases case images image rows row score scores value n fold folds standard dev grand"
)
AROUND = frozenset((*_AROUND.split(), "macro", "micro", "weighted", "confidence", "interval"))
STATISTICS = (np.mean, np.median, np.std, partial(np.std, ddof=1), np.sum)
RARE = 4  # times as many cases as rows that sum them up, and more
WITHIN = 0.006  # a summary of two decimals is off by half a hundredth


def score_columns(text: Text, roles: Roles) -> list[str]:
    """Columns of numbers that have no other role, and do not merely number the rows."""
    return [
        name
        for name in text.columns
        if name not in roles.taken and name not in roles.idle and text.numeric(name) and not counts_rows(text, name)
    ]  # fmt: skip


def counts_rows(text: Text, name: str) -> bool:
    """Whether a column is an index, by its name and its cells: ``Unnamed: 0`` with 0, 1, 2 ..."""
    return bool(UNNAMED.fullmatch(name) or plain(name) in COUNTERS) and _running(_numbers(text, name))


def named_otherwise(name: str) -> bool:
    """Whether a column is called like something that is no score of a model: ``tumour_volume_mm3``, ``n_cells``."""
    words = [word for word in words_of(name) if word not in UNITS and not word.isdigit()]
    named = named_score(name)
    if UNNAMED.fullmatch(name) or not words:
        return True
    return not named.measure and (
        words[-1].removesuffix("s") in NO_SCORES or words[-1] in NO_SCORES or words[0] in COUNTING
    )


def _is_class(name: str) -> bool:
    """Whether a column is called by what is segmented, with or without a measure: ``dice_liver``, ``left kidney``."""
    rest = [word for word in named_score(name).rest if not word.isdigit()]
    return bool(rest) and all(word in CLASSES for word in rest)


def the_measure(names: Sequence[str], options: ScoreOptions) -> str | None:
    """The one of several columns that is called like the metric, or the only score beside an age or a volume."""
    called = [name for name in names if options.metric and plain(name) == plain(options.metric)]
    scores = [name for name in names if not named_otherwise(name)]
    if len(called) == 1:
        return called[0]
    return scores[0] if len(scores) == 1 and named_score(scores[0]).measure else None


def refuse_doubtful(text: Text, names: Sequence[str]) -> None:
    """Every column of a wide table is a configuration, or it is asked about.

    Raises:
        DataError: some look like something else, by their names or next to the others.
    """
    if len(names) >= max(MANY, TURNED_OVER * len(text.sample)):
        what = (
            f"{len(names)} columns of scores and {count(len(text.sample), 'row')}: is a row a configuration?"
        )
        cure = "Write a row per image and a column per configuration, or name all these columns with --score."
        raise DataError(what, where=text.name, cure=cure)
    numbers = {name: _numbers(text, name) for name in names}
    doubts = {name: "by its name" for name in names if named_otherwise(name)}
    doubts |= {name: OF_CLASS for name in names if name not in doubts and _is_class(name)}
    doubts |= {name: "a running number" for name in names if name not in doubts and _running(numbers[name])}
    trusted = [name for name in names if name not in doubts]
    for name in trusted:
        others = [other for other in trusted if other != name and len(numbers[other])]
        reason = _unlike(text, name, others, numbers) if others and len(numbers[name]) else ""
        if reason:
            doubts[name] = reason
    if not doubts:
        return
    raise _question(text, names, doubts)


def _question(text: Text, names: Sequence[str], doubts: dict[str, str]) -> DataError:
    """Which columns are in doubt and why, and the options that name the others."""
    listed = some([f"{name} ({reason})" for name, reason in doubts.items()], 6)
    sure = [f"--score {_quoted(name)}" for name in names if name not in doubts]
    example = " ".join(sure[:4]) + (" ..." if len(sure) > 4 else "")
    if all(reason.startswith(FROM) for reason in doubts.values()):
        what = f"scores of one metric are hardly on two scales: {listed}"
        cure = f"Write all on one scale (per cent divided by 100); or name every column that is a configuration: {example} ..."
        return DataError(what, where=text.name, cure=cure)
    are = (
        "is a column that may be no configuration"
        if len(doubts) == 1
        else "are columns that may be no configurations"
    )
    cure = f"Name every column that is one: {example or '--score NAME --score NAME'}."
    if OF_CLASS in doubts.values():
        cure += " Of scores by class, write a table for each class, with a column per configuration."
    return DataError(f"there {are}: {listed}", where=text.name, cure=cure)


def _quoted(name: str) -> str:
    return f'"{name}"' if re.search(r"[^\w.@%+-]", name) else name


def _numbers(text: Text, name: str) -> Floats:
    """What the sample has of a column, without empty cells and words."""
    cells = (text.number(row[name]) for row in text.sample if row[name] not in EMPTY)
    numbers = np.array([number for number in cells if number is not None], dtype=np.float64)
    return numbers[np.isfinite(numbers)]


def _running(numbers: Floats) -> bool:
    """Whether they are whole and count: 0, 1, 2 ..., in any order, as often as each other."""
    distinct, times = np.unique(numbers, return_counts=True)
    whole = len(distinct) > 2 and bool((distinct == np.round(distinct)).all())
    return whole and bool((np.diff(distinct) == 1).all()) and bool((times == times[0]).all())


def _unlike(text: Text, name: str, others: Sequence[str], numbers: dict[str, Floats]) -> str:
    """How a column differs from all others, as scores of one metric do not; empty where it does not."""
    own, rest = numbers[name], np.concatenate([numbers[other] for other in others])
    written = {
        column: any(set(row[column]) & set(".,eE") for row in text.sample) for column in (name, *others)
    }
    if len(np.unique(own)) > 1 and not written[name] and all(written[other] for other in others):
        return "whole numbers, where the others have decimals"
    if (
        len(own) > 2
        and np.ptp(own) == 0
        and own[0] not in (0, 1)
        and all(np.ptp(numbers[other]) > 0 for other in others)
    ):
        return f"always {own[0]:g}"
    shares = rest.min() >= 0 and rest.max() <= 1
    if shares and own.max() > 1 and np.abs(own).mean() >= OTHER_SCALE * max(np.abs(rest).mean(), 1e-9):
        return f"{FROM} {own.min():g} to {own.max():g}, and the others from {rest.min():g} to {rest.max():g}"
    return ""


def without_summaries(piece: Piece) -> tuple[Piece, str | None]:
    """The rows that are cases, and what was left out, in words; None where nothing was."""
    names = piece.columns["case"].names
    sure = np.array([_sums_up(name) for name in names])
    perhaps = np.array([name.casefold() in PERHAPS for name in names])
    codes = piece.columns["case"].codes
    sure |= _unlike_others(piece)
    if perhaps.any() and not sure.any():
        perhaps &= [
            likely and _has_its_value(piece, code, perhaps, PERHAPS[names[code].casefold()])
            for code, likely in enumerate(perhaps)
        ]
    left_out = sure | perhaps
    if not left_out.any() or left_out.all():
        return piece, None
    gone = left_out[codes]
    lines = sorted(set(piece.lines[gone].tolist()) - {0})
    where = f" ({'line' if len(lines) == 1 else 'lines'} {some(map(str, lines))})" if lines else ""
    listed = some([name or "one without a name" for name, out in zip(names, left_out, strict=True) if out])
    return piece.keep(
        ~gone
    ), f"{piece.file}: not used: rows that sum up others and are no cases: {listed}{where}"


def _sums_up(name: str) -> bool:
    """``mean``, ``Std. dev.``, ``Average Dice (n=20)``, ``mean fold 3``; not ``mean_shift.png`` and not ``std_04``."""
    words = re.findall(r"[^\W\d_]+", re.sub(r"\bp[ -]?values?\b", "pvalue", name.casefold()))
    usual = SURE | AROUND | PERHAPS.keys()
    numbered = re.search(r"\d", name) and not {"n", "fold", "folds", "ci"} & set(words)
    others = (word for word in words if word not in usual and not named_score(word).measure)
    return any(word in SURE for word in words) and not numbered and not any(others)


def _unlike_others(piece: Piece) -> Bools:
    """Cases of a rare shape of name, such as ``Ø`` below ``img_01``, that hold a statistic of the others everywhere.

    No name is on a list: Excel writes ``STABW.S`` in German and ``ECARTYPE`` in French. None of a single configuration.
    """
    names = piece.columns["case"].names
    shapes = [re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "0", name)) for name in names]
    times = Counter(shapes)
    rare = np.array(
        [
            RARE * times[shape] < len(names) and not re.search(r"\d", name)
            for name, shape in zip(names, shapes, strict=True)
        ],
        dtype=bool,
    )
    if len(piece.columns["configuration"].names) < 2:
        return np.zeros_like(rare)
    return np.array(
        [
            likely
            and any(_has_its_value(piece, code, rare, statistic, _rounding) for statistic in STATISTICS)
            for code, likely in enumerate(rare)
        ],
        dtype=bool,
    )


def _rounding(value: float) -> float:
    """What rounding can have taken from a number, by its decimals: 0.006 of 0.71, and so 0.00006 of 0.7153."""
    return next((0.6 * 10.0**-digits for digits in (2, 3) if round(value, digits) == value), 0.00006)


def _roughly(value: float) -> float:
    return WITHIN * max(1.0, abs(value))


def _has_its_value(
    piece: Piece, code: int, aside: Bools, statistic: Statistic, within: Callable[[float], float] = _roughly
) -> bool:
    """Whether a row called ``max`` has the greatest score of its configuration, in every one of them.

    Args:
        aside: cases that do not count among the others.
        within: of a score, how far off the statistic may be.
    """
    case, configuration = piece.columns["case"], piece.columns["configuration"].codes
    here, others = case.codes == code, ~aside[case.codes] & np.isfinite(piece.score)
    for row in np.flatnonzero(here).tolist():
        own = piece.score[others & (configuration == configuration[row])]
        score = float(piece.score[row])
        if not len(own) or not abs(score - statistic(own)) <= within(score):
            return False
    return True
