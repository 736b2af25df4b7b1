"""``TapStage``: each record goes through a function, and on unchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio.lowlevel
import pytest

from mainstem import FilterStage, MapStage, PipelineContext, StageKind, TapStage
from mainstem.endpoints import CHUNK_SIZE
from mainstem.engine.fused_loop import FusedLoop, fuse_neighbours
from mainstem.stage_run import StageRun
from runs import Abort, Untouchable, check_accounts, errors_of, execute, pipeline_of, run, watch

pytestmark = pytest.mark.anyio


def test_the_function_sees_each_record_once_in_order_and_its_answer_is_not_looked_at() -> None:
    seen: list[int] = []

    def see(number: int) -> Untouchable:
        seen.append(number)
        return Untouchable()

    result = run(TapStage(see), data=[3, 1, 2], entered=3)
    assert (result.data, seen) == ([3, 1, 2], [3, 1, 2])
    assert (result.records_processed, result.records_filtered) == (3, 0)


def test_records_go_on_as_the_objects_they_are() -> None:
    records = [Untouchable() for _ in range(3)]
    result = run(TapStage(lambda _: None), data=records, entered=3)
    assert [id(record) for record in result.data] == [id(record) for record in records]


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("plain", [False, True], ids=["coroutine function", "function returning awaitables"])
async def test_an_async_function_is_awaited(plain: bool, concurrency: int) -> None:
    done: list[int] = []

    async def see(number: int) -> None:
        await anyio.lowlevel.checkpoint()
        done.append(number)

    function: Any = (lambda number: see(number)) if plain else see
    result = await execute(TapStage(function, concurrency=concurrency), data=range(7), entered=7)
    assert (result.data, sorted(done)) == (list(range(7)), list(range(7)))


@pytest.mark.parametrize("go_on", [False, True], ids=["fail-fast", "continue"])
@pytest.mark.parametrize("kind", [ValueError, StopIteration])
@pytest.mark.parametrize("watched", [False, True], ids=["in the loop", "alone"])
def test_a_record_for_which_it_raises_has_failed(watched: bool, kind: type[Exception], go_on: bool) -> None:
    bad = CHUNK_SIZE + 5

    def see(number: int) -> None:
        if number == bad:
            raise kind("bad")

    pipeline = pipeline_of(MapStage(same), TapStage(see, continue_on_error=go_on), FilterStage(is_even))
    result = check_accounts((watch(pipeline) if watched else pipeline).run(range(3 * CHUNK_SIZE)))
    (entry,) = result.context.errors
    assert (entry.stage, entry.index, entry.record) == ("TapStage", bad, bad)
    assert isinstance(entry.error, RuntimeError if kind is StopIteration else kind)
    assert result.success is go_on
    if go_on:
        assert result.data == [number for number in range(0, 3 * CHUNK_SIZE, 2) if number != bad]


def same(number: int) -> int:
    return number


def is_even(number: int) -> bool:
    return number % 2 == 0


async def test_what_is_no_exception_passes_through() -> None:
    def leave(number: int) -> None:
        raise Abort

    with pytest.raises(Abort):
        await execute(TapStage(leave, continue_on_error=True), data=[1])


def unannotated(seen: list[int]) -> Callable[[Any], Any]:
    return lambda number: seen.append(number)


def annotated(seen: list[int]) -> Callable[[Any], Any]:
    def see(number: int) -> None:
        seen.append(number)

    return see


@pytest.mark.parametrize("form", [unannotated, annotated])
def test_it_is_part_of_the_loop_and_every_record_goes_through_it(form: Any) -> None:
    seen: list[int] = []
    stages: list[Any] = [MapStage(same), TapStage(form(seen)), FilterStage(is_even)]
    context = PipelineContext()
    parts = fuse_neighbours([StageRun(stage, str(at), context) for at, stage in enumerate(stages)])
    assert [isinstance(part, FusedLoop) for part in parts] == [True]
    data = range(4 * CHUNK_SIZE + 3)
    result = run(*stages, data=data, entered=len(data))
    assert result.data == list(data)[::2]
    assert seen == list(data)


async def test_awaitables_that_turn_up_inside_the_loop_are_awaited() -> None:
    late: list[int] = []

    async def see_later(number: int) -> None:
        await anyio.lowlevel.checkpoint()
        if number == CHUNK_SIZE + 9:
            raise ValueError("late")
        late.append(number)

    def see(number):  # type: ignore[no-untyped-def]
        return see_later(number) if CHUNK_SIZE <= number < CHUNK_SIZE + 10 else None

    data = list(range(3 * CHUNK_SIZE))
    result = await execute(MapStage(same), TapStage(see, continue_on_error=True), data=data, entered=len(data))
    assert late == data[CHUNK_SIZE : CHUNK_SIZE + 9]
    assert errors_of(result.context) == [("TapStage", CHUNK_SIZE + 9, "late")]
    assert result.data == [number for number in data if number != CHUNK_SIZE + 9]


def test_a_subclass_that_may_do_more_is_no_part_of_a_loop() -> None:
    class Counting(TapStage[int]):
        pass

    assert TapStage(same).loop_step() is not None
    assert Counting(same).loop_step() is None


def test_it_keeps_the_type_of_the_records_and_is_elementwise() -> None:
    assert TapStage(print).output_hint(list[int]) == list[int]
    assert TapStage(is_even).output_hint(Any) == list[int]
    assert (TapStage(print).kind, TapStage(print, name="log").name) == (StageKind.ELEMENTWISE, "log")
    with pytest.raises(TypeError, match="fn of TapStage must be a function of one record"):
        TapStage(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="concurrency must be a positive whole number"):
        TapStage(print, concurrency=0)


def test_the_fluent_form() -> None:
    seen: list[int] = []
    pipeline: Any = pipeline_of().tap(seen.append, name="seen")
    assert check_accounts(pipeline.run([1, 2]), 2).data == [1, 2]
    assert (seen, [stage.name for stage in pipeline.stages]) == ([1, 2], ["seen"])
