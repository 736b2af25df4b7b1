"""``FakeSink``: a sink in memory, as strict about transactions and batches as a database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from typing_extensions import TypeVar

from mainstem.connect.rejects import Reject, settle_rejects
from mainstem.context import PipelineContext
from mainstem.endpoints import Claim, Guarantee, Position, SinkStage, SinkTransaction
from mainstem.errors import ConnectionLostError, LeaseLostError, ValidationError
from mainstem.options import check_count

T = TypeVar("T", default=Any)


class FakeSink(SinkStage[T]):
    """A sink in memory that keeps the contract of any other: nothing is seen before a commit, a failed load is undone.

    In durable runs it keeps the number of the last batch with the rows, as a table does, so each record is loaded
    exactly once; with ``keeps_numbers=False`` it is a sink that cannot. Runs of it may overlap.

    Args:
        refuses: Says of a record why it is not taken, ``None`` if it is.
        continue_on_error: Whether a record that is not taken is recorded in ``context.errors`` and left out, instead of
            failing the run.
        fails_at: Which record cannot be written: the one that would be stored as number ``fails_at``, from 0.
        commit_fails: Whether a commit fails: ``before`` it has happened, or ``after`` it, so that nobody knows.
        error: The error of either; a ``ConnectionLostError`` by default, after which a durable run tries again.
        failures: How often it fails.
        keeps_numbers: Whether it keeps the numbers of batches.
        name: The stage's name in reports.

    Attributes:
        stored: What was committed, in order.
        commits: How many transactions were committed.
        aborts: How many were undone.
        is_open: How many are neither.

    Raises:
        ValueError: If an option is out of range.

    Example:
        >>> from mainstem import LoadReport, Pipeline
        >>> sink = FakeSink[int](fails_at=2)
        >>> load = Pipeline[list[int], LoadReport]("load").add_stage(sink)
        >>> load.run([1, 2, 3]).error, sink.stored, sink.aborts
        (ConnectionLostError('fake sink cannot write record 2, as it was told to'), [], 1)
        >>> load.run([1, 2, 3]).data.records_loaded, sink.stored
        (3, [1, 2, 3])
    """

    not_in_shape = frozenset(
        (
            "stored",
            "commits",
            "aborts",
            "is_open",
            "fails_at",
            "commit_fails",
            "error",
            "failures_left",
            "runs",
        )
    )

    def __init__(
        self,
        *,
        refuses: Callable[[T], str | None] | None = None,
        continue_on_error: bool = False,
        fails_at: int | None = None,
        commit_fails: Literal["before", "after"] | None = None,
        error: Exception | None = None,
        failures: int = 1,
        keeps_numbers: bool = True,
        name: str | None = None,
    ) -> None:
        check_count("failures of FakeSink", failures)
        if fails_at is not None:
            check_count("fails_at of FakeSink", fails_at, least=0)
        if commit_fails not in (None, "before", "after"):
            raise ValueError(f"commit_fails of FakeSink is 'before', 'after' or None, not {commit_fails!r}")
        self.stored: list[T] = []
        self.commits = self.aborts = self.is_open = 0
        self._refuses, self._continue_on_error = refuses, continue_on_error
        self._fails_at, self._commit_fails = fails_at, commit_fails
        self._error, self._failures_left = error, failures
        self._keeps_numbers = keeps_numbers
        self._runs: dict[str, tuple[int, int]] = {}
        """For each durable run the epoch of whoever writes, and the number of its last batch."""
        if name is not None:
            self.name = name

    @property
    def target(self) -> str:
        return "fake sink"

    @property
    def durable_guarantee(self) -> Guarantee:
        return Guarantee.EXACTLY_ONCE if self._keeps_numbers else Guarantee.AT_LEAST_ONCE

    async def begin(self, context: PipelineContext) -> SinkTransaction[T]:
        return _FakeTransaction(self, context)

    async def claim(self, claim: Claim) -> int | None:
        if not self._keeps_numbers:
            return None
        epoch, sequence = self._runs.get(claim.run, (0, 0))
        if claim.epoch < epoch:
            raise LeaseLostError(f"run {claim.run!r} was taken by somebody else: epoch {epoch}, not {claim.epoch}")
        self._runs[claim.run] = claim.epoch, sequence
        return sequence

    async def begin_batch(self, context: PipelineContext, claim: Claim, sequence: int) -> SinkTransaction[T]:
        return _FakeTransaction(self, context, (claim, sequence) if self._keeps_numbers else None)

    async def forget(self, claim: Claim) -> None:
        self._runs.pop(claim.run, None)

    def check_record(self, record: T, at: int) -> Exception | None:
        """Return why the record that would be number ``at`` of a transaction is not taken, if it is not.

        Raises:
            Exception: If it is the one that cannot be written.
        """
        at += len(self.stored)
        if self._fails_at is not None and at >= self._fails_at and self._failures_left > 0:
            self._failures_left -= 1
            raise self._error or ConnectionLostError(f"{self.target} cannot write record {at}, as it was told to")
        reason = None if self._refuses is None else self._refuses(record)
        return None if reason is None else ValidationError(reason)

    def settle(self, rejects: Sequence[Reject], context: PipelineContext) -> int:
        """Record the rejects of a write, and return how many they are; see ``continue_on_error``."""
        return settle_rejects(rejects, context, self.name, go_on=self._continue_on_error)

    def store(self, records: Sequence[T], batch: tuple[Claim, int] | None) -> None:
        """Commit the records of a transaction.

        Raises:
            LeaseLostError: If somebody else writes the batches of the run meanwhile.
            Exception: If a commit is to fail.
        """
        if batch is not None:
            claim, number = batch
            if self._runs.get(claim.run) != (claim.epoch, number - 1):
                raise LeaseLostError(f"batch {number} of run {claim.run!r} is somebody else's: {self._runs}")
        self._fail_commit("before")
        self.stored += records
        self.commits += 1
        if batch is not None:
            self._runs[batch[0].run] = batch[0].epoch, batch[1]
        self._fail_commit("after")

    def _fail_commit(self, when: str) -> None:
        if self._commit_fails == when and self._failures_left > 0:
            self._failures_left -= 1
            raise self._error or ConnectionLostError(f"{self.target} fails {when} its commit, as it was told to")


class _FakeTransaction(SinkTransaction[T]):
    def __init__(self, sink: FakeSink[T], context: PipelineContext, batch: tuple[Claim, int] | None = None) -> None:
        self._sink, self._context, self._batch = sink, context, batch
        self._records: list[T] = []
        sink.is_open += 1

    async def write(self, records: Sequence[T]) -> int:
        rejects: list[Reject] = []
        for at, record in enumerate(records):
            error = self._sink.check_record(record, len(self._records))
            if error is None:
                self._records.append(record)
            else:
                rejects.append(Reject(at, record, error))
        return self._sink.settle(rejects, self._context)

    async def commit(self, position: Position | None = None) -> None:
        self._sink.store(self._records, self._batch)
        self._sink.is_open -= 1

    async def abort(self) -> None:
        self._records.clear()
        self._sink.is_open -= 1
        self._sink.aborts += 1
