"""Timestamps of records, brought to one form in which any two compare exactly.

Aware datetimes are brought to UTC: two of one zone compare by their wall clocks, which is wrong where it is set back.
A chunk whose timestamps are in that form already, the usual case, is only looked at with a few calls at C speed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime, timezone
from math import isfinite
from numbers import Integral, Rational, Real
from operator import attrgetter
from typing import Any


class TimeRangeError(ValueError):
    """A timestamp lies where its windows cannot be told."""


def too_far_out(error: OverflowError) -> TimeRangeError:
    """Return what to say of a timestamp for which the bounds of a window could not be computed."""
    failure = TimeRangeError(
        "the timestamp is too far out: its window would reach beyond what datetimes or floats can hold"
    )
    failure.__cause__ = error
    return failure


class EventTimes(ABC):
    """The timestamps of one run.

    Attributes:
        aware: Whether they are aware datetimes; ``None`` while there was none.
    """

    aware: bool | None = None

    @property
    @abstractmethod
    def origin(self) -> Any:
        """The time from which windows are measured."""

    @abstractmethod
    def all_fit(self, times: Sequence[Any]) -> bool:
        """Say whether all are known to be in the one form already."""

    @abstractmethod
    def brought(self, time: Any) -> Any:
        """Return a timestamp in the one form.

        Raises:
            TypeError: If it is none, or none like the others.
            ValueError: If it is no time at all.
        """


class NumberTimes(EventTimes):
    """Numbers, such as seconds since some moment."""

    @property
    def origin(self) -> int:
        return 0

    def all_fit(self, times: Sequence[Any]) -> bool:
        kinds = set(map(type, times))
        if kinds <= {int}:
            return True
        return kinds == {float} and all(map(isfinite, times))

    def brought(self, time: Any) -> Any:
        if isinstance(time, bool) or not isinstance(time, Real):
            raise TypeError(_is_no("number", time, "the window is measured in numbers"))
        if isinstance(time, Rational):
            return int(time) if isinstance(time, Integral) else time
        number = float(time)
        if not isfinite(number):
            raise ValueError(f"the timestamp is {number}, which is no time")
        return number


_EPOCH = datetime(1970, 1, 1)  # naive, as the timestamps that are measured from it
_EPOCH_IN_UTC = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NO_ZONE = {id(None)}
_UTC = {id(timezone.utc)}
_zone_of = attrgetter("tzinfo")


class DatetimeTimes(EventTimes):
    """Datetimes, all aware or all naive: the first one says which."""

    @property
    def origin(self) -> datetime:
        return _EPOCH_IN_UTC if self.aware else _EPOCH

    def all_fit(self, times: Sequence[Any]) -> bool:
        if not set(map(type, times)) <= {datetime}:
            return False
        zones = set(map(id, map(_zone_of, times)))
        if zones == _NO_ZONE and not self.aware:
            self.aware = False
            return True
        if zones == _UTC and self.aware is not False:
            self.aware = True
            return True
        return not zones

    def brought(self, time: Any) -> datetime:
        if not isinstance(time, datetime):
            raise TypeError(_is_no("datetime", time, "the window is measured in timedeltas"))
        aware = time.utcoffset() is not None
        if self.aware is None:
            self.aware = aware
        if aware is not self.aware:
            raise TypeError(
                f"the timestamp {time} is {_AWARENESS[aware]}, and those before it are {_AWARENESS[self.aware]}: "
                "give all of them a time zone, or none"
            )
        if not aware:
            return time.replace(tzinfo=None)
        try:
            return time.astimezone(timezone.utc)
        except OverflowError as error:
            raise ValueError(f"the timestamp {time} is beyond what a datetime can hold in UTC") from error


_AWARENESS = {True: "aware", False: "naive"}


def _is_no(wanted: str, time: object, reason: str) -> str:
    return f"the timestamp is no {wanted} but {type(time).__name__}, and {reason}"
