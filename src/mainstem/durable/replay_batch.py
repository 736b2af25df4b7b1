"""One batch of a replay: rejects that go through the stages, and what comes out, in one transaction of the target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from anyio.to_thread import run_sync

from mainstem.context import PipelineContext, StageError
from mainstem.durable.replay_path import Way
from mainstem.durable.replay_stages import Passage, ReplayStages, name_reject
from mainstem.engine.batch_load import BatchLoad
from mainstem.errors import RejectError
from mainstem.faults import fault
from mainstem.store.model import Checkpoint, RejectRecord, ReplayOutcome
from mainstem.store.new_reject import new_rejects


@dataclass(frozen=True, slots=True)
class Candidate:
    """A reject that is to be replayed.

    Attributes:
        reject: The reject.
        way: Its way.
        record: The record that it enters with.
    """

    reject: RejectRecord
    way: Way
    record: Any


@dataclass(slots=True)
class ReplayCounts:
    """What became of rejects."""

    replayed: int = 0
    failed_again: int = 0
    records_loaded: int = 0
    records_rejected: int = 0
    dropped: int = 0
    """Those of the replayed of which nothing came out: filtered, or repeating what is loaded already."""


@dataclass(slots=True)
class _Attempt:
    """What came of one time of going through the rejects of a batch."""

    passages: dict[int, Passage] = field(default_factory=lambda: dict[int, Passage]())
    """By the reject's number."""
    outputs: list[Any] = field(default_factory=lambda: list[Any]())
    owners: list[int] = field(default_factory=lambda: list[int]())
    """Which reject each output comes of."""


