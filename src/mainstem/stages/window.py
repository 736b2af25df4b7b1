"""``WindowStage``: records into windows of event time."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from typing import Any, Generic, overload

from typing_extensions import TypeVar

from mainstem.stages.combiner import Combiner
from mainstem.stages.keyed import answer_hint, checked_combiner, plain_function
from mainstem.stages.windows.kinds import SessionWindow, SlidingWindow, TumblingWindow, Window, WindowKind, check_span
from mainstem.stateful import StageState, StatefulStage
from mainstem.type_hints import function_hints, iterable_of, list_of

Record_contra = TypeVar("Record_contra", contravariant=True)
Key_co = TypeVar("Key_co", covariant=True)
Value_co = TypeVar("Value_co", covariant=True)
Time_co = TypeVar("Time_co", covariant=True)
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
R = TypeVar("R")
Time = TypeVar("Time")


class WindowStage(
    StatefulStage[Record_contra, Window[Key_co, Value_co, Time_co]],
    Generic[Record_contra, Key_co, Value_co, Time_co],
):
    """Group the records into windows of the time at which they happened, and aggregate each window.

    The watermark is the greatest timestamp so far minus ``allowed_lateness``: records may come that much out of order.
    It moves record by record. A window is given once, when the watermark has passed its end, or at the end of the
    input; windows come ordered by end, then start, then which appeared first.

    A record is too late if all its windows have closed. It is recorded in ``context.errors`` as a
    ``LateRecordError``, counts as failed, and never fails the stage. A sliding window's record that is too late for
    some of its windows goes into the others.

    In a window the records are in the order in which they came; where one joins two sessions, those of the earlier
    session come first. A combiner that raises fails the stage, for its accumulator may be half changed.

    Args:
        window: ``TumblingWindow``, ``SlidingWindow`` or ``SessionWindow``.
        timestamp: Gives a record's time: a datetime if the window is measured in timedeltas, else a number. Datetimes
            must all be aware or all be naive; the bounds of windows of aware ones are in UTC.
        combiner: What to make of the records of a window; a list of them by default.
        key: Gives a record's key, hashable: each key has windows of its own.
        allowed_lateness: How far the watermark stays behind: a timedelta, or a number; not at all by default.
        continue_on_error: Whether to record records without a usable timestamp or key, and go on without them.
        name: The stage's name in reports.

    Raises:
        TypeError: If ``window`` is no kind of window, a function cannot be called or is async, ``combiner`` is no
            combiner, or ``allowed_lateness`` is not measured as the window is.
        ValueError: If ``allowed_lateness`` is negative or not finite.

    Source: Flink's bounded out-of-orderness watermarks and merging session windows; Beam's ``WindowInto`` with the
    default trigger and no allowed lateness after the watermark.

    Example:
        >>> from mainstem import Pipeline, Sum
        >>> sales = [(1, 10), (3, 5), (62, 7)]  # second, amount
        >>> def second(sale: tuple[int, int]) -> int:
        ...     return sale[0]
        >>> per_minute = WindowStage(TumblingWindow(60), second, Sum(of=lambda sale: sale[1]))
        >>> for window in Pipeline("sales").add_stage(per_minute).run(sales).data:
        ...     print(window.start, window.end, window.value)
        0 60 15
        60 120 7
    """

    @overload
    def __init__(
        self: WindowStage[T, None, list[T], Time],
        window: WindowKind[Time],
        timestamp: Callable[[T], Time],
        combiner: None = None,
        *,
        key: None = None,
        allowed_lateness: timedelta | float | None = None,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: WindowStage[T, K, list[T], Time],
        window: WindowKind[Time],
        timestamp: Callable[[T], Time],
        combiner: None = None,
        *,
        key: Callable[[T], K],
        allowed_lateness: timedelta | float | None = None,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: WindowStage[T, None, R, Time],
        window: WindowKind[Time],
        timestamp: Callable[[T], Time],
        combiner: Combiner[T, R, Any],
        *,
        key: None = None,
        allowed_lateness: timedelta | float | None = None,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: WindowStage[T, K, R, Time],
        window: WindowKind[Time],
        timestamp: Callable[[T], Time],
        combiner: Combiner[T, R, Any],
        *,
        key: Callable[[T], K],
        allowed_lateness: timedelta | float | None = None,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    def __init__(
        self,
        window: WindowKind[Any],
        timestamp: Callable[[Any], Any],
        combiner: Combiner[Any, Any, Any] | None = None,
        *,
        key: Callable[[Any], Hashable] | None = None,
        allowed_lateness: timedelta | float | None = None,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None:
        if not isinstance(window, (TumblingWindow, SlidingWindow, SessionWindow)):
            raise TypeError(
                "window of WindowStage must be TumblingWindow(...), SlidingWindow(...) or SessionWindow(...), "
                f"not {window!r}"
            )
        self._window = window
        self._timestamp = plain_function(timestamp, "timestamp of WindowStage")
        self._key = None if key is None else plain_function(key, "key of WindowStage")
        self._combiner = None if combiner is None else checked_combiner(combiner, "combiner of WindowStage")
        self._lateness = _checked_lateness(allowed_lateness, in_datetimes=window.in_datetimes)
        self._continue_on_error = continue_on_error
        if name is not None:
            self.name = name

    def _hints(self) -> tuple[Any, Any]:
        taken, _ = function_hints(self._timestamp.call)
        time = datetime if self._window.in_datetimes else float
        key: Any = None if self._key is None else function_hints(self._key.call)[1]
        value = list_of(taken) if self._combiner is None else answer_hint(self._combiner)
        given: Any = Window
        return iterable_of(taken), list_of(given[key, value, time])

    def begin(self) -> StageState[Record_contra, Window[Key_co, Value_co, Time_co]]:
        # Only runs need these modules: without them importing mainstem is quicker.
        from mainstem.stages.windows.state import WindowState, open_windows

        times, windows = open_windows(self._window, self._combiner, self._lateness)
        return WindowState(self.name, self._timestamp, self._key, times, windows, go_on=self._continue_on_error)


def _checked_lateness(lateness: timedelta | float | None, *, in_datetimes: bool) -> timedelta | float:
    if lateness is None:
        return timedelta(0) if in_datetimes else 0
    check_span("allowed_lateness", lateness, at_least=0)
    if isinstance(lateness, timedelta) is not in_datetimes:
        raise TypeError(
            f"allowed_lateness must be a {'timedelta' if in_datetimes else 'number'}, as the window's size is, "
            f"not {lateness!r}"
        )
    return lateness
