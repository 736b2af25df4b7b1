"""Observers of a run: told of chunks, stages and the end, and unable to change or harm the run."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import anyio
import pytest

from mainstem import (
    BatchStage,
    BranchStage,
    FilterStage,
    MapStage,
    ObserverError,
    PipelineContext,
    SourceChunk,
    SourceStage,
    StopPipeline,
)
from mainstem.run_observer import ObservedRun, RunEnd, RunObserver, RunStart
from mainstem.stage_run import UNOBSERVED
from runs import Abort, check_accounts, pipeline_of

pytestmark = pytest.mark.anyio


class Recorder(RunObserver):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def around_chunk(self, stages: Sequence[str], records: int | None) -> Any:
        return self._noting(tuple(stages), records)

    @contextmanager
    def _noting(self, stages: tuple[str, ...], records: int | None) -> Generator[None]:
        self.calls.append(("begin", stages, records))
        try:
            yield
        finally:
            self.calls.append(("end", stages, records))

    def around_stage(self, stage: str) -> Any:
        return self._noting((stage,), -1)

    def stage_completed(self, stage: str) -> None:
        self.calls.append(("completed", stage))

    def end(self, end: RunEnd) -> None:
        self.calls.append(("run", end.status, type(end.error)))

    @property
    def chunks(self) -> list[tuple[tuple[str, ...], int | None]]:
        return [(call[1], call[2]) for call in self.calls if call[0] == "begin"]


def increment(number: int) -> int:
    return number + 1


def is_even(number: int) -> bool:
    return number % 2 == 0


def observed(*stages: Any, **options: Any) -> tuple[Any, Recorder]:
    pipeline, recorder = pipeline_of(*stages, **options), Recorder()
    pipeline.on_run(lambda start: recorder)
    return pipeline, recorder


async def test_of_short_data_it_is_told_stage_by_stage() -> None:
    pipeline, recorder = observed(MapStage(increment), FilterStage(is_even))
    result = check_accounts(await pipeline.execute([1, 2, 3]), 3)
    assert result.data == [2, 4]
    assert recorder.calls == [
        ("begin", ("MapStage",), 3),
        ("end", ("MapStage",), 3),
        ("completed", "MapStage"),
        ("begin", ("FilterStage",), 3),
        ("end", ("FilterStage",), 3),
        ("completed", "FilterStage"),
        ("run", "completed", type(None)),
    ]


async def test_stages_share_a_loop_as_they_do_when_nobody_looks() -> None:
    pipeline, recorder = observed(MapStage(increment), FilterStage(is_even), BatchStage(10))
    result = await pipeline.execute(list(range(3500)))
    assert result.success
    assert (("MapStage", "FilterStage"), 1000) in recorder.chunks
    assert [call[1] for call in recorder.calls if call[0] == "completed"] == ["MapStage", "FilterStage", "BatchStage"]
    begun = [call[1:] for call in recorder.calls if call[0] == "begin"]
    assert begun == [call[1:] for call in recorder.calls if call[0] == "end"]


async def test_a_stream_is_told_of_as_well_and_its_calls_that_overlap_are_one_work() -> None:
    async def later(number: int) -> int:
        await anyio.sleep(0)
        return number

    pipeline, recorder = observed(MapStage(later, concurrency=3), MapStage(increment, name="then"))
    async with pipeline.stream(range(10), chunk_size=4) as chunks:
        assert [number async for chunk in chunks for number in chunk] == list(range(1, 11))
    assert recorder.chunks[0] == (("MapStage",), -1)
    assert [chunk for chunk in recorder.chunks if chunk[0] == ("MapStage",)] == [(("MapStage",), -1)]
    assert sum(records or 0 for stages, records in recorder.chunks if stages == ("then",)) == 10
    assert recorder.calls[-1] == ("run", "completed", type(None))


async def test_the_start_says_what_the_run_is() -> None:
    starts: list[RunStart] = []
    pipeline = pipeline_of(MapStage(increment), MapStage(str), name="numbers")
    pipeline.on_run(starts.append)
    context = PipelineContext()
    await pipeline.execute([1], context=context)
    async with pipeline.stream([1]) as chunks:
        async for _ in chunks:
            pass
    assert [(each.pipeline, each.names, each.run_id, each.streams) for each in starts] == [
        ("numbers", ("MapStage", "MapStage#2"), None, False),
        ("numbers", ("MapStage", "MapStage#2"), None, True),
    ]
    assert starts[0].context is context
    assert starts[0].stages == pipeline.stages
    assert starts[0].hints == (list[int], list[str])


async def test_the_end_has_the_result_and_the_error() -> None:
    ends: list[RunEnd] = []

    class Ends(RunObserver):
        def end(self, end: RunEnd) -> None:
            ends.append(end)

    pipeline = pipeline_of(MapStage(lambda number: 1 / number))
    pipeline.on_run(lambda start: Ends())
    result = await pipeline.execute([0])
    assert ends[0].result is result
    assert ends[0].error is result.error
    assert (ends[0].status, ends[0].duration_ms > 0) == ("failed", True)
    assert result.context.observed is None


async def test_a_run_that_is_cancelled_or_left_is_told_of_as_such() -> None:
    async def hang(number: int) -> int:
        await anyio.sleep_forever()
        return number

    pipeline, recorder = observed(MapStage(hang))
    with anyio.move_on_after(0.05):
        await pipeline.execute([1])
    assert recorder.calls[-1][:2] == ("run", "cancelled")
    assert recorder.calls[-2] == ("end", ("MapStage",), 1)

    pipeline, recorder = observed(MapStage(increment))
    async with pipeline.stream(range(5000)) as chunks:
        await anext(chunks)
    assert recorder.calls[-1][:2] == ("run", "cancelled")
    assert len([call for call in recorder.calls if call[0] == "run"]) == 1

    pipeline, recorder = observed(MapStage(raise_abort))
    with pytest.raises(Abort):
        await pipeline.execute([1])
    assert recorder.calls[-1] == ("run", "cancelled", Abort)


def raise_abort(number: int) -> int:
    raise Abort


async def test_a_run_whose_coroutine_is_closed_is_told_of_as_cancelled() -> None:
    async def hang(number: int) -> int:
        await anyio.sleep_forever()
        return number

    pipeline, recorder = observed(MapStage(hang))
    coroutine = pipeline.execute([1])
    coroutine.send(None)
    coroutine.close()
    assert recorder.calls[-1] == ("run", "cancelled", GeneratorExit)
    assert recorder.calls[-2] == ("end", ("MapStage",), 1)


async def test_parts_within_branches_are_the_branching_stages_work() -> None:
    pipeline, recorder = observed(BranchStage(a=MapStage(increment), b=MapStage(str)))
    assert (await pipeline.execute([1])).data == {"a": [2], "b": ["1"]}
    assert recorder.chunks == [(("BranchStage",), 1)]


async def test_a_nested_pipeline_is_a_run_of_its_own() -> None:
    inner, inner_recorder = observed(MapStage(increment), name="inner")
    outer, outer_recorder = observed(inner, MapStage(str))
    assert (await outer.execute([1])).data == ["2"]
    assert inner_recorder.chunks == [(("MapStage",), 1)]
    assert outer_recorder.chunks == [(("inner",), 1), (("MapStage",), 1)]


class Broken(Recorder):
    """Raises in one of its methods."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self._method = method

    def _break(self, method: str) -> None:
        if method == self._method:
            raise ValueError(f"broken {method}")

    def around_chunk(self, stages: Sequence[str], records: int | None) -> Any:
        self._break("around_chunk")
        return self._entered_and_left()

    @contextmanager
    def _entered_and_left(self) -> Generator[None]:
        self._break("enter")
        yield
        self._break("leave")

    def stage_completed(self, stage: str) -> None:
        self._break("stage_completed")

    def end(self, end: RunEnd) -> None:
        super().end(end)
        self._break("end")


