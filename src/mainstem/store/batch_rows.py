"""What a store does to its tables with a batch of a run: keep it, put it aside, and give it back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from zlib import crc32

from mainstem.errors import StoreError
from mainstem.store.model import Checkpoint
from mainstem.store.progress import drop_progress, keep_progress
from mainstem.store.reject_batches import put_rejects_aside
from mainstem.store.rows import checkpoint_of, checkpoint_values, storable
from mainstem.store.session import Session


def last_prepared(session: Session, run: int) -> int:
    """Return the number of the last batch that was prepared, 0 if there was none."""
    last: int | None = session.rows("SELECT max(sequence) FROM checkpoints WHERE run = ?", (run,))[0][0]
    return last or 0


def keep_checkpoint(session: Session, run: int, checkpoint: Checkpoint) -> None:
    """Keep a checkpoint, with that of the batch before, which is committed; what both do not need goes."""
    number = checkpoint.sequence
    session.run("DELETE FROM checkpoints WHERE run = ? AND sequence < ?", (run, number - 1))
    snapshots = [(storable(each.stage), number, int(each.is_change), each.payload) for each in checkpoint.snapshots]
    values = (
        number,
        *checkpoint_values(checkpoint),
        json.dumps(_states(_states_before(session, run, number), snapshots)),
    )
    session.run(
        "INSERT INTO checkpoints (run, sequence, position, counts, is_last, states, checksum) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (run, *values, _checksum(values)),
    )
    session.run_each(
        "INSERT INTO snapshots (run, stage, sequence, is_change, payload) VALUES (?, ?, ?, ?, ?)",
        [(run, *snapshot) for snapshot in snapshots],
    )
    _drop_replaced(session, run, number - 1)
    keep_progress(session, run, checkpoint)


def _states_before(session: Session, run: int, number: int) -> dict[str, int]:
    rows = session.rows("SELECT states FROM checkpoints WHERE run = ? AND sequence = ?", (run, number - 1))
    if not rows and number > 1:
        raise _lost(number - 1)
    states: dict[str, int] = json.loads(rows[0][0]) if rows else {}
    return states


def _states(before: Mapping[str, int], snapshots: Iterable[tuple[str, int, int, str]]) -> dict[str, int]:
    """Return the checksum of each stage's state: of its last whole snapshot, and all changes since."""
    states = dict(before)
    for stage, sequence, is_change, payload in snapshots:
        earlier = states.get(stage, 0) if is_change else 0
        states[stage] = crc32(f"{sequence} {is_change} {payload}".encode(), earlier)
    return states


def _drop_replaced(session: Session, run: int, committed: int) -> None:
    """Drop the snapshots before a stage's last whole one that is committed."""
    whole = session.rows(
        "SELECT stage, max(sequence) FROM snapshots WHERE run = ? AND is_change = 0 AND sequence <= ? GROUP BY stage",
        (run, committed),
    )
    session.run_each(
        "DELETE FROM snapshots WHERE run = ? AND stage = ? AND sequence < ?",
        [(run, stage, sequence) for stage, sequence in whole],
    )


def read_checkpoint(session: Session, run: int, sequence: int) -> Checkpoint:
    """Return the checkpoint of a batch.

    Raises:
        StoreError: If it is gone, or is not as it was written.
    """
    rows = session.rows(
        "SELECT sequence, position, counts, is_last, states, checksum FROM checkpoints WHERE run = ? AND sequence = ?",
        (run, sequence),
    )
    if not rows:
        raise _lost(sequence)
    (*values, checksum) = rows[0]
    snapshots: list[Any] = session.rows(
        "SELECT stage, sequence, is_change, payload FROM snapshots WHERE run = ? AND sequence <= ? "
        "ORDER BY stage, sequence",
        (run, sequence),
    )
    # To go on from a place that is not the right one loses records, or doubles them, and nobody would see it.
    if _checksum(values) != checksum or _states({}, snapshots) != json.loads(values[4]):
        raise StoreError(
            f"batch {sequence} in the store is not as it was written: the file or disk is damaged; restore the "
            "store from a copy, or begin another run"
        )
    return checkpoint_of(values[:4], [(stage, is_change, payload) for stage, _, is_change, payload in snapshots])


def _lost(sequence: int) -> StoreError:
    return StoreError(f"the store has lost batch {sequence}: restore it from a copy, or begin another run")


def put_aside(session: Session, run: int, sequence: int) -> None:
    """Put aside a batch that was prepared and is not committed."""
    put_rejects_aside(session, run, sequence)
    drop_progress(session, run, sequence)
    session.run("DELETE FROM snapshots WHERE run = ? AND sequence = ?", (run, sequence))
    session.run("DELETE FROM checkpoints WHERE run = ? AND sequence = ?", (run, sequence))


def _checksum(values: Iterable[object]) -> int:
    return crc32("\0".join(map(str, values)).encode())
