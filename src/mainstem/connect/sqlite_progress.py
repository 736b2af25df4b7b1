"""The progress of durable runs in SQLite: a row for each, in the database that its records go to."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from mainstem.connect.table_plan import PROGRESS_TABLE, Batch
from mainstem.connect.table_progress import TableProgress, taken
from mainstem.endpoints import Claim

_CREATE = f"""
    CREATE TABLE IF NOT EXISTS {PROGRESS_TABLE} (
        run TEXT NOT NULL PRIMARY KEY, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, columns TEXT, updated_at TEXT
    )
"""
_NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
_FIND = f"SELECT epoch, sequence, columns FROM {PROGRESS_TABLE} WHERE run = ?"
_CLAIM = f"""
    INSERT INTO {PROGRESS_TABLE} (run, epoch, sequence, updated_at) VALUES (?, ?, 0, {_NOW})
    ON CONFLICT (run) DO UPDATE SET epoch = excluded.epoch, updated_at = excluded.updated_at
"""
_ADVANCE = f"""
    UPDATE {PROGRESS_TABLE} SET sequence = ?, columns = ?, updated_at = {_NOW}
    WHERE run = ? AND epoch = ? AND sequence = ?
"""


def claim_run(connection: sqlite3.Connection, where: str, claim: Claim) -> int:
    """Keep the epoch, in a transaction that has begun and that this commits, and return the last batch's number.

    Raises:
        LeaseLostError: If there is a later epoch.
        sqlite3.Error: If the database failed.
    """
    connection.execute(_CREATE)
    found = connection.execute(_FIND, (claim.run,)).fetchone()
    epoch, sequence = (0, 0) if found is None else found[:2]
    if epoch > claim.epoch:
        raise taken(where, claim, epoch)
    if epoch < claim.epoch:
        connection.execute(_CLAIM, (claim.run, claim.epoch))
    connection.execute("COMMIT")
    return int(sequence)


class BatchProgress(TableProgress):
    """Keeps the number of a batch in the same transaction as its rows.

    Args:
        connection: The connection of the transaction.
        where: The database, for error messages.
        batch: The batch.
    """

    def __init__(self, connection: sqlite3.Connection, where: str, batch: Batch) -> None:
        super().__init__(where, batch)
        self._connection = connection

    def _find(self) -> tuple[int, int, str | None] | None:
        exists = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
        known = self._connection.execute(exists, (PROGRESS_TABLE,)).fetchone()[0]
        return self._connection.execute(_FIND, (self._claim.run,)).fetchone() if known else None

    def _advance(self, values: tuple[int, str | None, str, int, int]) -> int:
        # Closed, for a COMMIT must not meet a statement that is not at its end.
        with closing(self._connection.execute(_ADVANCE, values)) as cursor:
            return cursor.rowcount
