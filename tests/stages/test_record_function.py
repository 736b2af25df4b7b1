"""What the map, filter and validate-records stages have in common: calling a function once for each record."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from mainstem import FilterStage, MapStage, ValidateRecordsStage
from mainstem.endpoints import CHUNK_SIZE
from mainstem.stages.record_function import RecordFunction
from runs import Abort, Untouchable, check_accounts, errors_of, execute, pipeline_of, raising_iterator, run, watch

pytestmark = pytest.mark.anyio

STAGES = [MapStage, FilterStage, ValidateRecordsStage]
LENGTHS = [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE, 3 * CHUNK_SIZE + 7]


@pytest.fixture(params=STAGES, ids=lambda stage: stage.__name__)
def stage_class(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=[1, 10], ids=["one-by-one", "concurrent"])
def concurrency(request: pytest.FixtureRequest) -> int:
    return request.param


class Checker:
    """Says yes to every record, in each of the ways Python has to write a function."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def plain(self, record: Any) -> bool:
        self.seen.append(record)
        return True

    def unannotated(self, record):
        return self.plain(record)

    async def asynchronous(self, record: Any) -> bool:
        await anyio.lowlevel.checkpoint()
        return self.plain(record)

    def awaitable(self, record: Any) -> Awaitable[bool]:
        return self.asynchronous(record)

    def sometimes_awaitable(self, record: Any):
        return self.asynchronous(record) if record % 3 == 0 else self.plain(record)

    def later_awaitable(self, record: Any):
        return self.asynchronous(record) if record >= 2 else self.plain(record)

    def wrongly_annotated(self, record: Any) -> bool:
        return self.asynchronous(record)  # type: ignore[return-value]  # that is the point

    async def with_option(self, option: str, record: Any) -> bool:
        assert option == "set"
        return await self.asynchronous(record)


class AsyncCallable:
    def __init__(self, checker: Checker) -> None:
        self._checker = checker

    async def __call__(self, record: Any) -> bool:
        return await self._checker.asynchronous(record)


class PlainCallable:
    def __init__(self, checker: Checker) -> None:
        self._checker = checker

    def __call__(self, record: Any) -> bool:
        return self._checker.plain(record)


class Later:
    """An awaitable that is no coroutine."""

    def __init__(self, checker: Checker, record: Any) -> None:
        self._awaitable = checker.asynchronous(record)

    def __await__(self):
        return self._awaitable.__await__()


