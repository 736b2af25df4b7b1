"""What stores in SQLite and in PostgreSQL have in common: all but the connection."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any, Protocol

from mainstem.errors import LeaseLostError, RejectError, StoreError
from mainstem.faults import fault
from mainstem.store.model import (
    Checkpoint,
    Lease,
    NewReject,
    RejectQuery,
    RejectRecord,
    RejectState,
    ReplayOutcome,
    RunRecord,
    RunRequest,
    RunStatus,
)
from mainstem.store.resumable import check_resumable, check_run_id
from mainstem.store.rows import (
    NEW_REJECT_COLUMNS,
    REJECT_COLUMNS,
    REPLAYED_COLUMNS,
    RUN_COLUMNS,
    checkpoint_of,
    checkpoint_values,
    conditions,
    counts_of,
    reject_record,
    reject_rows,
    run_record,
    storable,
)
from mainstem.store.store import Store


class Session(Protocol):
    """A transaction."""

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement, with ``?`` for its values, and return its rows."""
        ...

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Run a statement that gives no rows, and return how many rows it changed."""
        ...

    def run_each(self, statement: str, values: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each of many."""
        ...

    def now(self) -> float:
        """Return the time by the clock that all who use the store share, in seconds."""
        ...


_INSERT_REJECT = f"INSERT INTO rejects ({NEW_REJECT_COLUMNS}) VALUES ({', '.join('?' * 14)}) ON CONFLICT "
_KEEP_REJECT = (
    f"{_INSERT_REJECT} (run, stage, place, occurrence) DO UPDATE SET sequence = excluded.sequence, "
    "origin = excluded.origin, error_type = excluded.error_type, message = excluded.message, code = excluded.code, "
    "record = excluded.record, is_exact = excluded.is_exact, is_redacted = excluded.is_redacted, "
    "attempts = excluded.attempts, at = excluded.at WHERE rejects.sequence IS NULL"
)
_SHOW_REJECT = f"{_INSERT_REJECT} DO NOTHING"


