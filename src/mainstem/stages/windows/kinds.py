"""Windows in event time: the kinds of window, and what is given for one.

Where the windows of each kind lie follows from the timestamps alone, not from when the records arrive.

Source: Apache Flink's window assigners, Apache Beam's ``WindowFn`` (fixed, sliding, sessions).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from numbers import Real
from typing import Any, Generic, overload

from typing_extensions import TypeVar

K_co = TypeVar("K_co", covariant=True, default=Any)
R_co = TypeVar("R_co", covariant=True, default=Any)
Time_co = TypeVar("Time_co", covariant=True, default=datetime)
Time = TypeVar("Time", default=datetime)


@dataclass(frozen=True, slots=True)
class Window(Generic[K_co, R_co, Time_co]):
    """What ``WindowStage`` gives for one window of one key.

    Attributes:
        start: The window's start. It holds the records with ``start <= timestamp < end``.
        end: Its end, which is no longer in it. For a session: the last timestamp plus the gap.
        key: The key; ``None`` without keys.
        value: What the combiner made of the records; without a combiner the list of them.
        records: How many records are in it.

    Example:
        >>> Window(start=0, end=60, key="berlin", value=21.5, records=3).value
        21.5
    """

    start: Time_co
    end: Time_co
    key: K_co
    value: R_co
    records: int


class WindowKind(Generic[Time]):
    """Base of the kinds of window: ``TumblingWindow``, ``SlidingWindow``, ``SessionWindow``."""

    @property
    def in_datetimes(self) -> bool:
        """Whether its timestamps are datetimes, not numbers."""
        return any(isinstance(span, timedelta) for span in vars(self).values())


@dataclass(frozen=True, init=False)
class TumblingWindow(WindowKind[Time]):
    """Windows of one size, side by side: each record is in exactly one.

    Window number ``n`` starts at ``offset + n * size`` after the Unix epoch (in UTC, if the timestamps are aware), or
    after 0. Bounds are exact for datetimes and whole numbers; with floats each is rounded once and does not drift.

    Args:
        size: Their size: a ``timedelta`` if the timestamps are datetimes, else a number.
        offset: How far the windows are shifted; not at all by default. Days of a zone at UTC+2 begin at
            ``timedelta(hours=-2)``.

    Raises:
        TypeError: If ``size`` and ``offset`` are not both timedeltas or both numbers.
        ValueError: If ``size`` is not positive, or one of them not finite.

    Example:
        >>> TumblingWindow(timedelta(minutes=5))
        TumblingWindow(size=datetime.timedelta(seconds=300), offset=None)
    """

    size: timedelta | float
    offset: timedelta | float | None

    @overload
    def __init__(self: TumblingWindow[datetime], size: timedelta, *, offset: timedelta | None = None) -> None: ...
    @overload
    def __init__(self: TumblingWindow[float], size: float, *, offset: float | None = None) -> None: ...
    def __init__(self, size: timedelta | float, *, offset: timedelta | float | None = None) -> None:
        check_span("size of TumblingWindow", size)
        if offset is not None:
            check_span("offset of TumblingWindow", offset, at_least=None)
            _check_alike("size and offset of TumblingWindow", size, offset)
        _set(self, size=size, offset=offset)


@dataclass(frozen=True, init=False)
class SlidingWindow(WindowKind[Time]):
    """Windows of one size that begin at regular distances and overlap: each record is in all those that cover it.

    Window number ``n`` starts at ``n * every`` after the Unix epoch (in UTC, if the timestamps are aware), or after 0.

    Args:
        size: Their size: a ``timedelta`` if the timestamps are datetimes, else a number.
        every: The distance from one start to the next, at most ``size``.

    Raises:
        TypeError: If ``size`` and ``every`` are not both timedeltas or both numbers.
        ValueError: If one of them is not positive and finite, or ``every`` is larger than ``size``: the records
            between the windows would get lost.

    Example:
        >>> SlidingWindow(60, every=15)
        SlidingWindow(size=60, every=15)
    """

    size: timedelta | float
    every: timedelta | float

    @overload
    def __init__(self: SlidingWindow[datetime], size: timedelta, every: timedelta) -> None: ...
    @overload
    def __init__(self: SlidingWindow[float], size: float, every: float) -> None: ...
    def __init__(self, size: Any, every: Any) -> None:
        check_span("size of SlidingWindow", size)
        check_span("every of SlidingWindow", every)
        _check_alike("size and every of SlidingWindow", size, every)
        if every > size:
            raise ValueError(
                f"every of SlidingWindow must be at most its size, and {every} is more than {size}: records between "
                "the windows would get lost"
            )
        _set(self, size=size, every=every)


@dataclass(frozen=True, init=False)
class SessionWindow(WindowKind[Time]):
    """Windows of activity: a session of a key lasts until nothing more comes for ``gap``.

    A record ``gap`` or more after the last one begins a new session. A record that arrives later and lies between two
    open sessions joins them into one.

    Args:
        gap: How long: a ``timedelta`` if the timestamps are datetimes, else a number.

    Raises:
        TypeError: If ``gap`` is neither.
        ValueError: If it is not positive and finite.

    Example:
        >>> SessionWindow(timedelta(minutes=30))
        SessionWindow(gap=datetime.timedelta(seconds=1800))
    """

    gap: timedelta | float

    @overload
    def __init__(self: SessionWindow[datetime], gap: timedelta) -> None: ...
    @overload
    def __init__(self: SessionWindow[float], gap: float) -> None: ...
    def __init__(self, gap: timedelta | float) -> None:
        check_span("gap of SessionWindow", gap)
        _set(self, gap=gap)


def check_span(what: str, span: object, *, at_least: int | None = 1) -> None:
    """Check that ``span`` is a ``timedelta`` or a number.

    Args:
        what: What to call it in an error.
        span: What is given.
        at_least: 1 if it must be positive, 0 if it may be zero, ``None`` if it may be anything.

    Raises:
        TypeError: If it is neither.
        ValueError: If it is not finite, or less than it may be.
    """
    least: timedelta | float = 0
    if isinstance(span, timedelta):
        least = timedelta(0)
    elif isinstance(span, bool) or not isinstance(span, Real):
        raise TypeError(f"{what} must be a timedelta (for datetime timestamps) or a number, not {span!r}")
    elif not isfinite(span):
        raise ValueError(f"{what} must be finite, not {span!r}")
    given: Any = span
    if at_least == 1 and not given > least:
        raise ValueError(f"{what} must be positive, not {span!r}")
    if at_least == 0 and given < least:
        raise ValueError(f"{what} must not be negative, and is {span!r}")


def _check_alike(what: str, left: object, right: object) -> None:
    if isinstance(left, timedelta) != isinstance(right, timedelta):
        raise TypeError(f"{what} must both be timedeltas or both be numbers, not {left!r} and {right!r}")


def _set(kind: WindowKind[Any], **spans: object) -> None:
    for name, span in spans.items():
        object.__setattr__(kind, name, span)  # it is frozen
