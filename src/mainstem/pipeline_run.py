"""One run of a pipeline, from the event of its start to that of its end, in memory or as a stream."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

import anyio

from mainstem.context import PipelineContext, context_of_run
from mainstem.engine.chunked import ChunkedRun
from mainstem.engine.closing import closing
from mainstem.engine.layout import Layout
from mainstem.engine.line import StageFailed
from mainstem.engine.memory import MemoryRun
from mainstem.errors import StopPipeline, StreamClosedError, describe_error
from mainstem.events import Event, EventBus, EventType
from mainstem.hooks import Hooks, call_hooks
from mainstem.result import PipelineResult, StageResult
from mainstem.stage import PipelineStage
from mainstem.stage_run import StageRun, count_records, summarize
from mainstem.typecheck import RecordNet

logger = logging.getLogger("mainstem.pipeline")


class PipelineRun:
    """One run of a pipeline.

    Args:
        name: The pipeline's name.
        stages: Its stages.
        names: Their names in reports.
        context: The run's context.
        hooks: The pipeline's hooks.
        nets: Checks of each stage's output, if they were asked for.
        publish: Publishes an event of a type with its data, and returns what its handlers raised.
    """

    def __init__(
        self,
        name: str,
        stages: Sequence[PipelineStage[Any, Any]],
        names: Sequence[str],
        context: PipelineContext,
        hooks: Hooks,
        nets: Sequence[RecordNet] | None,
        event_bus: EventBus,
        event_source: str,
    ) -> None:
        self._name, self._stages, self._names, self._context = name, stages, names, context
        self._hooks, self._nets = hooks, nets
        self._event_bus, self._event_source = event_bus, event_source
        self._started = perf_counter()

    async def execute(self, data: Any) -> PipelineResult[Any]:
        """Run the stages in memory."""
        run = MemoryRun(self._stages, self._names, self._context, self._hooks, self._nets)
        result: StageResult[Any]
        try:
            with context_of_run(self._context):
                await self._begin()
                result = await run.run(data)
                await self._tell_hooks(result, result.data)
        except StopPipeline as stop:
            result = self._stopped(stop)
        except GeneratorExit:
            raise  # the coroutine is being closed: nothing can be awaited any more
        except BaseException as error:
            await self._end_cancelled(error)
            raise
        await self._end(result)
        return self._conclude(result, run.stage_runs, result.data, count_records(data))

    async def stream(
        self,
        data: Any,
        layouts: Sequence[Layout],
        chunk_size: int,
        conclude: Callable[[PipelineResult[Any]], None],
        *,
        ordered: bool,
    ) -> AsyncGenerator[Any, None]:
        """Run the stages as a stream, give the chunks of output or the one value, and ``conclude`` with the result.

        Raises:
            Exception: That of the stage that failed.
        """
        hooks = self._hooks if self._hooks.watch_stages else None
        run = ChunkedRun(
            self._stages,
            self._names,
            self._context,
            hooks,
            self._nets,
            layouts,
            chunk_size=chunk_size,
            alongside=True,
            ordered=ordered,
        )
        gives_value = layouts[-1].end is not None
        result: StageResult[Any] = StageResult()
        try:
            await self._begin()
            try:
                async with closing(run.output(data)) as output:
                    async for chunk in output:
                        if gives_value:
                            result.data = chunk
                        if gives_value or chunk:
                            yield chunk
            except StageFailed as failed:
                self._context.current_stage = failed.run.name
                result = failed.result
            await self._tell_hooks(result, result.data)
        except StopPipeline as stop:
            result = self._stopped(stop)
        except GeneratorExit:
            closed = StreamClosedError("the stream was closed before its end")
            await self._end_cancelled(closed)
            conclude(self._conclude(StageResult.failure(closed), run.stage_runs, None, 0))
            raise
        except BaseException as error:
            await self._end_cancelled(error)
            if isinstance(error, Exception):
                conclude(self._conclude(StageResult.failure(error), run.stage_runs, None, 0))
            raise
        await self._end(result)
        conclude(self._conclude(result, run.stage_runs, result.data, 0))
        result.unwrap()

    async def _tell_hooks(self, result: StageResult[Any], output: Any) -> None:
        hooks, context = self._hooks, self._context
        if result.success:
            await call_hooks(hooks.on_complete, (output, context), self._name, hooks.timeout)
        else:
            failed = context.current_stage or self._name
            await call_hooks(hooks.on_error, (failed, result.error, context), failed, hooks.timeout)

    def _stopped(self, stop: StopPipeline) -> StageResult[Any]:
        self._context.record_error(stop)
        return StageResult.failure(stop)

    def _conclude(
        self, result: StageResult[Any], runs: Sequence[StageRun], data: Any, records: int
    ) -> PipelineResult[Any]:
        counts = summarize(runs) if runs else {"records_processed": records}
        return PipelineResult(
            data=data,
            success=result.success,
            error=result.error,
            duration_ms=(perf_counter() - self._started) * 1000,
            context=self._context,
            **counts,
        )

    async def _begin(self) -> None:
        context = self._context
        context.begin()
        self._started = perf_counter()
        logger.info("pipeline %s started, run %s", self._name, context.pipeline_id)
        data = {"pipeline_id": context.pipeline_id, "name": self._name, "stage_count": len(self._stages)}
        await self._publish(EventType.ITEM_CREATED, data)

    async def _end(self, result: StageResult[Any]) -> None:
        await self._publish_end("completed" if result.success else "failed", result.error)

    async def _end_cancelled(self, error: BaseException) -> None:
        with anyio.CancelScope(shield=True):
            await self._publish_end("cancelled", error)

    async def _publish_end(self, status: str, error: BaseException | None) -> None:
        context = self._context
        context.finish()
        duration = (perf_counter() - self._started) * 1000
        logger.info("pipeline %s %s after %.0f ms, run %s", self._name, status, duration, context.pipeline_id)
        await self._publish(
            EventType.ITEM_UPDATED,
            {
                "pipeline_id": context.pipeline_id,
                "name": self._name,
                "status": status,
                "duration_ms": duration,
                "completed_stages": list(context.completed_stages),
                "error": None if error is None else describe_error(error),
            },
        )

    async def _publish(self, event_type: EventType, data: Mapping[str, Any]) -> None:
        context = self._context
        event = Event(type=event_type, data=data, source=self._event_source, subject=context.pipeline_id)
        for error in await self._event_bus.publish(event):
            context.record_error(error, stage=self._name)
