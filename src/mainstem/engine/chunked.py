"""Running a pipeline chunk by chunk, as it was laid out: the way of streams, and of long data in memory.

The parts of a pipeline are async generators of chunks, each of which pulls from the one before it: what is not asked
for is not computed, which is back-pressure. Where a part spends its time waiting (a source, an async function, a sink),
a ``HandOff`` lets it run beside its neighbours, a bounded number of chunks ahead.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, TypeGuard

from mainstem.context import PipelineContext, StageProgress
from mainstem.endpoints import Load, SinkStage, SourceStage
from mainstem.engine.call_window import CallWindow
from mainstem.engine.chunks import Reader, is_async, read_source
from mainstem.engine.closing import closing
from mainstem.engine.hand_off import HandOff
from mainstem.engine.layout import Layout
from mainstem.engine.line import Demand, Line, StageFailed
from mainstem.engine.plan import expands
from mainstem.hooks import Hooks
from mainstem.result import StageResult
from mainstem.stage import PipelineStage
from mainstem.stage_run import StageRun, State
from mainstem.stages.aggregate import AggregateStage
from mainstem.stateful import StatefulStage
from mainstem.typecheck import RecordNet

Chunks = AsyncGenerator[Sequence[Any], None]


class ChunkedRun:
    """One run of a pipeline, chunk by chunk.

    Args:
        stages: The stages.
        names: Their names in reports.
        context: The run's context.
        hooks: Hooks that watch the stages; they see each chunk.
        nets: Checks of each stage's output, if they were asked for.
        layouts: The segments of the pipeline, laid out.
        chunk_size: Records in a chunk.
        alongside: Whether parts run beside one another.
        ordered: Whether the output keeps the order of the input.

    Attributes:
        stage_runs: The stages that have begun, in order.
        reader: What reads the input of the pipeline, once it has begun; a source reads by itself.
    """

    def __init__(
        self,
        stages: Sequence[PipelineStage[Any, Any]],
        names: Sequence[str],
        context: PipelineContext,
        hooks: Hooks | None,
        nets: Sequence[RecordNet] | None,
        layouts: Sequence[Layout],
        *,
        chunk_size: int,
        alongside: bool,
        ordered: bool = True,
    ) -> None:
        self._stages, self._names, self._context, self._nets = stages, names, context, nets
        self._hooks = hooks
        self._layouts, self._chunk_size = layouts, chunk_size
        self._alongside, self._ordered = alongside, ordered
        self.stage_runs: list[StageRun] = []
        self.reader: Reader | None = None

    async def output(self, data: Any) -> AsyncGenerator[Any, None]:
        """Give the output: chunks of records, lists that may be empty, or the one value of the last stage.

        Raises:
            StageFailed: If a stage fails.
            StopPipeline: If a hook raised it.
            Exception: What the input raised, if there is no stage to fail.
        """
        source = self._begin(0) if self._stages and isinstance(self._stages[0], SourceStage) else None
        for layout in self._layouts:
            if not layout.sections and source is None and self._takes_whole(layout.end, data):
                data = await self._feed_whole(self._begin(layout.end), data)
                continue
            lines = self._lines(layout)
            end = None if layout.end is None else self._begin(layout.end, self._state_of(layout.end))
            chunks = self._chunks(layout, lines, end, data, source)
            if end is None:
                async with closing(chunks) as output:
                    async for chunk in output:
                        yield chunk
                return
            data, source = await self._collect(end, chunks), None
        yield data

    def _takes_whole(self, end: int | None, data: Any) -> TypeGuard[int]:
        """Whether the stage at the end is blocking, and handed data that nobody need gather for it."""
        return end is not None and self._state_of(end) is None and not is_async(data)

    def _state_of(self, at: int) -> State | None:
        """Return what a stage keeps from chunk to chunk within a run, new; ``None`` if it keeps nothing, or can't."""
        stage: Any = self._stages[at]
        if isinstance(stage, SinkStage):
            return Load(stage)  # pyright: ignore[reportUnknownArgumentType]
        begins: Any = stage if isinstance(stage, (StatefulStage, AggregateStage)) else None
        return None if begins is None else begins.begin()

    def _begin(self, at: int, state: State | None = None) -> StageRun:
        context = self._context.beside() if self._alongside else self._context
        run = StageRun(
            self._stages[at], self._names[at], context, None if self._nets is None else self._nets[at], state
        )
        self.stage_runs.append(run)
        return run

    def _lines(self, layout: Layout) -> list[Line]:
        runs = [[self._begin(at, self._state_of(at)) for at in section.stages] for section in layout.sections]
        return [Line(each, self._hooks, demands) for each, demands in zip(runs, demands_of(runs), strict=True)]

    def _chunks(
        self, layout: Layout, lines: Sequence[Line], end: StageRun | None, data: Any, source: StageRun | None
    ) -> Chunks:
        """Return the output of a segment's line of stages."""

        def room() -> int:
            wanted = lines[0].room if lines else None
            return self._chunk_size if wanted is None else min(wanted, self._chunk_size)

        before = source
        if source is None:
            reader = Reader(room)
            self.reader = self.reader or reader
            chunks = self._read(reader, data, lines[0].runs[0] if lines else end)
        else:
            reader = None
            chunks = self._read_source(source, data, room)
        for line, section in zip(lines, layout.sections, strict=True):
            chunks = self._hand_off(chunks, section.ahead, before, line.runs[0])
            if section.overlaps:
                chunks = self._overlap(line.runs[0], section.holds, chunks)
            else:
                chunks = self._through(line, chunks, reader if line is lines[0] else None)
            before = line.runs[-1]
        return self._hand_off(chunks, layout.ahead, before, end)

    def _hand_off(self, chunks: Chunks, ahead: int | None, giver: StageRun | None, taker: StageRun | None) -> Chunks:
        if ahead is None:
            return chunks
        return HandOff(chunks, ahead, _progress_of(giver), _progress_of(taker)).output()

    async def _read(self, reader: Reader, data: Any, first: StageRun | None) -> Chunks:
        async with closing(reader.read(data)) as chunks:
            async for chunk in chunks:
                yield chunk
        if reader.error is None:
            return
        if first is None:
            raise reader.error
        raise StageFailed(first, first.interrupt(reader.error))

    async def _read_source(self, source: StageRun, data: Any, room: Callable[[], int]) -> Chunks:
        try:
            async with closing(read_source(source, data, room, self._chunk_size)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except Exception as error:
            of_a_record = any(entry.error is error and entry.index is not None for entry in self._context.errors)
            source.account(0, 1 if of_a_record else 0, 0)
            raise StageFailed(source, source.interrupt(error)) from error
        source.complete()

    def _overlap(self, run: StageRun, holds: int, upstream: Chunks) -> Chunks:
        stage: Any = run.stage
        return CallWindow(run, stage, holds, ordered=self._ordered).output(upstream)

    async def _through(self, line: Line, upstream: Chunks, reader: Reader | None) -> Chunks:
        async with closing(upstream) as chunks:
            async for chunk in chunks:
                for piece in line.cut(chunk):
                    yield await line.feed(piece, last=reader is not None and reader.last and piece is chunk)
                if line.room == 0:
                    break
        left = await line.finish()
        if left:
            yield left

    async def _collect(self, end: StageRun, upstream: Chunks) -> Any:
        """Give all that comes out of a line to the stage at its end, and return its value."""
        load = end.state
        async with closing(upstream) as chunks:
            if isinstance(load, Load):
                return await self._load(end, load, chunks)
            if load is not None:
                await self._feed_all(end, chunks)
                return await self._finish(end)
            gathered: list[Any] = []
            async for chunk in chunks:
                gathered.extend(chunk)
        value = await self._feed_whole(end, gathered)
        if self._alongside:
            end.notes = (*end.notes, f"gathered {len(gathered):,} records: it needs its whole input at once")
        return value

    async def _load(self, run: StageRun, load: Load, chunks: closing[Sequence[Any]]) -> Any:
        try:
            _require(run, await run.call(load.start))
            await self._feed_all(run, chunks)
            return await self._finish(run)
        except BaseException as error:
            await load.abort(run.error or error)
            raise

    async def _feed_all(self, run: StageRun, chunks: closing[Sequence[Any]]) -> None:
        async for chunk in chunks:
            if chunk:
                await self._call_before(run, chunk)
                _require(run, await run.feed(chunk))

    async def _finish(self, run: StageRun) -> Any:
        return await self._complete(run, _require(run, await run.finish()))

    async def _feed_whole(self, run: StageRun, data: Any) -> Any:
        await self._call_before(run, data)
        return await self._complete(run, _require(run, await run.feed(data)))

    async def _call_before(self, run: StageRun, data: Any) -> None:
        if self._hooks is not None:
            await self._hooks.call_before(run.name, data, run.context)

    async def _complete(self, run: StageRun, value: Any) -> Any:
        run.complete()
        if self._hooks is not None:
            await self._hooks.call_after(run.name, value, run.context)
        return value


def demands_of(sections: Sequence[Sequence[StageRun]]) -> list[list[Demand]]:
    """Return, for each section of a line, the demands of the stages in it or after it that may end the input."""
    runs = [run for section in sections for run in section]
    limits = [(at, run.state) for at, run in enumerate(runs) if run.state is not None and run.state.wanted is not None]
    demands: list[list[Demand]] = []
    start = 0
    for section in sections:
        stages: list[Any] = [run.stage for run in runs]
        demands.append(
            [
                Demand(state, min(at - start, len(section)), not any(map(expands, stages[start:at])))
                for at, state in limits
                if at >= start
            ]
        )
        start += len(section)
    return demands


def _require(run: StageRun, result: StageResult[Any]) -> Any:
    if not result.success:
        raise StageFailed(run, result)
    return result.data


def _progress_of(run: StageRun | None) -> StageProgress | None:
    return None if run is None else run.progress
