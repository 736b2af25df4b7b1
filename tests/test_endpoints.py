"""Sources and sinks, used as stages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from mainstem import (
    BranchStage,
    Guarantee,
    LoadReport,
    MapStage,
    PipelineContext,
    Position,
    SinkStage,
    SinkTransaction,
    SourceChunk,
    SourceStage,
)
from mainstem.endpoints import CHUNK_SIZE, LOADED_AT_ONCE
from runs import Abort, check_accounts, execute, pipeline_of, run

pytestmark = pytest.mark.anyio


class Letters(SourceStage[str]):
    """Two letters a chunk; those in ``bad`` cannot be read."""

    def __init__(self, letters: str, bad: str = "") -> None:
        self._letters, self._bad = letters, bad

    async def read(
        self, context: PipelineContext, *, start: Position | None = None, chunk_size: int = 2
    ) -> AsyncGenerator[SourceChunk[str], None]:
        for first in range(0 if start is None else start["next"], len(self._letters), 2):
            found = self._letters[first : first + 2]
            for at, letter in enumerate(found):
                if letter in self._bad:
                    context.record_error(ValueError(letter), record=letter, index=at)
            good = [letter for letter in found if letter not in self._bad]
            yield SourceChunk(good, {"next": first + 2}, records_failed=len(found) - len(good))


class Memory(SinkStage[Any]):
    """Keeps what is committed; refuses ``bad`` records and breaks at ``broken`` ones."""

    def __init__(
        self,
        *,
        bad: frozenset[Any] = frozenset(),
        broken: BaseException | None = None,
        abort_error: Exception | None = None,
    ) -> None:
        self.committed: list[Any] = []
        self.log: list[str] = []
        self.bad, self.broken, self.abort_error = bad, broken, abort_error

    @property
    def target(self) -> str:
        return "memory"

    async def begin(self, context: PipelineContext) -> SinkTransaction[Any]:
        self.log.append("begin")
        return Loading(self, context)


class Loading(SinkTransaction[Any]):
    def __init__(self, sink: Memory, context: PipelineContext) -> None:
        self._sink, self._context, self._pending = sink, context, list[Any]()

    async def write(self, records: Sequence[Any]) -> int:
        self._sink.log.append(f"write {len(records)}")
        if self._sink.broken is not None:
            raise self._sink.broken
        for at, record in enumerate(records):
            if record in self._sink.bad:
                self._context.record_error(ValueError("refused"), record=record, index=at)
            else:
                self._pending.append(record)
        return sum(record in self._sink.bad for record in records)

    async def commit(self, position: Position | None = None) -> None:
        self._sink.log.append("commit")
        self._sink.committed.extend(self._pending)

    async def abort(self) -> None:
        await anyio.lowlevel.checkpoint()
        self._sink.log.append("abort")
        if self._sink.abort_error is not None:
            raise self._sink.abort_error


async def test_a_source_called_alone_gives_all_its_records() -> None:
    result = check_accounts(await Letters("abcde").process(None, PipelineContext()), 5)
    assert result.data == ["a", "b", "c", "d", "e"]


async def test_positions_of_unreadable_records_are_the_same_alone_in_a_pipeline_and_in_a_branch() -> None:
    alone = PipelineContext()
    check_accounts(await Letters("abcde", bad="be").process(None, alone), 5)
    in_pipeline = await execute(Letters("abcde", bad="be"), MapStage(str.upper), data=None, entered=5)
    in_branch = await execute(BranchStage(letters=Letters("abcde", bad="be")), data=None)
    for context in (alone, in_pipeline.context, in_branch.context):
        assert [(entry.index, entry.record) for entry in context.errors] == [(1, "b"), (4, "e")]


async def test_a_source_can_start_from_a_position_an_earlier_chunk_came_with() -> None:
    source = Letters("abcdef")
    chunks = [chunk async for chunk in source.read(PipelineContext())]
    resumed = [chunk async for chunk in source.read(PipelineContext(), start=chunks[0].position)]
    assert resumed == chunks[1:]


def test_a_sink_writes_in_chunks_commits_once_and_reports() -> None:
    sink = Memory()
    count = 2 * LOADED_AT_ONCE + 1
    result = run(sink, data=iter(range(count)), entered=count)
    assert result.data == LoadReport(target="memory", records_loaded=count, guarantee=Guarantee.AT_LEAST_ONCE)
    assert sink.committed == list(range(count))
    assert sink.log == ["begin", f"write {LOADED_AT_ONCE}", f"write {LOADED_AT_ONCE}", "write 1", "commit"]


def test_an_empty_load_is_committed_too() -> None:
    sink = Memory()
    assert run(sink, data=[], entered=0).data.records_loaded == 0
    assert sink.log == ["begin", "commit"]


def test_records_a_sink_refuses_are_counted_and_recorded_with_their_position() -> None:
    bad = frozenset({3, CHUNK_SIZE + 4})
    result = run(Memory(bad=bad), data=range(CHUNK_SIZE + 9), entered=CHUNK_SIZE + 9)
    assert (result.data.records_loaded, result.data.records_rejected) == (CHUNK_SIZE + 7, 2)
    assert [(entry.stage, entry.index) for entry in result.context.errors] == [
        ("Memory", 3),
        ("Memory", CHUNK_SIZE + 4),
    ]
    assert result.records_failed == 2


def test_a_write_that_fails_aborts_and_nothing_is_committed() -> None:
    sink = Memory(broken=OSError("disk full"))
    result = run(sink, data=[1, 2], entered=2)
    assert str(result.error) == "disk full"
    assert sink.log == ["begin", "write 2", "abort"]
    assert sink.committed == []


def test_an_abort_that_fails_too_does_not_hide_why_the_load_failed() -> None:
    sink = Memory(broken=OSError("disk full"), abort_error=OSError("connection lost"))
    result = run(sink, data=[1], entered=1)
    assert str(result.error) == "disk full"
    assert "and to undo the load failed: OSError: connection lost" in result.error.__notes__


async def test_what_is_no_exception_aborts_and_passes_through() -> None:
    sink = Memory(broken=Abort())
    with pytest.raises(Abort):
        await execute(sink, data=[1])
    assert sink.log == ["begin", "write 1", "abort"]


async def test_a_cancelled_load_is_aborted_before_the_run_returns() -> None:
    sink = Memory()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await pipeline_of(sink).execute([1, 2])
    assert scope.cancelled_caught
    assert sink.log == ["begin", "write 2", "abort"]
    assert sink.committed == []


def test_a_guarantee_is_plain_text() -> None:
    assert [each.value for each in Guarantee] == ["exactly-once", "at-least-once"]
