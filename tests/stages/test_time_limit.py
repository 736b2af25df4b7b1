"""``timeout=``: a call may take so long and no longer, and a stage goes on without those that took longer."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest
from anyio import to_thread

from mainstem import (
    AggregateStage,
    FilterStage,
    MapStage,
    PipelineContext,
    TapStage,
    ValidateRecordsStage,
    ValidateStage,
    current_context,
)
from mainstem.endpoints import CHUNK_SIZE
from runs import Abort, check_accounts, execute, pipeline_of

pytestmark = pytest.mark.anyio

STAGES = [MapStage, FilterStage, ValidateRecordsStage, TapStage]
WHOLE = [AggregateStage, ValidateStage]
TINY = 0.02
"""Seconds after which a call is given up, where all hang."""
SHORT = 0.5
"""The same, where some do not hang: these are to be done in time on a busy machine too."""
LONG = 30.0
"""Seconds that nothing here takes."""


@pytest.fixture(params=STAGES, ids=lambda stage: stage.__name__)
def stage_class(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=[1, 3], ids=["one-by-one", "concurrent"])
def concurrency(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What hanging threads wait for: they are let go when the test is over."""
    gate = threading.Event()
    yield gate
    gate.set()


def hanging(bad: set[Any], gate: threading.Event, *, is_async: bool) -> Any:
    """A function that says yes, but for the bad records, for which it hangs."""

    def check(record: Any) -> bool:
        if record in bad:
            gate.wait()
        return True

    async def check_later(record: Any) -> bool:
        if record in bad:
            await anyio.sleep_forever()
        return True

    return check_later if is_async else check


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_a_call_that_takes_too_long_is_the_failure_of_its_record(
    is_async: bool, concurrency: int, gate: threading.Event
) -> None:
    check = hanging({1, 4}, gate, is_async=is_async)
    stage = MapStage(check, timeout=SHORT, concurrency=concurrency, continue_on_error=True)
    with anyio.fail_after(10):
        result = await execute(stage, data=range(6), entered=6)
    assert [(entry.index, entry.record, type(entry.error)) for entry in result.context.errors] == [
        (1, 1, TimeoutError),
        (4, 4, TimeoutError),
    ]
    assert len(result.data) == 4
    text = str(result.context.errors[0].error)
    assert text.startswith("hanging.<locals>.check")
    assert "test_time_limit.py:" in text
    assert "gave no answer within 0.5 s: see what it waits for, or give it more time with timeout=" in text


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_by_default_it_fails_the_stage_which_says_where(
    is_async: bool, concurrency: int, gate: threading.Event
) -> None:
    check = hanging({2}, gate, is_async=is_async)
    with anyio.fail_after(10):
        result = await execute(MapStage(check, timeout=SHORT, concurrency=concurrency), data=range(4))
    assert isinstance(result.error, TimeoutError)
    assert [entry.index for entry in result.context.errors] == [2]
    assert any("at record 2, in hanging.<locals>.check" in note for note in result.error.__notes__)
    (part,) = result.stage_results.values()
    assert bool(part.notes) is not is_async


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_every_stage_has_a_limit(is_async: bool, stage_class: Any, gate: threading.Event) -> None:
    check = hanging({1}, gate, is_async=is_async)
    with anyio.fail_after(10):
        result = await execute(stage_class(check, timeout=TINY, name="it"), data=[1])
    assert isinstance(result.error, TimeoutError)
    assert bool(result.stage_results["it"].notes) is not is_async


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_the_functions_own_timeout_error_is_left_as_it_is(is_async: bool, stage_class: Any) -> None:
    own = TimeoutError("the server said so")

    def check(record: int) -> bool:
        raise own

    async def check_later(record: int) -> bool:
        raise own

    result = await execute(stage_class(check_later if is_async else check, timeout=LONG), data=[1])
    assert result.error is own


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
async def test_stop_iteration_out_of_a_thread_is_an_ordinary_failure(
    kind: type[Exception], stage_class: Any, concurrency: int
) -> None:
    def check(record: int) -> bool:
        if record == 1:
            raise kind
        return True

    stage = stage_class(check, timeout=LONG, concurrency=concurrency, continue_on_error=True)
    result = await execute(stage, data=range(4), entered=4)
    assert [entry.index for entry in result.context.errors] == [1]


