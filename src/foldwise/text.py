"""Times, counts, lists and long names in words."""

from __future__ import annotations

import re
from collections.abc import Iterable


def duration(seconds: float) -> str:
    """Seconds in words, in the two units that matter: ``3 min 20 s``."""
    seconds = round(seconds)
    for unit, size, smaller, fraction in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if seconds >= size:
            rest = seconds % size // fraction
            return f"{seconds // size} {unit} {rest} {smaller}" if rest else f"{seconds // size} {unit}"
    return f"{seconds} s"


def count(number: int, noun: str) -> str:
    """``1 fold``, ``2 folds``, ``2 passes``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{'es' if noun.endswith('s') else 's'}"


def counted(number: int, singular: str, plural: str) -> str:
    """``1 image has`` or ``3 images have``: a number with its noun, and the verb where one follows."""
    return f"{number} {singular if number == 1 else plural}"


def some(names: Iterable[str], limit: int = 5) -> str:
    """The first few names, and how many more there are."""
    listed = list(names)
    text = ", ".join(listed[:limit])
    return f"{text} and {len(listed) - limit} more" if len(listed) > limit else text


def natural(name: str) -> tuple[object, ...]:
    """A sort key by which ``gel_2`` comes before ``gel_10``; the name itself breaks ties."""
    parts = re.split(r"(\d+)", name.casefold())
    return (*(int(part) if k % 2 else part for k, part in enumerate(parts)), name)


def broken(name: str, room: int) -> str:
    """The name of a configuration in lines of at most `room` columns, broken between its levels where that does."""
    lines = [""]
    for level in name.split(" · "):
        joined = f"{lines[-1]} · {level}" if lines[-1] else level
        if lines[-1] and len(joined) > room:
            lines.append(f"  · {level}")
        else:
            lines[-1] = joined
    return "\n".join(lines)
