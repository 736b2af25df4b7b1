"""Wrong uses of windows and of dedupe. Each refused line names the code of each checker."""

from __future__ import annotations

from datetime import datetime, timedelta

from functions import Parse, increment, length, text

from mainstem import (
    Count,
    DedupeStage,
    MapStage,
    SessionWindow,
    SlidingWindow,
    Sum,
    TumblingWindow,
    Window,
    WindowStage,
)

minute = timedelta(minutes=1)
numbers = Parse() >> MapStage(increment)


def at(number: int) -> datetime:
    return datetime(2024, 1, 1, second=number)


async def at_later(number: int) -> datetime:
    return at(number)


def as_list(number: int) -> list[int]:
    return [number]


def show(window: Window[str, int]) -> str:
    return window.key


of_numbers = WindowStage(TumblingWindow(10), increment)
of_words = WindowStage(TumblingWindow(10), length)
show_windows = MapStage(show)

numbers >> of_words  # expect: operator, reportOperatorIssue
numbers >> of_numbers >> show_windows  # expect: operator, reportOperatorIssue
numbers >> DedupeStage(length)  # expect: arg-type, reportOperatorIssue

# the window is measured otherwise than the timestamps
WindowStage(TumblingWindow(minute), increment)  # expect: arg-type, reportArgumentType
WindowStage(SessionWindow(5), at)  # expect: arg-type, reportArgumentType
WindowStage(TumblingWindow(minute), at_later)  # expect: arg-type, reportArgumentType
WindowStage(TumblingWindow(minute), text)  # expect: arg-type, reportArgumentType

# wrong options
TumblingWindow("1m")  # expect: call-overload, reportCallIssue, reportArgumentType
TumblingWindow(minute, offset=3)  # expect: call-overload, reportCallIssue, reportArgumentType
SlidingWindow(minute, every=3)  # expect: call-overload, reportCallIssue, reportArgumentType
SessionWindow(None)  # expect: call-overload, reportCallIssue, reportArgumentType
WindowStage(minute, at)  # expect: call-overload, reportArgumentType
WindowStage(TumblingWindow(minute), at, sum)  # expect: call-overload, reportCallIssue, reportArgumentType
WindowStage(TumblingWindow(minute), at, Sum)  # expect: call-overload, reportCallIssue, reportArgumentType
WindowStage(TumblingWindow(minute), at, key=as_list)  # expect: type-var, reportCallIssue, reportArgumentType
WindowStage(TumblingWindow(minute), at, Count(), allowed_lateness="1m")  # expect: call-overload, reportCallIssue, reportArgumentType
DedupeStage("id")  # expect: arg-type, reportArgumentType
DedupeStage(as_list)  # expect: arg-type, reportArgumentType
DedupeStage(max_keys="3")  # expect: arg-type, reportArgumentType
