"""``RetryPolicy``: what failed is tried again, by stamina, and all else stays as it was."""

from __future__ import annotations

import functools
import itertools
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import stamina
from hypothesis import given
from hypothesis import strategies as st

from mainstem import (
    AggregateStage,
    FilterStage,
    MapStage,
    MissingExtraError,
    PipelineContext,
    RetryPolicy,
    Sum,
    TapStage,
    ValidateRecordsStage,
    ValidateStage,
)
from mainstem.endpoints import CHUNK_SIZE
from runs import Abort, check_accounts, execute, pipeline_of, run

pytestmark = [pytest.mark.anyio, pytest.mark.extras]

STAGES = [MapStage, FilterStage, ValidateRecordsStage, TapStage]
QUICK = RetryPolicy(attempts=3, wait_initial=0, wait_jitter=0)


@pytest.fixture(params=STAGES, ids=lambda stage: stage.__name__)
def stage_class(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=[1, 4], ids=["one-by-one", "concurrent"])
def concurrency(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """Stamina logs each retry as a warning, which would be all over the report of a failed test."""
    logger = logging.getLogger("stamina")
    level = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(level)


class Flaky:
    """Says yes to each record, after as many failures as ``fails`` says; in each of the ways to write a function."""

    def __init__(self, fails: dict[Any, int], error: Callable[[Any], Exception] = ConnectionError) -> None:
        self._fails = fails
        self._error = error
        self.seen: list[Any] = []

    def plain(self, record: Any) -> bool:
        self.seen.append(record)
        if self.seen.count(record) <= self._fails.get(record, 0):
            raise self._error(f"call {self.seen.count(record)} for {record}")
        return True

    async def asynchronous(self, record: Any) -> bool:
        await anyio.lowlevel.checkpoint()
        return self.plain(record)

    def awaitable(self, record: Any) -> Any:
        return self.asynchronous(record)

    def sometimes_awaitable(self, record: Any) -> Any:
        return self.asynchronous(record) if record % 2 else self.plain(record)


FORMS: dict[str, Callable[[Flaky], Any]] = {
    "plain": lambda flaky: flaky.plain,
    "unannotated": lambda flaky: lambda record: flaky.plain(record),
    "async": lambda flaky: flaky.asynchronous,
    "plain returning awaitables": lambda flaky: flaky.awaitable,
    "awaitables for some": lambda flaky: flaky.sometimes_awaitable,
    "partial of async": lambda flaky: functools.partial(flaky.asynchronous),
}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Callable[[Flaky], Any]:
    return FORMS[request.param]


async def test_a_record_that_succeeds_on_a_later_attempt_fails_nothing(
    form: Any, stage_class: Any, concurrency: int
) -> None:
    flaky = Flaky({0: 1, 3: 2, 4: 2, 8: 1})
    stage = stage_class(form(flaky), retry=QUICK, concurrency=concurrency)
    result = await execute(stage, data=list(range(9)), entered=9)
    assert result.data == ([True] * 9 if stage_class is MapStage else list(range(9)))
    assert result.context.errors == []
    calls = Counter(flaky.seen)
    assert calls == {0: 2, 1: 1, 2: 1, 3: 3, 4: 3, 5: 1, 6: 1, 7: 1, 8: 2}
    if concurrency == 1 and form is FORMS["plain"]:
        assert flaky.seen == sorted(flaky.seen), "the records after it wait"


async def test_when_the_policy_gives_up_the_last_error_fails_the_stage(
    form: Any, stage_class: Any, concurrency: int
) -> None:
    flaky = Flaky({2: 9})
    stage = stage_class(form(flaky), retry=QUICK, concurrency=concurrency)
    result = await execute(stage, data=list(range(6)))
    assert str(result.error) == "call 3 for 2"
    assert "gave up after 3 attempts" in result.error.__notes__
    assert any("at record 2, in " in note for note in result.error.__notes__)
    (entry,) = result.context.errors
    assert (entry.index, entry.record, entry.attempts, entry.error) == (2, 2, 3, result.error)
    assert flaky.seen.count(2) == 3
    if concurrency == 1:
        assert 5 not in flaky.seen or form is FORMS["awaitables for some"]


async def test_with_continue_on_error_each_failed_record_says_how_many_attempts_were_made(
    form: Any, stage_class: Any, concurrency: int
) -> None:
    flaky = Flaky({0: 9, 2: 1, 3: 9, 7: 9})
    stage = stage_class(form(flaky), retry=QUICK, concurrency=concurrency, continue_on_error=True)
    result = await execute(stage, data=list(range(8)), entered=8)
    assert result.records_failed == 3
    found = [(entry.index, entry.record, entry.attempts) for entry in result.context.errors]
    assert found == [(0, 0, 3), (3, 3, 3), (7, 7, 3)]
    assert all(entry.error.__notes__ == ["gave up after 3 attempts"] for entry in result.context.errors)


@given(
    fails=st.dictionaries(st.integers(0, 40), st.integers(1, 4), max_size=12),
    cuts=st.sets(st.integers(1, 40), max_size=5),
    form=st.sampled_from(list(FORMS)),
    concurrency=st.sampled_from([1, 3]),
)
def test_where_chunks_are_cut_does_not_matter(
    fails: dict[int, int], cuts: set[int], form: str, concurrency: int
) -> None:
    borders = [0, *sorted(cuts), 41]

    async def fed(pieces: list[range]) -> tuple[Any, ...]:
        flaky, context = Flaky(fails), PipelineContext()
        stage: Any = MapStage(FORMS[form](flaky), retry=QUICK, continue_on_error=True, concurrency=concurrency)
        output: list[Any] = []
        handled = failed = 0
        for piece in pieces:
            context.chunk_start = piece.start
            result = check_accounts(await stage.process(list(piece), context), len(piece))
            output += result.data
            handled, failed = handled + result.records_processed, failed + result.records_failed
        errors = [(entry.index, entry.record, entry.attempts, str(entry.error)) for entry in context.errors]
        return output, handled, failed, errors, Counter(flaky.seen)

    pieces = [range(start, end) for start, end in itertools.pairwise(borders)]
    assert anyio.run(fed, pieces) == anyio.run(fed, [range(41)])


def test_a_long_run_is_retried_in_every_chunk_and_in_no_loop() -> None:
    bad = {5: 1, CHUNK_SIZE: 2, 2 * CHUNK_SIZE + 7: 9}
    flaky = Flaky(bad)
    stage = MapStage(flaky.plain, retry=QUICK, continue_on_error=True)
    assert stage.loop_step() is None
    length = 3 * CHUNK_SIZE
    result = run(MapStage(abs), stage, FilterStage(bool), data=range(length), entered=length)
    assert result.data == [True] * (length - 1)
    assert [(entry.index, entry.attempts) for entry in result.context.errors] == [(2 * CHUNK_SIZE + 7, 3)]
    assert len(flaky.seen) == length + 1 + 2 + 2


@pytest.mark.parametrize(
    ("on", "calls"),
    [
        (ConnectionError, 3),
        (OSError, 3),
        ((ValueError, ConnectionError), 3),
        (ValueError, 1),
        ((ValueError, KeyError), 1),
        (lambda error: "call 1" in str(error), 2),
        (lambda error: False, 1),
        (lambda error: 0.001, 3),
        (lambda error: timedelta(milliseconds=1), 3),
    ],
)
def test_on_says_what_is_tried_again(on: Any, calls: int, stage_class: Any) -> None:
    flaky = Flaky({1: 9})
    policy = RetryPolicy(on=on, wait_initial=0, wait_jitter=0)
    result = run(stage_class(flaky.plain, retry=policy), data=[0, 1, 2])
    assert flaky.seen == [0] + [1] * calls
    assert str(result.error) == f"call {calls} for 1"
    assert result.context.errors[0].attempts == calls
    assert any("gave up" in note for note in result.error.__notes__) is (calls > 1)


def test_what_the_function_given_as_on_raises_is_the_error_of_the_record() -> None:
    def broken(error: Exception) -> bool:
        raise LookupError("no such error") from error

    stage = MapStage(Flaky({1: 9}).plain, retry=RetryPolicy(on=broken), continue_on_error=True)
    result = run(stage, data=[0, 1, 2], entered=3)
    assert [(entry.index, str(entry.error)) for entry in result.context.errors] == [(1, "no such error")]


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
@pytest.mark.parametrize("calls", [1, 9])
async def test_stop_iteration_is_a_failure_like_any_other_and_never_the_end(
    kind: type[Exception], calls: int, form: Any, concurrency: int
) -> None:
    flaky = Flaky({2: calls}, kind)
    stage = MapStage(form(flaky), retry=QUICK, continue_on_error=True, concurrency=concurrency)
    result = await execute(stage, data=range(5), entered=5)
    assert flaky.seen.count(2) == min(calls + 1, 3)
    assert result.records_failed == (calls == 9)
    if calls == 9:
        assert (result.context.errors[0].index, result.context.errors[0].attempts) == (2, 3)


@pytest.mark.parametrize("kind", [Abort, KeyboardInterrupt, SystemExit])
async def test_what_is_no_exception_is_never_tried_again(kind: type[BaseException], concurrency: int) -> None:
    calls: list[int] = []
    original = kind("out")

    def leave(record: int) -> None:
        calls.append(record)
        raise ValueError("first") if len(calls) == 1 else original

    policy = RetryPolicy(attempts=9, on=lambda error: True, wait_initial=0, wait_jitter=0)
    with pytest.raises(kind) as caught:
        await execute(MapStage(leave, retry=policy, concurrency=concurrency), data=[1])
    assert caught.value is original
    assert calls == [1, 1]


async def test_a_cancellation_ends_the_retries(concurrency: int) -> None:
    calls: list[int] = []
    second = anyio.Event()

    async def hang(record: int) -> None:
        calls.append(record)
        if len(calls) == 1:
            raise ValueError("first")
        second.set()
        await anyio.sleep_forever()

    policy = RetryPolicy(attempts=9, on=lambda error: True, wait_initial=0, wait_jitter=0)

    async def run_it(scope: anyio.CancelScope) -> None:
        with scope:
            await execute(MapStage(hang, retry=policy, concurrency=concurrency), data=[1])

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()
            group.start_soon(run_it, scope)
            await second.wait()
            scope.cancel()
    assert scope.cancelled_caught
    assert calls == [1, 1]


async def test_a_retried_record_keeps_its_slot_and_the_others_go_on_beside_it() -> None:
    """The window never holds more than its calls, retries and the waits before them included."""
    others_done = anyio.Event()
    seen: list[int] = []

    async def call(record: int) -> int:
        seen.append(record)
        if record == 0:
            if seen.count(0) == 1:
                raise ConnectionError
            await others_done.wait()
        if record == 5:
            others_done.set()
        await anyio.lowlevel.checkpoint()
        return record

    with anyio.fail_after(5):
        result = await execute(MapStage(call, retry=QUICK, concurrency=2), data=range(6), entered=6)
    assert result.data == [0, 1, 2, 3, 4, 5]
    assert seen.count(0) == 2


async def test_the_time_for_retries_is_reported_once_though_they_overlap() -> None:
    flaky = Flaky(dict.fromkeys(range(4), 1))
    policy = RetryPolicy(wait_initial=0.01, wait_jitter=0)
    result = await execute(MapStage(flaky.asynchronous, retry=policy, concurrency=4, name="it"), data=range(4))
    progress = result.context.progress["it"]
    assert 9 <= progress.retry_ms <= progress.duration_ms
    calm = await execute(MapStage(Flaky({}).asynchronous, retry=policy, name="it"), data=range(4))
    assert calm.context.progress["it"].retry_ms == 0


def test_the_waits_grow_up_to_the_most() -> None:
    waits: list[float] = []
    hooks = stamina.instrumentation.get_on_retry_hooks()
    stamina.instrumentation.set_on_retry_hooks([lambda details: waits.append(details.wait_for)])
    try:
        policy = RetryPolicy(5, wait_initial=0.001, wait_exponential=3, wait_max=0.005, wait_jitter=0)
        run(MapStage(Flaky({1: 9}).plain, retry=policy), data=[1])
    finally:
        stamina.instrumentation.set_on_retry_hooks(hooks)
    assert waits == pytest.approx([0.001, 0.003, 0.005, 0.005])


def test_stamina_is_told_the_function_and_never_shown_the_record() -> None:
    told: list[Any] = []
    hooks = stamina.instrumentation.get_on_retry_hooks()
    stamina.instrumentation.set_on_retry_hooks([told.append])
    try:
        run(MapStage(Flaky({1: 1}).plain, retry=QUICK), data=[1])
    finally:
        stamina.instrumentation.set_on_retry_hooks(hooks)
    (details,) = told
    assert details.name.startswith("Flaky.plain (")
    assert (details.retry_num, details.args, details.kwargs) == (1, (), {})
    assert isinstance(details.caused_by, ConnectionError)


def test_no_attempt_begins_after_the_timeout_of_the_policy() -> None:
    flaky = Flaky({1: 10**9})
    policy = RetryPolicy(10**6, wait_initial=0.001, wait_max=0.001, wait_jitter=0, timeout=0.2)
    result = run(MapStage(flaky.plain, retry=policy), data=[1])
    assert 1 < len(flaky.seen) < 1000
    assert result.context.errors[0].attempts == len(flaky.seen)


def test_staminas_testing_mode_takes_the_waits_away_and_sets_the_attempts() -> None:
    flaky = Flaky({1: 9})
    policy = RetryPolicy(attempts=3, wait_initial=3600, wait_max=3600)
    with stamina.set_testing(True, attempts=4):
        result = run(MapStage(flaky.plain, retry=policy), data=[1])
    assert (len(flaky.seen), result.context.errors[0].attempts) == (4, 4)


def test_stamina_can_be_switched_off() -> None:
    flaky = Flaky({1: 9})
    stamina.set_active(False)
    try:
        result = run(MapStage(flaky.plain, retry=QUICK), data=[1])
    finally:
        stamina.set_active(True)
    assert (len(flaky.seen), result.context.errors[0].attempts) == (1, 1)


def test_a_validators_no_is_an_answer_and_is_not_tried_again() -> None:
    seen: list[int] = []

    def check(record: int) -> bool | str:
        seen.append(record)
        if record == 2 and len(seen) == 1:
            raise ConnectionError
        return record == 1 or "no"

    result = run(ValidateRecordsStage(check, retry=QUICK, continue_on_error=True), data=[2, 1, 3], entered=3)
    assert (result.data, seen) == ([1], [2, 2, 1, 3])
    assert [(entry.index, str(entry.error), entry.attempts) for entry in result.context.errors] == [
        (0, "no", 2),
        (2, "no", 1),
    ]


# One function of the whole data


@pytest.mark.parametrize("form", ["plain", "async", "plain returning awaitables"])
@pytest.mark.parametrize("whole_class", [AggregateStage, ValidateStage])
async def test_a_function_of_the_whole_is_tried_again(whole_class: Any, form: str) -> None:
    flaky = Flaky({(1, 2): 2})
    result = await execute(whole_class(FORMS[form](flaky), retry=QUICK), data=(1, 2), entered=2)
    assert result.data == (True if whole_class is AggregateStage else (1, 2))
    assert len(flaky.seen) == 3
    assert result.context.progress[whole_class.__name__].retry_ms > 0


@pytest.mark.parametrize("whole_class", [AggregateStage, ValidateStage])
async def test_a_function_of_the_whole_that_never_succeeds_says_how_often_it_was_tried(whole_class: Any) -> None:
    flaky = Flaky({(1, 2): 9})
    result = await execute(whole_class(flaky.plain, retry=QUICK), data=(1, 2))
    (entry,) = result.context.errors
    assert (entry.stage, entry.error, entry.attempts) == (whole_class.__name__, result.error, 3)
    assert (str(result.error), result.records_failed) == ("call 3 for (1, 2)", 2)
    assert "gave up after 3 attempts" in result.error.__notes__


@pytest.mark.parametrize("whole_class", [AggregateStage, ValidateStage])
async def test_every_attempt_sees_all_records_of_an_iterator(whole_class: Any) -> None:
    seen: list[list[int]] = []

    async def take(numbers: Iterable[int]) -> bool:
        seen.append(list(numbers))
        if len(seen) < 3:
            raise ConnectionError
        return True

    result = await whole_class(take, retry=QUICK).process(iter([1, 2, 3]), PipelineContext())
    assert result.success
    assert seen == [[1, 2, 3]] * 3


async def test_an_aggregation_of_an_iterator_is_given_one_each_time() -> None:
    flaky = Flaky({1: 2})

    def first(numbers: Iterator[int]) -> bool:
        return flaky.plain(next(numbers))

    result = await AggregateStage(first, retry=QUICK).process(iter([1, 2, 3]), PipelineContext())
    assert (result.data, flaky.seen) == (True, [1, 1, 1])


async def test_what_an_iterator_raises_is_not_tried_again() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    calls: list[Any] = []
    result = await execute(AggregateStage(calls.append, retry=QUICK), data=broken())
    assert (str(result.error), calls) == ("gone", [])


def test_a_combiner_cannot_be_tried_again() -> None:
    make: Any = AggregateStage
    with pytest.raises(ValueError, match="retry and timeout are for a function, which a Combiner is not"):
        make(Sum(), retry=QUICK)
    with pytest.raises(ValueError, match="retry and timeout are for a function, which a Combiner is not"):
        make(Sum(), timeout=1)


def test_the_fluent_forms_take_a_policy() -> None:
    maps, checks, taps = Flaky({1: 1}), Flaky({True: 1}), Flaky({True: 1})
    pipeline: Any = pipeline_of()
    pipeline.map(maps.plain, retry=QUICK).filter(checks.plain, retry=QUICK).tap(taps.plain, retry=QUICK)
    assert check_accounts(pipeline.run([1]), 1).data == [True]
    assert [len(flaky.seen) for flaky in (maps, checks, taps)] == [2, 2, 2]


# The options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attempts": 0}, "attempts of RetryPolicy must be a positive whole number, not 0"),
        ({"attempts": True}, "attempts of RetryPolicy must be a positive whole number"),
        ({"attempts": None}, "attempts of RetryPolicy must be a positive whole number"),
        ({"on": ()}, "on of RetryPolicy must be an exception type"),
        ({"on": "ValueError"}, "on of RetryPolicy must be an exception type"),
        ({"on": int}, "on of RetryPolicy must be an exception type"),
        ({"on": KeyboardInterrupt}, "on of RetryPolicy must be an exception type"),
        ({"on": (ValueError, SystemExit)}, "on of RetryPolicy must be an exception type"),
        ({"wait_initial": -1}, "wait_initial of RetryPolicy must be a number of seconds, 0 or more, not -1"),
        ({"wait_max": float("inf")}, "wait_max of RetryPolicy must be a number of seconds"),
        ({"wait_jitter": float("nan")}, "wait_jitter of RetryPolicy must be a number of seconds"),
        ({"wait_exponential": 0.5}, "wait_exponential of RetryPolicy must be a number from 1 up, not 0.5"),
        ({"wait_exponential": "2"}, "wait_exponential of RetryPolicy must be a number from 1 up"),
        ({"timeout": 0}, "timeout of RetryPolicy must be a positive number of seconds, not 0"),
    ],
)
def test_a_wrong_option_is_refused_when_the_policy_is_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RetryPolicy(**options)


def test_an_async_function_cannot_say_what_is_tried_again() -> None:
    async def later(error: Exception) -> bool:
        return True

    make: Any = RetryPolicy
    with pytest.raises(ValueError, match=r"on of RetryPolicy must be .* a plain function of the error"):
        make(on=later)


@pytest.mark.parametrize("every_class", [*STAGES, AggregateStage, ValidateStage])
def test_what_is_no_policy_is_refused_when_the_stage_is_made(every_class: Any) -> None:
    with pytest.raises(ValueError, match=r"retry must be a RetryPolicy\(\.\.\.\), not 3"):
        every_class(abs, retry=3)


@pytest.mark.parametrize("every_class", [*STAGES, AggregateStage, ValidateStage])
def test_without_the_extra_a_stage_with_a_policy_cannot_be_made(
    every_class: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "stamina", None)
    with pytest.raises(MissingExtraError, match=r"Retrying a function needs .* pip install 'mainstem\[retry\]'"):
        every_class(abs, retry=QUICK)
    assert every_class(abs).name == every_class.__name__
