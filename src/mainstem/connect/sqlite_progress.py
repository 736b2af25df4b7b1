"""The progress of durable runs in SQLite: a row for each, in the database that its records go to."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing

from mainstem.connect.table_target import PROGRESS_TABLE, Batch
from mainstem.endpoints import Claim
from mainstem.errors import ConnectError, LeaseLostError, StageContractError

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


def claim_run(connection: sqlite3.Connection, url: str, claim: Claim) -> int:
    """Keep the epoch, in a transaction that has begun and that this commits, and return the last batch's number.

    Raises:
        LeaseLostError: If there is a later epoch.
        sqlite3.Error: If the database failed.
    """
    connection.execute(_CREATE)
    found = connection.execute(_FIND, (claim.run,)).fetchone()
    epoch, sequence = (0, 0) if found is None else found[:2]
    if epoch > claim.epoch:
        raise LeaseLostError(_taken(url, claim, epoch))
    if epoch < claim.epoch:
        connection.execute(_CLAIM, (claim.run, claim.epoch))
    connection.execute("COMMIT")
    return int(sequence)


def _taken(url: str, claim: Claim, epoch: int) -> str:
    return (
        f"{url}: run {claim.run!r} was taken by attempt {epoch}, and this is attempt {claim.epoch}; if no other works "
        f"on it, its store was lost: delete what it loaded, and its row in table {PROGRESS_TABLE}, and begin anew"
    )


class BatchProgress:
    """Keeps the number of a batch in the same transaction as its rows.

    Args:
        connection: The connection of the transaction.
        url: The database, for error messages.
        batch: The batch.
    """

    def __init__(self, connection: sqlite3.Connection, url: str, batch: Batch) -> None:
        self._connection = connection
        self._url = url
        self._claim, self._sequence = batch.claim, batch.sequence

    @property
    def is_first(self) -> bool:
        return self._sequence == 1

    def check(self) -> Sequence[str] | None:
        """See that the batch is the next.

        Returns:
            The columns that the batches before have written; ``None`` if none has written a row.

        Raises:
            LeaseLostError: If there is a later epoch.
            ConnectError: If nothing is known of the run.
            StageContractError: If the run was not claimed with this epoch, or another batch is the next.
        """
        claim, before = self._claim, self._sequence - 1
        exists = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
        known = self._connection.execute(exists, (PROGRESS_TABLE,)).fetchone()[0]
        found = self._connection.execute(_FIND, (claim.run,)).fetchone() if known else None
        if found is None:
            raise ConnectError(
                f"{self._url}: nothing is known here of run {claim.run!r}, which was claimed before batch "
                f"{self._sequence}: was the database replaced? Bring it back, and resume the run"
            )
        epoch, sequence, columns = found
        if epoch > claim.epoch:
            raise LeaseLostError(_taken(self._url, claim, epoch))
        if (epoch, sequence) != (claim.epoch, before):
            raise StageContractError(
                f"{self._url}: batch {self._sequence} was begun by attempt {claim.epoch}, and the last of run "
                f"{claim.run!r} is {sequence}, of attempt {epoch}: claim it first, and leave no batch out"
            )
        return None if columns is None else json.loads(columns)

    def advance(self, columns: Sequence[str] | None) -> None:
        """Keep the batch's number, and the columns that were written.

        Raises:
            LeaseLostError: If the batch is not the next any more.
            sqlite3.Error: If the database failed.
        """
        claim, before = self._claim, self._sequence - 1
        names = None if columns is None else json.dumps(columns)
        # Closed, for a COMMIT must not meet a statement that is not at its end.
        with closing(
            self._connection.execute(_ADVANCE, (self._sequence, names, claim.run, claim.epoch, before))
        ) as cursor:
            if cursor.rowcount != 1:
                raise LeaseLostError(
                    f"{self._url}: run {claim.run!r} is not at batch {before} of attempt {claim.epoch} any more: "
                    f"somebody else has changed table {PROGRESS_TABLE}; nothing of batch {self._sequence} is stored"
                )
