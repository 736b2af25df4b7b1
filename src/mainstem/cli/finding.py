"""What ``mainstem doctor`` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["ok", "note", "warning", "broken"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at one thing found.

    Attributes:
        name: What was looked at.
        level: How it is: ``broken`` if durable runs cannot do with it.
        text: What was found, and what to do.
    """

    name: str
    level: Level
    text: str