class SqlStore(Store):
    """A store in a database."""

    for_update = ""
    """What a database adds to a query for rows that it is to lock."""

    @abstractmethod
    def _transaction(self, *, writes: bool) -> AbstractContextManager[Session]:
        """Begin a transaction; it is committed at the end of the block, or undone if that raises.

        Raises:
            StoreError: If the database cannot do what it is told.
        """

    def begin(self, request: RunRequest) -> Lease:
        check_run_id(request.run_id)
        shape, owner = json.dumps(request.shape), json.dumps(asdict(request.owner))
        source = None if request.source is None else json.dumps(request.source)
        target = None if request.target is None else storable(request.target)
        with self._transaction(writes=True) as session:
            now = session.now()
            inserted = session.rows(
                "INSERT INTO runs (pipeline, run_id, status, epoch, lease, owner, started_at, beat_at, shape, source, "
                "target, committed) VALUES (?, ?, 'running', 1, ?, ?, ?, ?, ?, ?, ?, 0) "
                "ON CONFLICT DO NOTHING RETURNING run",
                (
                    storable(request.pipeline),
                    request.run_id,
                    request.lease_seconds,
                    owner,
                    now,
                    now,
                    shape,
                    source,
                    target,
                ),
            )
            if inserted:
                return Lease(
                    run=inserted[0][0],
                    pipeline=request.pipeline,
                    run_id=request.run_id,
                    epoch=1,
                    seconds=request.lease_seconds,
                )
            key = (storable(request.pipeline), request.run_id)
            row = session.rows(
                f"SELECT {RUN_COLUMNS} FROM runs WHERE pipeline = ? AND run_id = ?{self.for_update}", key
            )[0]
            record = run_record(row, now, {}, {})
            lease_of_other, beat_at = row[5], row[8]
            check_resumable(record, request, seconds_left=beat_at + lease_of_other - now)
            fault("store takes a run")
            session.run(
                "UPDATE runs SET status = 'running', epoch = ?, lease = ?, owner = ?, beat_at = ?, ended_at = NULL, "
                "error = NULL, shape = ?, source = ?, target = coalesce(?, target) WHERE run = ?",
                (record.epoch + 1, request.lease_seconds, owner, now, shape, source, target, record.run),
            )
            prepared = _prepared(session, record.run)
            return Lease(
                run=record.run,
                pipeline=request.pipeline,
                run_id=request.run_id,
                epoch=record.epoch + 1,
                seconds=request.lease_seconds,
                committed=record.committed,
                prepared=_checkpoint(session, record.run, prepared) if prepared else None,
            )

    def _hold(self, session: Session, lease: Lease) -> int:
        """Give a sign of life; return the number of the last batch that is known to be committed.

        Raises:
            LeaseLostError: If somebody else has taken the run.
        """
        held = session.run(
            "UPDATE runs SET beat_at = ? WHERE run = ? AND epoch = ? AND status = 'running'",
            (session.now(), *_key(lease)),
        )
        if not held:
            error = LeaseLostError(
                f"run {lease.run_id!r} of pipeline {lease.pipeline!r} was taken by somebody else, or was ended: what "
                "this process did after its last committed batch does not count"
            )
            error.pipeline, error.run_id = lease.pipeline, lease.run_id
            raise error
        committed: int = session.rows("SELECT committed FROM runs WHERE run = ?", (lease.run,))[0][0]
        return committed

    def renew(self, lease: Lease) -> None:
        with self._transaction(writes=True) as session:
            self._hold(session, lease)

    def prepare(self, lease: Lease, checkpoint: Checkpoint) -> None:
        run, number = lease.run, checkpoint.sequence
        with self._transaction(writes=True) as session:
            self._hold(session, lease)
            prepared = _prepared(session, run)
            if number not in (max(prepared, 1), prepared + 1):
                raise StoreError(f"batch {number} of run {lease.run_id!r} does not follow batch {prepared}")
            if number == prepared:
                _put_aside(session, run, number)
            session.run("UPDATE runs SET committed = ? WHERE run = ?", (number - 1, run))
            session.run("DELETE FROM checkpoints WHERE run = ? AND sequence < ?", (run, number - 1))
            session.run(
                "INSERT INTO checkpoints (run, sequence, position, counts, is_last) VALUES (?, ?, ?, ?, ?)",
                (run, number, *checkpoint_values(checkpoint)),
            )
            session.run_each(
                "INSERT INTO snapshots (run, stage, sequence, is_change, payload) VALUES (?, ?, ?, ?, ?)",
                [
                    (run, storable(each.stage), number, int(each.is_change), each.payload)
                    for each in checkpoint.snapshots
                ],
            )
            _drop_replaced(session, run, number - 1)
            session.run_each(_KEEP_REJECT, reject_rows(run, number, checkpoint.rejects))
            _drop_passed(session, run, checkpoint)
            for each in checkpoint.replays:
                _replay(session, run, number, each)
            fault("store prepares")

    def settle(self, lease: Lease, sequence: int) -> Checkpoint | None:
        with self._transaction(writes=True) as session:
            self._hold(session, lease)
            prepared = _prepared(session, lease.run)
            if sequence not in (prepared, max(prepared - 1, 0)):
                known = f"of batch {prepared}" if prepared else "of no batch"
                raise StoreError(
                    f"the target says that batch {sequence} of run {lease.run_id!r} of pipeline {lease.pipeline!r} is "
                    f"its last, and {self.url} knows {known}: is this the store of that run? Name the right one, or "
                    "take another run_id"
                )
            if sequence < prepared:
                _put_aside(session, lease.run, prepared)
            session.run("UPDATE runs SET committed = ? WHERE run = ?", (sequence, lease.run))
            fault("store settles")
            return _checkpoint(session, lease.run, sequence) if sequence else None

    def finish(
        self,
        lease: Lease,
        status: RunStatus,
        *,
        error: str | None = None,
        guarantee: str | None = None,
        unsettled: Sequence[NewReject] = (),
    ) -> None:
        with self._transaction(writes=True) as session:
            ended = session.rows(
                "SELECT 1 FROM runs WHERE run = ? AND epoch = ? AND status = ?", (*_key(lease), status.value)
            )
            if ended:
                return  # a call before this one did it, and could not say so
            self._hold(session, lease)
            fault("store finishes")
            session.run_each(_SHOW_REJECT, reject_rows(lease.run, None, unsettled))
            session.run(
                "UPDATE runs SET status = ?, error = ?, guarantee = ?, ended_at = ? WHERE run = ?",
                (status.value, None if error is None else storable(error), guarantee, session.now(), lease.run),
            )

    def runs(
        self,
        *,
        pipeline: str | None = None,
        run_id: str | None = None,
        status: RunStatus | None = None,
        limit: int | None = None,
    ) -> list[RunRecord]:
        parts, values = ["1 = 1"], list[Any]()
        for column, value in (("pipeline", pipeline), ("run_id", run_id), ("status", status and status.value)):
            if value is not None:
                parts.append(f"{column} = ?")
                values.append(storable(value))
        statement = f"SELECT {RUN_COLUMNS} FROM runs WHERE {' AND '.join(parts)} ORDER BY started_at DESC, run DESC"
        if limit is not None:
            statement, values = f"{statement} LIMIT ?", [*values, limit]
        with self._transaction(writes=False) as session:
            now = session.now()
            return [
                run_record(row, now, _counts(session, row[0]), _states(session, row[0]))
                for row in session.rows(statement, values)
            ]

    def last_checkpoint(self, run: int) -> Checkpoint | None:
        with self._transaction(writes=False) as session:
            rows = session.rows("SELECT committed FROM runs WHERE run = ?", (run,))
            return _checkpoint(session, run, rows[0][0]) if rows and rows[0][0] else None

    def rejects(self, query: RejectQuery) -> list[RejectRecord]:
        condition, values = conditions(query, "?", paged=True)
        statement = (
            f"SELECT {REJECT_COLUMNS} FROM rejects j JOIN runs r ON r.run = j.run WHERE {condition} ORDER BY j.id"
        )
        if query.limit is not None:
            statement, values = f"{statement} LIMIT ?", [*values, query.limit]
        with self._transaction(writes=False) as session:
            return list(map(reject_record, session.rows(statement, values)))

    def count_rejects(self, query: RejectQuery) -> int:
        condition, values = conditions(query, "?", paged=False)
        with self._transaction(writes=False) as session:
            statement = f"SELECT count(*) FROM rejects j JOIN runs r ON r.run = j.run WHERE {condition}"
            count: int = session.rows(statement, values)[0][0]
            return count

    def change_rejects(
        self,
        query: RejectQuery,
        state: RejectState,
        *,
        among: Sequence[RejectState],
        edited: str | None = None,
        by: str | None = None,
    ) -> int:
        condition, values = conditions(query, "?", paged=False)
        states = [each.value for each in among]
        with self._transaction(writes=True) as session:
            return session.run(
                "UPDATE rejects SET state = ?, edited = coalesce(?, edited), changed_at = ?, changed_by = ? "
                f"WHERE id IN (SELECT j.id FROM rejects j JOIN runs r ON r.run = j.run WHERE {condition}) "
                f"AND state IN ({', '.join('?' * len(states)) or 'NULL'})",
                [
                    state.value,
                    None if edited is None else storable(edited),
                    session.now(),
                    None if by is None else storable(by),
                    *values,
                    *states,
                ],
            )


