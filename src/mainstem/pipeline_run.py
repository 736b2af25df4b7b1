"""One run of a pipeline, from the event of its start to that of its end, in memory or as a stream."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any
from weakref import ref

import anyio

from mainstem.accounting import RecordFlow
from mainstem.context import PipelineContext, context_of_run
from mainstem.endpoints import models_read_by
from mainstem.engine.chunked import ChunkedRun
from mainstem.engine.chunks import is_async
from mainstem.engine.closing import closing
from mainstem.engine.lanes import LaidOut, phases_of
from mainstem.engine.layout import lay_out
from mainstem.engine.line import StageFailed
from mainstem.engine.memory import MemoryRun
from mainstem.engine.plan import can_be_shipped
from mainstem.engine.record_flow import flow_of, passes_all_on
from mainstem.engine.source_commits import acknowledging, release, tell_committed
from mainstem.errors import AccountingError, RejectLimitError, StopPipeline, StreamClosedError, describe_error
from mainstem.events import Event, EventBus, EventType
from mainstem.hooks import Hooks, call_hooks
from mainstem.result import PipelineResult, StageResult
from mainstem.run_observer import ObservedRun, RunEnd, RunStart, RunStatus
from mainstem.run_times import SHORTEST_MS, RunTimes, settle_waiting
from mainstem.secrets import Secrets
from mainstem.stage import PipelineStage
from mainstem.stage_run import count_records, summarize
from mainstem.streaming import PipelineStream
from mainstem.typecheck import RecordNet
from mainstem.workers import Workers

if TYPE_CHECKING:
    from mainstem.durable.options import Durability
    from mainstem.durable.run import DurableRun

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
        event_bus: Where its events go.
        event_source: What they name as their source.
        workers: Worker processes that it may use.
        durability: What makes it durable, if it is.
        secret_fields: Names of fields that are left out of what is recorded of failed records.
        hints: What each stage gives, as far as annotations say.
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
        workers: Workers | None = None,
        durability: Durability | None = None,
        secret_fields: Collection[str] = (),
        hints: Sequence[Any] = (),
    ) -> None:
        self._durability, self._hints = durability, hints
        self._observed: ObservedRun | None = None
        self._status: RunStatus = "cancelled"
        self._name, self._stages, self._names, self._context = name, stages, names, context
        self._hooks, self._nets = hooks, nets
        self._event_bus, self._event_source = event_bus, event_source
        self._workers, self._notes = self._usable(workers)
        self._started, self._thread_started = perf_counter(), thread_time()
        self._counts_checked = False
        self._flow: RecordFlow | None = None
        """The way of the records, where it is more than the counts of the run say."""
        self._secrets = context.secrets = Secrets(secret_fields, models_read_by(stages), context.secrets)
        self._taker_ms = 0.0
        """Time that the taker of a stream's output took for its chunks."""

    def _usable(self, workers: Workers | None) -> tuple[Workers | None, tuple[str, ...]]:
        """Return the worker processes that the run may use, and what is to be said about them."""
        if workers is None:
            return None, ()
        from mainstem.engine.sendable import refuse_unsendable  # late: most runs have no workers

        shipped = [at for at, stage in enumerate(self._stages) if can_be_shipped(stage)]
        stages, names = [self._stages[at] for at in shipped], [self._names[at] for at in shipped]
        workers.require()
        refuse_unsendable(stages, names, self._context.metadata if shipped else {})
        if self._hooks.watch_stages or self._nets is not None:
            return None, ("ran in this process: hooks, or checks of records, are to see what lies between the stages",)
        return workers, ()

    async def execute(self, data: Any) -> PipelineResult[Any]:
        """Run the stages in memory, or durably.

        Raises:
            RunError: If a durable run cannot begin or be resumed.
            StoreError: If its store cannot be reached, or is not that of the target.
            GuaranteeError: If its sink cannot promise what was asked for.
        """
        try:
            result = await self._execute_as_told(data)
        except GeneratorExit:
            raise  # the coroutine is being closed: nothing can be awaited any more
        except BaseException:
            await self._release()
            raise
        await self._release()
        return result

    async def _release(self) -> None:
        if self._stages:
            await release(self._stages[0], self._context)

    async def _execute_as_told(self, data: Any) -> PipelineResult[Any]:
        if self._durability is None:
            run = MemoryRun(self._stages, self._names, self._context, self._hooks, self._nets, self._workers)
            return await self._execute(run, data)
        durable = self._durable_run(self._durability)
        error: BaseException | None = None
        status = "cancelled"
        try:
            await durable.open(data)
            result = await self._execute(durable, data)
            error, status = result.error, "completed" if result.success else "failed"
            return result
        except GeneratorExit as closed:
            durable.end_blocking(status, closed)
            raise
        except BaseException as raised:
            error = raised
            raise
        finally:
            await durable.end(status, error)

    def _durable_run(self, durability: Durability) -> DurableRun:
        from mainstem.durable.run import DurableRun  # late: most runs are not

        return DurableRun(
            self._name,
            self._stages,
            self._names,
            self._context,
            self._hooks,
            self._nets,
            self._workers,
            durability,
        )

    async def _execute(self, run: MemoryRun | DurableRun, data: Any) -> PipelineResult[Any]:
        result: StageResult[Any]
        try:
            with context_of_run(self._context):
                await self._begin(streams=False)
                result = self._check_rejects(await run.run(data))
                result = await self._tell_source(result, run)
                kept_none = result.success and result.data is None and self._durability is not None
                given = None if kept_none else count_records(result.data)
                result = self._check_counts(result, run, given, data)
                await self._tell_hooks(result, result.data)
        except StopPipeline as stop:
            result = self._stopped(stop)
        except GeneratorExit as closed:
            if self._observed is not None:
                self._tell_observers(self._observed, closed)
            raise  # the coroutine is being closed: nothing can be awaited any more
        except BaseException as error:
            await self._end_cancelled(error)
            if self._observed is not None:
                self._tell_observers(self._observed, error)
            raise
        await self._end(result)
        return self._conclude(result, run, result.data, count_records(data))

    def _check_rejects(self, result: StageResult[Any]) -> StageResult[Any]:
        """Look once more at the share of rejects, now that all is read; a durable run has done so already."""
        limit, progress = self._context.reject_limit, self._context.progress
        if limit is None or not result.success or self._durability is not None or not progress:
            return result
        try:
            limit.check_end(next(iter(progress.values())).records_in)
        except RejectLimitError as error:
            self._context.record_error(error, stage=self._name)
            return StageResult.failure(error)
        return result

    async def _tell_source(self, result: StageResult[Any], run: LaidOut) -> StageResult[Any]:
        """Tell the source that all is committed; a durable run has done so batch by batch."""
        runs = run.stage_runs
        if not result.success or self._durability is not None or not runs:
            return result
        try:
            await tell_committed(runs, runs[0].position)
        except StageFailed as failed:
            self._context.current_stage = failed.run.name
            return failed.result
        return result

    def stream(self, data: Any, *, chunk_size: int, ordered: bool, max_in_flight: int | None) -> PipelineStream[Any]:
        """Return the run as a stream; it begins when the first chunk is asked for."""
        layouts = lay_out(
            self._stages,
            alongside=True,
            chunk_size=chunk_size,
            max_in_flight=max_in_flight,
            async_input=is_async(data),
            workers=self._workers,
        )
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
            workers=self._workers,
        )

        def conclude(result: PipelineResult[Any]) -> None:
            taker = reference()
            if taker is not None:
                taker.conclude(result)

        chunks = self._stream(run, data, conclude, gives_value=layouts[-1].end is not None)
        if self._stages and acknowledging(self._stages[0]) is not None:
            chunks = self._released_after(chunks)
        stream = PipelineStream[Any](chunks, self._context, max(each.in_flight for each in layouts))
        reference = ref(stream)  # so that a stream that is dropped is closed at once: there is no cycle
        return stream

    async def _released_after(self, stream: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
        try:
            async with closing(stream) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            await self._release()

    async def _stream(
        self, run: ChunkedRun, data: Any, conclude: Callable[[PipelineResult[Any]], None], *, gives_value: bool
    ) -> AsyncGenerator[Any, None]:
        """Give the chunks of output, or the one value, and ``conclude`` with the result.

        Raises:
            Exception: That of the stage that failed.
        """
        result: StageResult[Any] = StageResult()
        records = 0
        try:
            with context_of_run(self._context):
                await self._begin(streams=True)
            try:
                async with closing(run.output(data)) as output:
                    async for chunk in output:
                        if gives_value:
                            result.data = chunk
                        elif len(chunk):
                            records += len(chunk)
                            given = perf_counter()
                            yield chunk
                            self._taker_ms += (perf_counter() - given) * 1000
            except StageFailed as failed:
                self._context.current_stage = failed.run.name
                result = failed.result
            except StopPipeline:
                raise
            except Exception as error:  # of the input, where there is no stage to fail
                self._context.record_error(error, stage=self._name)
                result = StageResult.failure(error)
            result = await self._tell_source(result, run)
            result = self._check_counts(result, run, count_records(result.data) if gives_value else records)
            with context_of_run(self._context):
                await self._tell_hooks(result, result.data)
        except StopPipeline as stop:
            result = self._stopped(stop)
        except GeneratorExit:
            closed = StreamClosedError("the stream was closed before its end")
            await self._end_cancelled(closed)
            conclude(self._conclude(StageResult.failure(closed), run, None, records))
            raise
        except BaseException as error:
            await self._end_cancelled(error)
            closed = StreamClosedError(f"the stream was ended before its end, by {describe_error(error)}")
            closed.__cause__ = error
            conclude(self._conclude(StageResult.failure(closed), run, None, records))
            raise
        await self._end(result)
        conclude(self._conclude(result, run, result.data, records))
        value = result.unwrap()
        if gives_value:
            yield value  # now that all is done: whoever takes just this need not ask for more

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

    def _check_counts(
        self, result: StageResult[Any], run: LaidOut, given: int | None, data: Any = None
    ) -> StageResult[Any]:
        """Hold the counts of the stages against one another: a run in which they do not add up has failed."""
        self._counts_checked = True
        entered: int | None = None
        if self._durability is None:  # else the stages' counts are those of all attempts
            if isinstance(data, (list, tuple)):
                entered = len(data)  # pyright: ignore[reportUnknownArgumentType]
            elif run.reader is not None:
                entered = run.reader.taken
        if result.success and passes_all_on(run.stage_runs, given, entered):
            return result
        self._flow = flow_of(run.stage_runs, given, completed=result.success, entered=entered)
        try:
            self._flow.check()
        except AccountingError as error:
            self._context.record_error(error, stage=self._name)
            return StageResult.failure(error) if result.success else result
        return result

    def _conclude(self, result: StageResult[Any], run: LaidOut, data: Any, records: int) -> PipelineResult[Any]:
        times = self._times(run)
        stopped = not result.success and (self._flow is None or self._flow.completed)
        if not self._counts_checked or (stopped and not isinstance(result.error, AccountingError)):
            self._check_counts(result, run, records if isinstance(run, ChunkedRun) else 0)
        counts = summarize(run.stage_runs) if run.stage_runs else {"records_processed": records}
        concluded = PipelineResult[Any](
            data=data,
            success=result.success,
            error=result.error,
            duration_ms=times.wall_ms,
            context=self._context,
            times=times,
            flow=self._flow,
            notes=self._notes,
            **counts,
        )
        if self._observed is not None:
            self._tell_observers(self._observed, result.error, concluded)
        return concluded

    def _times(self, run: LaidOut) -> RunTimes:
        wall_ms, thread_ms = (perf_counter() - self._started) * 1000, (thread_time() - self._thread_started) * 1000
        if wall_ms < SHORTEST_MS:
            return RunTimes(wall_ms=wall_ms, thread_ms=thread_ms)  # the rest would take as long as the run
        streamed = isinstance(run, ChunkedRun)
        phases = phases_of(
            run,
            self._taker_ms if streamed else None,
            shippable=not self._hooks.watch_stages and self._nets is None,
        )
        times = RunTimes(wall_ms=wall_ms, thread_ms=thread_ms, phases=phases)
        settle_waiting(times, {each.name: each.progress for each in run.stage_runs}, streamed=streamed)
        return times

    def _observe(self, *, streams: bool) -> None:
        context = self._context
        start = RunStart(
            pipeline=self._name,
            stages=tuple(self._stages),
            names=tuple(self._names),
            hints=tuple(self._hints),
            context=context,
            run_id=None if self._durability is None else self._durability.run_id,
            streams=streams,
        )
        self._observed = observed = ObservedRun(context, self._name)
        if observed.begin(self._hooks.on_run, start):
            context.observed = observed

    def _tell_observers(
        self, observed: ObservedRun, error: BaseException | None, result: PipelineResult[Any] | None = None
    ) -> None:
        self._observed = self._context.observed = None
        observed.end(RunEnd(status=self._status, error=error, result=result, duration_ms=self._context.elapsed_ms))

    async def _begin(self, *, streams: bool) -> None:
        context = self._context
        context.begin()
        context.observed = None
        if self._hooks.on_run:
            self._observe(streams=streams)
        self._started, self._thread_started = perf_counter(), thread_time()
        logger.info("pipeline %s started, run %s", self._name, context.pipeline_id)
        data = {"pipeline_id": context.pipeline_id, "name": self._name, "stage_count": len(self._stages)}
        await self._publish(EventType.ITEM_CREATED, data)

    async def _end(self, result: StageResult[Any]) -> None:
        await self._publish_end("completed" if result.success else "failed", result.error)

    async def _end_cancelled(self, error: BaseException) -> None:
        with anyio.CancelScope(shield=True):
            await self._publish_end("cancelled", error)

    async def _publish_end(self, status: RunStatus, error: BaseException | None) -> None:
        context = self._context
        context.finish()
        self._status = status
        duration = (perf_counter() - self._started) * 1000
        if logger.isEnabledFor(logging.INFO):
            with context_of_run(context):
                logger.info("pipeline %s %s after %.0f ms, run %s", self._name, status, duration, context.pipeline_id)
        await self._publish(
            EventType.ITEM_UPDATED,
            {
                "pipeline_id": context.pipeline_id,
                "name": self._name,
                "status": status,
                "duration_ms": duration,
                "completed_stages": list(context.completed_stages),
                "error": None if error is None else self._secrets.redact_text(describe_error(error)),
            },
        )

    async def _publish(self, event_type: EventType, data: Mapping[str, Any]) -> None:
        context = self._context
        event = Event(type=event_type, data=data, source=self._event_source, subject=context.pipeline_id)
        for error in await self._event_bus.publish(event):
            context.record_error(error, stage=self._name)
