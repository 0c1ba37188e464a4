"""What is known of a fit that is planned, and an item that is to be: what the plan is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol


class Planned(Protocol):
    """What is known of a fit that is planned."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def needs(self) -> tuple[str, ...]:
        """What it needs."""

    @property
    def title(self) -> str:
        """For people."""

    @property
    def settings(self) -> dict[str, Any]:
        """Of the fit."""


@dataclass(frozen=True)
class Extra:
    """An item to be: all but its id."""

    kind: Literal["preview", "shallow", "aa_test", "robustness", "landscape", "measure"]
    needs: tuple[str, ...]
    title: str
    settings: dict[str, Any]
