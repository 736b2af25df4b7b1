"""The progress of durable runs in PostgreSQL: a row for each, in the database that its records go to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mainstem.connect.table_target import PROGRESS_TABLE, Batch
from mainstem.endpoints import Claim
from mainstem.errors import ConnectError, LeaseLostError, StageContractError
from mainstem.secrets import redact_url

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
    WHERE a.pid = pg_backend_pid() AND p.run = %s AND p.epoch = %s
"""
_ADVANCE = f"""
    UPDATE {PROGRESS_TABLE} SET sequence = %s, columns = %s, updated_at = now()
    WHERE run = %s AND epoch = %s AND sequence = %s
"""


def claim_run(connection: psycopg.Connection[Any], url: str, claim: Claim) -> int:
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
        raise LeaseLostError(_taken(url, claim, epoch))
    return int(claimed[0])


def _taken(url: str, claim: Claim, epoch: int) -> str:
    return (
        f"{redact_url(url)}: run {claim.run!r} was taken by attempt {epoch}, and this is attempt {claim.epoch}; if no "
        f"other works on it, its store was lost: delete what it loaded, and its row in table {PROGRESS_TABLE}, and "
        "begin anew"
    )


class BatchProgress:
    """Keeps the number of a batch in the same transaction as its rows.

    Args:
        connection: The connection of the transaction.
        url: The database, for error messages.
        batch: The batch.
    """

    def __init__(self, connection: psycopg.Connection[Any], url: str, batch: Batch) -> None:
        self._connection = connection
        self._url = url
        self._claim, self._sequence = batch.claim, batch.sequence

    @property
    def is_first(self) -> bool:
        return self._sequence == 1

    def enter(self) -> Sequence[str] | None:
        """Before the transaction, see that the batch is the next, and leave word in which session it is written.

        Returns:
            The columns that the batches before have written; ``None`` if none has written a row.

        Raises:
            LeaseLostError: If there is a later epoch.
            ConnectError: If nothing is known of the run.
            StageContractError: If the run was not claimed with this epoch, or another batch is the next.
        """
        claim, before = self._claim, self._sequence - 1
        known = self._connection.execute("SELECT to_regclass(%s)", (PROGRESS_TABLE,)).fetchall()[0][0]
        found = self._connection.execute(_FIND, (claim.run,)).fetchone() if known else None
        if found is None:
            raise ConnectError(
                f"{redact_url(self._url)}: nothing is known here of run {claim.run!r}, which was claimed before batch "
                f"{self._sequence}: was the database replaced? Bring it back, and resume the run"
            )
        epoch, sequence, columns = found
        if epoch > claim.epoch:
            raise LeaseLostError(_taken(self._url, claim, epoch))
        if (epoch, sequence) != (claim.epoch, before):
            raise StageContractError(
                f"{redact_url(self._url)}: batch {self._sequence} was begun by attempt {claim.epoch}, and the last of "
                f"run {claim.run!r} is {sequence}, of attempt {epoch}: claim it first, and leave no batch out"
            )
        self._connection.execute(_ENTER, (claim.run, claim.epoch))
        return None if columns is None else json.loads(columns)

    def advance(self, columns: Sequence[str] | None) -> None:
        """Keep the batch's number, and the columns that were written.

        Raises:
            LeaseLostError: If the batch is not the next any more.
            psycopg.Error: If the database failed.
        """
        claim, before = self._claim, self._sequence - 1
        names = None if columns is None else json.dumps(columns)
        values = (self._sequence, names, claim.run, claim.epoch, before)
        if self._connection.execute(_ADVANCE, values).rowcount != 1:
            raise LeaseLostError(
                f"{redact_url(self._url)}: run {claim.run!r} is not at batch {before} of attempt {claim.epoch} any "
                f"more: somebody else has taken it; nothing of batch {self._sequence} is stored"
            )