def _key(lease: Lease) -> tuple[int, int]:
    return lease.run, lease.epoch


def _prepared(session: Session, run: int) -> int:
    """Return the number of the last batch that was prepared, 0 if there was none."""
    last: int | None = session.rows("SELECT max(sequence) FROM checkpoints WHERE run = ?", (run,))[0][0]
    return last or 0


def _checkpoint(session: Session, run: int, sequence: int) -> Checkpoint:
    rows = session.rows(
        "SELECT sequence, position, counts, is_last FROM checkpoints WHERE run = ? AND sequence = ?", (run, sequence)
    )
    if not rows:
        raise StoreError(f"the store has lost batch {sequence}: restore it from a copy, or begin another run")
    snapshots = session.rows(
        "SELECT stage, is_change, payload FROM snapshots WHERE run = ? AND sequence <= ? ORDER BY stage, sequence",
        (run, sequence),
    )
    return checkpoint_of(rows[0], snapshots)


def _put_aside(session: Session, run: int, sequence: int) -> None:
    """Put aside a batch that was prepared and is not committed."""
    session.run("UPDATE rejects SET sequence = NULL WHERE run = ? AND sequence = ?", (run, sequence))
    session.run("DELETE FROM snapshots WHERE run = ? AND sequence = ?", (run, sequence))
    session.run("DELETE FROM checkpoints WHERE run = ? AND sequence = ?", (run, sequence))
    replayed = session.rows(
        "SELECT id, before_replay FROM rejects WHERE replay_run = ? AND replay_sequence = ?", (run, sequence)
    )
    assignments = ", ".join(f"{column} = ?" for column in REPLAYED_COLUMNS)
    session.run_each(
        f"UPDATE rejects SET {assignments}, replay_run = NULL, replay_sequence = NULL, before_replay = NULL "
        "WHERE id = ?",
        [(*json.loads(before), number) for number, before in replayed],
    )


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


