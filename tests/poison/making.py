"""What makes the records of a cell: a module of its own, so that worker processes import no more than it needs."""

from __future__ import annotations

from typing import Any

from tests.connect.poison import POSITIONS, RECORDS, good

KINDS = {poison.name: poison for poison in RECORDS}


class PoisonMaker:
    """Makes the records of a cell of their numbers: a function that worker processes can be sent."""

    def __init__(self, kind: str, position: str) -> None:
        self._kind, self._where = kind, frozenset(POSITIONS[position])

    def __call__(self, number: dict[str, int]) -> Any:
        at = number["number"]
        return KINDS[self._kind].make(at) if at in self._where else good(at)