@pytest.mark.parametrize("method", ["around_chunk", "enter", "leave", "stage_completed", "end"])
async def test_one_that_raises_is_logged_and_recorded_once_and_harms_nobody(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline, recorder = observed(MapStage(increment), BatchStage(2))
    broken = Broken(method)
    pipeline.on_run(lambda start: broken)
    with caplog.at_level(logging.ERROR, "mainstem.hooks"):
        result = check_accounts(await pipeline.execute(list(range(2500))))
    assert result.success
    assert [type(entry.error) for entry in result.context.errors] == [ObserverError]
    assert f"ValueError: broken {method}" in str(result.context.errors[0].error)
    assert __file__ in str(result.context.errors[0].error)
    assert len(caplog.records) == 1
    assert broken.calls == [("run", "completed", type(None))]
    assert ("completed", "BatchStage") in recorder.calls


class RaisesAgain:
    """A context manager that raises what it is left with."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is not None:
            raise error


class BrokenSource(SourceStage[int]):
    """A source that gives a chunk, and raises."""

    async def read(self, context: Any, *, start: Any = None, chunk_size: int = 1) -> Any:
        yield SourceChunk([1], position={})
        raise ValueError("the source is broken")


async def test_a_failure_of_the_run_is_not_taken_for_one_of_the_observer() -> None:
    class Looks(RunObserver):
        def around_chunk(self, stages: Sequence[str], records: int | None) -> Any:
            return RaisesAgain()

    pipeline = pipeline_of(BrokenSource(), MapStage(increment))
    pipeline.on_run(lambda start: Looks())
    result = await pipeline.execute()
    assert [str(entry.error) for entry in result.context.errors] == ["the source is broken"]


async def test_one_that_sees_to_its_failures_has_them_neither_logged_nor_recorded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[Exception] = []

    class Quiet(Broken):
        def failed(self, error: Exception) -> bool:
            seen.append(error)
            return True

    pipeline = pipeline_of(MapStage(increment))
    pipeline.on_run(lambda start: Quiet("around_chunk"))
    result = await pipeline.execute([1])
    assert (result.context.errors, caplog.records) == ([], [])
    assert [str(error) for error in seen] == ["broken around_chunk"]


async def test_a_hook_that_raises_or_returns_something_else_is_recorded_and_the_run_goes_on() -> None:
    pipeline, recorder = observed(MapStage(increment), name="named")
    pipeline.on_run(lambda start: "no observer")
    pipeline.on_run(lambda start: 1 / 0)
    result = await pipeline.execute([1])
    assert result.success
    assert [entry.stage for entry in result.context.errors] == ["named", "named"]
    assert "it returned str, which is no RunObserver" in str(result.context.errors[0].error)
    assert recorder.calls[-1] == ("run", "completed", type(None))


async def test_stop_pipeline_out_of_the_hook_stops_the_run_and_those_before_it_are_told() -> None:
    pipeline, recorder = observed(MapStage(increment))
    later: list[Any] = []

    def stop(start: RunStart) -> None:
        raise StopPipeline("not today")

    pipeline.on_run(stop)
    pipeline.on_run(later.append)
    result = await pipeline.execute([1])
    assert (result.success, str(result.error)) == (False, "not today")
    assert recorder.calls == [("run", "failed", StopPipeline)]
    assert later == []


def test_a_bundle_may_have_it() -> None:
    class Bundle:
        def __init__(self) -> None:
            self.starts: list[RunStart] = []

        def on_run(self, start: RunStart) -> None:
            self.starts.append(start)

    bundle = Bundle()
    pipeline_of(MapStage(increment)).add_hooks(bundle).run([1])
    assert len(bundle.starts) == 1


def test_it_serves_as_a_decorator_and_refuses_what_cannot_be_called() -> None:
    pipeline = pipeline_of(MapStage(increment))

    @pipeline.on_run
    def hook(start: RunStart) -> None: ...

    assert callable(hook)
    with pytest.raises(TypeError, match="on_run takes a function, and None cannot be called"):
        pipeline.on_run(None)


def test_who_has_nothing_to_do_with_chunks_is_not_asked_about_them() -> None:
    context = PipelineContext()
    run = ObservedRun(context, "p")
    start = RunStart(pipeline="p", stages=(), names=(), hints=(), context=context)
    assert run.begin([lambda start: RunObserver()], start)
    assert run.around_chunk(("a",), 1) is run.around_chunk(("b",), 2)
    assert not run.begin([], start) or run.around_stage("a") is not UNOBSERVED
