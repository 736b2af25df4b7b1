"""Running a pipeline in memory: the whole output is collected and handed back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mainstem.context import PipelineContext
from mainstem.endpoints import CHUNK_SIZE, SinkStage, SourceStage, chunk_size_into
from mainstem.engine.chunked import ChunkedRun
from mainstem.engine.chunks import Reader
from mainstem.engine.closing import closing
from mainstem.engine.layout import Layout, lay_out
from mainstem.engine.line import StageFailed, put_together
from mainstem.frame_data import Gathered, is_frame
from mainstem.hooks import Hooks
from mainstem.result import StageResult
from mainstem.stage import PipelineStage
from mainstem.stage_run import StageRun
from mainstem.stateful import StatefulStage, takes_chunks
from mainstem.take_all import iterate
from mainstem.typecheck import RecordNet
from mainstem.workers import Workers


class MemoryRun:
    """One run of a pipeline in memory.

    Stages follow one another, as far as one can tell from outside. Long data goes through neighbouring stages chunk by
    chunk, unless a hook is to see the whole data between them. From a source to a sink it streams.

    Args:
        stages: The stages.
        names: Their names in reports.
        context: The run's context.
        hooks: The pipeline's hooks.
        nets: Checks of each stage's output, if they were asked for.
        workers: Worker processes that it may use.
    """

    def __init__(
        self,
        stages: Sequence[PipelineStage[Any, Any]],
        names: Sequence[str],
        context: PipelineContext,
        hooks: Hooks,
        nets: Sequence[RecordNet] | None,
        workers: Workers | None = None,
    ) -> None:
        self._stages, self._names, self._context, self._hooks, self._nets = stages, names, context, hooks, nets
        self._workers = workers
        self.stage_runs: list[StageRun] = []
        """The stages that have begun, in order."""
        self.chunk_size = CHUNK_SIZE
        self.layouts: Sequence[Layout] = ()
        """The segments of the pipeline, where some of its parts ran beside others."""
        self.reader: Reader | None = None
        """What read the input, if that was read in chunks."""

    async def run(self, data: Any) -> StageResult[Any]:
        """Run the stages one after another.

        Returns:
            The last result: with the output if all succeeded, else that of the stage that failed.

        Raises:
            StopPipeline: If a hook raised it.
        """
        stages, watched = self._stages, self._hooks.watch_stages
        in_chunks = self._workers is not None or any(
            isinstance(stage, StatefulStage) and stage.ends_input for stage in stages
        )
        result: StageResult[Any] = StageResult(data=data)
        at = 0
        while at < len(stages) and result.success:
            if watched:
                await self._hooks.call_before(self._names[at], result.data, self._context)
            if not in_chunks and _is_short(result.data) and not (at == 0 and isinstance(stages[0], SourceStage)):
                result = await self._feed(at, result.data)
                stop = at + 1
            else:
                stop = at + 1 if watched else len(stages)
                result = await self._run_in_chunks(range(at, stop), result.data)
            if watched and result.success:
                await self._hooks.call_after(self._names[at], result.data, self._context)
            at = stop
        return result

    async def _feed(self, at: int, data: Any) -> StageResult[Any]:
        """Run one stage on data so short that there is nothing to gain from chunks."""
        stage = self._stages[at]
        run = StageRun(stage, self._names[at], self._context, None if self._nets is None else self._nets[at])
        self.stage_runs.append(run)
        result = await run.feed(data)
        if result.success and takes_chunks(stage) and type(result.data) is not list and not is_frame(result.data):
            try:
                output: Any = result.data
                result.data = list(iterate(output))  # as when chunks are put together
            except Exception as error:
                return run.interrupt(error)
        if result.success:
            run.complete()
        return result

    async def _run_in_chunks(self, positions: range, data: Any) -> StageResult[Any]:
        """Run stages that follow one another, chunk by chunk."""
        part = slice(positions.start, positions.stop)
        stages = self._stages[part]
        alongside = isinstance(stages[0], SourceStage) and isinstance(stages[-1], SinkStage)
        self.chunk_size = chunk_size_into(stages, to_workers=self._workers is not None)
        layouts = lay_out(
            stages,
            alongside=alongside,
            chunk_size=self.chunk_size,
            max_in_flight=None,
            async_input=False,
            workers=self._workers,
        )
        nets = None if self._nets is None else self._nets[part]
        run = ChunkedRun(
            stages,
            self._names[part],
            self._context,
            None,
            nets,
            layouts,
            chunk_size=self.chunk_size,
            alongside=alongside,
            workers=self._workers,
        )
        output = Gathered()
        try:
            async with closing(run.output(data)) as chunks:
                if layouts[-1].end is not None:
                    return StageResult(data=await anext(chunks))
                async for chunk in chunks:
                    output.add(chunk)
                return StageResult(data=put_together(output, run.stage_runs[-1]))
        except StageFailed as failed:
            self._context.current_stage = failed.run.name
            return failed.result
        finally:
            self.stage_runs += run.stage_runs
            self.reader = self.reader or (run.reader if positions.start == 0 else None)
            self.layouts = layouts if alongside or self._workers is not None else ()


def _is_short(data: Any) -> bool:
    return isinstance(data, (list, tuple)) and len(data) <= CHUNK_SIZE  # pyright: ignore[reportUnknownArgumentType]
