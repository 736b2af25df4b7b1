"""What stores in SQLite and in PostgreSQL have in common: all but the connection."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any, TypeVar

from mainstem.errors import LeaseLostError, StoreError
from mainstem.faults import fault
from mainstem.store.batch_rows import keep_checkpoint, last_prepared, put_aside, read_checkpoint
from mainstem.store.model import (
    Checkpoint,
    Lease,
    NewReject,
    RejectQuery,
    RejectRecord,
    RejectState,
    RunRecord,
    RunRequest,
    RunStatus,
)
from mainstem.store.reject_batches import keep_rejects, keep_replay, show_rejects
from mainstem.store.resumable import check_resumable, check_run_id
from mainstem.store.rows import (
    REJECT_COLUMNS,
    REJECTS_OF_RUNS,
    REPLAYS_OF_REJECTS,
    RUN_COLUMNS,
    conditions,
    counts_of,
    reject_record,
    run_record,
    storable,
)
from mainstem.store.session import Session
from mainstem.store.store import Store

T = TypeVar("T")


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

    def read(self, query: Callable[[Session], T]) -> T:
        """Ask for something that no other method gives, in a transaction that only reads.

        Raises:
            StoreError: If the store cannot be reached or read.
        """
        with self._transaction(writes=False) as session:
            return query(session)

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
            prepared = last_prepared(session, record.run)
            return Lease(
                run=record.run,
                pipeline=request.pipeline,
                run_id=request.run_id,
                epoch=record.epoch + 1,
                seconds=request.lease_seconds,
                committed=record.committed,
                prepared=read_checkpoint(session, record.run, prepared) if prepared else None,
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
            committed = self._hold(session, lease)
            prepared = last_prepared(session, run)
            if number not in (prepared, prepared + 1) or number <= committed:
                raise StoreError(
                    f"batch {number} of run {lease.run_id!r} does not follow batch {committed}, which is committed, or "
                    f"{prepared}, which was the last to be prepared"
                )
            if number == prepared:
                put_aside(session, run, number)
            session.run("UPDATE runs SET committed = ? WHERE run = ?", (number - 1, run))
            keep_checkpoint(session, run, checkpoint)
            keep_rejects(session, run, checkpoint)
            for each in checkpoint.replays:
                keep_replay(session, run, number, each)
            fault("store prepares")

    def settle(self, lease: Lease, sequence: int) -> Checkpoint | None:
        with self._transaction(writes=True) as session:
            self._hold(session, lease)
            prepared = last_prepared(session, lease.run)
            if sequence not in (prepared, max(prepared - 1, 0)):
                known = f"of batch {prepared}" if prepared else "of no batch"
                raise StoreError(
                    f"the target says that batch {sequence} of run {lease.run_id!r} of pipeline {lease.pipeline!r} is "
                    f"its last, and {self.url} knows {known}: is this the store of that run? Name the right one, or "
                    "take another run_id"
                )
            if sequence < prepared:
                put_aside(session, lease.run, prepared)
            session.run("UPDATE runs SET committed = ? WHERE run = ?", (sequence, lease.run))
            fault("store settles")
            return read_checkpoint(session, lease.run, sequence) if sequence else None

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
            show_rejects(session, lease.run, unsettled)
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
        chosen = f"FROM runs WHERE {' AND '.join(parts)} ORDER BY started_at DESC, run DESC"
        if limit is not None:
            chosen, values = f"{chosen} LIMIT ?", [*values, limit]
        with self._transaction(writes=False) as session:
            now = session.now()
            counts, states = _counts(session, chosen, values), _states(session, chosen, values)
            return [
                run_record(row, now, counts_of(counts.get(row[0])), states.get(row[0], {}))
                for row in session.rows(f"SELECT {RUN_COLUMNS} {chosen}", values)
            ]

    def last_checkpoint(self, run: int) -> Checkpoint | None:
        with self._transaction(writes=False) as session:
            rows = session.rows("SELECT committed FROM runs WHERE run = ?", (run,))
            return read_checkpoint(session, run, rows[0][0]) if rows and rows[0][0] else None

    def rejects(self, query: RejectQuery) -> list[RejectRecord]:
        condition, values = conditions(query, "?", paged=True)
        statement = (
            f"SELECT {REJECT_COLUMNS} FROM {REJECTS_OF_RUNS} {REPLAYS_OF_REJECTS} WHERE {condition} ORDER BY j.id"
        )
        if query.limit is not None:
            statement, values = f"{statement} LIMIT ?", [*values, query.limit]
        with self._transaction(writes=False) as session:
            return list(map(reject_record, session.rows(statement, values)))

    def count_rejects(self, query: RejectQuery) -> int:
        condition, values = conditions(query, "?", paged=False)
        with self._transaction(writes=False) as session:
            statement = f"SELECT count(*) FROM {REJECTS_OF_RUNS} WHERE {condition}"
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
                f"WHERE id IN (SELECT j.id FROM {REJECTS_OF_RUNS} WHERE {condition}) "
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


def _counts(session: Session, chosen: str, values: Sequence[Any]) -> dict[int, str]:
    rows = session.rows(
        f"SELECT run, counts FROM checkpoints WHERE run IN (SELECT run {chosen}) ORDER BY run, sequence", values
    )
    return dict(rows)  # of each run the last remains


def _states(session: Session, chosen: str, values: Sequence[Any]) -> dict[int, dict[RejectState, int]]:
    rows = session.rows(
        f"SELECT run, state, count(*) FROM rejects WHERE run IN (SELECT run {chosen}) GROUP BY run, state", values
    )
    found: dict[int, dict[RejectState, int]] = {}
    for run, state, count in rows:
        found.setdefault(run, {})[RejectState(state)] = count
    return found
