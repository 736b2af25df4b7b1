"""The progress of durable runs in MariaDB and MySQL: a row for each, in the database that its records go to."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from mainstem.connect.mysql_session import Session
from mainstem.connect.table_plan import PROGRESS_TABLE, Batch
from mainstem.connect.table_progress import TableProgress, taken
from mainstem.endpoints import Claim
from mainstem.errors import ConnectionLostError

_CREATE = f"""
    CREATE TABLE IF NOT EXISTS {PROGRESS_TABLE} (
        run varchar(700) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY, epoch bigint NOT NULL,
        sequence bigint NOT NULL, columns longtext CHARACTER SET utf8mb4 NULL,
        updated_at timestamp(6) NOT NULL DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6)
    ) ENGINE=InnoDB
"""
_KNOWN = "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = %s"
_FIND = f"SELECT epoch, sequence, columns FROM {PROGRESS_TABLE} WHERE run = %s"
_ENTER = f"INSERT INTO {PROGRESS_TABLE} (run, epoch, sequence) VALUES (%s, 0, 0) ON DUPLICATE KEY UPDATE run = run"
_CLAIM = f"UPDATE {PROGRESS_TABLE} SET epoch = %s WHERE run = %s"
_ADVANCE = f"""
    UPDATE {PROGRESS_TABLE} SET sequence = %s, columns = %s WHERE run = %s AND epoch = %s AND sequence = %s
"""


def lock_name(run: str) -> str:
    """Return the name of the lock that is held by the session in which a batch of a run is written."""
    return f"mainstem {sha256(run.encode()).hexdigest()[:50]}"


def claim_run(session: Session, where: str, claim: Claim) -> int:
    """Keep the epoch, outside a transaction, and return the number of the last batch.

    The session in which a former owner's batch is written is ended, for in the middle of one it keeps its locks as long
    as the server does not notice that nobody is there. A named lock tells which it is, and never means another.

    Raises:
        LeaseLostError: If there is a later epoch.
        sqlalchemy.exc.DBAPIError: If the database failed.
    """
    if not session.rows(_KNOWN, [PROGRESS_TABLE])[0][0]:
        session.execute(_CREATE)
    session.execute(_ENTER, (claim.run,))
    session.commit()
    _check_epoch(session, where, claim, _FIND)
    session.commit()
    _end_former(session, claim.run)
    sequence = _check_epoch(session, where, claim, f"{_FIND} FOR UPDATE")
    session.execute(_CLAIM, (claim.epoch, claim.run))
    session.commit()
    return sequence


def _check_epoch(session: Session, where: str, claim: Claim, find: str) -> int:
    ((epoch, sequence, _),) = session.rows(find, [claim.run])
    if epoch > claim.epoch:
        raise taken(where, claim, epoch)
    return int(sequence)


def _end_former(session: Session, run: str) -> None:
    name = lock_name(run)
    holder: Any = session.rows("SELECT IS_USED_LOCK(%s)", [name])[0][0]
    if holder is not None:
        from sqlalchemy.exc import DBAPIError

        try:
            session.execute(f"KILL CONNECTION {int(holder):d}")
        except DBAPIError as error:
            if _number(error) != 1094:  # it has ended by itself
                raise
    got = session.rows("SELECT GET_LOCK(%s, 30)", [name])[0][0]
    if got != 1:
        raise ConnectionLostError(f"the session in which run {run!r} was written before does not end")
    session.rows("SELECT RELEASE_LOCK(%s)", [name])


def _number(error: Any) -> Any:
    return error.orig.args[0] if error.orig.args else None


class BatchProgress(TableProgress):
    """Keeps the number of a batch in the same transaction as its rows.

    Args:
        session: The session of the transaction, which begins after ``check``.
        where: The database, for error messages.
        batch: The batch.
    """

    def __init__(self, session: Session, where: str, batch: Batch) -> None:
        super().__init__(where, batch)
        self._session = session

    def _find(self) -> tuple[int, int, str | None] | None:
        """Take the lock that says in which session the batch is written, if it is the next; return what is known."""
        session, run = self._session, self._claim.run
        found = self._read()
        if found is None or found[:2] != (self._claim.epoch, self._sequence - 1):
            return found
        # The session of the batch before may take a moment to end; who does not let go is another.
        if session.rows("SELECT GET_LOCK(%s, 10)", [lock_name(run)])[0][0] != 1:
            raise ConnectionLostError(
                f"{self._where}: another session is writing a batch of run {run!r}: claim it again"
            )
        return self._read()

    def _read(self) -> tuple[int, int, str | None] | None:
        session = self._session
        known = session.rows(_KNOWN, [PROGRESS_TABLE])[0][0]
        found = session.rows(_FIND, [self._claim.run]) if known else []
        session.commit()  # so that the batch's transaction sees the tables as they are when it begins
        return (int(found[0][0]), int(found[0][1]), found[0][2]) if found else None

    def _advance(self, values: tuple[int, str | None, str, int, int]) -> int:
        return int(self._session.execute(_ADVANCE, values).rowcount)
