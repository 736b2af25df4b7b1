"""Running a pipeline in memory: the whole output is collected and handed back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import aclosing
from itertools import islice
from time import perf_counter
from typing import Any

import anyio

from mainstem.context import PipelineContext
from mainstem.endpoints import CHUNK_SIZE, SourceStage
from mainstem.engine.fused_loop import FusedLoop, fuse_neighbours
from mainstem.engine.plan import plan_segments
from mainstem.errors import StageContractError, add_note_once
from mainstem.hooks import Hooks, call_hooks
from mainstem.result import StageResult
from mainstem.stage import PipelineStage
from mainstem.stage_run import StageRun
from mainstem.take_all import iterate
from mainstem.typecheck import RecordNet

YIELD_EVERY = 0.01
"""Seconds of uninterrupted work after which other tasks get a turn, and a cancellation is noticed."""


class MemoryRun:
    """One run of a pipeline in memory.

    Args:
        stages: The stages.
        names: Their names in reports.
        context: The run's context.
        hooks: The pipeline's hooks.
        nets: Checks of each stage's output, if they were asked for.
    """

    def __init__(
        self,
        stages: Sequence[PipelineStage[Any, Any]],
        names: Sequence[str],
        context: PipelineContext,
        hooks: Hooks,
        nets: Sequence[RecordNet] | None,
    ) -> None:
        self._stages = stages
        self._names = names
        self._context = context
        self._hooks = hooks
        self._nets = nets
        self.stage_runs: list[StageRun] = []
        """The stages that have begun, in order."""

    async def run(self, data: Any) -> StageResult[Any]:
        """Run the stages one after another.

        Returns:
            The last result: with the output if all succeeded, else that of the stage that failed.

        Raises:
            StopPipeline: If a hook raised it.
        """
        hooks, context = self._hooks, self._context
        result: StageResult[Any] = StageResult(data=data)
        for segment in plan_segments(self._stages, fuse=not hooks.watch_stages):
            first = self._names[segment.stages.start]
            if hooks.before_stage:
                context.current_stage = first
                await call_hooks(hooks.before_stage, (first, result.data, context), first, hooks.timeout)
            nets = self._nets
            runs = [
                StageRun(self._stages[at], self._names[at], context, None if nets is None else nets[at])
                for at in segment.stages
            ]
            self.stage_runs.extend(runs)
            result = await (run_in_chunks(runs, result.data) if segment.in_chunks else runs[0].feed(result.data))
            if not result.success:
                return result
            for run in runs:
                run.complete()
            if hooks.after_stage:
                await call_hooks(hooks.after_stage, (first, result.data, context), first, hooks.timeout)
        return result


async def run_in_chunks(runs: Sequence[StageRun], data: Any) -> StageResult[Any]:
    """Run the stages of a segment on ``data``, chunk by chunk, and collect the last one's output in a list."""
    if isinstance(runs[0].stage, SourceStage):
        return await _run_from_source(runs[0], runs[1:], data)
    collector = _Collector(runs)
    chunks = _Chunks(data)
    for chunk in chunks:
        failed = await collector.feed(chunk, last=chunks.exhausted)
        if failed is not None:
            if chunks.exhausted:
                complete_before_failure(runs)
            return failed
    if chunks.error is not None:
        return runs[0].interrupt(chunks.error)
    return await collector.finish()


async def _run_from_source(source: StageRun, runs: Sequence[StageRun], data: Any) -> StageResult[Any]:
    if data is not None:
        return source.interrupt(
            StageContractError(f"source {source.name!r} takes no input, and was given {type(data).__name__}")
        )
    collector = _Collector(runs)
    context = source.context
    try:
        stage: Any = source.stage
        async with aclosing(stage.read(context)) as chunks:
            while True:
                context.current_stage, context.chunk_start = source.name, source.progress.records_in
                started = perf_counter()
                chunk = await anext(chunks, None)
                spent = (perf_counter() - started) * 1000
                if chunk is None:
                    source.account(0, 0, spent)
                    break
                source.account(len(chunk.records), chunk.records_failed, spent)
                failed = await collector.feed(chunk.records, last=False)
                if failed is not None:
                    return failed
    except Exception as error:
        of_a_record = any(entry.error is error and entry.index is not None for entry in context.errors)
        source.account(0, 1 if of_a_record else 0, 0)
        return source.interrupt(error)
    return await collector.finish()


def complete_before_failure(runs: Sequence[StageRun]) -> None:
    """Mark the stages that had all their input before a later one failed on the last chunk."""
    for run in runs:
        if not run.succeeded:
            return
        run.complete()


class _Collector:
    """Feeds chunks through stages, one after another, and collects what the last one gives."""

    def __init__(self, runs: Sequence[StageRun]) -> None:
        self._runs = runs
        self._parts: Sequence[StageRun | FusedLoop] = runs
        self._output: list[Any] = []
        self._fed = False
        self._yielded = perf_counter()

    async def feed(self, chunk: Sequence[Any], *, last: bool) -> StageResult[Any] | None:
        """Feed one chunk.

        Returns:
            ``None``, or the result of the stage that failed.
        """
        if not self._fed and not last:
            self._parts = fuse_neighbours(self._runs)
        self._fed = True
        data: Any = chunk
        for part in self._parts:
            result = await (part.feed(data, last=last) if isinstance(part, FusedLoop) else part.feed(data))
            if not result.success:
                return result
            data = result.data
        try:
            self._output.extend(data)
        except Exception as error:
            if not self._runs:
                raise
            return self._runs[-1].interrupt(error)
        if perf_counter() - self._yielded > YIELD_EVERY:
            await anyio.sleep(0)
            self._yielded = perf_counter()
        return None

    async def finish(self) -> StageResult[Any]:
        """Return the whole output; stages that were fed nothing get an empty chunk, as in an empty run."""
        if not self._fed:
            failed = await self.feed([], last=True)
            if failed is not None:
                complete_before_failure(self._runs)
                return failed
        return StageResult(data=self._output)


class _Chunks:
    """Any iterable, cut into lists. What it raises is kept in ``error``, after the records that came before it."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self.error: Exception | None = None
        self.exhausted = False
        """Whether the chunk given last is known to be the last one."""

    def __iter__(self) -> Iterator[Sequence[Any]]:
        data = self._data
        if isinstance(data, (list, tuple)):
            for at in range(0, len(data), CHUNK_SIZE):  # pyright: ignore[reportUnknownArgumentType]
                self.exhausted = at + CHUNK_SIZE >= len(data)  # pyright: ignore[reportUnknownArgumentType]
                yield data[at : at + CHUNK_SIZE]
            return
        taken = 0
        try:
            remaining = iterate(data)
        except Exception as error:
            self.error = error
            return
        while self.error is None:
            chunk: list[Any] = []
            try:
                chunk.extend(islice(remaining, CHUNK_SIZE))
            except Exception as error:
                self.error = error
            taken += len(chunk)
            self.exhausted = len(chunk) < CHUNK_SIZE and self.error is None
            if chunk:
                yield chunk
            if len(chunk) < CHUNK_SIZE:
                break
        if self.error is not None:
            add_note_once(self.error, f"raised by the input after {taken} records")
