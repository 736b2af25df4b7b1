"""How far a run was at which time: a few hundred points, however many batches it has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mainstem.store.model import Checkpoint
from mainstem.store.rows import some_moment
from mainstem.store.session import Session

MOST = 256
"""Points of a run that are kept: at twice as many batches, every other one is dropped."""


@dataclass(frozen=True, slots=True)
class ProgressPoint:
    """How far a run was.

    Attributes:
        at: When.
        records: Records of its source that it had read.
        rejected: Records that its stages had rejected.
    """

    at: datetime
    records: int
    rejected: int


def keep_progress(session: Session, run: int, checkpoint: Checkpoint) -> None:
    """Keep how far a run is with a batch."""
    number = checkpoint.sequence
    step = step_at(number)
    if number > MOST and number - 1 == (step // 2) * MOST:  # the first batch of a wider step
        session.run("DELETE FROM progress WHERE run = ? AND (sequence / ?) * ? <> sequence", (run, step, step))
    if number % step:
        return
    counts = [*checkpoint.counts.values()]
    records = counts[0].records_in if counts else 0
    session.run(
        "INSERT INTO progress (run, sequence, at, records, rejected) VALUES (?, ?, ?, ?, ?)",
        (run, number, session.now(), records, sum(each.records_failed for each in counts)),
    )


def step_at(number: int) -> int:
    """Return of how many batches one is kept when a run has so many."""
    step = 1
    while number > step * MOST:
        step *= 2
    return step


def drop_progress(session: Session, run: int, sequence: int) -> None:
    """Drop what was kept with a batch that is not committed."""
    session.run("DELETE FROM progress WHERE run = ? AND sequence = ?", (run, sequence))


def read_progress(session: Session, run: int) -> list[ProgressPoint]:
    """Return how far a run was, in order."""
    rows = session.rows("SELECT at, records, rejected FROM progress WHERE run = ? ORDER BY sequence", (run,))
    return [ProgressPoint(some_moment(at), records, rejected) for at, records, rejected in rows]
