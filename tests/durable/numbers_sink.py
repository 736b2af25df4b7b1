"""A durable sink in memory: quick, and as strict about batches as a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mainstem import LeaseLostError, PipelineContext, SinkStage, SinkTransaction
from mainstem.endpoints import Claim, Position


class MemorySink(SinkStage[Any]):
    """Keeps rows, and the number of the last batch, of each run."""

    target = "memory"
    not_in_shape = frozenset({"rows", "epoch", "sequence", "open"})

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.epoch, self.sequence = 0, 0
        self.open = 0
        """Transactions that were begun, and neither committed nor aborted."""

    async def begin(self, context: PipelineContext) -> SinkTransaction[Any]:
        return _Batch(self, context, None, 1)

    async def claim(self, claim: Claim) -> int:
        if claim.epoch < self.epoch:
            raise LeaseLostError("taken")
        self.epoch = claim.epoch
        return self.sequence

    async def begin_batch(self, context: PipelineContext, claim: Claim, sequence: int) -> SinkTransaction[Any]:
        return _Batch(self, context, claim, sequence)


class _Batch(SinkTransaction[Any]):
    def __init__(self, sink: MemorySink, context: PipelineContext, claim: Claim | None, sequence: int) -> None:
        self._sink, self._context, self._claim, self._sequence = sink, context, claim, sequence
        self._rows: list[Any] = []
        sink.open += 1

    async def write(self, records: Sequence[Any]) -> int:
        refused = 0
        for at, record in enumerate(records):
            if record == 13:
                self._context.record_error(ValueError("unlucky"), record=record, index=at)
                refused += 1
            else:
                self._rows.append(record)
        return refused

    async def commit(self, position: Position | None = None) -> None:
        sink = self._sink
        if self._claim is not None and (self._claim.epoch, self._sequence) != (sink.epoch, sink.sequence + 1):
            raise LeaseLostError("somebody else wrote")
        sink.rows += self._rows
        sink.sequence = self._sequence
        sink.open -= 1

    async def abort(self) -> None:
        self._rows.clear()
        self._sink.open -= 1
