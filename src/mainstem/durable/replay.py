"""Replays: rejects of a durable run that go through the rest of the pipeline, each once, whatever is killed meanwhile.

A replay is a durable run of its own, ``<run> (replay)``, whose batches are numbered on from one call to the next. What
became of each reject is kept with the batch in which its record is, so the target alone decides on both.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeGuard

from anyio import CancelScope
from anyio.to_thread import run_sync
from typing_extensions import Unpack

from mainstem.context import PipelineContext, context_of_run
from mainstem.durable.edits import record_of, why_not_replayable
from mainstem.durable.heartbeat import Heartbeat
from mainstem.durable.options import DEFAULT_LEASE, lease_seconds
from mainstem.durable.replay_batch import Candidate, ReplayBatch, ReplayCounts
from mainstem.durable.replay_options import Replayable, ReplayOptions, ReplayReport, checked_states, replay_run_id
from mainstem.durable.replay_path import Manner, Way, Ways
from mainstem.durable.replay_stages import ReplayStages
from mainstem.durable.shape import shape_of
from mainstem.durable.sinks import refuse_shared_file
from mainstem.endpoints import Claim, LoadReport, SinkStage, models_read_by
from mainstem.engine.batch_load import BatchLoad
from mainstem.errors import (
    LeaseLostError,
    MainstemError,
    PipelineChangedError,
    RejectError,
    RunError,
    StoreError,
    add_note_once,
    describe_error,
)
from mainstem.faults import fault
from mainstem.options import check_names
from mainstem.secrets import Secrets
from mainstem.stage_run import unique_names
from mainstem.store.model import (
    Checkpoint,
    Lease,
    RejectQuery,
    RejectRecord,
    RejectState,
    RunRecord,
    RunRequest,
    RunStatus,
)
from mainstem.store.owner import this_process
from mainstem.store.resumable import changes_of_shape
from mainstem.store.store import Store

logger = logging.getLogger("mainstem.durable")

BATCH = 500
"""Rejects that are replayed in one transaction of the target."""


async def replay_rejects(
    store: Store, pipeline: Replayable, run_id: str, **options: Unpack[ReplayOptions]
) -> ReplayReport:
    """Replay rejects: see ``RejectLedger.replay``."""
    replay = Replay(store, pipeline, run_id, options)
    status, error = RunStatus.CANCELLED, None
    try:
        await replay.open()
        report = await replay.run()
        status = RunStatus.COMPLETED
        return report
    except GeneratorExit as closed:
        replay.end_blocking(status, closed)
        raise
    except BaseException as raised:
        error = raised
        status = RunStatus.FAILED if isinstance(raised, Exception) else status
        raise
    finally:
        await replay.end(status, error)


class Replay:
    """One attempt at a replay.

    Args:
        store: The store.
        pipeline: The pipeline.
        run_id: The run whose rejects are replayed.
        options: What it was told.

    Raises:
        RejectError: If the pipeline has no sink, or one to which nothing can be added.
        RunError: If there is no such run.
        PipelineChangedError: If the pipeline is not the one that it began with.
    """

    def __init__(self, store: Store, pipeline: Replayable, run_id: str, options: ReplayOptions) -> None:
        self._store, self._pipeline, self._options = store, pipeline.name, options
        self._stages = pipeline.stages
        self._names = unique_names(self._stages)
        self._sink = self._checked_sink()
        check_names("a replay", options, ReplayOptions.__annotations__)
        self._lease_seconds = lease_seconds(options.get("lease", DEFAULT_LEASE))
        self._states = checked_states(options.get("states", (RejectState.APPROVED,)))
        self._ways = Ways(self._stages, self._names)
        self._of = run_id
        self.run_id = replay_run_id(run_id)
        given = options.get("context")
        self._context = PipelineContext(self.run_id) if given is None else given
        self._context.secrets = Secrets(options.get("secret_fields", ()), models_read_by(self._stages))
        self._lease: Lease | None = None
        self._heartbeat: Heartbeat | None = None
        self._load: BatchLoad | None = None
        self._prepared = 0
        self._of_replay: Checkpoint | None = None
        self._skipped = Counter[str]()

    def _checked_sink(self) -> SinkStage[Any]:
        last = self._stages[-1] if self._stages else None
        if not _is_sink(last):
            raise RejectError(
                f"pipeline {self._pipeline!r} ends in no sink, so there is nothing that its rejects could be loaded "
                "into: run it anew on a mended input, or discard them"
            )
        if last.replaces:
            raise RejectError(
                f"sink {self._names[-1]!r} replaces {last.target} as a whole, and nothing can be added to it: run the "
                "pipeline anew on a mended input, or discard the rejects"
            )
        return last

    def _find_run(self) -> RunRecord:
        found = self._store.runs(pipeline=self._pipeline, run_id=self._of, limit=1)
        if not found:
            raise _of_run(
                RunError(f"{self._store.url} has no run {self._of!r} of pipeline {self._pipeline!r}"),
                self._pipeline,
                self._of,
            )
        return found[0]

    async def open(self) -> None:
        """Take the replay, and find out where it stands.

        Raises:
            RunError: If there is no such run, somebody else replays it, or the pipeline has changed.
            StoreError: If the store cannot be reached, or does not belong to the target.
            ConnectError: If the target cannot be reached.
        """
        store, options = self._store, self._options
        refuse_shared_file(self._sink, store)
        self._run = await run_sync(self._find_run)
        shape = shape_of(self._stages, self._names)
        force = options.get("force", False)
        changes = [] if force else [*changes_of_shape(self._run.shape, shape)]
        if changes:
            raise _of_run(
                PipelineChangedError(
                    f"pipeline {self._pipeline!r} is not the one that run {self._of!r} began with:\n"
                    + "\n".join(f"  {line}" for line in changes)
                    + "\nReplay with the pipeline as it was, or go on all the same with force"
                ),
                self._pipeline,
                self._of,
            )
        request = RunRequest(
            pipeline=self._pipeline,
            run_id=self.run_id,
            shape=shape,
            source={"rejects of run": self._of},
            owner=this_process(),
            lease_seconds=self._lease_seconds,
            force=force,
            again=True,
        )
        self._lease = lease = await run_sync(store.begin, request)
        fault("run taken")
        self._heartbeat = Heartbeat(store, lease)
        self._heartbeat.start()
        claim = Claim(f"{lease.pipeline}/{lease.run_id}", lease.epoch)
        known = await self._sink.claim(claim)
        committed = lease.committed if known is None else known
        fault("run claimed")
        self._of_replay = await run_sync(store.settle, lease, committed)
        fault("run settled")
        self._load = BatchLoad(self._sink, claim, committed)
        self._prepared = committed

    async def run(self) -> ReplayReport:
        """Replay what there is, batch by batch.

        Raises:
            RejectError: If there are rejects, and none of them can be replayed.
        """
        assert self._load is not None
        of_run = await run_sync(self._store.last_checkpoint, self._run.run)
        stages = ReplayStages(self._ways.steps, self._context, of_run, self._of_replay)
        counts = ReplayCounts()
        after = 0
        with context_of_run(self._context):
            while page := await run_sync(self._page, after):
                after = page[-1].id
                candidates = [each for reject in page if (each := self._candidate(reject, stages)) is not None]
                await self._run_batch(candidates, stages, self._load, counts)
        if self._skipped and not counts.replayed and not counts.failed_again:
            reasons = "\n".join(f"  {count:,}: {reason}" for reason, count in self._skipped.most_common())
            raise RejectError(f"no reject of run {self._of!r} could be replayed:\n{reasons}")
        return self._report(counts)

    def _page(self, after: int) -> Sequence[RejectRecord]:
        return self._store.rejects(
            RejectQuery(
                pipeline=self._pipeline,
                run_id=self._of,
                stage=self._options.get("stage"),
                code=self._options.get("code"),
                states=self._states,
                after=after,
                limit=BATCH,
            )
        )

    async def _run_batch(
        self, candidates: Sequence[Candidate], stages: ReplayStages, load: BatchLoad, counts: ReplayCounts
    ) -> None:
        batch = ReplayBatch(candidates, stages, load, self._names[-1], self._context, self._prepare)
        checkpoint = await batch.run(counts)
        if checkpoint is not None:
            stages.committed(checkpoint)
        self._skipped.update("somebody else changed it while it was replayed: look at it" for _ in batch.changed)

    def _prepare(self, checkpoint: Checkpoint) -> None:
        assert self._lease is not None
        self._store.prepare(self._lease, checkpoint)
        self._prepared = checkpoint.sequence

    def _candidate(self, reject: RejectRecord, stages: ReplayStages) -> Candidate | None:
        """Return a reject with its way and record; ``None``, and the reason is counted, if it can't be replayed."""
        found = self._way_of(reject, stages)
        if isinstance(found, Way):
            try:
                return Candidate(reject, found, record_of(reject))
            except MainstemError as error:  # of a class that is not loaded, say
                found = str(error)
        self._skipped[found] += 1
        return None

    def _way_of(self, reject: RejectRecord, stages: ReplayStages) -> Way | str:
        if not reject.is_settled:
            return "the batch that it belongs to is not committed: resume the run first"
        hindrance = why_not_replayable(reject)
        if hindrance is not None:
            return hindrance
        way = self._ways.way_from(reject.stage)
        if isinstance(way, str):
            return way
        if self._run.status is not RunStatus.COMPLETED:
            kept = next((step.path for step in way.steps if step.manner is Manner.KEPT), None)
            if kept is not None:
                return f"the run has not completed, and stage {kept!r} would not know of it: resume the run first"
        full = stages.full(way.steps)
        if full is not None:
            return f"stage {full.path!r} has let through all that it lets through: discard it"
        return way

    def _report(self, counts: ReplayCounts) -> ReplayReport:
        load = LoadReport(
            target=self._sink.target,
            records_loaded=counts.records_loaded,
            records_rejected=counts.records_rejected,
            guarantee=self._sink.durable_guarantee,
        )
        return ReplayReport(
            run_id=self.run_id,
            replayed=counts.replayed,
            dropped=counts.dropped,
            failed_again=counts.failed_again,
            skipped=dict(self._skipped),
            load=load,
        )

    async def end(self, status: RunStatus, error: BaseException | None) -> None:
        """End the attempt, whatever came of it; may be called again, and then does nothing."""
        if self._lease is not None:
            with CancelScope(shield=True):
                await run_sync(self.end_blocking, status, error)

    def end_blocking(self, status: RunStatus, error: BaseException | None) -> None:
        """Do what ``end`` does, where nothing can be awaited."""
        lease, self._lease = self._lease, None
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if lease is None:
            return
        try:
            if self._load is not None and self._prepared == self._load.sequence:
                self._store.settle(lease, self._load.sequence)
            fault("run ends")
            self._store.finish(
                lease,
                status,
                error=None if error is None else describe_error(error),
                guarantee=self._sink.durable_guarantee.value,
            )
        except LeaseLostError as lost:  # somebody else goes on with it, and all that was committed is
            logger.warning("%s", describe_error(lost))
        except StoreError as failure:
            if error is None:
                raise
            add_note_once(error, f"and the store could not take note of it: {describe_error(failure)}")
        fault("run ended")


def _is_sink(stage: object) -> TypeGuard[SinkStage[Any]]:
    return isinstance(stage, SinkStage)


def _of_run(error: RunError, pipeline: str, run_id: str) -> RunError:
    error.pipeline, error.run_id = pipeline, run_id
    return error
