"""What is to be said of a durable run when it has ended, as its store knows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mainstem.cli.watched_store import WatchedStore
from mainstem.store.model import RejectQuery, RejectRecord, RejectState, RunRecord, RunStatus

REJECTS_READ = 10_000
"""Of more rejects, so many are looked at for the report; all are counted."""


@dataclass(frozen=True, slots=True)
class DurableOutcome:
    """A durable run at its end.

    Attributes:
        store: Where it is kept.
        record: What the store says of it.
        resumed_after: The batch after which this attempt went on; ``None`` if it began at the beginning.
        records_read_before: How many records had been read by then.
        rejects: The first of its rejects.
        resume_command: What goes on with it; ``None`` if it has completed.
        list_command: What lists its rejects.
    """

    store: str
    record: RunRecord
    resumed_after: int | None
    records_read_before: int
    rejects: Sequence[RejectRecord]
    resume_command: str | None
    list_command: str

    @property
    def reject_counts(self) -> Mapping[RejectState, int]:
        """How many rejects of each state there are."""
        return {state: self.record.rejects[state] for state in RejectState if self.record.rejects.get(state)}


def durable_outcome(store: WatchedStore, resume_command: str, list_command: str) -> DurableOutcome | None:
    """Ask the store what became of the run; ``None`` if it never began.

    Raises:
        StoreError: If the store cannot be read.
    """
    lease = store.lease
    if lease is None:
        return None
    record = store.runs(pipeline=lease.pipeline, run_id=lease.run_id)[0]
    query = RejectQuery(pipeline=lease.pipeline, run_id=lease.run_id, limit=REJECTS_READ)
    start = store.start
    read = 0
    if start is not None and record.shape:
        counts = start.counts.get(str(record.shape[0]["name"]))
        read = 0 if counts is None else counts.records_in
    return DurableOutcome(
        store=store.url,
        record=record,
        resumed_after=None if start is None else start.sequence,
        records_read_before=read,
        rejects=store.rejects(query) if record.rejects else [],
        resume_command=None if record.status is RunStatus.COMPLETED else resume_command,
        list_command=list_command,
    )
