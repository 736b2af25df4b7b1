"""``WindowStage``: records into windows of event time."""

from __future__ import annotations

import gc
import pickle
import weakref
from datetime import datetime, timedelta, timezone
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeding import cuts, feed
from mainstem import (
    Count,
    Distinct,
    GroupBy,
    LateRecordError,
    MapStage,
    Max,
    PipelineContext,
    SessionWindow,
    SlidingWindow,
    StageKind,
    Sum,
    TumblingWindow,
    Window,
    WindowStage,
    current_context,
)
from mainstem.endpoints import CHUNK_SIZE
from runs import Untouchable, check_accounts, errors_of, raising_iterator, run
from window_model import Event, expected_windows, windows_of

time_of = itemgetter(0)
key_of = itemgetter(1)
number_of = itemgetter(2)

EPOCH = datetime(1970, 1, 1)
EPOCH_IN_UTC = EPOCH.replace(tzinfo=timezone.utc)
SECOND = timedelta(seconds=1)


def itself(time: Any) -> Any:
    return time


def spans(result: Any) -> list[tuple[Any, Any, Any]]:
    return [(window.start, window.end, window.value) for window in result.data]


def test_tumbling_windows_lie_side_by_side() -> None:
    result = run(WindowStage(TumblingWindow(10), itself), data=[0, 9, 10, 25], entered=4)
    assert spans(result) == [(0, 10, [0, 9]), (10, 20, [10]), (20, 30, [25])]
    assert [(window.key, window.records) for window in result.data] == [(None, 2), (None, 1), (None, 1)]


def test_an_offset_shifts_them() -> None:
    assert spans(run(WindowStage(TumblingWindow(10, offset=3), itself), data=[2, 3, 12])) == [
        (-7, 3, [2]),
        (3, 13, [3, 12]),
    ]


def test_a_record_is_in_every_sliding_window_that_covers_it() -> None:
    result = run(WindowStage(SlidingWindow(10, every=5), itself), data=[0, 6, 11], entered=3)
    assert spans(result) == [(-5, 5, [0]), (0, 10, [0, 6]), (5, 15, [6, 11]), (10, 20, [11])]


def test_a_session_lasts_until_nothing_comes_for_the_gap() -> None:
    result = run(WindowStage(SessionWindow(10), itself), data=[0, 9, 18, 28, 40], entered=5)
    assert spans(result) == [(0, 28, [0, 9, 18]), (28, 38, [28]), (40, 50, [40])]


def test_each_key_has_windows_of_its_own() -> None:
    events = [(0, "b", 1), (1, "a", 2), (2, "b", 3), (12, "a", 4)]
    result = run(WindowStage(TumblingWindow(10), time_of, Sum(of=number_of), key=key_of), data=events, entered=4)
    assert result.data == [
        Window(0, 10, "b", 4, 2),
        Window(0, 10, "a", 2, 1),
        Window(10, 20, "a", 4, 1),
    ]


def test_windows_span_what_engines_cut_into_chunks() -> None:
    length = 2 * CHUNK_SIZE + 10
    result = run(WindowStage(TumblingWindow(CHUNK_SIZE - 1), itself, Count()), data=iter(range(length)), entered=length)
    assert [window.value for window in result.data] == [CHUNK_SIZE - 1, CHUNK_SIZE - 1, 12]


@pytest.mark.parametrize("data", [[], (), iter(())])
@pytest.mark.parametrize("kind", [TumblingWindow(1), SessionWindow(1)])
def test_nothing_gives_no_windows(kind: Any, data: Any) -> None:
    assert run(WindowStage(kind, itself, Max()), data=data, entered=0).data == []


KINDS: list[Any] = [
    TumblingWindow(7),
    TumblingWindow(10, offset=3),
    TumblingWindow(1),
    SlidingWindow(10, every=5),
    SlidingWindow(10, every=4),
    SlidingWindow(3, every=3),
    SessionWindow(5),
    SessionWindow(1),
]
kinds = st.sampled_from(KINDS)
events = st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abc"), st.integers(0, 9)), max_size=40)


@given(kinds, events)
def test_data_in_order_is_grouped_as_if_it_were_all_there(kind: Any, events: list[Event]) -> None:
    events.sort(key=time_of)
    groups: dict[tuple[Any, Any, str], list[Event]] = {}
    if isinstance(kind, SessionWindow):
        for key in "abc":
            sessions: list[list[Event]] = []
            for event in (event for event in events if event[1] == key):
                if not sessions or event[0] - sessions[-1][-1][0] >= kind.gap:  # type: ignore[operator]
                    sessions.append([])
                sessions[-1].append(event)
            for session in sessions:
                groups[session[0][0], session[-1][0] + kind.gap, key] = session  # type: ignore[operator]
    else:
        for event in events:
            for start, end in windows_of(kind, event[0]):
                groups.setdefault((start, end, event[1]), []).append(event)
    fed = feed(WindowStage(kind, time_of, key=key_of), events)
    assert fed.output is not None
    assert {(each.start, each.end, each.key): each.value for each in fed.output} == groups
    assert len(fed.output) == len(groups)
    assert [(each.end, each.start) for each in fed.output] == sorted((each.end, each.start) for each in fed.output)
    assert fed.counts == (len(events), 0, 0)


