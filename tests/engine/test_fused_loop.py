"""Neighbouring sync stages as one loop: it must not be seen in anything but the time."""

from __future__ import annotations

import functools
from typing import Any

import anyio.lowlevel
import pytest

from mainstem import FilterStage, MapStage, PipelineContext, ValidateRecordsStage, current_context
from mainstem.endpoints import CHUNK_SIZE
from mainstem.engine.fused_loop import TIMED_CHUNKS, FusedLoop, compile_loop, fuse_neighbours
from mainstem.stage_run import StageRun
from runs import Abort, Untouchable, check_accounts, errors_of, execute, pipeline_of, run, watch

pytestmark = pytest.mark.anyio

LONG = (2 * TIMED_CHUNKS + 1) * CHUNK_SIZE + 7
"""Enough for chunks that go through the loop, chunks that are timed, and a last one."""


def increment(number: int) -> int:
    return number + 1


def is_odd(number: int) -> bool:
    return number % 2 == 1


def below(number: int) -> bool | str:
    return number < 10 * LONG or f"too large: {number}"


def test_neighbours_that_call_a_sync_function_per_record_make_a_loop() -> None:
    async def later(number: int) -> int:
        return number

    stages: list[Any] = [
        MapStage(increment),
        FilterStage(is_odd),
        ValidateRecordsStage(below),
        MapStage(later),
        MapStage(increment),
        MapStage(lambda number: number),
        MapStage(increment),
        MapStage(increment),
    ]
    context = PipelineContext()
    parts = fuse_neighbours([StageRun(stage, str(at), context) for at, stage in enumerate(stages)])
    assert [isinstance(part, FusedLoop) for part in parts] == [True, False, True]


def test_a_subclass_that_may_do_more_makes_none() -> None:
    class Counting(MapStage[int, int]):
        calls = 0

        async def process(self, data: Any, context: PipelineContext) -> Any:
            Counting.calls += 1
            return await super().process(data, context)

    data = list(range(3 * CHUNK_SIZE))
    result = run(MapStage(increment), Counting(increment), data=data, entered=len(data))
    assert result.data == [number + 2 for number in data]
    assert Counting.calls == 3


def test_loops_of_the_same_shape_are_made_once() -> None:
    assert compile_loop((("map", True), ("filter", False))) is compile_loop((("map", True), ("filter", False)))


