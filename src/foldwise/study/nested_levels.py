"""Nested levels: which levels of a factor are settings of one and the same thing, as `each` spells them out."""

from __future__ import annotations

from typing import Any

from foldwise.study.factors import NAME, Level, is_bundle, levels, named
from foldwise.study.spec import Choice, Training

Options = dict[str, Any]


def families(key: str, written: list[Any]) -> dict[str, str]:
    """Level -> what it is a setting of: itself, but for levels that one entry of the list was spelled out to.

    >>> families("optimizer", ["adam", {"sgd": {"lr": {"each": [0.1, 0.01]}}}])
    {'adam': 'adam', 'sgd (lr 0.1)': 'sgd', 'sgd (lr 0.01)': 'sgd'}
    """
    good = levels(key, written)[0]
    entries: dict[tuple[int, str], list[Level]] = {}
    for level in good:
        alone = isinstance(written[level.index], dict) and written[level.index].keys() == {"each"}
        entries.setdefault((level.index, level.name if alone else ""), []).append(level)
    if len(entries) < 2:  # all are settings of the same: these are what is compared
        return {level.name: level.name for level in good}
    short = {entry: _name(key, written[entry[0]], many, brief=True) for entry, many in entries.items()}
    told = list(short.values())
    names = {
        entry: one if told.count(one) == 1 else _name(key, written[entry[0]], entries[entry], brief=False)
        for entry, one in short.items()
    }
    return {level.name: names[entry] for entry, many in entries.items() for level in many}


def _name(key: str, raw: Any, many: list[Level], *, brief: bool) -> str:
    """What an entry is called; with the options that all its levels share where it must be told from another."""
    if len(many) == 1:
        return many[0].name
    if is_bundle(key, [raw]):
        same = {setting: value for setting, value in many[0].settings.items() if raw.get(setting) == value}
        return (
            str(raw[NAME]) if NAME in raw else named({setting: str(value) for setting, value in same.items()})
        )
    if Training.model_fields[key].annotation is not Choice:
        return " / ".join(level.name for level in many)
    chosen = [Choice.model_validate(level.settings[key]) for level in many]
    shared = {
        option: value
        for option, value in chosen[0].options.items()
        if all(option in one.options and one.options[option] == value for one in chosen)
    }
    return chosen[0].name if brief else str(Choice(name=chosen[0].name, options=shared))
