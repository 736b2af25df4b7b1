"""A sink's part in a durable run: batch after batch, each in a transaction of its own that keeps the batch's number."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import anyio

from mainstem.context import PipelineContext, StageError
from mainstem.endpoints import Claim, Guarantee, LoadReport, SinkStage, SinkTransaction
from mainstem.errors import ConnectError, ConnectionLostError, StageContractError, add_note_once, describe_error
from mainstem.faults import fault
from mainstem.frame_data import FRAME_ROWS, is_frame
from mainstem.result import StageResult

logger = logging.getLogger("mainstem.durable")

FIRST_PAUSE = 0.05
"""How long to wait, in seconds, before a lost connection is tried to be had again; longer each time after that."""

RECONNECT_SECONDS = 60.0
"""How long a lost connection is tried to be had again."""

WRITTEN_AT_ONCE = 20_000
"""Records of a batch in one write: each waits several times, and every time then has to wait for its turn to go on."""


class BatchLoad:
    """Writes and commits batches, again if a connection is lost; the records of a batch are kept until it is committed.

    Args:
        sink: The sink.
        claim: Who writes.
        committed: The number of the last batch that was committed.
    """

    wanted: int | None = None

    def __init__(self, sink: SinkStage[Any], claim: Claim, committed: int, guarantee: Guarantee | None = None) -> None:
        self._sink, self._claim, self.sequence = sink, claim, committed
        self._guarantee = sink.durable_guarantee if guarantee is None else guarantee
        self._records: Sequence[Any] = ()
        self._first = 0
        """Position of the batch's first record in the sink's whole input."""
        self._failures: list[StageError] = []
        """What went wrong in the last attempt at writing the batch."""
        self._rejects = 0
        self.records_uncommitted = 0
        """Records that were written, and are not known to be in the target for good."""
        self._transaction: SinkTransaction[Any] | None = None

    async def feed(self, records: Sequence[Any], context: PipelineContext) -> StageResult[Any]:
        """Write the next batch, without committing it."""
        self._records, self._first = records, context.chunk_start
        try:
            self._rejects = await self._write_until_connected(context)
        finally:
            context.take_over(self._failures)
        self.records_uncommitted = len(records) - self._rejects
        return StageResult(data=(), records_processed=len(records) - self._rejects, records_failed=self._rejects)

    async def _write_until_connected(self, context: PipelineContext) -> int:
        pauses = _Pauses(self._sink.target)
        while True:
            try:
                return await self._write(context)
            except ConnectionLostError as error:
                await self._roll_back(error)
                await pauses.wait(error)
                if await self._last_committed(pauses) != self.sequence:
                    raise StageContractError(
                        f"{self._sink.target}: batch {self.sequence + 1} is there, and was not committed by this run"
                    ) from error

    async def _write(self, context: PipelineContext) -> int:
        """Write the batch once, and return how many records were refused.

        What fails is taken down apart, for if the connection breaks, nothing of it counts.
        """
        apart = context.beside()
        apart.current_stage, apart.chunk_start = context.current_stage, self._first
        apart.errors, apart.reject_limit = [], None
        self._failures = apart.errors
        rejected = 0
        try:
            self._transaction = await self._sink.begin_batch(apart, self._claim, self.sequence + 1)
            records, first = self._records, self._first
            size = FRAME_ROWS if is_frame(records) else max(WRITTEN_AT_ONCE, self._sink.chunk_size)
            for at in range(0, len(records), size):
                apart.chunk_start = first + at
                rejected += await self._transaction.write(records[at : at + size])
                await anyio.sleep(0)
        except ConnectionLostError:
            apart.errors.clear()
            raise
        return rejected

    async def commit(self, context: PipelineContext) -> StageResult[Any]:
        """Commit the batch that was written.

        Raises:
            ConnectError: If it cannot be, or the target refuses other records now that it was written again.
        """
        pauses = _Pauses(self._sink.target)
        while True:
            if self._transaction is None:
                raise StageContractError(f"no batch was written into {self._sink.target}")
            try:
                await self._transaction.commit({"sequence": self.sequence + 1})
                break
            except ConnectionLostError as error:
                # It may have been committed all the same: to write it again without asking would double its rows.
                await self._roll_back(error)
                await pauses.wait(error)
                if await self._last_committed(pauses) == self.sequence + 1:
                    break
                await self._write_again(context, error)
        self._transaction, self._records = None, ()
        self.records_uncommitted = 0
        self.sequence += 1
        return StageResult(data=())

    async def _last_committed(self, pauses: _Pauses) -> int:
        while True:
            try:
                number = await self._sink.claim(self._claim)
            except ConnectionLostError as error:
                await pauses.wait(error)
            else:
                return self.sequence if number is None else number

    async def _write_again(self, context: PipelineContext, lost: ConnectionLostError) -> None:
        before = [entry.index for entry in self._failures]
        await self._write_until_connected(context)
        if [entry.index for entry in self._failures] != before:
            raise ConnectError(
                f"{self._sink.target}: the connection was lost at the end of a batch, and now that it was written "
                "again, other records of it are refused: resume the run"
            ) from lost

    async def finish(self, context: PipelineContext) -> StageResult[LoadReport]:
        """Say that all batches are committed, and what was loaded."""
        pauses = _Pauses(self._sink.target)
        while True:
            try:
                fault("target completes")
                await self._sink.complete(self._claim)
                fault("target completed")
                break
            except ConnectionLostError as error:
                await pauses.wait(error)
        counts = context.progress[context.current_stage or self._sink.name]
        return StageResult(
            data=LoadReport(
                target=self._sink.target,
                records_loaded=counts.records_passed,
                records_rejected=counts.records_failed,
                guarantee=self._guarantee,
            )
        )

    async def abort(self, error: BaseException) -> None:
        """Undo what was written and not committed, because of ``error``."""
        with anyio.CancelScope(shield=True):
            await self._roll_back(error)

    async def _roll_back(self, error: BaseException) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is None:
            return
        try:
            await transaction.abort()
        except Exception as failure:
            add_note_once(error, f"and to undo the batch failed: {describe_error(failure)}")


class _Pauses:
    """Waits between attempts to have a connection again: longer each time, and not for ever."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._deadline = anyio.current_time() + RECONNECT_SECONDS
        self._pause = FIRST_PAUSE

    async def wait(self, error: ConnectionLostError) -> None:
        """Wait.

        Raises:
            ConnectionLostError: ``error``, if that was long enough.
        """
        if anyio.current_time() + self._pause > self._deadline:
            add_note_once(error, f"tried for {RECONNECT_SECONDS:g} s to have the connection again")
            raise error
        logger.warning("%s: %s; trying again in %.2f s", self._target, describe_error(error), self._pause)
        await anyio.sleep(self._pause)
        self._pause = min(2 * self._pause, 5.0)