def test_a_long_run_gives_what_plain_python_gives_and_counts_it() -> None:
    data = list(range(LONG))
    result = run(MapStage(increment), FilterStage(is_odd), ValidateRecordsStage(below), data=data, entered=LONG)
    assert result.data == [number + 1 for number in data if number % 2 == 0]
    parts = result.stage_results
    assert [(part.records_in, part.records_filtered) for part in parts.values()] == [
        (LONG, 0),
        (LONG, LONG // 2),
        (LONG - LONG // 2, 0),
    ]
    assert all(part.duration_ms > 0 for part in parts.values())
    assert sum(part.duration_ms for part in parts.values()) <= result.duration_ms


@pytest.mark.parametrize("kind", [ValueError, StopIteration, StopAsyncIteration])
@pytest.mark.parametrize("at", [CHUNK_SIZE, CHUNK_SIZE + 3, 2 * CHUNK_SIZE - 1])
@pytest.mark.parametrize("failing", [0, 1, 2])
@pytest.mark.parametrize("go_on", [False, True], ids=["fail-fast", "continue"])
def test_a_record_that_fails_in_the_loop_is_recorded_as_without_it(
    go_on: bool, failing: int, at: int, kind: type[Exception]
) -> None:
    seen: list[int] = []

    def check(number: int) -> bool:
        seen.append(number)
        if number == at:
            raise kind("bad")
        return True

    def keep(number: int) -> int:
        check(number)
        return number

    def build() -> Any:
        functions: list[Any] = [lambda number: number] * 3
        stages: list[Any] = [MapStage(int_of), FilterStage(not_one), ValidateRecordsStage(below)]
        makers: list[Any] = [MapStage, FilterStage, ValidateRecordsStage]
        functions[failing] = keep if failing == 0 else check
        stages[failing] = makers[failing](functions[failing], continue_on_error=go_on)
        return pipeline_of(*stages)

    data = list(range(4 * CHUNK_SIZE))
    looped = check_accounts(build().run(data))
    seen_looped, seen[:] = list(seen), []
    watched = check_accounts(watch(build()).run(data))
    position = at - (failing == 2)  # the filter before it has dropped one record
    assert [(entry.stage, entry.record) for entry in looped.context.errors] == [
        (list(watched.stage_results)[failing], at)
    ]
    assert errors_of(looped.context) == errors_of(watched.context)
    assert looped.context.errors[0].index == position
    assert (looped.success, looped.data) == (watched.success, watched.data)
    assert seen_looped == seen, "each record once, and none after the failure of a stage that stops"
    assert looped.context.current_stage == watched.context.current_stage
    assert getattr(looped.error, "__notes__", None) == getattr(watched.error, "__notes__", None)


def test_positions_count_what_earlier_stages_of_the_loop_dropped_or_failed_before() -> None:
    def fails_at(*offsets: int) -> Any:
        def check(number: int) -> bool:
            if number - CHUNK_SIZE in offsets:
                raise ValueError("bad")
            return number - CHUNK_SIZE not in (2, 5)

        return check

    def build() -> Any:
        return pipeline_of(
            FilterStage(fails_at(1), continue_on_error=True, name="a"),
            FilterStage(fails_at(4, 7), continue_on_error=True, name="b"),
            ValidateRecordsStage(fails_at(9), continue_on_error=True, name="c"),
        )

    for pipeline in (build(), watch(build())):
        # Annotated, so that the stages share a loop.
        for stage in pipeline.stages:
            assert stage.loop_step() is not None
        result = check_accounts(pipeline.run(range(3 * CHUNK_SIZE)), 3 * CHUNK_SIZE)
        found = sorted(
            (entry.stage, entry.index - CHUNK_SIZE, entry.record - CHUNK_SIZE) for entry in result.context.errors
        )
        assert found == [("a", 1, 1), ("b", 2, 4), ("b", 4, 7), ("c", 4, 9)]


def int_of(number: int) -> int:
    return number


def not_one(number: int) -> bool:
    return number != 1


@pytest.mark.parametrize("answer", [None, 1, "", "reason"], ids=repr)
def test_nothing_but_true_passes_a_check_in_the_loop(answer: Any) -> None:
    def check(number: int) -> bool | str:
        return answer if number == CHUNK_SIZE + 5 else True

    result = run(MapStage(int_of), ValidateRecordsStage(check, continue_on_error=True), data=range(3 * CHUNK_SIZE))
    assert [entry.index for entry in result.context.errors] == [CHUNK_SIZE + 5]
    assert result.records_failed == 1


@pytest.mark.parametrize("kind", [Abort, KeyboardInterrupt, SystemExit])
async def test_what_is_no_exception_passes_through_the_loop(kind: type[BaseException]) -> None:
    def leave(number: int) -> int:
        if number == CHUNK_SIZE + 1:
            raise kind
        return number

    with pytest.raises(kind):
        await execute(MapStage(int_of), MapStage(leave), data=range(3 * CHUNK_SIZE))


def test_records_are_carried_through_the_loop_untouched() -> None:
    def same(record: Any) -> Untouchable:
        return record

    def yes(record: Any) -> bool:
        return True

    records = [Untouchable() for _ in range(3 * CHUNK_SIZE)]
    result = run(MapStage(same), FilterStage(yes), ValidateRecordsStage(yes), data=records, entered=len(records))
    assert [id(record) for record in result.data] == [id(record) for record in records]


def test_an_answer_without_truth_is_the_failure_of_its_record_in_the_loop_too() -> None:
    class NoTruth:
        def __bool__(self) -> bool:
            raise ValueError("no truth")

    def keep(number: int) -> bool | NoTruth:
        return NoTruth() if number == CHUNK_SIZE + 2 else True

    result = run(MapStage(int_of), FilterStage(keep, continue_on_error=True), data=range(3 * CHUNK_SIZE))
    assert errors_of(result.context) == [("FilterStage", CHUNK_SIZE + 2, "no truth")]


def test_the_context_can_be_had_in_the_loop() -> None:
    seen: set[str] = set()

    def look(number: int) -> int:
        seen.add(current_context().pipeline_id)
        return number

    result = run(MapStage(look), MapStage(look), data=range(3 * CHUNK_SIZE))
    assert seen == {result.context.pipeline_id}


@pytest.mark.parametrize(
    ("form", "first"),
    [
        ("wrongly annotated", 0),
        ("wrapped", 0),
        ("wrapped", CHUNK_SIZE),
        ("partial of wrapped", 0),
        ("partial of wrapped", CHUNK_SIZE),
    ],
)
async def test_a_function_that_turns_out_to_be_async_is_awaited_all_the_same(form: str, first: int) -> None:
    async def later(number: int) -> int:
        await anyio.lowlevel.checkpoint()
        return number

    @functools.wraps(later)
    def wrapped(number: int) -> Any:
        return later(number)

    def wrongly_annotated(number: int) -> int:
        return later(number)  # type: ignore[return-value]  # that is the point

    forms: dict[str, Any] = {
        "wrongly annotated": wrongly_annotated,
        "wrapped": wrapped,
        "partial of wrapped": functools.partial(wrapped),
    }

    def from_first(number: int) -> bool:
        return number >= first

    length = 4 * CHUNK_SIZE
    result = await execute(
        FilterStage(from_first), MapStage(forms[form]), MapStage(int_of), data=range(length), entered=length
    )
    assert result.data == list(range(first, length))


async def answer_later(answer: Any) -> Any:
    await anyio.lowlevel.checkpoint()
    if answer == "broken":
        raise ValueError("broken")
    return answer


def sometimes_async(kind: str, awaited: set[int], calls: list[int]) -> Any:
    """A stage whose function, which has no annotation, hands out awaitables for some records only."""

    def function(number):  # type: ignore[no-untyped-def]
        calls.append(number)
        answer = {"map": -number, "filter": number % 3 != 0, "check": number % 3 != 0 or "no"}[kind]
        if number % 1000 == 500 and number > CHUNK_SIZE:
            answer = "broken"
        if number in awaited or answer == "broken":
            return answer_later(answer)
        return answer

    if kind == "map":
        return MapStage(function, continue_on_error=True, name="it")
    if kind == "filter":
        return FilterStage(function, continue_on_error=True, name="it")
    return ValidateRecordsStage(function, continue_on_error=True, name="it")


@pytest.mark.parametrize("kind", ["map", "filter", "check"])
@pytest.mark.parametrize(
    "awaited", [{1500}, {1001, 1002, 2999}, {2000}, set(range(1200, 1300))], ids=["one", "few", "border", "many"]
)
async def test_awaitables_that_turn_up_inside_the_loop_are_awaited(kind: str, awaited: set[int]) -> None:
    data = list(range(4 * CHUNK_SIZE))
    seen: list[tuple[Any, ...]] = []
    for watched in (False, True):
        calls: list[int] = []
        pipeline = pipeline_of(MapStage(increment), sometimes_async(kind, awaited, calls), MapStage(increment))
        if watched:
            watch(pipeline)
        result = check_accounts(await pipeline.execute(data), len(data))
        assert calls == [number + 1 for number in data]
        seen.append((result.data, errors_of(result.context), result.records_filtered, result.records_failed))
    assert seen[0] == seen[1]
    assert seen[0][3] >= 3


@pytest.mark.parametrize("awaited", [1001, 1500, 1999])
async def test_an_awaitable_inside_the_loop_that_fails_ends_a_fail_fast_run(awaited: int) -> None:
    def function(number):  # type: ignore[no-untyped-def]
        return answer_later("broken") if number == awaited else number

    pipeline = pipeline_of(MapStage(increment), MapStage(function, name="it"), MapStage(increment))
    result = await pipeline.execute(list(range(4 * CHUNK_SIZE)))
    assert not result.success
    (entry,) = result.context.errors
    assert (entry.stage, entry.index, entry.record, str(entry.error)) == ("it", awaited - 1, awaited, "broken")
    assert any("function" in note for note in entry.error.__notes__)


@pytest.mark.parametrize("kind", ["map", "filter", "check"])
async def test_a_wrong_annotation_is_seen_even_if_the_first_chunks_do_not_reach_the_function(kind: str) -> None:
    async def later(answer: Any) -> Any:
        return answer

    def number_of(number: int) -> int:
        answer: Any = later(-number)
        return answer

    def is_wanted(number: int) -> bool:
        answer: Any = later(number % 2 == 0)
        return answer

    def is_late(number: int) -> bool:
        return number >= 2 * CHUNK_SIZE

    stages: dict[str, Any] = {
        "map": MapStage(number_of),
        "filter": FilterStage(is_wanted),
        "check": ValidateRecordsStage(is_wanted, continue_on_error=True),
    }
    data = list(range(5 * CHUNK_SIZE))
    result = check_accounts(await pipeline_of(FilterStage(is_late), stages[kind]).execute(data), len(data))
    late = data[2 * CHUNK_SIZE :]
    assert result.data == ([-number for number in late] if kind == "map" else late[::2])
