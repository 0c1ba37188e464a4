"""Times, counts, lists and long names in words, and the form in which names are compared."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Collection, Iterable


def duration(seconds: float) -> str:
    """Seconds in words, as exactly as they matter: ``0.4 s``, ``12 s``, ``3 min 20 s``, ``12 min``, ``2 h 5 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{round(seconds)} s"
    whole = round(seconds)
    if whole < 600:
        return _two_units(whole // 60, "min", whole % 60, "s")
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return _two_units(minutes // 60, "h", minutes % 60, "min")
    hours = round(seconds / 3600)
    return _two_units(hours // 24, "d", hours % 24, "h")


def takes(seconds: float, *, at_most: bool = False) -> str:
    """How long something will take, as well as that is known: ``about 3 min``, ``at most 3 min``, ``less than a minute``.

    Starting a worker takes seconds that no estimate has, so that a part of a minute means little.
    """
    return (
        f"{'at most' if at_most else 'about'} {duration(seconds)}" if seconds >= 60 else "less than a minute"
    )


def _two_units(large: int, unit: str, small: int, smaller: str) -> str:
    parts = (f"{number} {name}" for number, name in ((large, unit), (small, smaller)) if number)
    return " ".join(parts)


def count(number: int, noun: str, plural: str | None = None, *, separator: str = ",") -> str:
    """``1 fold``, ``2 folds``, ``2 passes``, ``12,000 images``; with a verb in both, ``1 image has``.

    Args:
        number: how many.
        noun: of one.
        plural: of none and of many; an s (or es) is added where None.
        separator: of thousands.
    """
    several = plural or f"{noun}{'es' if noun.endswith('s') else 's'}"
    grouped = f"{number:,}".replace(",", separator)
    return f"{grouped} {noun if number == 1 else several}"


def of_images(number: int, total: int) -> str:
    """``3 of 10 images have``."""
    return f"{number:,} of {count(total, 'image')} {'has' if number == 1 else 'have'}"


def some(names: Iterable[str], limit: int = 5) -> str:
    """The first few names, and how many more there are."""
    listed = list(names)
    text = ", ".join(listed[:limit])
    return f"{text} and {len(listed) - limit} more" if len(listed) > limit else text


def size(num_bytes: float) -> str:
    """Bytes in the unit that fits: ``12.0 GB``, ``340 MB``, ``8 kB``."""
    unit, name = (1e9, "GB") if num_bytes >= 1e9 else (1e6, "MB") if num_bytes >= 1e6 else (1e3, "kB")
    return f"{num_bytes / unit:,.{1 if name == 'GB' else 0}f} {name}"


def in_shell(path: object) -> str:
    """A path as it is typed at a shell, in quotes where it holds more than plain letters: for commands that are copied."""
    return shlex.quote(str(path))


def listed(names: Collection[str], noun: str, plural: str, rest: str) -> str:
    """How many there are, what is said of them, and the first few: ``2 images have no row: a.png, b.png``."""
    return f"{count(len(names), noun, plural)} {rest}: {some(names)}"


def natural(name: str) -> tuple[object, ...]:
    """A sort key by which ``gel_2`` comes before ``gel_10``; the name itself breaks ties.

    Any two names can be compared: words and numbers alternate, and the name is no part of that row.
    """
    parts = re.split(r"([0-9]+)", name.casefold())
    # By length first, as numbers without leading zeros are; Python makes no integer of thousands of digits.
    digits = ((len(part.lstrip("0")), part.lstrip("0")) for part in parts[1::2])
    return tuple(part if k % 2 == 0 else next(digits) for k, part in enumerate(parts)), name


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


def composed(name: str) -> str:
    """A name in the one form of Unicode by which names are compared: macOS and others spell ``ä`` in two ways."""
    return unicodedata.normalize("NFC", name)


def in_text(title: str) -> str:
    """A title within a sentence: ``pixel accuracy``, but ``IoU per image``, ``F1`` and ``Dice per image``."""
    first = title.split(maxsplit=1)[0].rstrip(",")
    stays = (
        first in ("Dice", "Brier", "Hausdorff", "Matthews", "Cohen's")
        or not first[1:].replace("-", "").islower()
    )
    return title if stays else title[0].lower() + title[1:]