def wrapped(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(function)
    def wrapper(record: Any) -> Any:
        return function(record)

    return wrapper


FORMS: dict[str, Callable[[Checker], Any]] = {
    "bound method": lambda checker: checker.plain,
    "unannotated method": lambda checker: checker.unannotated,
    "lambda": lambda checker: lambda record: checker.plain(record),
    "async method": lambda checker: checker.asynchronous,
    "plain function returning an awaitable": lambda checker: checker.awaitable,
    "lambda returning an awaitable": lambda checker: lambda record: checker.asynchronous(record),
    "lambda returning an object with __await__": lambda checker: lambda record: Later(checker, record),
    "awaitables for some records": lambda checker: checker.sometimes_awaitable,
    "awaitables for all but the first": lambda checker: checker.later_awaitable,
    "annotated as plain, returning an awaitable": lambda checker: checker.wrongly_annotated,
    "partial of async": lambda checker: functools.partial(checker.with_option, "set"),
    "partial of partial of plain": lambda checker: functools.partial(functools.partial(checker.plain)),
    "callable object": PlainCallable,
    "callable object with async __call__": AsyncCallable,
    "sync wrapper with functools.wraps around async": lambda checker: wrapped(checker.asynchronous),
    "partial of such a wrapper": lambda checker: functools.partial(wrapped(checker.asynchronous)),
}


@pytest.mark.parametrize("form", FORMS)
async def test_every_way_to_write_a_function_is_called_once_for_each_record(
    form: str, stage_class: Any, concurrency: int
) -> None:
    checker = Checker()
    records = list(range(11))
    result = await execute(stage_class(FORMS[form](checker), concurrency=concurrency), data=records, entered=11)
    assert result.success
    assert sorted(checker.seen) == records
    assert result.data == ([True] * 11 if stage_class is MapStage else records)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", [list, tuple, iter, range, "generator"], ids=str)
def test_any_iterable_of_any_length_is_taken_in_order(length: int, kind: Any, stage_class: Any) -> None:
    checker = Checker()
    if kind == "generator":
        data: Any = (number for number in range(length))
    else:
        data = range(length) if kind is range else kind(range(length))
    result = run(stage_class(checker.plain), data=data, entered=length)
    assert result.success
    assert checker.seen == list(range(length))
    assert len(result.data) == length


def failing_at(positions: set[int], error: Callable[[], BaseException], seen: list[int], *, is_async: bool) -> Any:
    def check(record: int) -> bool:
        seen.append(record)
        if record in positions:
            raise error()
        return True

    async def check_later(record: int) -> bool:
        await anyio.lowlevel.checkpoint()
        return check(record)

    return check_later if is_async else check


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("position", [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, 2 * CHUNK_SIZE + 4])
async def test_the_first_failure_fails_the_stage_and_is_recorded_with_its_position(
    position: int, is_async: bool, stage_class: Any
) -> None:
    seen: list[int] = []
    stage = stage_class(failing_at({position}, lambda: ValueError("bad"), seen, is_async=is_async))
    result = await execute(stage, data=list(range(2 * CHUNK_SIZE + 5)))
    assert isinstance(result.error, ValueError)
    assert seen == list(range(position + 1))
    (entry,) = result.context.errors
    assert (entry.stage, entry.index, entry.record, entry.error) == (stage.name, position, position, result.error)
    assert any(f"at record {position}, in " in note for note in result.error.__notes__)
    assert any(f"in stage {stage.name!r}, made at " in note for note in result.error.__notes__)
    assert (result.records_processed, result.records_failed) == (position, 1)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_with_continue_on_error_every_failure_is_recorded_and_the_rest_goes_on(
    is_async: bool, stage_class: Any, concurrency: int
) -> None:
    bad = {0, 7, 8, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE + 4}
    seen: list[int] = []
    check = failing_at(bad, lambda: ValueError("bad"), seen, is_async=is_async)
    stage = stage_class(check, continue_on_error=True, concurrency=concurrency)
    length = 2 * CHUNK_SIZE + 5
    result = await execute(stage, data=list(range(length)), entered=length)
    assert result.success
    assert sorted(seen) == list(range(length))
    assert [(entry.index, entry.record) for entry in result.context.errors] == [(at, at) for at in sorted(bad)]
    assert (result.records_processed, result.records_failed) == (length - len(bad), len(bad))
    if stage_class is not MapStage:
        assert result.data == [at for at in range(length) if at not in bad]
    assert result.context.completed_stages == [stage.name]


@pytest.mark.parametrize("go_on", [False, True], ids=["fail-fast", "continue"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
@pytest.mark.parametrize("position", [0, 2, 4], ids=["first", "middle", "last"])
async def test_stop_iteration_out_of_a_function_is_the_failure_of_its_record_and_not_the_end_of_the_data(
    position: int, kind: type[Exception], is_async: bool, go_on: bool, stage_class: Any, concurrency: int
) -> None:
    seen: list[int] = []
    check = failing_at({position}, kind, seen, is_async=is_async)
    result = await execute(stage_class(check, continue_on_error=go_on, concurrency=concurrency), data=[0, 1, 2, 3, 4])
    assert [entry.index for entry in result.context.errors] == [position]
    assert result.success is go_on
    if go_on:
        assert sorted(seen) == [0, 1, 2, 3, 4]
        assert (result.records_processed, result.records_failed) == (4, 1)


@pytest.mark.parametrize("go_on", [False, True], ids=["fail-fast", "continue"])
async def test_failures_of_plain_and_awaited_answers_keep_their_own_positions(go_on: bool, stage_class: Any) -> None:
    async def fail_later(record: int) -> bool:
        raise ValueError(f"late {record}")

    def check(record: int) -> Any:
        if record in (0, 5):
            raise ValueError(f"at once {record}")
        return fail_later(record) if record in (3, 6) else True

    data = list(range(8)) if go_on else list(range(1, 8))
    result = await execute(stage_class(check, continue_on_error=go_on), data=data)
    found = [(entry.record, str(entry.error)) for entry in result.context.errors]
    if go_on:
        assert found == [(0, "at once 0"), (3, "late 3"), (5, "at once 5"), (6, "late 6")]
        assert [entry.index for entry in result.context.errors] == [0, 3, 5, 6]
        assert result.records_processed == 4
    else:
        assert str(result.error) == "late 3"
        assert result.context.errors[0].index == 2


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("kind", [Abort, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("go_on", [False, True], ids=["fail-fast", "continue"])
async def test_what_is_no_exception_passes_through_as_it_is(
    kind: type[BaseException], is_async: bool, go_on: bool, stage_class: Any, concurrency: int
) -> None:
    original = kind("out")
    check = failing_at({3}, lambda: original, [], is_async=is_async)
    with pytest.raises(kind) as caught:
        await execute(stage_class(check, continue_on_error=go_on, concurrency=concurrency), data=list(range(20)))
    assert caught.value is original


def test_what_the_input_raises_fails_the_stage_after_the_records_before_it(stage_class: Any) -> None:
    checker = Checker()
    data = raising_iterator(range(CHUNK_SIZE + 3), OSError("connection lost"))
    result = run(stage_class(checker.plain), data=data)
    assert isinstance(result.error, OSError)
    assert checker.seen == list(range(CHUNK_SIZE + 3))
    assert errors_of(result.context) == [(stage_class.__name__, None, "connection lost")]
    assert f"raised by the input after {CHUNK_SIZE + 3} records" in result.error.__notes__


def test_an_input_that_is_no_collection_fails_the_stage(stage_class: Any) -> None:
    result = run(stage_class(Checker().plain), data=42)
    assert isinstance(result.error, TypeError)
    assert [entry.stage for entry in result.context.errors] == [stage_class.__name__]


def test_an_input_whose_iteration_ends_by_stop_iteration_at_once_is_a_failure(stage_class: Any) -> None:
    class Broken:
        def __iter__(self):
            raise StopIteration

    assert not run(stage_class(Checker().plain), data=Broken()).success


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_records_are_carried_and_never_compared_hashed_measured_or_shown(
    is_async: bool, stage_class: Any, concurrency: int
) -> None:
    seen: list[int] = []

    def check(record: Any) -> Any:
        seen.append(id(record))
        if len(seen) == 2:
            raise ValueError("bad")
        return record if stage_class is MapStage else True

    async def check_later(record: Any) -> Any:
        return check(record)

    records = [Untouchable() for _ in range(4)]
    stage = stage_class(check_later if is_async else check, continue_on_error=True, concurrency=concurrency)
    result = await execute(stage, data=records, entered=4)
    assert seen == [id(record) for record in records]
    assert [id(record) for record in result.data] == [id(records[at]) for at in (0, 2, 3)]
    assert result.context.errors[0].record is records[1]


@pytest.mark.parametrize("shown", ["__str__", "__repr__"])
def test_an_error_that_cannot_be_shown_is_a_failure_like_any_other(shown: str, stage_class: Any) -> None:
    def refuse(_: object) -> str:
        raise RuntimeError("cannot be shown")

    error = type("Unshowable", (Exception,), {"__str__": refuse, shown: refuse})()
    result = run(stage_class(failing_at({1}, lambda: error, [], is_async=False)), data=[0, 1, 2])
    assert result.error is error
    assert result.context.errors[0].index == 1


def test_an_error_that_counts_as_false_is_a_failure_all_the_same(stage_class: Any) -> None:
    class Empty(Exception):
        def __len__(self) -> int:
            return 0

    result = run(stage_class(failing_at({1}, Empty, [], is_async=False)), data=[0, 1, 2])
    assert isinstance(result.error, Empty)
    assert len(result.context.errors) == 1


def test_one_exception_object_raised_many_times_is_recorded_each_time_and_noted_once(stage_class: Any) -> None:
    error = ValueError("always the same")
    stage = stage_class(failing_at({1, 3}, lambda: error, [], is_async=False), continue_on_error=True)
    assert [entry.index for entry in run(stage, data=range(5)).context.errors] == [1, 3]
    failing = pipeline_of(stage_class(failing_at({1}, lambda: error, [], is_async=False)))
    failing.run(range(5))
    notes = list(error.__notes__)
    failing.run(range(5))
    assert error.__notes__ == notes


def test_fused_and_watched_runs_agree_on_data_counts_and_errors(stage_class: Any) -> None:
    bad = {3, CHUNK_SIZE, CHUNK_SIZE + 9}

    def build() -> Any:
        first = stage_class(failing_at(bad, lambda: ValueError("a"), [], is_async=False), continue_on_error=True)
        second = FilterStage(lambda _: True)
        return pipeline_of(first, second, stage_class(lambda _: True, name="third"))

    data = list(range(2 * CHUNK_SIZE + 1))
    fused, watched = build().run(data), watch(build()).run(data)
    check_accounts(fused, len(data))
    check_accounts(watched, len(data))
    assert fused.data == watched.data
    assert errors_of(fused.context) == errors_of(watched.context)
    for name, total in watched.stage_results.items():
        assert fused.stage_results[name].records_in == total.records_in
        assert fused.stage_results[name].records_failed == total.records_failed


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "2", None], ids=repr)
def test_a_wrong_concurrency_is_refused_when_the_stage_is_made(wrong: Any, stage_class: Any) -> None:
    with pytest.raises(ValueError, match="concurrency must be a positive whole number"):
        stage_class(lambda _: True, concurrency=wrong)


@pytest.mark.parametrize("wrong", [None, 3, "text"], ids=repr)
def test_what_cannot_be_called_is_refused_when_the_stage_is_made(wrong: Any, stage_class: Any) -> None:
    with pytest.raises(TypeError, match=f"{stage_class.__name__} must be a function of one record"):
        stage_class(wrong)


def test_the_name_is_the_class_name_unless_one_is_given(stage_class: Any) -> None:
    assert stage_class(lambda _: True).name == stage_class.__name__
    assert stage_class(lambda _: True, name="mine").name == "mine"


@pytest.mark.parametrize(
    ("function", "shown"),
    [
        (len, "len"),
        (str.upper, "str.upper"),
        (int, "int"),
        (functools.partial(pow, 2), "pow"),
        (PlainCallable(Checker()), "PlainCallable.__call__ ("),
        (Checker().plain, "Checker.plain ("),
    ],
)
def test_a_function_is_named_in_messages_with_its_line_where_it_has_one(function: Any, shown: str) -> None:
    description = RecordFunction(function, "fn").describe()
    assert description == shown if "(" not in shown else description.startswith(shown)
