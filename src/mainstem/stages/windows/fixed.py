"""Tumbling and sliding windows that are open: each lies at a number on a regular grid."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from math import floor
from typing import Any, TypeAlias

from mainstem.stages.combiner import Combiner
from mainstem.stages.record_calls import Failure
from mainstem.stages.windows.event_time import EventTimes, TimeRangeError
from mainstem.stages.windows.kinds import SlidingWindow, TumblingWindow, Window
from mainstem.stages.windows.open import OpenWindows, Pane, Row, failure_of_record


class Grid:
    """Where the windows lie: number ``n`` starts ``n`` steps after the origin.

    A bound is computed from its number, never from the bound before it, so that rounded floats do not drift.
    """

    def __init__(self, kind: TumblingWindow[Any] | SlidingWindow[Any], times: EventTimes) -> None:
        self._times = times
        spans: dict[str, Any] = vars(kind)  # all timedeltas or all numbers, which their types do not say
        self._size = size = spans["size"]
        self._step = step = spans.get("every", size)
        self._offset = spans.get("offset")
        self._steps = None if size % step else int(size // step)
        """How many steps a window is long, if it is a whole number of them."""
        self._whole = isinstance(step, int) and isinstance(self._offset, int | None)

    def start(self, number: int) -> Any:
        distance = number * self._step
        return self._times.origin + (distance if self._offset is None else distance + self._offset)

    def end(self, number: int) -> Any:
        if self._steps is not None:
            return self.start(number + self._steps)
        # Of rounded floats the sum may fall short of the next start, and a record between them into no window.
        return max(self._times.origin + (number * self._step + self._size), self.start(number + 1))

    def guess(self, time: Any) -> int:
        """Return the number of the last window that has begun at ``time``; with a step of floats it may be one off."""
        if self._whole:
            return int((floor(time) - (self._offset or 0)) // self._step)  # a large float divided would be rounded
        distance = time - self._times.origin
        return int((distance if self._offset is None else distance - self._offset) // self._step)

    def around(self, time: Any, guess: int) -> tuple[Any, Any, list[int]]:
        """Find the windows that ``time`` is in.

        Returns:
            Two bounds, such that every time from the first and before the second is in the same windows, and their
            numbers, the last first.

        Raises:
            TimeRangeError: If floats are too coarse there to tell windows apart.
            OverflowError: If a datetime cannot hold the bounds.
        """
        for number in (guess, guess - 1, guess + 1):
            low, high = self.start(number), self.start(number + 1)
            if low <= time < high:
                break
        else:
            raise TimeRangeError(f"the timestamp {time} is too large for windows at a distance of {self._step}")
        numbers = [number]
        while (end := self.end(number - 1)) > time:
            number -= 1
            numbers.append(number)
        return max(low, end), min(high, self.end(number)), numbers


class _OpenWindow(dict[Hashable, Pane]):
    """The panes of one window, by key, in the order in which the keys first appeared."""

    __slots__ = ("end", "start")

    def __init__(self, start: Any, end: Any) -> None:
        super().__init__()
        self.start = start
        self.end = end


_Area: TypeAlias = tuple[Any, Any, list[_OpenWindow], Any]
"""Two times, the open windows of every time from the first and before the second, and the end of the last of them."""


class FixedWindows(OpenWindows):
    """The open tumbling or sliding windows of one run.

    Args:
        kind: The kind of window.
        times: The run's timestamps.
        combiner: What to make of the records of a window.
        lateness: How far the watermark stays behind the greatest timestamp.
    """

    def __init__(
        self,
        kind: TumblingWindow[Any] | SlidingWindow[Any],
        times: EventTimes,
        combiner: Combiner[Any, Any, Any],
        lateness: Any,
    ) -> None:
        super().__init__(times, combiner, lateness)
        self._grid = Grid(kind, times)
        self._open: dict[int, _OpenWindow] = {}
        """By number."""
        self._numbers: list[int] = []
        """The numbers of the open windows, as a heap."""

    def take(self, rows: Iterator[Row], failed: list[Failure]) -> bool:
        areas: dict[int, _Area] = {}
        low: Any = None
        high: Any = None
        windows: list[_OpenWindow] = []
        newest, due, touched, guess = self._newest, self._due, self._touched, self._grid.guess
        position = 0
        try:
            for position, time, key, record in rows:
                if not windows or not low <= time < high:
                    number = guess(time)
                    area = areas.get(number)
                    if area is None or not area[0] <= time < area[1]:
                        area = areas[number] = self._area(time, number)
                        due = self._due
                    low, high, windows, last_end = area
                    if not windows:
                        failed.append((position, self._too_late(time, last_end)))
                        continue
                for window in windows:
                    pane = window.get(key)
                    if pane is None:
                        pane = self._added(window, key)
                    if not pane.waiting:
                        touched.append(pane)
                    pane.waiting.append(record)
                if newest is None or time > newest:
                    newest = self._newest = time
                    if due is not None and newest >= due:
                        return True
        except Exception as error:
            failed.append((position, failure_of_record(error)))
            return True
        return False

    def _area(self, time: Any, guess: int) -> _Area:
        low, high, numbers = self._grid.around(time, guess)
        windows: list[_OpenWindow] = []
        for number in numbers:
            window = self._open.get(number)
            if window is None:
                end = self._grid.end(number)
                if self._is_closed(end):
                    break  # those before it are closed as well
                window = self._open[number] = _OpenWindow(self._grid.start(number), end)
                heapq.heappush(self._numbers, number)
                self._set_due()
            windows.append(window)
        return low, high, windows, self._grid.end(numbers[0])

    def _added(self, window: _OpenWindow, key: Hashable) -> Pane:
        pane = Pane(key, window.start, window.end)
        self._create(pane)
        window[key] = pane
        return pane

    def _set_due(self) -> None:
        self._due = self._closes_at(self._open[self._numbers[0]].end) if self._numbers else None

    def close(self) -> list[Window[Any, Any, Any]]:
        output: list[Window[Any, Any, Any]] = []
        while self._numbers and self._is_closed(self._open[self._numbers[0]].end):
            output += self._close_next()
        self._set_due()
        return output

    def close_all(self) -> list[Window[Any, Any, Any]]:
        output: list[Window[Any, Any, Any]] = []
        while self._numbers:
            output += self._close_next()
        self._set_due()
        return output

    def _close_next(self) -> list[Window[Any, Any, Any]]:
        return [self._window(pane) for pane in self._open.pop(heapq.heappop(self._numbers)).values()]

    def snapshot(self) -> dict[str, Any]:
        windows = [
            [number, [[pane.key, *self._held(pane)] for pane in self._open[number].values()]]
            for number in sorted(self._numbers)
        ]
        return {"newest": self._newest, "windows": windows}

    def restore(self, snapshot: dict[str, Any]) -> None:
        self._newest = snapshot["newest"]
        self._open = {}
        for number, panes in snapshot["windows"]:
            window = self._open[number] = _OpenWindow(self._grid.start(number), self._grid.end(number))
            for key, count, held in panes:
                pane = window[key] = Pane(key, window.start, window.end)
                pane.count, pane.held = count, self._copy(held)
        self._numbers = sorted(self._open)
        self._set_due()
