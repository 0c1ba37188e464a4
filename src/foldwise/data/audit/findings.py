"""What the audit says of images, labels and masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that the audit found, said to a newcomer.

    Attributes:
        code: names the kind of finding, e.g. ``near_duplicates``.
        severity: an error stops the study, a warning may make its answer wrong, a note is good to know.
        message: what was found, in which files.
        cases: names of all cases concerned; the message names the first few.
        cure: what to do about it.
        alike: of copies, the names of those that show one picture, a set each.
        choices: what a study may state to settle it, as `FoldwiseError` has them; the safest first.
    """

    code: str
    severity: Severity
    message: str
    cases: tuple[str, ...]
    cure: str
    alike: tuple[tuple[str, ...], ...] = ()
    choices: tuple[str, ...] = ()
