"""From a source to a sink a run streams by itself: memory is bounded, and the load is committed or aborted."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from mainstem import BatchStage, FlattenStage, LoadReport, MapStage, PipelineContext, SourceChunk
from mainstem.endpoints import CHUNK_SIZE
from runs import Abort, check_accounts, errors_of, pipeline_of
from streams import Collect, Heard, Numbers, checkpoint, later, nothing_left, take

pytestmark = pytest.mark.anyio


class Counted(list[int]):
    """A chunk that is counted for as long as it lives."""

    alive = most = 0

    def __init__(self, numbers: Any) -> None:
        super().__init__(numbers)
        Counted.alive += 1
        Counted.most = max(Counted.most, Counted.alive)

    def __del__(self) -> None:
        Counted.alive -= 1


class CountedNumbers(Numbers):
    async def read(self, context: PipelineContext, **options: Any) -> AsyncGenerator[SourceChunk[int], None]:
        for first in range(60):
            await checkpoint()
            yield SourceChunk([Counted([first, first])], {})  # a record that is itself counted


class Dropping(Collect):
    """A sink that keeps nothing, as if it had sent it away."""

    def __init__(self) -> None:
        super().__init__(wait=self.slowly)
        self.count = 0

    async def slowly(self) -> None:
        self.count += len(self.written)
        self.written = []
        for _ in range(20):
            await checkpoint()

    async def begin(self, context: PipelineContext) -> Any:
        transaction: Any = await super().begin(context)
        transaction._written = Forgetful()
        return transaction


class Forgetful(list[Any]):
    def __iadd__(self, records: Any) -> Any:  # type: ignore[override,misc]
        return self


@pytest.mark.parametrize("way", ["execute", "stream"])
@pytest.mark.parametrize(
    "stages",
    [
        list,
        lambda: [MapStage(later)],
        lambda: [MapStage(later, concurrency=3)],
        lambda: [BatchStage(2), FlattenStage(), MapStage(later)],
    ],
    ids=["none", "async", "overlapping", "batches"],
)
async def test_no_more_than_a_few_chunks_are_alive_however_many_there_are(way: str, stages: Any) -> None:
    gc.collect()
    Counted.alive = Counted.most = 0
    sink = Dropping()
    pipeline = pipeline_of(CountedNumbers(), *stages(), sink)
    gc.disable()  # it must not depend on cycles being found
    try:
        await (pipeline.execute(None) if way == "execute" else take(pipeline.stream(chunk_size=1)))
    finally:
        gc.enable()
    assert 1 < Counted.most <= 12
    assert sink.ends == ["committed"]


@pytest.mark.parametrize("way", ["execute", "stream"])
async def test_the_load_is_committed_at_the_end_and_reported(way: str) -> None:
    source, sink, heard = Numbers(3 * CHUNK_SIZE + 1), Collect(), Heard()
    pipeline = pipeline_of(source, MapStage(later, concurrency=5), sink, event_bus=heard.bus)
    with nothing_left():
        if way == "execute":
            result = await pipeline.execute(None)
            report = result.data
        else:
            stream = pipeline.stream()
            [report] = await take(stream)
            result = stream.result
    check_accounts(result, 3 * CHUNK_SIZE + 1)
    assert sink.stored == list(range(3 * CHUNK_SIZE + 1))
    assert sink.ends == ["committed"]
    assert isinstance(report, LoadReport)
    assert (report.records_loaded, report.records_rejected, report.target) == (len(sink.stored), 0, "a list")
    assert result.context.completed_stages == ["Numbers", "MapStage", "Collect"]
    assert heard.statuses == ["completed"]
    assert (source.opened, source.closed) == (1, 1)


def test_run_streams_too() -> None:
    sink = Collect()
    result = pipeline_of(Numbers(10), sink).run()
    assert result.data.records_loaded == 10
    assert sink.ends == ["committed"]


async def test_an_empty_source_loads_nothing_and_commits() -> None:
    sink = Collect()
    result = await pipeline_of(Numbers(0), MapStage(later), sink).execute(None)
    assert (result.data.records_loaded, sink.ends) == (0, ["committed"])
    assert list(result.stage_results) == ["Numbers", "MapStage", "Collect"]


@pytest.mark.parametrize("way", ["execute", "stream"])
@pytest.mark.parametrize(("step", "ends"), [("begin", []), ("write", ["aborted"]), ("commit", ["aborted"])])
async def test_a_sink_that_fails_is_reported_and_what_it_wrote_undone(way: str, step: str, ends: list[str]) -> None:
    error = OSError(f"no {step}")
    source, sink = Numbers(2500), Collect({step: error})
    pipeline = pipeline_of(source, MapStage(later), sink)
    failed: list[str] = []
    pipeline.on_error(lambda name, raised, context: failed.append(name))
    with nothing_left():
        if way == "execute":
            result = await pipeline.execute(None)
        else:
            stream = pipeline.stream()
            with pytest.raises(OSError, match=f"no {step}"):
                await take(stream)
            result = stream.result
    check_accounts(result)
    assert result.error is error
    assert errors_of(result.context) == [("Collect", None, f"no {step}")]
    assert any("in stage 'Collect', made at" in note for note in error.__notes__)
    assert (sink.stored, sink.ends, failed) == ([], ends, ["Collect"])
    assert source.opened == source.closed
    assert "Collect" not in result.context.completed_stages


async def test_rejected_records_are_counted_with_their_position_in_the_whole() -> None:
    class Picky(Collect):
        async def begin(self, context: PipelineContext) -> Any:
            transaction = await super().begin(context)
            write = transaction.write

            async def pick(records: Any) -> int:
                bad = [at for at, record in enumerate(records) if record % 4 == 3]
                for at in bad:
                    context.record_error(ValueError("not taken"), record=records[at], index=at)
                await write([record for record in records if record % 4 != 3])
                return len(bad)

            transaction.write = pick  # type: ignore[method-assign]
            return transaction

    sink = Picky()
    stream = pipeline_of(Numbers(10), MapStage(later), sink).stream(chunk_size=3)
    [report] = await take(stream)
    assert (report.records_loaded, report.records_rejected) == (8, 2)
    assert errors_of(stream.result.context) == [("Picky", 3, "not taken"), ("Picky", 7, "not taken")]
    assert check_accounts(stream.result, 10).records_failed == 2


async def test_with_hooks_that_see_the_whole_it_is_run_stage_by_stage_and_ends_the_same() -> None:
    sink = Collect()
    pipeline = pipeline_of(Numbers(10), MapStage(later), sink)
    seen: list[Any] = []
    pipeline.before_stage(lambda name, data, context: seen.append((name, data)))
    result = await pipeline.execute(None)
    assert seen == [("Numbers", None), ("MapStage", list(range(10))), ("Collect", list(range(10)))]
    assert (result.data.records_loaded, sink.ends) == (10, ["committed"])


async def test_what_is_no_exception_aborts_the_load() -> None:
    sink = Collect()
    with nothing_left(), anyio.fail_after(20), pytest.raises(Abort):
        await pipeline_of(Numbers(5, error=Abort()), MapStage(later), sink).execute(None)
    assert (sink.stored, sink.ends) == ([], ["aborted"])
