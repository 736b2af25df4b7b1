"""A transaction in the database of a store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol


class Session(Protocol):
    """A transaction."""

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement, with ``?`` for its values, and return its rows."""
        ...

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Run a statement that gives no rows, and return how many rows it changed."""
        ...

    def run_each(self, statement: str, values: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each of many."""
        ...

    def now(self) -> float:
        """Return the time by the clock that all who use the store share, in seconds."""
        ...