@given(kinds, events, st.integers(0, 25))
def test_data_out_of_order_is_windowed_as_the_definitions_say(kind: Any, events: list[Event], lateness: int) -> None:
    windows, late = expected_windows(kind, events, lateness)
    fed = feed(WindowStage(kind, time_of, key=key_of, allowed_lateness=lateness), events)
    assert fed.output == windows
    assert [position for position, _ in fed.errors] == late
    assert fed.counts == (len(events) - len(late), len(late), 0)


@given(
    st.integers(2, 8).map(SessionWindow),
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from("ab"), st.integers(0, 9)), min_size=8, max_size=25),
    st.integers(10, 50),
    cuts,
)
def test_sessions_that_are_joined_are_as_the_definitions_say(
    kind: Any, events: list[Event], lateness: int, cuts: list[int]
) -> None:
    windows, late = expected_windows(kind, events, lateness)
    fed = feed(WindowStage(kind, time_of, key=key_of, allowed_lateness=lateness), events, *cuts)
    assert fed.output == windows
    assert [position for position, _ in fed.errors] == late


COMBINERS: list[Any] = [None, Sum(of=number_of), GroupBy(number_of, Count()), Distinct(by=number_of), Max(by=number_of)]
some_wrong = st.tuples(
    st.one_of(st.integers(0, 40), st.integers(0, 160).map(lambda quarters: quarters / 4), st.just("x")),
    st.one_of(st.sampled_from("abc"), st.just([])),
    st.integers(0, 9),
)


@given(
    kinds,
    st.sampled_from(COMBINERS),
    st.one_of(events, st.lists(some_wrong, max_size=40)),
    st.integers(0, 15),
    st.booleans(),
    cuts,
    st.integers(0, 40),
)
def test_where_chunks_are_cut_and_an_interruption_make_no_difference(
    kind: Any, combiner: Any, events: list[Any], lateness: int, go_on: bool, cuts: list[int], stop: int
) -> None:
    options: dict[str, Any] = {"key": key_of, "allowed_lateness": lateness, "continue_on_error": go_on}
    stage = WindowStage(kind, time_of, combiner, **options)
    whole = feed(stage, events)
    assert feed(stage, events, *cuts) == whole
    assert feed(stage, events, *cuts, interrupted_at=stop) == whole


@given(kinds, st.lists(st.integers(0, 40), max_size=30), st.integers(0, 15), st.booleans(), cuts, st.integers(0, 30))
def test_datetimes_are_windowed_as_numbers_are(
    kind: Any, seconds: list[int], lateness: int, aware: bool, cuts: list[int], stop: int
) -> None:
    timed: Any = type(kind)(**{name: span * SECOND for name, span in vars(kind).items() if span is not None})
    epoch = EPOCH_IN_UTC if aware else EPOCH
    in_numbers = feed(WindowStage(kind, itself, allowed_lateness=lateness), seconds)
    stage = WindowStage(timed, itself, allowed_lateness=lateness * SECOND)
    in_datetimes = feed(stage, [epoch + second * SECOND for second in seconds], *cuts, interrupted_at=stop)
    assert in_datetimes.counts == in_numbers.counts
    assert in_datetimes.output == [
        Window(
            epoch + each.start * SECOND,
            epoch + each.end * SECOND,
            None,
            [epoch + second * SECOND for second in each.value],
            each.records,
        )
        for each in in_numbers.output or []
    ]


@pytest.mark.parametrize("times", [[1, 12], [EPOCH + SECOND, EPOCH + 12 * SECOND]], ids=["numbers", "datetimes"])
@pytest.mark.anyio
async def test_a_window_is_given_when_the_watermark_has_passed_its_end(times: list[Any]) -> None:
    early, later = times
    unit: Any = 1 if early == 1 else SECOND
    context = PipelineContext()
    state = WindowStage(TumblingWindow(10 * unit), itself, Count(), allowed_lateness=2 * unit).begin()
    assert (await state.feed([early, later - unit], context)).data == []
    (window,) = (await state.feed([later], context)).data or []
    assert window.value == 1
    assert (await state.feed([later], context)).data == []
    (window,) = (await state.finish(context)).data or []
    assert window.value == 3