async def test_what_is_no_exception_comes_out_of_a_thread_as_it_is(stage_class: Any, concurrency: int) -> None:
    original = Abort("out")

    def leave(record: int) -> bool:
        raise original

    with pytest.raises(Abort) as caught:
        await execute(stage_class(leave, timeout=LONG, concurrency=concurrency), data=range(3))
    assert caught.value is original


async def test_a_sync_function_runs_in_threads_side_by_side_and_in_order(stage_class: Any) -> None:
    """Three calls wait for one another: with fewer at a time none would come back."""
    together = threading.Barrier(3, timeout=10)
    threads: set[int] = set()

    def check(record: int) -> bool:
        threads.add(threading.get_ident())
        together.wait()
        return True

    stage = stage_class(check, timeout=LONG, concurrency=3)
    assert stage.overlaps_calls
    result = await execute(stage, data=range(9), entered=9)
    assert len(result.data) == 9
    assert len(threads) >= 3
    assert threading.get_ident() not in threads
    if stage_class is not MapStage:
        assert result.data == list(range(9))


async def test_more_calls_run_at_a_time_than_the_event_loops_own_threads() -> None:
    """Forty is what anyio gives all callers together; time spent waiting for a thread is not the function's."""
    together = threading.Barrier(50, timeout=10)

    def check(record: int) -> int:
        together.wait()
        return record

    result = await execute(MapStage(check, timeout=LONG, concurrency=50), data=range(50), entered=50)
    assert result.data == list(range(50))


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def test_context_variables_reach_the_thread() -> None:
    def look(record: int) -> tuple[str, str]:
        return variable.get(), current_context().pipeline_id

    variable.set("set")
    result = await execute(MapStage(look, timeout=LONG), data=[1])
    assert result.data == [("set", result.context.pipeline_id)]


class Later:
    """An awaitable that is no coroutine."""

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        self._awaitable = awaitable

    def __await__(self) -> Any:
        return self._awaitable.__await__()


@pytest.mark.parametrize("wrap", [lambda coroutine: coroutine, Later], ids=["coroutine", "object with __await__"])
async def test_a_plain_function_that_returns_awaitables_is_awaited_within_the_same_limit(
    wrap: Callable[[Any], Any], concurrency: int, gate: threading.Event
) -> None:
    check = hanging({1}, gate, is_async=True)
    function: Any = lambda record: wrap(check(record))  # noqa: E731
    stage = MapStage(function, timeout=SHORT, concurrency=concurrency, continue_on_error=True)
    with anyio.fail_after(10):
        result = await execute(stage, data=range(4), entered=4)
    assert [entry.index for entry in result.context.errors] == [1]
    assert result.stage_results[stage.name].notes == (), "the thread is done when the waiting begins"


async def test_a_note_says_how_many_calls_still_run_in_threads(gate: threading.Event) -> None:
    stage = FilterStage(hanging({1, 2}, gate, is_async=False), timeout=SHORT, continue_on_error=True, name="it")
    result = await execute(stage, data=range(4), entered=4)
    (note,) = result.stage_results["it"].notes
    assert note.startswith("2 calls of hanging.<locals>.check (")
    assert note.endswith("still run in threads: given up by the stage, and nothing can interrupt it")


async def test_the_note_counts_over_all_chunks_of_a_run_and_nothing_of_another_run(gate: threading.Event) -> None:
    bad = {5, CHUNK_SIZE + 5}
    stage = TapStage(hanging(bad, gate, is_async=False), timeout=SHORT, continue_on_error=True, name="it")
    context = PipelineContext()
    context.current_stage = "it"
    first = check_accounts(await stage.process(range(10), context), 10)
    second = check_accounts(await stage.process(range(CHUNK_SIZE, CHUNK_SIZE + 10), context), 10)
    assert first.notes[0].startswith("1 call of ")
    assert "still runs in a thread" in first.notes[0]
    assert second.notes[0].startswith("2 calls of ")
    assert (await stage.process(range(3), PipelineContext())).notes == ()


