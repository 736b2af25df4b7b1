"""The progress of durable runs in PostgreSQL: a row for each, in the database that its records go to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mainstem.connect.table_plan import PROGRESS_TABLE, Batch
from mainstem.connect.table_progress import TableProgress, taken
from mainstem.endpoints import Claim

if TYPE_CHECKING:
    import psycopg

_MADE_BY = 0x70726F6772657373  # "progress": an advisory lock, for IF NOT EXISTS is no protection from a race
_CREATE = f"""
    CREATE TABLE IF NOT EXISTS {PROGRESS_TABLE} (
        run text PRIMARY KEY, epoch bigint NOT NULL, sequence bigint NOT NULL, columns text, backend integer,
        backend_start timestamptz, updated_at timestamptz NOT NULL DEFAULT now()
    )
"""
_FIND = f"SELECT epoch, sequence, columns FROM {PROGRESS_TABLE} WHERE run = %s"
_END_FORMER = f"""
    SELECT pg_terminate_backend(a.pid, 5000) FROM {PROGRESS_TABLE} p JOIN pg_stat_activity a
    ON a.pid = p.backend AND a.backend_start = p.backend_start
    WHERE p.run = %s AND p.epoch <= %s AND a.pid <> pg_backend_pid()
"""
_CLAIM = f"""
    INSERT INTO {PROGRESS_TABLE} AS p (run, epoch, sequence) VALUES (%s, %s, 0)
    ON CONFLICT (run) DO UPDATE SET epoch = excluded.epoch, updated_at = now() WHERE p.epoch <= excluded.epoch
    RETURNING sequence
"""
_ENTER = f"""
    UPDATE {PROGRESS_TABLE} p SET backend = a.pid, backend_start = a.backend_start FROM pg_stat_activity a
    WHERE a.pid = pg_backend_pid() AND p.run = %s AND p.epoch = %s AND p.sequence = %s
    RETURNING p.epoch, p.sequence, p.columns
"""
_ADVANCE = f"""
    UPDATE {PROGRESS_TABLE} SET sequence = %s, columns = %s, updated_at = now()
    WHERE run = %s AND epoch = %s AND sequence = %s
"""


def claim_run(connection: psycopg.Connection[Any], where: str, claim: Claim) -> int:
    """Keep the epoch, outside a transaction, and return the number of the last batch.

    The session in which the last batch was begun is ended, a former owner's or our own before its connection was lost:
    in the middle of a batch it would keep its locks, for hours if the server does not notice that nobody is there.

    Raises:
        LeaseLostError: If there is a later epoch.
        psycopg.Error: If the database failed.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MADE_BY,))
        connection.execute(_CREATE)
    connection.execute(_END_FORMER, (claim.run, claim.epoch))
    claimed = connection.execute(_CLAIM, (claim.run, claim.epoch)).fetchone()
    if claimed is None:
        ((epoch, _, _),) = connection.execute(_FIND, (claim.run,)).fetchall()
        raise taken(where, claim, epoch)
    return int(claimed[0])


class BatchProgress(TableProgress):
    """Keeps the number of a batch in the same transaction as its rows.

    Args:
        connection: The connection of the transaction, which begins after ``check``.
        where: The database, for error messages.
        batch: The batch.
    """

    def __init__(self, connection: psycopg.Connection[Any], where: str, batch: Batch) -> None:
        super().__init__(where, batch)
        self._connection = connection

    def _find(self) -> tuple[int, int, str | None] | None:
        """Leave word in which session the batch is written, if it is the next, and return what is known of the run."""
        import psycopg

        claim = self._claim
        try:
            entered = self._connection.execute(_ENTER, (claim.run, claim.epoch, self._sequence - 1)).fetchone()
            return entered or self._connection.execute(_FIND, (claim.run,)).fetchone()
        except psycopg.errors.UndefinedTable:
            return None

    def _advance(self, values: tuple[int, str | None, str, int, int]) -> int:
        return self._connection.execute(_ADVANCE, values).rowcount
