"""Windows that are open: records go in, and windows come out when the watermark has passed their end.

A record that is not taken does not move the watermark. Between two closings the records of a chunk are only sorted into
lists; the combiner gets each list in one call, at the end of the chunk or when the window closes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator
from copy import deepcopy
from typing import Any, TypeAlias

from mainstem.errors import LateRecordError, add_note_once
from mainstem.stages.combiner import Combiner
from mainstem.stages.record_calls import Failure
from mainstem.stages.windows.event_time import EventTimes, too_far_out
from mainstem.stages.windows.kinds import Window

Row: TypeAlias = tuple[int, Any, Hashable, Any]
"""Position, timestamp, key and record."""


class CombinerRaised(Exception):  # noqa: N818 - it carries an error out of the loop over the records
    """A combiner of the user's raised; ``error`` is what."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(type(error)))
        self.error = error


def failure_of_record(error: Exception) -> Exception:
    """Return the failure of the record at which ``error`` was raised, unless it was not the record's.

    Raises:
        CombinerRaised: If the error is one.
    """
    if isinstance(error, CombinerRaised):
        raise error
    return too_far_out(error) if isinstance(error, OverflowError) else error


class Collect(Combiner[Any, list[Any], list[Any]]):
    """The records as they are, in a list: what windows hold without a combiner."""

    def create(self) -> list[Any]:
        return []

    def add(self, accumulator: list[Any], record: Any) -> list[Any]:
        return self.add_all(accumulator, (record,))

    def add_all(self, accumulator: list[Any], records: Any) -> list[Any]:
        accumulator.extend(records)
        return accumulator

    def merge(self, left: list[Any], right: list[Any]) -> list[Any]:
        left.extend(right)
        return left

    def finish(self, accumulator: list[Any]) -> list[Any]:
        return accumulator


class Pane:
    """The records of one key in one window: those of the chunk in ``waiting``, those before it in ``held``."""

    __slots__ = ("count", "end", "held", "key", "start", "waiting")

    def __init__(self, key: Hashable, start: Any, end: Any) -> None:
        self.key = key
        self.start = start
        self.end = end
        self.held: Any = None
        self.count = 0
        self.waiting: list[Any] = []


class OpenWindows(ABC):
    """The open windows of one run.

    Args:
        times: Its timestamps.
        combiner: What to make of the records of a window.
        lateness: How far the watermark stays behind the greatest timestamp.
    """

    def __init__(self, times: EventTimes, combiner: Combiner[Any, Any, Any], lateness: Any) -> None:
        self._times = times
        self._combiner = combiner
        self._lateness = lateness
        self._newest: Any = None
        """The greatest timestamp of a record that was taken."""
        self._due: Any = None
        """The timestamp at which the next window may have to be closed; ``None`` for none."""
        self._touched: list[Pane] = []
        """The panes that have records waiting."""

    @abstractmethod
    def take(self, rows: Iterator[Row], failed: list[Failure]) -> bool:
        """Put records into their windows, until there are no more or windows are due.

        A record that is too late, or whose key or timestamp is of no use, is added to ``failed``.

        Returns:
            Whether there may be more, once ``close`` has been called.

        Raises:
            CombinerRaised: If the combiner did.
        """

    @abstractmethod
    def close(self) -> list[Window[Any, Any, Any]]:
        """Close the windows that the watermark has passed, and return them, by end, start and first appearance.

        Raises:
            CombinerRaised: If the combiner did.
        """

    @abstractmethod
    def close_all(self) -> list[Window[Any, Any, Any]]:
        """Close the windows that are left, as ``close`` does."""

    @abstractmethod
    def snapshot(self) -> dict[str, Any]:
        """Return the state between two chunks as plain values."""

    @abstractmethod
    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take over the state that ``snapshot`` returned."""

    def add_waiting(self) -> None:
        """Hand the records of the chunk to the combiner.

        Raises:
            CombinerRaised: If the combiner did.
        """
        for pane in self._touched:
            if pane.waiting:
                self._add(pane)
        self._touched.clear()

    def _add(self, pane: Pane) -> None:
        records, pane.waiting = pane.waiting, []
        try:
            pane.held = self._combiner.add_all(pane.held, records)
        except Exception as error:
            raise self._raised(error, pane) from error
        pane.count += len(records)

    def _create(self, pane: Pane) -> None:
        try:
            pane.held = self._combiner.create()
        except Exception as error:
            raise self._raised(error, pane) from error

    def _merge(self, left: Pane, right: Pane) -> None:
        for pane in (left, right):
            if pane.waiting:
                self._add(pane)
        try:
            left.held = self._combiner.merge(left.held, right.held)
        except Exception as error:
            raise self._raised(error, left) from error
        left.count += right.count

    def _window(self, pane: Pane) -> Window[Any, Any, Any]:
        if pane.waiting:
            self._add(pane)
        try:
            value = self._combiner.finish(pane.held)
        except Exception as error:
            raise self._raised(error, pane) from error
        return Window(pane.start, pane.end, pane.key, value, pane.count)

    def _raised(self, error: Exception, pane: Pane) -> CombinerRaised:
        name = type(self._combiner).__name__
        add_note_once(error, f"in combiner {name}, for the window from {pane.start} to {pane.end}")
        return CombinerRaised(error)

    def _closes_at(self, end: Any) -> Any:
        """Return the timestamp that closes a window; ``None`` if it is later than any can be."""
        try:
            return end + self._lateness
        except OverflowError:
            return None

    def _is_closed(self, end: Any) -> bool:
        if self._newest is None:
            return False
        closes_at = self._closes_at(end)
        return closes_at is not None and self._newest >= closes_at

    def _too_late(self, time: Any, end: Any) -> LateRecordError:
        watermark = self._newest - self._lateness  # it is no less than the end of a window: there is no overflow
        error = LateRecordError(
            f"the record is too late: its timestamp is {time}, and its window ended at {end}, which the watermark "
            f"({watermark}) has passed; to wait for such records, set allowed_lateness to more than "
            f"{self._newest - end}, or sort the input"
        )
        error.timestamp, error.watermark, error.window_end = time, watermark, end
        return error

    def _held(self, pane: Pane) -> tuple[int, Any]:
        """Return count and accumulator of a pane, in which nothing waits, so that they are shared with nobody."""
        return pane.count, self._copy(pane.held)

    def _copy(self, held: Any) -> Any:
        # A combiner may change its accumulators; the records in a list of them stay what they are.
        return list(held) if isinstance(self._combiner, Collect) else deepcopy(held)