async def test_each_stage_counts_its_own(gate: threading.Event) -> None:
    stages = [
        TapStage(hanging({bad}, gate, is_async=False), timeout=SHORT, continue_on_error=True, name=str(bad))
        for bad in (1, 2)
    ]
    result = await execute(*stages, data=range(4), entered=4)
    assert [part.notes[0].startswith("1 call of ") for part in result.stage_results.values()] == [True, True]


async def test_an_async_function_needs_no_thread(stage_class: Any, concurrency: int) -> None:
    async def check(record: int) -> bool:
        return True

    before = set(threading.enumerate())
    await execute(stage_class(check, timeout=LONG, concurrency=concurrency), data=range(4), entered=4)
    assert set(threading.enumerate()) <= before


async def test_a_call_that_has_ended_since_is_not_counted(gate: threading.Event) -> None:
    stage = TapStage(hanging({1}, gate, is_async=False), timeout=TINY, continue_on_error=True)
    context = PipelineContext()
    assert (await stage.process([1], context)).notes != ()
    gate.set()
    with anyio.fail_after(10):
        while (await stage.process([2], context)).notes:
            continue  # the thread has been let go, and takes a moment to end


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_cancelling_a_run_does_not_wait_for_a_call(
    is_async: bool, concurrency: int, gate: threading.Event
) -> None:
    begun = threading.Event()

    def hang(record: int) -> None:
        begun.set()
        gate.wait()

    async def hang_later(record: int) -> None:
        begun.set()
        await anyio.sleep_forever()

    async def run_it(scope: anyio.CancelScope) -> None:
        with scope:
            stage = MapStage(hang_later if is_async else hang, timeout=LONG, concurrency=concurrency)
            await pipeline_of(stage).execute(range(3))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()
            group.start_soon(run_it, scope)
            await to_thread.run_sync(begun.wait, 10, abandon_on_cancel=True)
            scope.cancel()
    assert scope.cancelled_caught


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("whole_class", WHOLE)
async def test_a_function_of_the_whole_has_a_limit_too(whole_class: Any, is_async: bool, gate: threading.Event) -> None:
    check = hanging({(1, 2)}, gate, is_async=is_async)
    with anyio.fail_after(10):
        result = await execute(whole_class(check, timeout=TINY), data=(1, 2))
    assert isinstance(result.error, TimeoutError)
    assert result.records_failed == 2
    (part,) = result.stage_results.values()
    assert bool(part.notes) is not is_async
    in_time = await execute(whole_class(check, timeout=LONG), data=(3, 4), entered=2)
    assert in_time.data == (True if whole_class is AggregateStage else (3, 4))


async def test_a_stage_with_a_limit_is_in_no_loop(stage_class: Any) -> None:
    def check(record: int) -> bool:
        return True

    assert stage_class(check).loop_step() is not None
    assert stage_class(check, timeout=LONG).loop_step() is None
    assert not stage_class(check, timeout=LONG).overlaps_calls
    assert not stage_class(check, concurrency=2).overlaps_calls
    length = 3 * CHUNK_SIZE
    result = await execute(MapStage(abs), stage_class(check, timeout=LONG), data=range(length), entered=length)
    assert len(result.data) == length


async def test_the_fluent_forms_take_a_limit(gate: threading.Event) -> None:
    check = hanging({1}, gate, is_async=True)
    for make in ("map", "filter", "tap"):
        pipeline: Any = pipeline_of()
        getattr(pipeline, make)(check, timeout=TINY)
        assert isinstance((await pipeline.execute([1])).error, TimeoutError)


@pytest.mark.parametrize("wrong", [0, -1, True, "2", float("inf"), float("nan")], ids=repr)
@pytest.mark.parametrize("every_class", [*STAGES, *WHOLE])
def test_a_wrong_limit_is_refused_when_the_stage_is_made(every_class: Any, wrong: Any) -> None:
    with pytest.raises(ValueError, match="timeout must be a positive number of seconds"):
        every_class(abs, timeout=wrong)