def _replay(session: Session, run: int, sequence: int, outcome: ReplayOutcome) -> None:
    columns = ", ".join(REPLAYED_COLUMNS)
    rows = session.rows(f"SELECT {columns} FROM rejects WHERE id = ?", (outcome.reject,))
    if not rows:
        raise StoreError(f"there is no reject {outcome.reject}")
    _check_unchanged(session, outcome)
    before = dict(zip(REPLAYED_COLUMNS, rows[0], strict=True))
    after = {**before, "replays": before["replays"] + 1}
    failure = outcome.failure
    if failure is None:
        after["state"] = RejectState.REPLAYED.value
    else:
        # It keeps its number and its place; a number of its own keeps it apart from others at that place.
        ((_, _, stage, _, _, _, error_type, message, code, record, is_exact, is_redacted, _, _),) = reject_rows(
            0, None, [failure]
        )
        after |= {
            "stage": stage,
            "occurrence": -outcome.reject,
            "error_type": error_type,
            "message": message,
            "code": code,
            "record": record,
            "is_exact": is_exact,
            "is_redacted": is_redacted,
            "state": RejectState.OPEN.value,
            "edited": None,
        }
    session.run(
        f"UPDATE rejects SET {', '.join(f'{column} = ?' for column in REPLAYED_COLUMNS)}, replay_run = ?, "
        "replay_sequence = ?, before_replay = ?, changed_at = ? WHERE id = ?",
        (*after.values(), run, sequence, json.dumps(list(before.values())), session.now(), outcome.reject),
    )


def _check_unchanged(session: Session, outcome: ReplayOutcome) -> None:
    """Check that nobody has edited, discarded or replayed a reject while it was being replayed.

    Raises:
        RejectError: If somebody has.
    """
    replayed = outcome.replayed
    if replayed is None:
        return
    rows = session.rows("SELECT state, edited, record, stage FROM rejects WHERE id = ?", (outcome.reject,))
    if rows[0] != (replayed.state.value, replayed.edited, replayed.record, replayed.stage):
        error = RejectError(f"reject {outcome.reject} was changed by somebody else while it was replayed: look at it")
        error.reject = outcome.reject
        raise error


def _counts(session: Session, run: int) -> Any:
    rows = session.rows("SELECT counts FROM checkpoints WHERE run = ? ORDER BY sequence DESC LIMIT 1", (run,))
    return counts_of(rows[0][0] if rows else None)


def _states(session: Session, run: int) -> dict[RejectState, int]:
    rows = session.rows("SELECT state, count(*) FROM rejects WHERE run = ? GROUP BY state", (run,))
    return {RejectState(state): count for state, count in rows}


def statements_of(tables: Iterable[str], key: str) -> Iterator[str]:
    """Give the statements that make the tables."""
    for table in tables:
        yield table.format(key=key)
