"""The kinds of window, and the timestamps that they are measured by."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta, timezone
from fractions import Fraction
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem import Count, SessionWindow, SlidingWindow, Sum, TumblingWindow, WindowStage
from runs import Abort, errors_of, run

MINUTE = timedelta(minutes=1)
UTC = timezone.utc


def itself(time: Any) -> Any:
    return time


def windowed(kind: Any, times: list[Any], **options: Any) -> Any:
    return run(WindowStage(kind, itself, **options), data=times)


@pytest.mark.parametrize("size", [0.1, 0.7, 1.1, 1 / 3, 3, Fraction(1, 3)])
@given(time=st.floats(-1e6, 1e6), offset=st.sampled_from([None, 0.1, -7.3]))
def test_every_number_is_in_exactly_one_tumbling_window_and_neighbours_share_a_bound(
    size: Any, time: float, offset: Any
) -> None:
    kind = TumblingWindow(size, offset=offset)
    (window,) = windowed(kind, [time]).data
    assert window.start <= time < window.end
    (after,) = windowed(kind, [float(window.end)]).data
    if after.start != window.start:  # the end of a window of fractions is rounded to a float here
        assert after.start == window.end
    assert math.isclose(window.end - window.start, size, rel_tol=1e-6)


@given(time=st.floats(-1e3, 1e3), ratio=st.sampled_from([1, 1.0000000000000002, 2, 2.5]))
def test_no_float_falls_between_sliding_windows(time: float, ratio: float) -> None:
    windows = windowed(SlidingWindow(0.1 * ratio, every=0.1), [time]).data
    assert math.floor(ratio) <= len(windows) <= math.ceil(ratio) + 1
    assert all(window.start <= time < window.end for window in windows)


def test_a_float_that_the_size_rounds_away_is_in_a_window_all_the_same() -> None:
    size, every = math.nextafter(0.1, 1), 0.1
    number = next(number for number in range(10_000) if number * every + size < (number + 1) * every)
    time = number * every + size
    (window,) = windowed(SlidingWindow(size, every=every), [time]).data
    assert window.start <= time < window.end


def test_floats_do_not_drift() -> None:
    windows = windowed(TumblingWindow(0.1), [number / 10 + 0.05 for number in range(100_000)]).data
    assert windows[-1].end == 100_000 * 0.1
    assert len(windows) == 100_000


def test_whole_numbers_of_any_size_are_exact() -> None:
    (window,) = windowed(TumblingWindow(60, offset=7), [10**30]).data
    assert (window.start, window.end) == ((10**30 - 7) // 60 * 60 + 7, (10**30 - 7) // 60 * 60 + 67)
    (window,) = windowed(TumblingWindow(60), [1e30]).data
    assert window.start <= 1e30 < window.end
    nanosecond = 1.7e18 + 256.0
    (window,) = windowed(TumblingWindow(10), [nanosecond]).data
    assert (window.start, window.end) == (int(nanosecond) // 10 * 10, int(nanosecond) // 10 * 10 + 10)


def test_windows_of_naive_datetimes_are_aligned_to_the_epoch() -> None:
    (window,) = windowed(TumblingWindow(timedelta(days=7)), [datetime(2024, 5, 1, 12)]).data
    assert (window.start, window.end) == (datetime(2024, 4, 25), datetime(2024, 5, 2))
    (window,) = windowed(TumblingWindow(MINUTE), [datetime(1969, 12, 31, 23, 59, 30)]).data
    assert window.end == datetime(1970, 1, 1)


def test_windows_of_aware_datetimes_are_in_utc_and_an_offset_makes_days_of_a_zone() -> None:
    zone = timezone(timedelta(hours=2))
    (window,) = windowed(TumblingWindow(timedelta(days=1)), [datetime(2024, 5, 1, 1, tzinfo=zone)]).data
    assert window.start == datetime(2024, 4, 30, tzinfo=UTC)
    assert window.start.tzinfo is UTC
    day = TumblingWindow(timedelta(days=1), offset=timedelta(hours=-2))
    (window,) = windowed(day, [datetime(2024, 5, 1, 1, tzinfo=zone)]).data
    assert window.start == datetime(2024, 5, 1, tzinfo=zone)


def test_zones_may_be_mixed_and_a_clock_that_is_set_back_does_no_harm() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    before = datetime(2024, 10, 27, 2, 30, tzinfo=berlin)
    after = datetime(2024, 10, 27, 2, 15, tzinfo=berlin, fold=1)  # 45 minutes later
    noon = datetime(2024, 10, 27, 12, tzinfo=UTC)
    result = windowed(TumblingWindow(15 * MINUTE), [before, after, before, noon])
    assert [window.start for window in result.data] == [
        datetime(2024, 10, 27, 0, 30, tzinfo=UTC),
        datetime(2024, 10, 27, 1, 15, tzinfo=UTC),
        noon,
    ]
    assert [entry.index for entry in result.context.errors] == [2]
    gap = windowed(SessionWindow(30 * MINUTE), [before, after])
    assert [window.records for window in gap.data] == [1, 1]
    assert gap.data[0].value[0] is before


NAIVE, AWARE = datetime(2024, 5, 1), datetime(2024, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "times", "message"),
    [
        (TumblingWindow(MINUTE), [NAIVE, 3], "the timestamp is no datetime but int, and the window is measured in"),
        (TumblingWindow(MINUTE), [NAIVE, date(2024, 5, 1)], "the timestamp is no datetime but date"),
        (TumblingWindow(MINUTE), [NAIVE, None], "the timestamp is no datetime but NoneType"),
        (
            SessionWindow(1),
            [3, NAIVE],
            "the timestamp is no number but datetime, and the window is measured",
        ),
        (SlidingWindow(2, 1), [3, "4"], "the timestamp is no number but str"),
        (TumblingWindow(1), [3, True], "the timestamp is no number but bool"),
        (TumblingWindow(MINUTE), [NAIVE, AWARE], r"2024-05-01 00:00:00\+00:00 is aware, and those before it are naive"),
        (TumblingWindow(MINUTE), [AWARE, NAIVE], "2024-05-01 00:00:00 is naive, and those before it are aware"),
        (TumblingWindow(1), [3, math.nan], "the timestamp is nan, which is no time"),
        (SessionWindow(1), [3, math.inf], "the timestamp is inf, which is no time"),
        (TumblingWindow(0.1), [3, 10**400], "the timestamp is too far out: its window would reach"),
        (TumblingWindow(0.1), [3, 1e300], "the timestamp 1e[+]300 is too large for windows at a distance of 0.1"),
        (SessionWindow(0.1), [3, 1e300], "the timestamp 1e[+]300 is too large for a gap of 0.1"),
        (
            TumblingWindow(MINUTE),
            [NAIVE, datetime.max],
            "the timestamp is too far out: its window would reach",
        ),
        (SessionWindow(MINUTE), [NAIVE, datetime.max], "the timestamp is too far out: its window would reach"),
        (
            TumblingWindow(MINUTE),
            [AWARE, datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))],
            "the timestamp 0001-01-01 .* is beyond what a datetime can hold in UTC",
        ),
    ],
)
@pytest.mark.parametrize("apart", [False, True], ids=["one chunk", "two chunks"])
def test_a_timestamp_of_no_use_is_the_failure_of_its_record(
    kind: Any, times: list[Any], message: str, apart: bool
) -> None:
    good, bad = times
    data = [good] * (1000 if apart else 1) + [bad, good]
    result = windowed(kind, data)
    assert not result.success
    assert [entry.index for entry in result.context.errors] == [len(data) - 2]
    assert result.error.__notes__[:2] == [result.error.__notes__[0], f"at record {len(data) - 2}"]
    assert "itself (" in result.error.__notes__[0]
    with pytest.raises((TypeError, ValueError), match=message):
        raise result.error
    result = windowed(kind, data, continue_on_error=True)
    assert sum(window.records for window in result.data) >= len(data) - 1
    assert [(entry.index, entry.record is bad) for entry in result.context.errors] == [(len(data) - 2, True)]


def test_other_numbers_are_timestamps_too() -> None:
    class Seconds(float):
        pass

    windows = windowed(TumblingWindow(1), [Fraction(1, 3), Seconds(0.5), 1]).data
    assert [(window.start, window.records) for window in windows] == [(0, 2), (1, 1)]


def test_a_window_that_would_begin_before_the_calendar_is_none() -> None:
    result = windowed(SlidingWindow(9 * MINUTE, MINUTE), [datetime.min, NAIVE], continue_on_error=True)
    assert [(index, text[:19]) for _, index, text in errors_of(result.context)] == [(0, "the timestamp is to")]
    assert [window.records for window in result.data] == [1] * 9


def test_the_end_of_the_calendar_closes_no_window_too_early() -> None:
    last = datetime.max - 90 * timedelta(seconds=1)
    result = windowed(TumblingWindow(MINUTE), [last, last], allowed_lateness=timedelta(days=1))
    assert [window.records for window in result.data] == [2]


@pytest.mark.parametrize("role", ["timestamp", "key"])
@pytest.mark.parametrize("kind", [KeyError, StopIteration])
@pytest.mark.parametrize("position", [0, 1, 3], ids=["first", "middle", "last"])
def test_a_function_that_raises_is_the_failure_of_its_record(role: str, kind: type[Exception], position: int) -> None:
    def function(number: int) -> int:
        if number == position:
            raise kind("nothing there")
        return number

    options: Any = {"timestamp": itself, "key": itself, role: function}
    for go_on in (False, True):
        stage = WindowStage(TumblingWindow(100), combiner=Count(), continue_on_error=go_on, **options)
        result = run(stage, data=[0, 1, 2, 3], entered=4 if go_on else None)
        (entry,) = result.context.errors
        assert (entry.index, entry.record) == (position, position)
        assert isinstance(entry.error, RuntimeError if kind is StopIteration else kind)
        if go_on:
            assert sum(window.value for window in result.data) == 3
        else:
            assert (result.records_processed, result.records_failed) == (position, 1)
            assert any("function (" in note for note in result.error.__notes__)


def test_the_first_of_several_failures_is_the_one_that_fails_the_stage() -> None:
    events: list[Any] = [(50, "a"), (0, "late"), (51, "a"), (52, []), ("x", "b"), None]
    stage = WindowStage(TumblingWindow(10), itemgetter(0), key=itemgetter(1))
    result = run(stage, data=events)
    assert [(index, text.split(":")[0]) for _, index, text in errors_of(result.context)] == [
        (1, "the record is too late"),
        (3, "unhashable type"),
    ]
    assert (result.records_processed, result.records_failed) == (2, 2)
    stage = WindowStage(TumblingWindow(10), itemgetter(0), key=itemgetter(1), continue_on_error=True)
    result = run(stage, data=events, entered=6)
    assert [entry.index for entry in result.context.errors] == [1, 3, 4, 5]


@pytest.mark.parametrize("role", ["timestamp", "key"])
def test_what_is_no_exception_passes_through(role: str) -> None:
    def abort(_: int) -> int:
        raise Abort

    options: Any = {"timestamp": itself, "key": itself, role: abort}
    with pytest.raises(Abort):
        run(WindowStage(TumblingWindow(10), continue_on_error=True, **options), data=[1])


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: TumblingWindow(0), ValueError, "size of TumblingWindow must be positive, not 0"),
        (lambda: TumblingWindow(-MINUTE), ValueError, "size of TumblingWindow must be positive, not"),
        (lambda: TumblingWindow(math.inf), ValueError, "size of TumblingWindow must be finite, not inf"),
        (lambda: TumblingWindow(math.nan), ValueError, "size of TumblingWindow must be finite, not nan"),
        (lambda: TumblingWindow("1m"), TypeError, "size of TumblingWindow must be a timedelta .* not '1m'"),
        (lambda: TumblingWindow(True), TypeError, "size of TumblingWindow must be a timedelta .* not True"),
        (lambda: TumblingWindow(MINUTE, offset=3), TypeError, "must both be timedeltas or both be numbers"),
        (lambda: TumblingWindow(1, offset=math.nan), ValueError, "offset of TumblingWindow must be finite"),
        (lambda: SlidingWindow(60, every=0), ValueError, "every of SlidingWindow must be positive"),
        (lambda: SlidingWindow(60, every=61), ValueError, "at most its size, and 61 is more than 60"),
        (lambda: SlidingWindow(MINUTE, every=1), TypeError, "size and every of SlidingWindow must both be"),
        (lambda: SessionWindow(0), ValueError, "gap of SessionWindow must be positive, not 0"),
        (lambda: SessionWindow(None), TypeError, "gap of SessionWindow must be a timedelta"),
        (lambda: WindowStage(MINUTE, itself), TypeError, r"must be TumblingWindow\(...\), SlidingWindow\(...\) or"),
        (lambda: WindowStage(TumblingWindow, itself), TypeError, "window of WindowStage must be"),
        (lambda: WindowStage(TumblingWindow(1), "at"), TypeError, "timestamp of WindowStage must be a function"),
        (
            lambda: WindowStage(TumblingWindow(1), later),
            TypeError,
            r"timestamp .* plain function, and later \(",
        ),
        (lambda: WindowStage(TumblingWindow(1), itself, key="id"), TypeError, "key of WindowStage must be a function"),
        (lambda: WindowStage(TumblingWindow(1), itself, key=later), TypeError, "key of WindowStage must be a plain"),
        (lambda: WindowStage(TumblingWindow(1), itself, len), TypeError, "combiner of WindowStage must be a Combiner"),
        (lambda: WindowStage(TumblingWindow(1), itself, Sum), TypeError, r"make one with Sum\(\.\.\.\)"),
        (lambda: WindowStage(TumblingWindow(1), itself, allowed_lateness=-1), ValueError, "must not be negative"),
        (
            lambda: WindowStage(TumblingWindow(1), itself, allowed_lateness=MINUTE),
            TypeError,
            "must be a number, as",
        ),
        (lambda: WindowStage(SessionWindow(MINUTE), itself, allowed_lateness=1), TypeError, "must be a timedelta, as"),
        (lambda: WindowStage(TumblingWindow(1), itself, allowed_lateness="1"), TypeError, "allowed_lateness must be a"),
    ],
)
def test_a_wrong_option_is_an_error_when_it_is_made(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        make()


async def later(time: int) -> int:
    return time


def test_kinds_are_plain_values() -> None:
    assert TumblingWindow(60) == TumblingWindow(60, offset=None) != TumblingWindow(61)
    assert {SlidingWindow(60, 15), SlidingWindow(60, every=15)} == {SlidingWindow(60, 15)}
    assert repr(SessionWindow(5)) == "SessionWindow(gap=5)"
    assert WindowStage(SessionWindow(5), itself, name="sessions").name == "sessions"
