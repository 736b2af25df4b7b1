"""Windows: each kind with each kind of timestamp, with and without combiner and key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_type

from mainstem import (
    ChainedStage,
    Count,
    DedupeStage,
    GroupBy,
    LateRecordError,
    MapStage,
    Max,
    Mean,
    Pipeline,
    PipelineStage,
    SessionWindow,
    SlidingWindow,
    TopK,
    TumblingWindow,
    Window,
    WindowStage,
)


@dataclass
class Reading:
    at: datetime
    second: int
    city: str
    degrees: float


def at(reading: Reading) -> datetime:
    return reading.at


def second(reading: Reading) -> int:
    return reading.second


def city(reading: Reading) -> str:
    return reading.city


async def city_later(reading: Reading) -> str:
    return reading.city


minute = timedelta(minutes=1)

# the type of the bounds follows from the window
assert_type(TumblingWindow(minute), TumblingWindow[datetime])
assert_type(TumblingWindow(60), TumblingWindow[float])
assert_type(TumblingWindow(60.5, offset=1), TumblingWindow[float])
assert_type(TumblingWindow(timedelta(days=1), offset=-2 * minute), TumblingWindow[datetime])
assert_type(SlidingWindow(minute, every=minute), SlidingWindow[datetime])
assert_type(SlidingWindow(60, 15), SlidingWindow[float])
assert_type(SessionWindow(minute), SessionWindow[datetime])
assert_type(SessionWindow(0.5), SessionWindow[float])

# without and with a combiner and a key
assert_type(WindowStage(TumblingWindow(minute), at), WindowStage[Reading, None, list[Reading], datetime])
assert_type(WindowStage(SessionWindow(minute), at, key=city), WindowStage[Reading, str, list[Reading], datetime])
assert_type(WindowStage(SlidingWindow(60, 5), second, Max[Reading]()), WindowStage[Reading, None, Reading, float])
assert_type(
    WindowStage(
        TumblingWindow(60), second, TopK[Reading](3), key=city, allowed_lateness=5, continue_on_error=True, name="top"
    ),
    WindowStage[Reading, str, list[Reading], float],
)
by_city: WindowStage[Reading, None, dict[str, int], datetime] = WindowStage(
    TumblingWindow(minute), at, GroupBy(city, Count()), allowed_lateness=minute
)

# joins
readings = MapStage[str, Reading](lambda line: Reading(datetime.now(), 1, line, 1.0))
assert_type(
    readings >> WindowStage(TumblingWindow(minute), at, Count(), key=city),
    ChainedStage[Iterable[str], list[Window[str, int, datetime]]],
)
assert_type(
    readings >> WindowStage(TumblingWindow(60), second),
    ChainedStage[Iterable[str], list[Window[None, list[Reading], float]]],
)


def show(window: Window[str, int]) -> str:
    assert_type(window.start, datetime)
    assert_type(window.end, datetime)
    assert_type(window.key, str)
    assert_type(window.value, int)
    assert_type(window.records, int)
    return f"{window.start:%H:%M} {window.key} {window.value}"


def show_any(window: Window[object, object, object]) -> str:
    return f"{window.start}"


shown = (
    Pipeline[list[str], list[str]]("per minute")
    .add_stage(readings)
    .add_stage(DedupeStage())
    .add_stage(DedupeStage(at))
    .add_stage(WindowStage(TumblingWindow(minute), at, Count(), key=city))
    .add_stage(MapStage(show))
)
assert_type(shown.run(["berlin"]).unwrap(), list[str])
assert_type(
    readings >> WindowStage(SessionWindow(1), second) >> MapStage(show_any), ChainedStage[Iterable[str], list[str]]
)
mean: PipelineStage[list[Reading], list[Window[None, float]]] = WindowStage(
    TumblingWindow(minute), at, Mean[Reading](of=lambda reading: reading.degrees)
)

# the same records come out of a dedupe, whatever the key
assert_type(readings >> DedupeStage(), ChainedStage[Iterable[str], list[Reading]])
assert_type(readings >> DedupeStage(city, max_keys=10), ChainedStage[Iterable[str], list[Reading]])
assert_type(readings >> DedupeStage(city_later, continue_on_error=True), ChainedStage[Iterable[str], list[Reading]])
assert_type(DedupeStage(city), DedupeStage[Reading])


def tell(error: LateRecordError) -> tuple[object, object, object]:
    return error.timestamp, error.watermark, error.window_end
