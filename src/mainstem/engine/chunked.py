"""Running a pipeline chunk by chunk, as it was laid out: the way of streams, and of long data in memory.

The parts of a pipeline are async generators of chunks, each of which pulls from the one before it: what is not asked
for is not computed, which is back-pressure. Where a part spends its time waiting (a source, an async function, a sink),
a ``HandOff`` lets it run beside its neighbours, a bounded number of chunks ahead.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence, Sized
from itertools import takewhile
from typing import Any, TypeGuard, cast

from mainstem.context import PipelineContext, StageProgress, context_of_run
from mainstem.endpoints import Load, SinkStage, SourceStage
from mainstem.engine.background import in_trio
from mainstem.engine.barrier import Barrier, Batches, records_before
from mainstem.engine.batch_load import BatchLoad
from mainstem.engine.call_window import CallWindow
from mainstem.engine.chunks import Reader, is_async, read_source
from mainstem.engine.closing import closing
from mainstem.engine.hand_off import HandOff
from mainstem.engine.layout import Layout, Section
from mainstem.engine.line import Demand, Line, StageFailed, put_together
from mainstem.engine.plan import overlaps_calls
from mainstem.engine.source_commits import tell_committed
from mainstem.engine.stage_errors import StageErrors
from mainstem.errors import ConnectError
from mainstem.faults import fault
from mainstem.frame_data import Gathered, is_frame
from mainstem.hooks import Hooks
from mainstem.result import StageResult
from mainstem.stage import PipelineStage, StageKind
from mainstem.stage_run import StageRun, State
from mainstem.stages.aggregate import AggregateStage
from mainstem.stages.branch import Branches
from mainstem.stateful import StatefulStage
from mainstem.typecheck import RecordNet
from mainstem.workers import Workers

Chunks = AsyncGenerator[Sequence[Any], None]

_MAY_KEEP_STATE: tuple[type[Any], ...] = (StatefulStage, AggregateStage, Branches)


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
        workers: The worker processes that the run may use, if the layouts have sections for them.
        batches: The batches in which a durable run is committed; its last stage is a sink.

    Attributes:
        stage_runs: The stages that have begun, in order.
        reader: What reads the input of the pipeline, once it has begun; a source reads by itself.
        layouts: As above.
        chunk_size: As above.
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
        workers: Workers | None = None,
        batches: Batches | None = None,
    ) -> None:
        self._batches = batches
        self._stages, self._names, self._context, self._nets = stages, names, context, nets
        self._hooks = hooks
        self.layouts, self.chunk_size = layouts, chunk_size
        self._alongside, self._ordered, self._workers = alongside, ordered, workers
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
        for layout in self.layouts:
            if not layout.sections and source is None and self._takes_whole(layout.end, data):
                run = self._begin(layout.end)
                data = await self._feed_whole(run, data)
                if self._alongside and layout is self.layouts[0]:
                    run.notes = (*run.notes, "took the whole input at once, as it was given")
                continue
            expected = len(data) if source is None and isinstance(data, Sized) else None
            sections = self._begin_sections(layout)
            end = None if layout.end is None else self._begin(layout.end, self._state_of(layout.end))
            chunks = self._connect(layout, sections, end, data, source, expected)
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
            sink: SinkStage[Any] = stage  # pyright: ignore[reportUnknownVariableType]
            return Load(sink) if self._batches is None else self._batches.load_into(sink)
        if stage.kind is StageKind.ELEMENTWISE:
            return None
        return stage.begin() if isinstance(stage, _MAY_KEEP_STATE) else None

    def _begin(self, at: int, state: State | None = None) -> StageRun:
        context = self._context.beside() if self._alongside else self._context
        run = StageRun(
            self._stages[at], self._names[at], context, None if self._nets is None else self._nets[at], state
        )
        self.stage_runs.append(run)
        if self._batches is not None:
            context.errors = StageErrors(self._context.errors)
            self._batches.restore(run)
        return run

    def _begin_sections(self, layout: Layout) -> list[list[StageRun]]:
        return [[self._begin(at, self._state_of(at)) for at in section.stages] for section in layout.sections]

    def _connect(
        self,
        layout: Layout,
        sections: Sequence[Sequence[StageRun]],
        end: StageRun | None,
        data: Any,
        source: StageRun | None,
        expected: int | None,
    ) -> Chunks:
        """Return the output of a segment's line of stages."""
        demands = demands_of(sections)

        def room(on_their_way: int) -> int:
            wanted = [max(0, demand.room - on_their_way) for demand in demands[0]] if demands else []
            return min([self.chunk_size, *wanted])

        before, reader = source, None
        in_batches = len(self.layouts) == 1 and end is not None and isinstance(end.state, BatchLoad)
        batches = self._batches if in_batches else None
        if source is None:
            reader = Reader(room)
            self.reader = self.reader or reader
            first = next((run for runs in sections for run in runs), end)
            chunks = self._read(reader, data, first)
        else:
            chunks = self._watch_source(source, self._read_source(source, data, room, in_batches=batches is not None))
        if batches is not None:
            chunks = self._in_batches(batches, source, chunks)
        for section, runs, wanted in zip(layout.sections, sections, demands, strict=True):
            chunks = self._hand_off(chunks, section.ahead, before, runs[0] if runs else end)
            if section.overlaps:
                chunks = self._overlap(runs[0], section.holds, chunks)
            elif section.shipped:
                shipped_end = end if layout.ships_end and section is layout.sections[-1] else None
                chunks = self._ship(runs, shipped_end, section, expected, chunks)
            else:
                chunks = self._through(Line(runs, self._hooks, wanted), chunks, reader)
            before, reader, expected = (runs[-1] if runs else before), None, None
        return self._hand_off(chunks, layout.ahead, before, end)

    def _hand_off(self, chunks: Chunks, ahead: int | None, giver: StageRun | None, taker: StageRun | None) -> Chunks:
        if ahead is None:
            return chunks
        return HandOff(chunks, ahead, _progress_of(giver), _progress_of(taker)).output()

    async def _read(self, reader: Reader, data: Any, first: StageRun | None) -> Chunks:
        is_input = first is not None and first is self.stage_runs[0]  # and not what an earlier stage gave
        taken = 0
        async with closing(reader.read(data)) as chunks:
            async for chunk in chunks:
                taken += len(chunk)
                yield chunk
        if is_input:
            reader.taken = taken
        if reader.error is None:
            return
        if first is None:
            raise reader.error
        raise StageFailed(first, first.interrupt(reader.error))

    async def _read_source(
        self, source: StageRun, data: Any, room: Callable[[int], int], *, in_batches: bool
    ) -> Chunks:
        start = None if self._batches is None else self._batches.start
        try:
            async with closing(read_source(source, data, room, self.chunk_size, start)) as chunks:
                async for chunk in chunks:
                    yield chunk
                    if source.wants_commit and not in_batches:
                        raise ConnectError(
                            f"source {source.name!r} has {source.progress.records_in:,} records unacknowledged and "
                            "gives no more before they are committed, which this run does at its end only: give it a "
                            "store, and a sink as the last stage, so that it commits batch by batch; or allow more"
                        )
        except Exception as error:
            of_a_record = any(entry.error is error and entry.index is not None for entry in source.context.errors)
            source.account(0, 1 if of_a_record else 0, 0)
            raise StageFailed(source, source.interrupt(error)) from error
        source.complete()

    async def _in_batches(self, batches: Batches, source: StageRun | None, upstream: Chunks) -> Chunks:
        """Put a barrier after each chunk at which a batch is to end."""
        read = ended = records_before(batches.start) if source is None else source.progress.records_in
        async with closing(upstream) as chunks:
            async for chunk in chunks:
                yield chunk
                read = read + len(chunk) if source is None else source.progress.records_in
                position = {"record": read} if source is None else source.position
                wanted = source is not None and source.wants_commit
                barrier = batches.end_batch(read - ended, position, wanted=wanted)
                if barrier is not None:
                    barrier.pass_by([] if source is None else [source])
                    yield barrier
                    ended = read

    def _watch_source(self, source: StageRun, chunks: Chunks) -> Chunks:
        return chunks if self._hooks is None else self._with_hooks(self._hooks, source, chunks)

    async def _with_hooks(self, hooks: Hooks, source: StageRun, upstream: Chunks) -> Chunks:
        with context_of_run(source.context):
            await hooks.call_before(source.name, None, source.context)
        async with closing(upstream) as chunks:
            async for chunk in chunks:
                with context_of_run(source.context):
                    await hooks.call_after(source.name, chunk, source.context)
                yield chunk

    def _overlap(self, run: StageRun, holds: int, upstream: Chunks) -> Chunks:
        stage: Any = run.stage
        return CallWindow(run, stage, self._hooks, holds, ordered=self._ordered).output(upstream)

    def _ship(
        self, runs: Sequence[StageRun], end: StageRun | None, section: Section, expected: int | None, upstream: Chunks
    ) -> Chunks:
        from mainstem.engine.shipped import ShippedSection  # late: multiprocessing is large, and rarely needed
        from mainstem.engine.worker import Errand

        assert self._workers is not None
        observed = self._context.observed
        stages: list[Any] = [run.stage for run in runs]
        names = [run.name for run in runs]
        shipped_names = names if end is None else [*names, end.name]
        errand = Errand(
            stages,
            names,
            None if end is None else cast(AggregateStage[Any, Any], end.stage).combiner,
            self._context.pipeline_id,
            dict(self._context.metadata),
            "trio" if in_trio() else "asyncio",
            observers=() if observed is None else observed.for_workers(shipped_names),
        )
        shipped = ShippedSection(
            runs,
            end,
            self._workers,
            errand,
            expected,
            section.holds,
            ordered=self._ordered,
            alongside=self._alongside,
        )
        return shipped.output(upstream)

    async def _through(self, line: Line, upstream: Chunks, reader: Reader | None) -> Chunks:
        async with closing(upstream) as chunks:
            async for chunk in chunks:
                if isinstance(chunk, Barrier):
                    chunk.pass_by(line.runs)
                    yield chunk
                    continue
                for piece in line.cut(chunk):
                    yield await line.feed(piece, last=reader is not None and reader.last and piece is chunk)
                if line.room == 0:
                    break
        self._complete_before(line.runs[0])
        left = await line.finish()
        if len(left):
            yield left

    def _complete_before(self, first: StageRun) -> None:
        """Mark the stages before a line as completed, which were closed if it wanted no more of them."""
        for run in takewhile(lambda run: run is not first, self.stage_runs):
            if not run.progress.done:
                run.complete()

    async def _collect(self, end: StageRun, upstream: Chunks) -> Any:
        """Give all that comes out of a line to the stage at its end, and return its value."""
        with context_of_run(end.context):
            return await self._collect_in_context(end, upstream)

    async def _collect_in_context(self, end: StageRun, upstream: Chunks) -> Any:
        load = end.state
        async with closing(upstream) as chunks:
            if isinstance(load, BatchLoad):
                return await self._load_batches(end, load, chunks)
            if isinstance(load, Load):
                return await self._load(end, load, chunks)
            if load is not None:
                await self._feed_all(end, chunks)
                return await self._finish(end)
            gathered = Gathered()
            async for chunk in chunks:
                gathered.add(chunk)
        value = await self._feed_whole(end, put_together(gathered, end))
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

    async def _load_batches(self, run: StageRun, load: BatchLoad, chunks: closing[Sequence[Any]]) -> Any:
        records = Gathered()
        try:
            async for chunk in chunks:
                if isinstance(chunk, Barrier):
                    await self._load_batch(run, load, put_together(records, run), chunk)
                    records = Gathered()
                else:
                    records.add(chunk)
            assert self._batches is not None
            barrier = self._batches.last_barrier(self.stage_runs[0].position)
            barrier.pass_by([each for each in self.stage_runs if each is not run])
            await self._load_batch(run, load, put_together(records, run), barrier)
            return await self._finish(run)
        except BaseException as error:
            await load.abort(run.error or error)
            raise

    async def _load_batch(self, run: StageRun, load: BatchLoad, records: Any, barrier: Barrier) -> None:
        """Write a batch, and commit it: what belongs to it into the store first, then the rows."""
        assert self._batches is not None
        if len(records):
            await self._call_before(run, records)
        fault("batch begins")
        _require(run, await run.feed(records))
        barrier.pass_by([run])
        fault("batch written")
        await self._batches.prepare(barrier)
        fault("batch prepared")
        _require(run, await run.call(load.commit))
        fault("batch committed")
        self._batches.committed()
        await tell_committed(self.stage_runs, barrier.position)

    async def _feed_all(self, run: StageRun, chunks: closing[Sequence[Any]]) -> None:
        async for chunk in chunks:
            if len(chunk) or is_frame(chunk):  # a frame without rows has columns
                await self._call_before(run, chunk)
                _require(run, await run.feed(chunk))

    async def _finish(self, run: StageRun) -> Any:
        if not run.feeds:
            run.account(0, 0, 0.0)  # it took part, though there were no records
        return await self._complete(run, _require(run, await run.finish()))

    async def _feed_whole(self, run: StageRun, data: Any) -> Any:
        with context_of_run(run.context):
            await self._call_before(run, data)
            stage: Any = run.stage
            if not overlaps_calls(stage) or isinstance(data, Sized):
                return await self._complete(run, _require(run, await run.feed(data)))
            self.reader = reader = Reader(lambda _: 0)  # the stage takes it all at once, and its own time comes after
            result = await run.feed(reader.timed(data))
            run.progress.duration_ms = max(0.0, run.progress.duration_ms - reader.spent_ms)
            return await self._complete(run, _require(run, result))

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
                Demand(state, min(at - start, len(section)), not any(stage.expands for stage in stages[start:at]))
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
