"""``FakeSource`` and ``FakeQueue`` keep what every source keeps to."""

from __future__ import annotations

import json
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.runs import pipeline_of

from mainstem import (
    ConnectError,
    ConnectionLostError,
    GuaranteeError,
    MapStage,
    PipelineContext,
    Position,
    SourceChangedError,
    SourceChunk,
    SourceStage,
)
from mainstem.testing import FakeQueue, FakeSink, FakeSource, assert_rejects


async def read_chunks(
    source: SourceStage[Any], *, start: Position | None = None, chunk_size: int = 3, context: Any = None
) -> list[SourceChunk[Any]]:
    async with aclosing(source.read(context or PipelineContext(), start=start, chunk_size=chunk_size)) as chunks:
        return [chunk async for chunk in chunks]


@pytest.mark.anyio
@pytest.mark.parametrize("chunk_size", [1, 2, 3, 100])
@pytest.mark.parametrize("bad", [(), (0,), (5, 6), (10,), tuple(range(11))])
async def test_reading_from_each_position_gives_exactly_the_rest(chunk_size: int, bad: tuple[int, ...]) -> None:
    source = FakeSource(range(11), unreadable={at: ValueError("torn") for at in bad}, continue_on_error=True)
    seen = 0
    for chunk in await read_chunks(source, chunk_size=chunk_size):
        seen += len(chunk.records) + chunk.records_failed
        context = PipelineContext()
        rest = await read_chunks(source, start=json.loads(json.dumps(chunk.position)), context=context)
        assert [each for part in rest for each in part.records] == [at for at in range(seen, 11) if at not in bad]
        assert [entry.index for entry in context.errors] == [at for at in bad if at >= seen]
    assert seen == 11


@given(st.lists(st.integers(), max_size=20), st.integers(0, 20), st.integers(1, 3))
def test_it_breaks_off_as_often_as_it_is_told_and_then_gives_all(numbers: list[int], at: int, failures: int) -> None:
    source = FakeSource(numbers, fails_at=at, failures=failures)
    pipeline = pipeline_of(source)
    for _ in range(failures if at < len(numbers) else 0):
        assert isinstance(pipeline.run().error, ConnectionLostError)
    assert pipeline.run().data == numbers


def test_an_error_of_ones_own_is_raised() -> None:
    error = OSError("unplugged")
    assert pipeline_of(FakeSource([1], fails_at=0, error=error)).run().error is error


def test_a_record_that_cannot_be_read_fails_the_run_or_is_a_reject() -> None:
    error = ValueError("torn")
    assert pipeline_of(FakeSource("abc", unreadable={1: error})).run().error is error
    result = pipeline_of(FakeSource("abc", unreadable={1: error}, continue_on_error=True, name="letters")).run()
    assert (result.data, result.records_failed) == (["a", "c"], 1)
    assert [each.index for each in assert_rejects(result, "letters", ("b", "torn"))] == [1]


@pytest.mark.anyio
async def test_a_reject_of_a_later_chunk_has_its_place_among_all() -> None:
    source = FakeSource(range(3000), unreadable={2500: ValueError("torn")}, continue_on_error=True)
    result = await pipeline_of(source, FakeSink()).execute(None)
    assert [each.index for each in result.context.errors] == [2500]
    context = PipelineContext()
    by_hand = await source.process(None, context)
    assert (by_hand.records_processed, by_hand.records_failed) == (2999, 1)
    assert [each.index for each in context.errors] == [2500]


@pytest.mark.parametrize("fails_at", [0, 1, 4, 7])
def test_a_durable_run_goes_on_behind_what_was_committed(tmp_path: Path, fails_at: int) -> None:
    source, sink = FakeSource(range(8), fails_at=fails_at), FakeSink[int]()
    pipeline = pipeline_of(source, sink)
    options: dict[str, Any] = {"store": tmp_path / "runs.db", "run_id": "1", "commit_every": 1}
    assert not pipeline.run(**options).success
    committed = len(sink.stored)
    assert pipeline.run(**options).success
    assert sink.stored == list(range(8))
    assert source.reads == [None, {"record": committed} if committed else None]


def test_what_was_changed_meanwhile_is_refused(tmp_path: Path) -> None:
    source = FakeSource([1, 2, 3], fails_at=2)
    pipeline = pipeline_of(source, FakeSink())
    assert not pipeline.run(store=tmp_path / "runs.db", run_id="1", commit_every=1).success
    source.records[0] = 7
    with pytest.raises(SourceChangedError):
        pipeline.run(store=tmp_path / "runs.db", run_id="1")


def test_a_mended_reject_is_taken_as_it_is() -> None:
    assert FakeSource([1]).read_again("mended") == "mended"


@pytest.mark.anyio
async def test_runs_of_one_source_may_overlap() -> None:
    source = FakeSource(range(20))
    async with (
        aclosing(source.read(PipelineContext(), chunk_size=3)) as first,
        aclosing(source.read(PipelineContext(), chunk_size=5)) as second,
    ):
        found: tuple[list[Any], list[Any]] = ([], [])
        for _ in range(7):
            for chunks, into in zip((first, second), found, strict=True):
                chunk = await anext(chunks, None)
                into.extend(chunk.records if chunk else [])
    assert found == (list(range(20)), list(range(20)))


@pytest.mark.anyio
@pytest.mark.parametrize("start", [{}, {"record": "0"}, {"record": -1}, {"record": True}])
async def test_what_is_no_position_is_refused(start: Position) -> None:
    with pytest.raises(ConnectError, match="is no position"):
        await read_chunks(FakeSource([1]), start=start)


@pytest.mark.anyio
async def test_a_position_behind_the_end_is_refused() -> None:
    with pytest.raises(ConnectError, match="replaced: it has 2 records, and was read up to 5"):
        await read_chunks(FakeSource([1, 2]), start={"record": 5})


@pytest.mark.anyio
@pytest.mark.parametrize("chunk_size", [0, -1, 1.5, True])
async def test_a_wrong_chunk_size_is_refused(chunk_size: Any) -> None:
    with pytest.raises(ValueError, match="chunk_size"):
        await read_chunks(FakeSource([1]), chunk_size=chunk_size)


@pytest.mark.parametrize("option", [{"fails_at": -1}, {"failures": 0}])
def test_wrong_options_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="of FakeSource"):
        FakeSource([1], **option)


def test_a_queue_lets_go_of_what_is_committed_and_gives_the_rest_again() -> None:
    queue, sink = FakeQueue(range(5), fails_at=4), FakeSink[int]()
    pipeline = pipeline_of(queue, sink)
    assert not pipeline.run().success
    assert (queue.acknowledged, queue.released, sink.stored) == (0, 1, [])
    assert pipeline.run().success
    assert (queue.acknowledged, queue.released, sink.stored) == (5, 2, list(range(5)))
    queue.records += [5, 6]
    assert pipeline.run().unwrap().records_loaded == 2
    assert sink.stored == list(range(7))


def test_a_durable_run_from_a_queue_lets_go_after_each_batch(tmp_path: Path) -> None:
    acknowledged: list[int] = []

    def watch(number: int) -> int:
        acknowledged.append(queue.acknowledged)
        return number

    queue, sink = FakeQueue(range(6)), FakeSink[int]()
    pipeline = pipeline_of(queue, MapStage(watch), sink)
    result = pipeline.run(store=tmp_path / "runs.db", run_id="1", commit_every=1)
    assert (result.error, sink.stored, queue.acknowledged) == (None, list(range(6)), 6)
    with pytest.raises(GuaranteeError):
        pipeline.run(store=tmp_path / "runs.db", run_id="2", guarantee="exactly-once")
