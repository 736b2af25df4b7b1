"""What a store does to its rejects with a batch of a run."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from typing import Any

from mainstem.errors import RejectError, StoreError
from mainstem.store.model import Checkpoint, NewReject, RejectState, ReplayOutcome
from mainstem.store.rows import NEW_REJECT_COLUMNS, NO_PLACE, REPLAYED_COLUMNS, reject_rows, storable
from mainstem.store.session import Session

_AT_ONCE = 500
"""Rejects in a statement: what a statement costs beside its rows is then a small part."""
_WIDTH = len(NEW_REJECT_COLUMNS.split(","))
_UPDATED = NEW_REJECT_COLUMNS.split(", ")[5:]


def _insert(rows: int, on_conflict: str) -> str:
    row = f"({', '.join('?' * _WIDTH)})"
    return f"INSERT INTO rejects ({NEW_REJECT_COLUMNS}) VALUES {', '.join([row] * rows)} ON CONFLICT {on_conflict}"


_KEEP = (
    f"(run, stage, place, occurrence) DO UPDATE SET sequence = excluded.sequence, "
    f"{', '.join(f'{column} = excluded.{column}' for column in _UPDATED)} WHERE rejects.sequence IS NULL"
)
_SHOW = "DO NOTHING"
_REPLAYED = ", ".join(f"{column} = ?" for column in REPLAYED_COLUMNS)


def keep_rejects(session: Session, run: int, checkpoint: Checkpoint) -> None:
    """Keep the rejects of a batch; those that were there already, not settled, are the batch's now."""
    _add(session, run, checkpoint.sequence, checkpoint.rejects, _KEEP)
    _drop_passed(session, run, checkpoint)


def show_rejects(session: Session, run: int, rejects: Sequence[NewReject]) -> None:
    """Keep rejects that belong to no batch yet, unless they are there already."""
    _add(session, run, None, rejects, _SHOW)


def _add(session: Session, run: int, sequence: int | None, rejects: Sequence[NewReject], on_conflict: str) -> None:
    if not rejects:
        return
    rows = reject_rows(run, sequence, rejects, _settled_at(session, run, rejects))
    for at in range(0, len(rejects), _AT_ONCE):
        count = min(_AT_ONCE, len(rejects) - at)
        session.run(_insert(count, on_conflict), list(chain.from_iterable(islice(rows, count))))


def _settled_at(session: Session, run: int, rejects: Sequence[NewReject]) -> dict[tuple[str, int], int]:
    """Return how many settled rejects there are already at the places of these: a batch before may have ended there."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    found: dict[tuple[str, int], int] = {}
    nowhere: set[str] = set()
    for each in rejects:
        if each.index is None:
            nowhere.add(each.stage)
        else:
            places[each.stage].append(each.index)
    ranges = [(stage, min(several), max(several)) for stage, several in places.items()]
    ranges += [(stage, NO_PLACE, NO_PLACE) for stage in nowhere]
    for stage, first, last in ranges:
        rows = session.rows(
            "SELECT place, max(occurrence) FROM rejects WHERE run = ? AND stage = ? AND place BETWEEN ? AND ? "
            "AND sequence IS NOT NULL AND occurrence >= 0 GROUP BY place",
            (run, storable(stage), first, last),
        )
        found |= {(storable(stage), place): occurrence + 1 for place, occurrence in rows}
    return found


def _drop_passed(session: Session, run: int, checkpoint: Checkpoint) -> None:
    """Drop rejects of earlier attempts that did not come up again, now that the run has come by."""
    if not session.rows("SELECT 1 FROM rejects WHERE run = ? AND sequence IS NULL LIMIT 1", (run,)):
        return
    if checkpoint.is_last:
        session.run("DELETE FROM rejects WHERE run = ? AND sequence IS NULL", (run,))
        return
    session.run_each(
        "DELETE FROM rejects WHERE run = ? AND sequence IS NULL AND stage = ? AND place < ?",
        [(run, storable(stage), counts.records_in) for stage, counts in checkpoint.counts.items()],
    )


def keep_replay(session: Session, run: int, sequence: int, outcome: ReplayOutcome) -> None:
    """Note what a replay made of a reject, and how that was before.

    Raises:
        StoreError: If there is no such reject, or a replay of it is under way.
        RejectError: If somebody has edited, discarded or replayed it while it was being replayed.
    """
    # First a write: where several can write at once, it locks the row.
    session.run("UPDATE rejects SET replays = replays WHERE id = ?", (outcome.reject,))
    columns = ", ".join(f"j.{column}" for column in REPLAYED_COLUMNS)
    rows = session.rows(
        f"SELECT {columns}, w.run_id FROM rejects j LEFT JOIN runs w ON w.run = j.replay_run "
        "AND w.committed < j.replay_sequence WHERE j.id = ?",
        (outcome.reject,),
    )
    if not rows:
        raise StoreError(f"there is no reject {outcome.reject}")
    *values, under_way = rows[0]
    if under_way is not None:
        raise StoreError(f"reject {outcome.reject} is being replayed by run {under_way!r}: resume that first")
    before: dict[str, Any] = dict(zip(REPLAYED_COLUMNS, values, strict=True))
    _check_unchanged(before, outcome)
    now = session.now()
    after = {**before, "replays": before["replays"] + 1, "changed_at": now, **_after_replay(outcome)}
    session.run(
        f"UPDATE rejects SET {_REPLAYED}, replay_run = ?, replay_sequence = ?, before_replay = ? WHERE id = ?",
        (*after.values(), run, sequence, json.dumps([now, *values]), outcome.reject),
    )


def _check_unchanged(row: Mapping[str, Any], outcome: ReplayOutcome) -> None:
    replayed = outcome.replayed
    if replayed is None:
        return
    expected = {name: getattr(replayed, name) for name in ("stage", "record", "edited")}
    expected["state"] = replayed.state.value
    if any(row[name] != value for name, value in expected.items()):
        error = RejectError(f"reject {outcome.reject} was changed by somebody else while it was replayed: look at it")
        error.reject = outcome.reject
        raise error


def _after_replay(outcome: ReplayOutcome) -> dict[str, Any]:
    if outcome.failure is None:
        return {"state": RejectState.REPLAYED.value}
    (row,) = reject_rows(0, None, [outcome.failure])
    failure = dict(zip(NEW_REJECT_COLUMNS.split(", "), row, strict=True))
    kept = ("stage", "error_type", "message", "code", "record", "is_exact", "is_redacted")
    return {
        **{column: failure[column] for column in kept},
        # It keeps its number and its place; a number of its own keeps it apart from others at that place.
        "occurrence": -outcome.reject,
        "state": RejectState.OPEN.value,
        "edited": None,
    }


def put_rejects_aside(session: Session, run: int, sequence: int) -> None:
    """Let the rejects of a batch that is not committed be settled no more, and undo its replays."""
    session.run("UPDATE rejects SET sequence = NULL WHERE run = ? AND sequence = ?", (run, sequence))
    replayed = session.rows(
        "SELECT id, before_replay FROM rejects WHERE replay_run = ? AND replay_sequence = ?", (run, sequence)
    )
    session.run_each(
        # What somebody has changed meanwhile stays: a replay that failed has loaded nothing.
        f"UPDATE rejects SET {_REPLAYED} WHERE id = ? AND changed_at = ?",
        [(*before, number, at) for number, (at, *before) in ((key, json.loads(text)) for key, text in replayed)],
    )
    session.run(
        "UPDATE rejects SET replay_run = NULL, replay_sequence = NULL, before_replay = NULL "
        "WHERE replay_run = ? AND replay_sequence = ?",
        (run, sequence),
    )