class ReplayBatch:
    """A batch.

    A reject of which several records come goes through with all of them or none: what the ledger keeps of it is one
    record. So where some of these fail, the batch is done again without it, from the states before.

    Args:
        candidates: The rejects.
        stages: The stages.
        load: The sink's part.
        sink: The sink's name in reports.
        context: The replay's context.
        prepare: Puts a checkpoint into the store.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        stages: ReplayStages,
        load: BatchLoad,
        sink: str,
        context: PipelineContext,
        prepare: Callable[[Checkpoint], None],
    ) -> None:
        self._candidates = [*candidates]
        self._stages, self._load, self._sink, self._context, self._prepare = stages, load, sink, context, prepare
        self._sink_context = context
        self._whole: dict[int, StageError] = {}
        """Rejects that stay what they are, because one of several records of theirs failed."""
        self._not_taken: dict[int, StageError] = {}
        """Rejects whose one record the sink does not take, where it takes no batch with such a record."""
        self.changed: list[RejectRecord] = []
        """Those that somebody else changed meanwhile."""

    async def run(self, counts: ReplayCounts) -> Checkpoint | None:
        """Bring the batch into the target.

        Returns:
            Its checkpoint; ``None`` if nothing was left to do.

        Raises:
            LeaseLostError: If somebody else has taken the replay.
            ConnectError: If the target cannot be reached or written.
            StoreError: If the store cannot be.
        """
        while self._candidates:
            try:
                checkpoint = await self._try(counts)
            except BaseException as error:
                await self._load.abort(error)
                raise
            if checkpoint is not None:
                return checkpoint
            self._stages.go_back()
        return None

    async def _try(self, counts: ReplayCounts) -> Checkpoint | None:
        """Do the batch once; return ``None`` if it has to be done again."""
        attempt = await self._take_all()
        if attempt is None:
            return None
        fault("batch begins")
        if not await self._write(attempt):
            return None
        fault("batch written")
        checkpoint = self._checkpoint(attempt)
        try:
            await run_sync(self._prepare, checkpoint)
        except RejectError as error:
            if error.reject is None:
                raise
            await self._load.abort(error)
            self.changed += [each.reject for each in self._candidates if each.reject.id == error.reject]
            self._candidates = [each for each in self._candidates if each.reject.id != error.reject]
            return None
        fault("batch prepared")
        await self._load.commit(self._sink_context)
        fault("batch committed")
        self._count(attempt, checkpoint, counts)
        return checkpoint

    async def _take_all(self) -> _Attempt | None:
        attempt = _Attempt()
        ends_here = True
        for each in self._candidates:
            number = each.reject.id
            if number in self._whole:
                attempt.passages[number] = Passage(failure=self._whole[number])
                continue
            passage = await self._take(each)
            if passage.failure is not None:
                name_reject(passage.failure.error, number)
                if not passage.moved:
                    self._whole[number] = passage.failure
                    ends_here = False
            elif number in self._not_taken:
                passage = Passage(failure=self._not_taken[number], moved=True)
            attempt.passages[number] = passage
            attempt.outputs += passage.outputs
            attempt.owners += [number] * len(passage.outputs)
        return attempt if ends_here else None

    async def _take(self, candidate: Candidate) -> Passage:
        record, source = candidate.record, candidate.way.source
        if source is not None:
            try:
                record = source.read_again(record)
            except Exception as error:
                return Passage(failure=StageError(candidate.reject.stage, error, candidate.record, 0), moved=True)
        return await self._stages.take(candidate.way.steps, record)

    async def _write(self, attempt: _Attempt) -> bool:
        """Write what came out, without committing it; return whether the batch can stay so."""
        context = self._sink_context = self._context.beside()
        context.errors, context.current_stage = [], self._sink
        try:
            await self._load.feed(attempt.outputs, context)
        except Exception as error:
            refused = [entry for entry in context.errors if entry.index is not None and entry.error is error]
            if not refused:
                raise
            await self._load.abort(error)
            self._refuse(refused, attempt, goes_on=False)
            return False
        refused = [entry for entry in context.errors if entry.index is not None]
        if self._refuse(refused, attempt, goes_on=True):
            return True
        await self._load.abort(refused[0].error)
        return False

    def _refuse(self, refused: Sequence[StageError], attempt: _Attempt, *, goes_on: bool) -> bool:
        """Note for each record that the sink does not take which reject failed; return whether the rest can stay."""
        can_stay = goes_on
        for entry in refused:
            number = attempt.owners[entry.index or 0]
            name_reject(entry.error, number)
            if len(attempt.passages[number].outputs) > 1:
                self._whole[number] = entry
                can_stay = False
            elif goes_on:
                attempt.passages[number] = Passage(failure=entry, moved=True)
            else:
                self._not_taken[number] = entry
        return can_stay

    def _checkpoint(self, attempt: _Attempt) -> Checkpoint:
        return Checkpoint(
            sequence=self._load.sequence + 1,
            counts=self._stages.counts(),
            snapshots=self._stages.snapshots(),
            replays=[self._outcome(each, attempt.passages[each.reject.id]) for each in self._candidates],
        )

    def _outcome(self, candidate: Candidate, passage: Passage) -> ReplayOutcome:
        failure, reject = passage.failure, candidate.reject
        if failure is None:
            return ReplayOutcome(reject=reject.id, replayed=reject)
        scratch = self._context.beside()
        scratch.errors = []
        kept = scratch.record_error(  # which leaves out what is secret
            failure.error,
            stage=failure.stage if passage.moved else reject.stage,
            record=failure.record if passage.moved else candidate.record,
            index=0,
            attempts=failure.attempts,
        )
        (again,) = new_rejects([kept])
        return ReplayOutcome(reject=reject.id, failure=again, replayed=reject)

    def _count(self, attempt: _Attempt, checkpoint: Checkpoint, counts: ReplayCounts) -> None:
        for each in attempt.passages.values():
            counts.replayed += each.failure is None
            counts.failed_again += each.failure is not None
            counts.dropped += each.failure is None and not each.outputs
            counts.records_loaded += len(each.outputs)
            counts.records_rejected += each.failure is not None and each.failure.stage == self._sink
