"""Where the records of runs went that fail, are stopped, or are resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.runs import Abort, pipeline_of, raising_iterator
from tests.streams import Collect, Numbers, Reversed, later, take
from tests.test_accounting import inverse, is_even, nested

from mainstem import (
    AggregateStage,
    FilterStage,
    MapStage,
    PipelineStage,
    StopPipeline,
    Sum,
    ValidateStage,
)

pytestmark = pytest.mark.anyio

Stages = list[PipelineStage[Any, Any]]


FAILURES: dict[str, tuple[Callable[[], Stages], Any, str]] = {
    "at a record": (
        lambda: [MapStage(str), MapStage(int), MapStage(inverse)],
        [1, 2, 0, 4],
        "4 in = 1 rejected + 3 unfinished",
    ),
    "late in the data": (
        lambda: [MapStage(inverse), Reversed()],
        [*range(1, 9001), 0, 1],
        "9,001 in = 1 rejected + 9,000 unfinished",
    ),
    "as a whole": (lambda: [MapStage(int), ValidateStage(lambda _: False)], range(4), "4 in = 4 rejected"),
    "of no record": (lambda: [MapStage(int), ValidateStage(lambda _: False)], [], "0 in = 0"),
    "after a total": (
        lambda: [AggregateStage(Sum()), AggregateStage(inverse)],
        [0, 0, 0],
        "3 in = 1 rejected + 2 combined",
    ),
    "when the sink is opened": (
        lambda: [MapStage(int), Collect({"begin": ValueError()})],
        range(4),
        "4 in = 4 rejected",
    ),
    "when the sink writes": (lambda: [MapStage(int), Collect({"write": ValueError()})], range(4), "4 in = 4 rejected"),
    "when the sink commits": (lambda: [Numbers(4), Collect({"commit": ValueError()})], None, "4 in = 4 unfinished"),
    "in the source of a total": (
        lambda: [Numbers(4, error=ValueError()), AggregateStage(Sum())],
        None,
        "4 in = 4 unfinished",
    ),
    "in the source of a total within a pipeline": (
        lambda: [nested(Numbers(4, error=ValueError()), AggregateStage(Sum()))],
        None,
        "4 in = 4 unfinished",
    ),
    "in the source": (lambda: [Numbers(4, error=ValueError()), MapStage(str)], None, "4 in = 4 unfinished"),
    "within a pipeline": (
        lambda: [nested(FilterStage(bool), AggregateStage(sum), AggregateStage("".join)), MapStage(str)],
        [0, 1, 2],
        "3 in = 1 filtered + 1 rejected + 1 combined",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
async def test_of_a_failed_run_each_record_has_its_figure(case: str) -> None:
    stages, data, figures = FAILURES[case]
    result = await pipeline_of(*stages()).execute(None if data is None else list(data))
    assert not result.success
    assert str(result.accounting) == figures


async def test_of_a_run_that_its_input_failed_the_records_are_unfinished() -> None:
    result = await pipeline_of(MapStage(str)).execute(raising_iterator(range(2500), ValueError("torn")))
    assert str(result.accounting) == "2,500 in = 2,500 unfinished"


async def test_of_a_stream_that_is_closed_the_records_given_are_told_from_the_others() -> None:
    stream = pipeline_of(Numbers(), FilterStage(is_even), MapStage(str)).stream(chunk_size=10)
    async with stream:
        await anext(aiter(stream))
    accounting = stream.result.accounting
    assert (accounting.given, accounting.loaded) == (5, 0)
    assert accounting.unfinished == accounting.records_in - accounting.filtered - 5


async def test_of_a_stream_that_fails_the_records_given_are_told_from_the_others() -> None:
    stream = pipeline_of(MapStage(inverse)).stream([1, 2, 3, 0, 5], chunk_size=2)
    with pytest.raises(ZeroDivisionError):
        await take(stream)
    assert str(stream.result.accounting) == "4 in = 2 given + 1 rejected + 1 unfinished"


async def test_a_run_that_is_stopped_at_its_end_gives_nothing() -> None:
    pipeline = pipeline_of(MapStage(str))

    def stop(*_: Any) -> None:
        raise StopPipeline("enough")

    pipeline.on_complete(stop)
    result = await pipeline.execute([1, 2])
    assert str(result.accounting) == "2 in = 2 unfinished"


async def test_a_stream_whose_stage_is_aborted_has_its_figures() -> None:
    def abort(number: int) -> int:
        if number == 15:
            raise Abort
        return number

    stream = pipeline_of(Numbers(), MapStage(abort)).stream(chunk_size=10)
    with pytest.raises(Abort):
        await take(stream)
    assert stream.result.accounting.given == 10
    assert stream.result.accounting.unfinished == stream.result.accounting.records_in - 10


@pytest.mark.parametrize("step", ["begin", "commit"])
def test_of_a_durable_run_the_figures_are_of_all_its_attempts(step: str, tmp_path: Path) -> None:
    times = 0

    class FailsOnce(Collect):
        def raise_at(self, step_now: str) -> None:
            nonlocal times
            times += step_now == step
            if step_now == step and times == 3:
                raise ValueError("the disk is full")

    def loading() -> Any:
        return pipeline_of(FilterStage(bool), MapStage(later), FailsOnce())

    options: dict[str, Any] = {"store": tmp_path / "store.db", "run_id": "a", "commit_every": 100}
    failed = loading().run(range(450), **options).accounting
    assert (failed.loaded, failed.filtered, failed.rejected) == (199, 1, 100 if step == "begin" else 0)
    assert failed.unfinished == failed.records_in - 200 - failed.rejected
    assert str(loading().run(range(450), **options).accounting) == "450 in = 449 loaded + 1 filtered"


def test_a_durable_run_that_loads_nothing_has_its_figures(tmp_path: Path) -> None:
    options: dict[str, Any] = {"store": tmp_path / "store.db", "run_id": "a"}
    pipeline = pipeline_of(MapStage(str), MapStage(int), MapStage(inverse))
    assert str(pipeline.run([1, 2, 0, 4], **options).accounting) == "4 in = 1 rejected + 3 unfinished"
    assert str(pipeline.run([1, 2, 3, 4], force=True, **options).accounting) == "4 in = 4 given"