def test_a_late_record_is_rejected_and_never_fails_the_stage() -> None:
    events = [(5, "first"), (31, "second"), (7, "late"), (29, "in time")]
    stage = WindowStage(TumblingWindow(10), time_of, Count(), allowed_lateness=3)
    result = run(stage, data=events, entered=4)
    assert result.success
    assert [(window.start, window.value) for window in result.data] == [(0, 1), (20, 1), (30, 1)]
    assert (result.records_processed, result.records_failed) == (3, 1)
    (entry,) = result.context.errors
    assert (entry.stage, entry.index, entry.record) == ("WindowStage", 2, (7, "late"))
    error = entry.error
    assert isinstance(error, LateRecordError)
    assert (error.timestamp, error.watermark, error.window_end) == (7, 28, 10)
    assert str(error) == (
        "the record is too late: its timestamp is 7, and its window ended at 10, which the watermark (28) has passed; "
        "to wait for such records, set allowed_lateness to more than 21, or sort the input"
    )
    stored = pickle.loads(pickle.dumps(error))
    assert (str(stored), stored.timestamp, stored.watermark) == (str(error), 7, 28)
    waits: Any = WindowStage(TumblingWindow(10), time_of, Count(), allowed_lateness=22)
    assert run(waits, data=events, entered=4).context.errors == []
    assert run(WindowStage(TumblingWindow(10), time_of, allowed_lateness=21), data=events).records_failed == 1


def test_late_records_have_their_position_in_the_whole_input() -> None:
    data = [*range(2 * CHUNK_SIZE), 0, 2 * CHUNK_SIZE, 1]
    result = run(WindowStage(TumblingWindow(10), itself, Count()), data=data, entered=len(data))
    assert [entry.index for entry in result.context.errors] == [2 * CHUNK_SIZE, 2 * CHUNK_SIZE + 2]


def test_a_record_too_late_for_some_sliding_windows_goes_into_the_others() -> None:
    result = run(WindowStage(SlidingWindow(10, every=5), itself), data=[0, 12, 7, 4], entered=4)
    assert spans(result) == [(-5, 5, [0]), (0, 10, [0]), (5, 15, [12, 7]), (10, 20, [12])]
    assert [(entry.index, entry.record) for entry in result.context.errors] == [(3, 4)]


def test_a_late_record_that_joins_an_open_session_is_not_late() -> None:
    data = [(0, "a"), (20, "a"), (20, "b"), (12, "a"), (12, "b"), (9, "b")]
    result = run(WindowStage(SessionWindow(10), time_of, key=key_of), data=data, entered=6)
    assert [(window.key, window.start, window.end, window.records) for window in result.data] == [
        ("a", 0, 10, 1),
        ("b", 9, 30, 3),
        ("a", 12, 30, 2),
    ]
    lonely = run(WindowStage(SessionWindow(5), time_of, key=key_of), data=[(20, "a"), (12, "a")], entered=2)
    assert [(window.start, window.end) for window in lonely.data] == [(20, 25)]
    assert [str(entry.record) for entry in lonely.context.errors] == ["(12, 'a')"]


def test_a_record_between_two_sessions_joins_them() -> None:
    stage = WindowStage(SessionWindow(10), time_of, key=key_of, allowed_lateness=100)
    data = [(30, "a", 1), (0, "b", 2), (15, "a", 3), (24, "a", 4)]
    windows = run(stage, data=data, entered=4).data
    assert [(window.start, window.end, window.key) for window in windows] == [(0, 10, "b"), (15, 40, "a")]
    assert windows[1].value == [(15, "a", 3), (30, "a", 1), (24, "a", 4)]
    assert windows[1].records == 3


def test_a_joined_session_first_appeared_with_the_first_of_its_parts() -> None:
    stage = WindowStage(SessionWindow(10), time_of, key=key_of, allowed_lateness=100)
    data = [(14, "a"), (0, "b"), (14, "b"), (7, "b"), (0, "a"), (7, "a")]
    windows = run(stage, data=data, entered=6).data
    assert [(window.start, window.end, window.key) for window in windows] == [(0, 24, "a"), (0, 24, "b")]


@pytest.mark.parametrize("kind", [TumblingWindow(10), SlidingWindow(10, every=5), SessionWindow(5)])
@pytest.mark.anyio
async def test_the_records_of_a_window_that_was_given_are_let_go_of(kind: Any) -> None:
    class Reading:
        def __init__(self, time: int) -> None:
            self.time = time

    first = Reading(1)
    alive = weakref.ref(first)
    state = WindowStage(kind, lambda reading: reading.time).begin()
    result = await state.feed([first, Reading(2)], PipelineContext())
    assert result.data == []
    result = await state.feed([Reading(30)], PipelineContext())
    assert first in (result.data or [])[0].value
    del first, result
    gc.collect()
    assert alive() is None


