"""One attempt at a durable run: taken in the store and in the target, run batch by batch, and ended."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence, Sized
from itertools import islice
from threading import Lock
from typing import Any

from anyio import CancelScope
from anyio.to_thread import run_sync

from mainstem.context import PipelineContext
from mainstem.durable.batches import RunBatches
from mainstem.durable.heartbeat import Heartbeat
from mainstem.durable.options import Durability
from mainstem.durable.shape import shape_of
from mainstem.durable.sinks import check_guarantee, guarantee_of, refuse_shared_file
from mainstem.endpoints import Claim, Position, SinkStage, SourceStage, chunk_size_into
from mainstem.engine.barrier import records_before
from mainstem.engine.chunked import ChunkedRun
from mainstem.engine.chunks import Reader, is_async
from mainstem.engine.closing import closing
from mainstem.engine.layout import Layout, lay_out
from mainstem.engine.line import StageFailed, put_together
from mainstem.engine.source_commits import tell_committed
from mainstem.engine.stage_errors import RecentErrors
from mainstem.errors import (
    ConnectError,
    LeaseLostError,
    RejectLimitError,
    RunError,
    StoreError,
    add_note_once,
    describe_error,
)
from mainstem.faults import fault
from mainstem.frame_data import Gathered, is_columnar, rows_after
from mainstem.hooks import Hooks
from mainstem.result import StageResult
from mainstem.stage import PipelineStage
from mainstem.stage_run import StageRun
from mainstem.store.model import Checkpoint, Lease, NewReject, RunRequest, RunStatus
from mainstem.store.open import open_store
from mainstem.store.owner import this_process
from mainstem.store.store import Store
from mainstem.typecheck import RecordNet
from mainstem.workers import Workers

logger = logging.getLogger("mainstem.durable")


class DurableRun:
    """One attempt at a run that can be resumed.

    A pipeline that ends in a sink is committed batch by batch, if nothing in it needs its whole input, and else in one
    batch at its end. One that ends in no sink is run as it is, and its rejects are kept when it has ended.

    Args:
        pipeline: The pipeline's name.
        stages: The stages.
        names: Their names in reports.
        context: The run's context.
        hooks: The pipeline's hooks.
        nets: Checks of each stage's output, if they were asked for.
        workers: Worker processes that it may use.
        durability: What it was told.

    Attributes:
        stage_runs: The stages that have begun, in order.
        reader: What read the input, if that was given and not a source's.
        layouts: The segments of the pipeline.
        chunk_size: Records in a chunk.
    """

    def __init__(
        self,
        pipeline: str,
        stages: Sequence[PipelineStage[Any, Any]],
        names: Sequence[str],
        context: PipelineContext,
        hooks: Hooks,
        nets: Sequence[RecordNet] | None,
        workers: Workers | None,
        durability: Durability,
    ) -> None:
        self._pipeline, self._stages, self._names, self._context = pipeline, stages, names, context
        self._durability = durability
        last = stages[-1] if stages else None
        self._sink: SinkStage[Any] | None = last if isinstance(last, SinkStage) else None
        self.guarantee, reason = guarantee_of(stages, names)
        check_guarantee(durability.guarantee, self.guarantee, reason, pipeline)
        chunk_size = chunk_size_into(stages, to_workers=workers is not None)
        self.chunk_size = min(chunk_size, durability.commit_records or chunk_size)
        self.layouts: Sequence[Layout] = lay_out(
            stages,
            alongside=True,
            chunk_size=self.chunk_size,
            max_in_flight=None,
            async_input=False,
            workers=workers,
        )
        self._hooks = hooks if hooks.watch_stages else None
        self._nets, self._workers = nets, workers
        self.stage_runs: list[StageRun] = []
        self.reader: Reader | None = None
        self._taking = Lock()
        self._has_ended = False
        self._store: Store | None = None
        self._lease: Lease | None = None
        self._heartbeat: Heartbeat | None = None
        self._claim: Claim | None = None
        self._batches: RunBatches | None = None
        self._checkpoint: Checkpoint | None = None
        self._failed: tuple[int, Exception] | None = None
        """The stage that cannot be reached, before anything is read, and why."""

    async def open(self, data: Any) -> None:
        """Take the run, and find out where to go on.

        Raises:
            RunError: If it has completed, somebody works on it, or the pipeline or its input changed.
            StoreError: If the store cannot be reached, or does not belong to the target.
            ConnectError: If the source or the target cannot be reached.
        """
        source = await self._fingerprint(data)
        if self._failed is not None:
            return
        durability = self._durability
        request = RunRequest(
            pipeline=self._pipeline,
            run_id=durability.run_id,
            shape=shape_of(self._stages, self._names),
            source=source,
            target=durability.target,
            owner=this_process(),
            lease_seconds=durability.lease_seconds,
            force=durability.force,
        )
        store, lease = await run_sync(self._take, request)
        fault("run taken")
        self._heartbeat = Heartbeat(store, lease)
        self._heartbeat.start()
        self._claim = claim = Claim(f"{lease.pipeline}/{lease.run_id}", lease.epoch)
        committed = await self._last_in_target(lease, claim)
        if self._failed is not None:
            return
        fault("run claimed")
        self._checkpoint = await run_sync(store.settle, lease, committed)
        fault("run settled")
        start = await self._start(store)
        if self._failed is not None:
            return
        limit = self._context.reject_limit
        self._batches = RunBatches(store, lease, self._checkpoint, durability, claim, limit, start, self.guarantee)
        if self._context.reject_limit is not None and self._checkpoint is not None:
            counts = self._checkpoint.counts.values()
            self._context.reject_limit.rejected = sum(each.records_failed for each in counts)
        self._context.errors = RecentErrors()

    async def _start(self, store: Store) -> Position | None:
        """Return where to begin, if no batch is committed."""
        first = self._stages[0] if self._stages else None
        if self._checkpoint is not None or not isinstance(first, SourceStage):
            return None
        by_base: Any = getattr(SourceStage, "start_after")  # noqa: B009 - for type checkers, which cannot know of what
        source: SourceStage[Any] = first  # pyright: ignore[reportUnknownVariableType]
        if type(source).start_after is by_base:
            return None
        try:
            return source.start_after(await run_sync(self._last_position, store))
        except ConnectError as error:
            self._failed = (0, error)
            return None

    def _last_position(self, store: Store) -> Position | None:
        """Return where the last completed run of the pipeline ended."""
        completed = store.runs(pipeline=self._pipeline, status=RunStatus.COMPLETED, limit=1)
        checkpoint = store.last_checkpoint(completed[0].run) if completed else None
        return None if checkpoint is None else checkpoint.position

    def _take(self, request: RunRequest) -> tuple[Store, Lease]:
        """Open the store and take the run; whoever ends the attempt waits for this, though nobody waits for its answer.

        Raises:
            RunError: If the run cannot be taken.
            StoreError: If the store cannot be reached, or is in the file of the target.
        """
        with self._taking:
            store = open_store(self._durability.store)
            if self._has_ended:
                self._close(store)
                raise StoreError("the run was ended before it was taken")
            self._store = store
            refuse_shared_file(self._sink, store)
            self._lease = store.begin(request)
            return store, self._lease

    def _close(self, store: Store) -> None:
        if store is not self._durability.store:
            store.close()

    async def _fingerprint(self, data: Any) -> Mapping[str, Any] | None:
        first = self._stages[0] if self._stages else None
        if not isinstance(first, SourceStage):
            return {"records": len(data)} if isinstance(data, Sized) else None
        try:
            return await first.fingerprint()
        except Exception as error:
            self._failed = (0, error)
            return None

    async def _last_in_target(self, lease: Lease, claim: Claim) -> int:
        if self._sink is None:
            return lease.committed
        try:
            known = await self._sink.claim(claim)
        except RunError:
            raise
        except Exception as error:
            self._failed = (len(self._stages) - 1, error)
            return 0
        return lease.committed if known is None else known

    async def run(self, data: Any) -> StageResult[Any]:
        """Run what is left of it.

        Returns:
            The last result: with the output if all succeeded, else that of the stage that failed.

        Raises:
            StopPipeline: If a hook raised it.
        """
        if self._failed is not None:
            at, error = self._failed
            failed = StageRun(self._stages[at], self._names[at], self._context)
            self.stage_runs = [failed]
            return failed.interrupt(error)
        assert self._batches is not None
        if self._checkpoint is not None and self._checkpoint.is_last:
            return await self._conclude(self._batches)
        run = ChunkedRun(
            self._stages,
            self._names,
            self._context,
            self._hooks,
            self._nets,
            self.layouts,
            chunk_size=self.chunk_size,
            alongside=True,
            workers=self._workers,
            batches=self._batches,
        )
        try:
            result = await self._output_of(run, _left_of(data, self._batches.start))
            if self._sink is None:
                await self._keep_rejects(self._batches, run.stage_runs)
            return result
        except StageFailed as failed:
            self._context.current_stage = failed.run.name
            return failed.result
        except (StoreError, LeaseLostError, RejectLimitError) as error:
            self._context.record_error(error, stage=self._pipeline)
            return StageResult.failure(error)
        finally:
            self.stage_runs, self.reader = run.stage_runs, run.reader

    async def _output_of(self, run: ChunkedRun, data: Any) -> StageResult[Any]:
        output = Gathered()
        async with closing(run.output(data)) as chunks:
            if self.layouts[-1].end is not None:
                return StageResult(data=await anext(chunks))
            async for chunk in chunks:
                output.add(chunk)
        return StageResult(data=put_together(output, run.stage_runs[-1]))

    async def _keep_rejects(self, batches: RunBatches, runs: Sequence[StageRun]) -> None:
        """Keep what there is to keep of a run that loads nothing anywhere: it is all one batch."""
        barrier = batches.last_barrier(runs[0].position if runs else None)
        barrier.pass_by(runs)
        await batches.prepare(barrier)
        batches.committed()
        await tell_committed(runs, barrier.position)

    async def _conclude(self, batches: RunBatches) -> StageResult[Any]:
        """Do what is left of a run whose last batch is committed, and that was killed before it could say so."""
        for stage, name in zip(self._stages, self._names, strict=True):
            run = StageRun(stage, name, self._context)
            self.stage_runs.append(run)
            batches.restore(run)
            run.complete()
        if self._sink is None:
            return StageResult(notes=("had given its output when it was killed, and keeps none",))
        sink = self.stage_runs[-1]
        sink.state = batches.load_into(self._sink)
        return await sink.finish()

    async def end(self, status: str, error: BaseException | None = None) -> None:
        """End the attempt, whatever came of it; may be called again, and then does nothing."""
        if self._has_ended:
            return  # nothing is awaited then: a coroutine that is being closed cannot
        with CancelScope(shield=True):
            await run_sync(self.end_blocking, status, error)
            if status == RunStatus.COMPLETED.value and self._sink is not None and self._claim is not None:
                await self._forget(self._sink, self._claim)

    async def _forget(self, sink: SinkStage[Any], claim: Claim) -> None:
        fault("run ended")
        try:
            await sink.forget(claim)
        except Exception as error:  # the run has completed all the same
            logger.warning("%s keeps traces of run %r: %s", sink.target, claim.run, describe_error(error))

    def end_blocking(self, status: str, error: BaseException | None = None) -> None:
        """Do what ``end`` does, where nothing can be awaited."""
        with self._taking:
            store, self._store, self._has_ended = self._store, None, True
        if store is None:
            return
        try:
            if self._heartbeat is not None:
                self._heartbeat.stop()
            if self._lease is not None:
                self._finish(store, self._lease, RunStatus(status), error)
        finally:
            self._close(store)

    def _without_secrets(self, text: str) -> str:
        secrets = self._context.secrets
        return text if secrets is None else secrets.redact_text(text)

    def _finish(self, store: Store, lease: Lease, status: RunStatus, error: BaseException | None) -> None:
        unsettled: list[NewReject] = []
        try:
            if self._batches is not None:
                unsettled = self._batches.unsettled()
                self._batches.settle()
            fault("run ends")
            store.finish(
                lease,
                status,
                error=None if error is None else self._without_secrets(describe_error(error)),
                guarantee=self.guarantee.value,
                unsettled=unsettled,
            )
        except LeaseLostError as lost:
            if status is RunStatus.COMPLETED:  # all was committed before somebody else took it, and finds it so
                return
            logger.warning("%s", describe_error(lost))
        except StoreError as failure:
            if error is None:
                raise
            # The run fails already, and what is in the store says that it was being worked on: it can be resumed.
            add_note_once(error, f"and the store could not take note of it: {describe_error(failure)}")


def _left_of(data: Any, start: Position | None) -> Any:
    """Return what is left of a given input after a position."""
    taken = records_before(start) if data is not None else 0
    if not taken:
        return data
    if isinstance(data, (list, tuple)):
        return data[taken:]  # pyright: ignore[reportUnknownVariableType]
    given: Any = data
    if is_columnar(given):
        return rows_after(given, taken)
    return _async_left_of(given, taken) if is_async(given) else islice(given, taken, None)


async def _async_left_of(data: AsyncIterable[Any], taken: int) -> AsyncIterator[Any]:
    passed = 0
    async for record in data:
        passed += 1
        if passed > taken:
            yield record
