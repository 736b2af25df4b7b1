"""What can be said of a run in words: where its time went, and what happened to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from mainstem.durable.run_states import INTERRUPTED, host_of, state_of
from mainstem.progress.words import format_duration
from mainstem.store.model import RunRecord, StageCounts

_NOTICEABLE = 0.05
"""The share of a stage's time from which on what it was spent on is told."""


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Something that happened to a run.

    Attributes:
        at: When.
        what: What.
        is_bad: Whether it was nothing that one had wished for.
    """

    at: datetime
    what: str
    is_bad: bool = False


def events_of(record: RunRecord) -> list[RunEvent]:
    """Return what the store knows to have happened to a run, in order."""
    found = [RunEvent(record.started_at, "the run began")]
    if record.epoch > 1:
        times = "once" if record.epoch == 2 else f"{record.epoch - 1:,} times"
        found.append(RunEvent(record.updated_at, f"it was taken up again {times}, by then"))
    if record.committed:
        batches = "1 batch" if record.committed == 1 else f"{record.committed:,} batches"
        found.append(RunEvent(record.ended_at or record.updated_at, f"{batches} committed by then"))
    state = state_of(record)
    if state == INTERRUPTED:
        where = f"process {record.owner.pid} on {host_of(record)}"
        found.append(RunEvent(record.updated_at, f"the last sign of life of {where}: it is gone", is_bad=True))
    elif record.ended_at is not None:
        error = "" if record.error is None else f": {record.error}"
        found.append(RunEvent(record.ended_at, f"the run ended, {state}{error}", is_bad=record.error is not None))
    return found


def where_time_went(record: RunRecord) -> list[str]:
    """Say in which stages the time of a run was spent, and on what."""
    total = sum(each.duration_ms for each in record.counts.values())
    if total < 1:
        return []
    longest = sorted(record.counts.items(), key=lambda item: item[1].duration_ms, reverse=True)[:3]
    return [
        f"{name} took {format_duration(counts.duration_ms)}, {counts.duration_ms / total:.0%} of the time in stages"
        + "".join(f"; {part}" for part in _spent_on(counts))
        for name, counts in longest
        if counts.duration_ms > _NOTICEABLE * total
    ]


def _spent_on(counts: StageCounts) -> Iterator[str]:
    for spent, words in (
        (counts.retry_ms, "pausing before it tried again"),
        (counts.throttle_ms, "being held up by a rate limit"),
    ):
        if spent > _NOTICEABLE * counts.duration_ms:
            yield f"{format_duration(spent)} of that {words}"
    for spent, words in (
        (counts.waiting_ms, "waiting for the stage before it"),
        (counts.blocked_ms, "waiting for the stage after it"),
    ):
        if spent > _NOTICEABLE * counts.duration_ms:
            yield f"beside that {format_duration(spent)} {words}"
