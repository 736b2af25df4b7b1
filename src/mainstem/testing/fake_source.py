"""``FakeSource`` and ``FakeQueue``: sources in memory, as strict about positions as one of a file or a broker."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any

import anyio
from typing_extensions import TypeVar

from mainstem.connect.rejects import Reject, settle_rejects
from mainstem.context import PipelineContext
from mainstem.endpoints import CHUNK_SIZE, Position, SourceChunk, SourceStage
from mainstem.errors import ConnectError, ConnectionLostError
from mainstem.options import check_count

T = TypeVar("T", default=Any)


class FakeSource(SourceStage[T]):
    """A source of records in memory that keeps the contract of any other: positions, resuming, rejects, a fingerprint.

    A durable run that broke off goes on behind the last batch that was committed; one whose ``records`` were changed
    meanwhile is refused, as of a file that was changed. Runs of it may overlap.

    Args:
        records: What it gives, in order.
        unreadable: For each position, from 0, the error of a record that cannot be read.
        continue_on_error: Whether a record that cannot be read is recorded in ``context.errors`` and left out, instead
            of failing the run.
        fails_at: The position of the record before which reading breaks off with an error.
        error: That error; a ``ConnectionLostError`` by default.
        failures: How often it does so before reading goes on as if nothing had been.
        every: Seconds, or a ``timedelta``, before each record, which then comes in a chunk of its own; for use with
            ``VirtualClock``.
        name: The stage's name in reports.

    Attributes:
        records: What it gives.
        reads: The positions at which it began to read, ``None`` for the beginning; one for each time.

    Raises:
        ValueError: If an option is out of range.

    Example:
        >>> from mainstem import Pipeline
        >>> source = FakeSource[str](["1", "2", "3"], fails_at=2)
        >>> numbers = Pipeline[None, list[int]]("numbers").add_stage(source).map(int)
        >>> numbers.run().error
        ConnectionLostError('fake source FakeSource breaks off before record 2, as it was told to')
        >>> numbers.run().data
        [1, 2, 3]
    """

    not_in_shape = frozenset(
        ("records", "reads", "unreadable", "fails_at", "error", "failures_left", "every", "acknowledged", "released")
    )

    def __init__(
        self,
        records: Iterable[T],
        *,
        unreadable: Mapping[int, Exception] | None = None,
        continue_on_error: bool = False,
        fails_at: int | None = None,
        error: Exception | None = None,
        failures: int = 1,
        every: float | timedelta = 0.0,
        name: str | None = None,
    ) -> None:
        check_count("failures of FakeSource", failures)
        if fails_at is not None:
            check_count("fails_at of FakeSource", fails_at, least=0)
        self.records: list[T] = list(records)
        self.reads: list[Position | None] = []
        self._unreadable = dict(unreadable or {})
        self._continue_on_error = continue_on_error
        self._fails_at, self._error, self._failures_left = fails_at, error, failures
        self._every = every.total_seconds() if isinstance(every, timedelta) else every
        if name is not None:
            self.name = name

    async def read(
        self, context: PipelineContext, *, start: Position | None = None, chunk_size: int = CHUNK_SIZE
    ) -> AsyncGenerator[SourceChunk[T], None]:
        check_count("chunk_size", chunk_size)
        self.reads.append(start)
        at = self._first(start)
        size = 1 if self._every else chunk_size
        while at < len(self.records):
            if self._every:
                await anyio.sleep(self._every)
            end = min(at + size, len(self.records))
            breaks_off = self._failures_left > 0 and self._fails_at is not None and at <= self._fails_at < end
            if breaks_off and self._fails_at == at:
                self._failures_left -= 1
                raise self._error or ConnectionLostError(
                    f"fake source {self.name} breaks off before record {at}, as it was told to"
                )
            if breaks_off and self._fails_at is not None:
                end = self._fails_at
            rejects = [
                Reject(index, self.records[index], self._unreadable[index])
                for index in range(at, end)
                if index in self._unreadable
            ]
            failed = settle_rejects(
                rejects, context, self.name, go_on=self._continue_on_error, first=context.chunk_start
            )
            records = [self.records[index] for index in range(at, end) if index not in self._unreadable]
            at = end
            yield SourceChunk(records, {"record": at}, failed)

    def _first(self, start: Position | None) -> int:
        if start is None:
            return 0
        at = start.get("record")
        if type(at) is not int or at < 0:
            raise ConnectError(f"{start!r} is no position in fake source {self.name}: it needs record")
        if at > len(self.records):
            raise ConnectError(
                f"fake source {self.name} was replaced: it has {len(self.records)} records, and was read up to {at}"
            )
        return at

    async def fingerprint(self) -> Mapping[str, Any] | None:
        return {"records": len(self.records), "sha256": sha256(repr(self.records).encode()).hexdigest()}

    def read_again(self, record: Any) -> T:
        """Take a rejected record as it is: a person has mended it."""
        return record  # type: ignore[no-any-return]


class FakeQueue(FakeSource[T]):
    """A source that lets go of records once they are committed, as a broker's queue does.

    Each read begins with the first record that is not acknowledged, whatever position it is given: what a run took and
    did not commit comes again. It ends where the queue is empty.

    Args:
        records: What is in the queue; the other arguments are those of ``FakeSource``.

    Attributes:
        acknowledged: How many records it has let go of.
        released: How many runs have let go of it.

    Example:
        >>> from mainstem import Pipeline
        >>> queue = FakeQueue[int]([1, 2, 3])
        >>> Pipeline[None, list[int]]("orders").add_stage(queue).run().data, queue.acknowledged
        ([1, 2, 3], 3)
    """

    acknowledges = True

    def __init__(self, records: Iterable[T], **options: Any) -> None:
        super().__init__(records, **options)
        self.acknowledged = 0
        self.released = 0

    def _first(self, start: Position | None) -> int:
        return self.acknowledged

    async def fingerprint(self) -> Mapping[str, Any] | None:
        return None  # what is in a queue changes while it is read

    async def committed(self, position: Position) -> None:
        self.acknowledged = max(self.acknowledged, super()._first(position))

    async def release(self, context: PipelineContext) -> None:
        self.released += 1
