"""The two ways to write scores into a table: long, one row per score; wide, one row per case and one column per configuration."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import takewhile

import numpy as np
import pandas as pd

from foldwise.errors import DataError, SpecError, unknown
from foldwise.judging.external.columns import (
    counts_rows,
    named_otherwise,
    refuse_doubtful,
    score_columns,
    the_measure,
)
from foldwise.judging.external.options import Roles, ScoreOptions, roles_of
from foldwise.judging.external.pieces import ROLES, Coded, Levels, Piece, Places
from foldwise.judging.external.text import EMPTY, Text, coded, load
from foldwise.metrics.names import named_score, plain
from foldwise.text import some

JOIN = " · "
# In a name such as unet_ce_loss or vit_mae (a masked autoencoder), these may be how a model was trained.
TRAINED_BY = frozenset(("loss", "mae", "bce", "entropy", "crossentropy", "nll", "kl", "mse"))
WHY_CASES = (
    "Averages cannot be compared: which configuration is better on the same images, and how sure that is, can only "
    "be told from a score of every configuration on every image. Write one row per configuration and image."
)


def read_table(text: Text, options: ScoreOptions, *, called: str | None) -> tuple[Piece, str, str | None]:
    """The scores of a table, what was recognised in words, and what the scores are called, where a column says so.

    Of several files, one without configurations is of a single one, which is `called` by the file; None: of a file alone.

    Raises:
        DataError: no scores per case can be found in it, or some are not usable.
        SpecError: a column or a task that is stated is not there.
    """
    roles = roles_of(text.columns, options, where=text.name)
    if roles.configuration:
        return _long(text, roles, options)
    scores = roles.score or tuple(score_columns(text, roles))
    if not roles.score and called is not None:
        measure = the_measure(scores, options)
        scores = (measure,) if measure else scores
    if not scores:
        raise DataError(
            f"no column holds scores: there are {some(text.columns, 12)}",
            where=text.name,
            cure="Name it with --score, and what is compared with --configuration. " + WHY_CASES,
        )
    if len(scores) == 1 and called is None:
        raise DataError(
            f"there is one column of scores ({scores[0]}), and no column says of which configuration they are",
            where=text.name,
            cure="Add a column called configuration, one column of scores per configuration, or one file of each.",
        )
    metric = None
    if len(scores) > 1:
        metric = _metric_of_columns(text, scores, options, alone=called is None)
    if len(scores) > 1 and not roles.score:
        refuse_doubtful(text, scores)
    return _wide(text, roles, scores, options, called or "", metric)


def _long(text: Text, roles: Roles, options: ScoreOptions) -> tuple[Piece, str, str | None]:
    if roles.case is None:
        raise _no_case(text, roles)
    roles = replace(roles, score=_score_column(text, roles, options))
    others = [name for name in text.columns if name not in roles.taken and not _varies(text, roles, name)]
    names = [
        name for name in text.columns if (name in roles.taken or name in others) and name not in roles.score
    ]
    frame, lines = load(text, names, roles.score)
    frame, lines, metric = _selected(text, frame, lines, roles, options)
    parts = [coded(frame[name]) for name in roles.configuration]
    configuration = parts[0] if len(parts) == 1 else _combined(parts)
    factors = {
        name: coded(frame[name]) for name in (*others, *(roles.configuration if len(parts) > 1 else ()))
    }
    piece = Piece(
        file=text.name,
        columns=_columns(frame, roles) | {"configuration": configuration},
        score=frame[roles.score[0]].to_numpy(np.float64),
        lines=lines,
        levels=_levels(configuration, factors),
    )
    used = {factor for own in piece.levels.values() for factor in own}
    return piece, _in_words(text, roles, "one row per score", used), metric or roles.score[0]


def _no_case(text: Text, roles: Roles) -> DataError:
    """Rows of averages, or rows of which nobody can say whose they are."""
    named = [tuple(row[name] for name in roles.configuration) for row in text.sample]
    columns = f"its columns are {some(text.columns, 12)}"
    if len(set(named)) == len(named):
        what = f"there is no score per image: every configuration has one row, and {columns}"
        return DataError(what, where=text.name, cure=WHY_CASES)
    what = f"no column says which image a row is of: {columns}"
    return DataError(what, where=text.name, cure="Name it with --case. " + WHY_CASES)


def _score_column(text: Text, roles: Roles, options: ScoreOptions) -> tuple[str, ...]:
    """The stated column, one of a usual name, one called like the metric, or the only one that can be it."""
    if len(roles.score) > 1:
        cure = "Name one of them; several are for tables with one column per configuration."
        raise SpecError("--score names several columns of a table with a row per score", cure=cure)
    if roles.score:
        return roles.score
    varying = [name for name in score_columns(text, roles) if _varies(text, roles, name)]
    # By its name first: other columns, such as ages, vary between cases as scores do.
    measure = the_measure(varying, options)
    if measure or (len(varying) == 1 and not named_otherwise(varying[0])):
        return (measure or varying[0],)
    what = "no column holds numbers that differ between the cases of a configuration"
    if varying:
        several = (
            "several columns could hold the scores" if len(varying) > 1 else "this column may hold no scores"
        )
        what = f"{several}: {some(varying, 12)}"
    raise DataError(what, where=text.name, cure="Name the one with --score.")


def _varies(text: Text, roles: Roles, name: str) -> bool:
    """Whether a column changes within a configuration, as far as the first rows show."""
    seen: dict[tuple[str, ...], str] = {}
    return any(
        seen.setdefault(tuple(row[key] for key in roles.configuration), row[name]) != row[name]
        for row in text.sample
    )


def _selected(
    text: Text, frame: pd.DataFrame, lines: Places, roles: Roles, options: ScoreOptions
) -> tuple[pd.DataFrame, Places, str | None]:
    """The rows of the task and of the metric that are asked for, and what a column says that the metric is."""
    metric = None
    for column, stated, noun in (
        (roles.task, options.task, "task"),
        (roles.measure, options.metric, "metric"),
    ):
        if column is None:
            continue
        cells = coded(frame[column])
        named = {plain(name): name for name in cells.names}
        if stated is None and len(cells.names) > 1:
            cure = f"Judge one at a time: --{noun} NAME. There are {some(cells.names, 12)}."
            raise DataError(f"the table has {len(cells.names)} {noun}s", where=text.name, cure=cure)
        if stated is not None and plain(stated) not in named:
            raise unknown(stated, cells.names, noun, where=text.name)
        chosen = cells.names[0] if stated is None else named[plain(stated)]
        wanted = cells.codes == cells.names.index(chosen)
        frame, lines = frame[wanted], lines[wanted]
        metric = chosen if noun == "metric" else metric
    return frame, lines, metric


def _combined(parts: Sequence[Coded]) -> Coded:
    """Configurations that several columns name together."""
    codes, names = parts[0].codes.astype(np.int64), list(parts[0].names)
    for part in parts[1:]:
        # Numbered anew after every column, so that the codes stay small.
        distinct, codes = np.unique(codes * len(part.names) + part.codes, return_inverse=True)
        pairs = [divmod(int(pair), len(part.names)) for pair in distinct]
        names = [f"{names[first]}{JOIN}{part.names[second]}" for first, second in pairs]
    return Coded.of(codes, names)


def _levels(configuration: Coded, factors: dict[str, Coded]) -> Levels:
    """What is constant within every configuration, and not the same for all: factors."""
    levels: Levels = {name: {} for name in configuration.names}
    for factor, column in factors.items():
        pairs = np.unique(configuration.codes.astype(np.int64) * len(column.names) + column.codes)
        # As many pairs as configurations: each has one level.
        if len(pairs) != len(configuration.names) or len(column.names) < 2:
            continue
        for pair in pairs.tolist():
            position, level = divmod(pair, len(column.names))
            levels[configuration.names[position]][factor] = column.names[level]
    return levels


def _columns(frame: pd.DataFrame, roles: Roles) -> dict[str, Coded]:
    """The columns of names but for the configuration; what there is not is the empty name."""
    named = {role: getattr(roles, role) for role in ROLES if role != "configuration"}
    empty = Coded.constant("", len(frame))
    columns = {role: coded(frame[name]) if name else empty for role, name in named.items()}
    # A case may be called NA; of a group, a fold or a repeat it says that there is none.
    for role in ("repeat", "fold", "group"):
        names = ["" if name in EMPTY else name for name in columns[role].names]
        columns[role] = Coded.of(columns[role].codes, names)
    return columns


def _metric_of_columns(
    text: Text, scores: Sequence[str], options: ScoreOptions, *, alone: bool
) -> str | None:
    """What the scores of all columns are called, where every one says so beside the name of a model: ``unet_hd95``.

    Raises:
        DataError: columns that are not stated are metrics, or some of them say so and others do not.
    """
    named = {name: named_score(name) for name in scores}
    measures = [name for name in scores if named[name].measure]
    beside = all(named[name].rest for name in measures)
    kinds = {named[name].measure for name in measures}
    if len(measures) == len(scores) and beside and len(kinds) == 1:
        words = (re.split(r"[\W_]+", name)[::-1] for name in scores)
        same = takewhile(lambda column: len(set(column)) == 1, zip(*words, strict=False))
        ending = "_".join([column[0] for column in same][::-1])
        if TRAINED_BY & {word for kind in kinds for word in kind.split()} and not (
            options.score or options.metric
        ):
            what = f"the columns {some(measures)} tell what they score by, or what models were trained by"
            cure = f"Say what the scores are: --metric {ending or kinds.pop()}, or --metric dice."
            raise DataError(what, where=text.name, cure=cure)
        return ending if named_score(ending).measure in kinds else kinds.pop()
    if options.score or not measures:
        return None
    cure = f"Name the one to judge: --score {measures[0]}."
    if alone:
        cure = "Add a column configuration and name the scores with --score; or give one such file per configuration. "
        # Models may be called like measures: mae is a network, too.
        cure += "If these columns are configurations, name each with --score. " + WHY_CASES
    what = f"the columns {some(measures)} are metrics, and not configurations"
    raise DataError(what, where=text.name, cure=cure)


def _wide(
    text: Text, roles: Roles, scores: Sequence[str], options: ScoreOptions, called: str, metric: str | None
) -> tuple[Piece, str, str | None]:
    """A column of scores for each configuration, which is called like it; a single one is `called` by the file."""
    roles = replace(roles, score=tuple(scores))
    if roles.case is None:
        texts = [name for name in text.columns if name not in roles.taken and not text.numeric(name)]
        if not texts and len(scores) == 1:
            raise _no_case(text, roles)
        # Without any name, a running number is one: it is the same in other tables of these cases.
        counters = [name for name in text.columns if name not in scores and counts_rows(text, name)]
        roles = replace(roles, case=next(iter((*texts, *counters)), None))
    names = [name for name in text.columns if name in roles.taken and name not in scores]
    frame, lines = load(text, names, scores)
    frame, lines, of_rows = _selected(text, frame, lines, roles, options)
    columns = _columns(frame, roles)
    if roles.case is None:  # a row is a case, of which nothing but its place is known
        columns["case"] = Coded.of(np.arange(len(frame)), [str(line) for line in lines])
    n, C = len(frame), len(scores)
    configurations = scores if C > 1 else (called,)
    piece = Piece(
        file=text.name,
        columns={role: Coded(np.tile(column.codes, C), column.names) for role, column in columns.items()}
        | {"configuration": Coded.of(np.repeat(np.arange(C, dtype=np.int32), n), configurations)},
        score=frame[list(scores)].to_numpy(np.float64).T.ravel(),
        lines=np.tile(lines, C),
    )
    if C == 1:
        return piece, _in_words(text, roles, f"one row per case of {called}"), of_rows or scores[0]
    layout = f"one row per case, one column per configuration ({C})"
    return piece, _in_words(text, replace(roles, score=()), layout, set(scores)), of_rows or metric


def _in_words(text: Text, roles: Roles, layout: str, used: Collection[str] = ()) -> str:
    """What was recognised, so that nobody is judged by a column that was guessed silently."""
    pairs = [("configuration", ", ".join(roles.configuration)), ("case", roles.case)]
    pairs += [("score", ", ".join(roles.score)), ("repeat", roles.repeat), ("fold", roles.fold)]
    pairs += [("group", roles.group), ("task", roles.task), ("metric", roles.measure)]
    listed = ", ".join(role if role == name else f"{role} from {name!r}" for role, name in pairs if name)
    idle = [name for name in text.columns if name not in {*roles.taken, *used}]
    signs = any(text.in_percent(name) for name in {*roles.score, *used})
    parts = [layout, listed, f"not used: {some(idle)}" if idle else "", "80 % is read as 80" if signs else ""]
    return f"{text.name}: {'; '.join(part for part in parts if part)}"
