"""What goes wrong in a durable run: kept per stage until its batch is committed, and in a tail of bounded length."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self, SupportsIndex

from mainstem.context import StageError

RECENT = 1000
"""How many of the latest errors ``context.errors`` of a run with a store holds, at least; at most twice as many."""


class RecentErrors(list[StageError]):
    """The latest errors of a run; older ones are in its store.

    Attributes:
        total: How many there were in all.
    """

    def __init__(self, total: int = 0) -> None:
        super().__init__()
        self.total = total

    def append(self, entry: StageError, /) -> None:
        super().append(entry)
        self.total += 1
        if len(self) >= 2 * RECENT:
            del self[:RECENT]

    def extend(self, entries: Iterable[StageError], /) -> None:
        for entry in entries:
            self.append(entry)

    def __iadd__(self, entries: Iterable[StageError], /) -> Self:  # type: ignore[misc, override]  # as with any list
        self.extend(entries)
        return self


class StageErrors(list[StageError]):
    """What went wrong in one stage since the last barrier; handed on to the errors of the run as well.

    Args:
        of_run: The errors of the run.
    """

    def __init__(self, of_run: list[StageError]) -> None:
        super().__init__()
        self._of_run = of_run

    def take(self) -> list[StageError]:
        """Return them, and forget them."""
        taken = list(self)
        self.clear()
        return taken

    def append(self, entry: StageError, /) -> None:
        super().append(entry)
        self._of_run.append(entry)

    def extend(self, entries: Iterable[StageError], /) -> None:
        for entry in entries:
            self.append(entry)

    def __iadd__(self, entries: Iterable[StageError], /) -> Self:  # type: ignore[misc, override]  # as with any list
        self.extend(entries)
        return self

    def __setitem__(self, at: SupportsIndex | slice, entry: StageError | Iterable[StageError], /) -> None:
        if not isinstance(at, slice) and isinstance(entry, StageError):
            before = self[at]
            place = next(
                (number for number in reversed(range(len(self._of_run))) if self._of_run[number] is before), -1
            )
            if place >= 0:
                self._of_run[place] = entry
        super().__setitem__(at, entry)  # type: ignore[index, assignment]  # pyright: ignore[reportArgumentType, reportCallIssue]  # one of its two forms