def test_a_failed_record_does_not_move_the_watermark() -> None:
    data = [(5, "a"), (100, []), (6, "a")]
    stage = WindowStage(TumblingWindow(10), time_of, Count(), key=key_of, continue_on_error=True)
    result = run(stage, data=data, entered=3)
    assert [(window.start, window.value) for window in result.data] == [(0, 2)]
    assert errors_of(result.context) == [("WindowStage", 1, "unhashable type: 'list'")]


def test_a_combiner_gets_the_records_of_a_chunk_and_a_window_in_one_call() -> None:
    calls: list[list[int]] = []

    class Watched(Count):
        def add_all(self, accumulator: int, records: Any) -> int:
            calls.append(list(records))
            return accumulator + len(records)

    fed = feed(WindowStage(TumblingWindow(10), itself, Watched()), [0, 1, 2, 11, 3, 12, 25], 2)
    assert calls == [[0, 1], [2], [11, 12], [25]]
    assert [position for position, _ in fed.errors] == [4]


@pytest.mark.parametrize("go_on", [False, True], ids=["fail-fast", "continue"])
@pytest.mark.parametrize("step", ["create", "add_all", "merge", "finish"])
@pytest.mark.parametrize("kind", [ValueError, StopIteration])
def test_a_combiner_that_raises_fails_the_stage(kind: type[Exception], step: str, go_on: bool) -> None:
    def refuse(*_: Any) -> Any:
        raise kind("no answer")

    combiner = Count()
    setattr(combiner, step, refuse)
    for window in (SessionWindow(10), TumblingWindow(100)):
        if step == "merge" and isinstance(window, TumblingWindow):
            continue
        stage = WindowStage(window, itself, combiner, allowed_lateness=100, continue_on_error=go_on)
        result = run(stage, data=[0, 15, 8], entered=3)
        assert not result.success
        assert any("in combiner Count, for the window from 0 to " in note for note in result.error.__notes__)
        assert [entry.index for entry in result.context.errors] == [None]


def test_records_are_only_carried() -> None:
    class Reading(Untouchable):
        def __init__(self, time: int) -> None:
            self.time = time

    def time(reading: Reading) -> int:
        return reading.time

    readings = [Reading(1), Reading(12), Reading(2), Reading(13)]
    for kind in KINDS:
        result = run(WindowStage(kind, time, allowed_lateness=4), data=readings)
        assert result.success
    state = WindowStage(TumblingWindow(10), time).begin()
    state.restore(state.snapshot())


def test_runs_of_one_stage_do_not_share_windows() -> None:
    stage = WindowStage(TumblingWindow(10), itself, Count())
    assert [spans(run(stage, data=[5])) for _ in range(2)] == [[(0, 10, 1)], [(0, 10, 1)]]


def test_what_the_input_raises_fails_the_stage() -> None:
    result = run(WindowStage(TumblingWindow(10), itself), data=raising_iterator([1, 2], OSError("gone")))
    assert [text for _, _, text in errors_of(result.context)] == ["gone"]


def test_the_context_can_be_had_in_every_function() -> None:
    def key(_: int) -> Any:
        return current_context().current_stage

    def weight(_: int) -> int:
        return len(current_context().errors)

    stage = WindowStage(TumblingWindow(10), itself, Sum(of=weight), key=key, name="per ten")
    assert [(each.key, each.value) for each in run(stage, data=[1]).data] == [("per ten", 0)]


@pytest.mark.anyio
async def test_process_can_be_called_alone() -> None:
    context = PipelineContext()
    result = check_accounts(await WindowStage(TumblingWindow(10), itself).process([5, 15, 3], context))
    assert (len(result.data), result.records_processed, result.records_failed) == (2, 2, 1)
    assert [entry.stage for entry in context.errors] == ["WindowStage"]


def test_it_keeps_a_state_and_says_what_it_takes_and_gives() -> None:
    def second(event: tuple[int, str]) -> int:
        return event[0]

    def name(event: tuple[int, str]) -> str:
        return event[1]

    stage = WindowStage(TumblingWindow(10), second, Count(), key=name)
    assert stage.kind is StageKind.STATEFUL
    assert stage.output_hint(Any) == list[Window[str, int, float]]
    assert (
        WindowStage(TumblingWindow(10), second).output_hint(Any)
        == list[Window[type(None), list[tuple[int, str]], float]]
    )

    def show(window: Window[str, int, float]) -> str:
        return f"{window.key} {window.value}"

    assert run(stage, MapStage(show), data=[(1, "a"), (12, "b")]).data == ["a 1", "b 1"]
    unannotated: Any = WindowStage(
        TumblingWindow(10), lambda event: event[0], Sum(of=itself), key=lambda event: event[1]
    )
    assert (unannotated >> MapStage(show)).members[0] is unannotated
