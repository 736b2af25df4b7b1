"""The progress of durable runs in DuckDB: a row for each, in the database that its records go to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mainstem.connect.table_plan import PROGRESS_TABLE, Batch
from mainstem.connect.table_progress import TableProgress, taken
from mainstem.endpoints import Claim

if TYPE_CHECKING:
    import duckdb

_CREATE = f"""
    CREATE TABLE IF NOT EXISTS {PROGRESS_TABLE} (
        run VARCHAR PRIMARY KEY, epoch BIGINT NOT NULL, sequence BIGINT NOT NULL, columns VARCHAR,
        updated_at TIMESTAMP WITH TIME ZONE
    )
"""
_KNOWN = """
    SELECT count(*) FROM duckdb_tables()
    WHERE database_name = current_database() AND schema_name = current_schema() AND table_name = ?
"""
_FIND = f"SELECT epoch, sequence, columns FROM {PROGRESS_TABLE} WHERE run = ?"
_CLAIM = f"""
    INSERT INTO {PROGRESS_TABLE} (run, epoch, sequence, updated_at) VALUES (?, ?, 0, now())
    ON CONFLICT (run) DO UPDATE SET epoch = excluded.epoch, updated_at = excluded.updated_at
"""
_ADVANCE = f"""
    UPDATE {PROGRESS_TABLE} SET sequence = ?, columns = ?, updated_at = now()
    WHERE run = ? AND epoch = ? AND sequence = ? RETURNING run
"""


def claim_run(connection: duckdb.DuckDBPyConnection, where: str, claim: Claim) -> int:
    """Keep the epoch, in a transaction of its own, and return the number of the last batch.

    Raises:
        LeaseLostError: If there is a later epoch.
        duckdb.Error: If the database failed.
    """
    connection.execute("BEGIN")
    connection.execute(_CREATE)
    found = connection.execute(_FIND, [claim.run]).fetchone()
    epoch, sequence = (0, 0) if found is None else found[:2]
    if epoch > claim.epoch:
        raise taken(where, claim, epoch)
    if epoch < claim.epoch:
        connection.execute(_CLAIM, [claim.run, claim.epoch])
    connection.execute("COMMIT")
    return int(sequence)


class BatchProgress(TableProgress):
    """Keeps the number of a batch in the same transaction as its rows.

    Args:
        connection: The connection of the transaction.
        where: The database, for error messages.
        batch: The batch.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, where: str, batch: Batch) -> None:
        super().__init__(where, batch)
        self._connection = connection

    def _find(self) -> tuple[int, int, str | None] | None:
        ((known,),) = self._connection.execute(_KNOWN, [PROGRESS_TABLE]).fetchall()
        return self._connection.execute(_FIND, [self._claim.run]).fetchone() if known else None

    def _advance(self, values: tuple[int, str | None, str, int, int]) -> int:
        return len(self._connection.execute(_ADVANCE, list(values)).fetchall())
