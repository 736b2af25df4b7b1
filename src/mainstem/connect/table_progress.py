"""The progress of durable runs in the database that their records go to: a row for each."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence

from mainstem.connect.table_plan import PROGRESS_TABLE, Batch
from mainstem.endpoints import Claim
from mainstem.errors import ConnectError, LeaseLostError, StageContractError


def taken(where: str, claim: Claim, epoch: int) -> LeaseLostError:
    """Return the error that says that a later epoch has the run."""
    return LeaseLostError(
        f"{where}: run {claim.run!r} was taken by attempt {epoch}, and this is attempt {claim.epoch}; if no other "
        f"works on it, its store was lost: delete what it loaded, and its row in table {PROGRESS_TABLE}, and begin "
        "anew"
    )


class TableProgress(ABC):
    """Keeps the number of a batch in the same transaction as its rows.

    Args:
        where: The database, for error messages.
        batch: The batch.
    """

    def __init__(self, where: str, batch: Batch) -> None:
        self._where = where
        self._claim, self._sequence = batch.claim, batch.sequence

    @property
    def is_first(self) -> bool:
        return self._sequence == 1

    @abstractmethod
    def _find(self) -> tuple[int, int, str | None] | None:
        """Return epoch, last batch and columns of the run, if anything is known of it."""

    @abstractmethod
    def _advance(self, values: tuple[int, str | None, str, int, int]) -> int:
        """Keep a batch's number and columns for a run that has that epoch and is at the batch before.

        Returns:
            How many runs they are: one, or none.
        """

    def check(self) -> Sequence[str] | None:
        """See that the batch is the next.

        Returns:
            The columns that the batches before have written; ``None`` if none has written a row.

        Raises:
            LeaseLostError: If there is a later epoch.
            ConnectError: If nothing is known of the run.
            StageContractError: If the run was not claimed with this epoch, or another batch is the next.
            Exception: The driver's, if the database failed.
        """
        claim, found = self._claim, self._find()
        if found is None:
            raise ConnectError(
                f"{self._where}: nothing is known here of run {claim.run!r}, which was claimed before batch "
                f"{self._sequence}: was the database replaced? Bring it back, and resume the run"
            )
        epoch, sequence, columns = found
        if epoch > claim.epoch:
            raise taken(self._where, claim, epoch)
        if (epoch, sequence) != (claim.epoch, self._sequence - 1):
            raise StageContractError(
                f"{self._where}: batch {self._sequence} was begun by attempt {claim.epoch}, and the last of run "
                f"{claim.run!r} is {sequence}, of attempt {epoch}: claim it first, and leave no batch out"
            )
        return None if columns is None else json.loads(columns)

    def advance(self, columns: Sequence[str] | None) -> None:
        """Keep the batch's number, and the columns that were written.

        Raises:
            LeaseLostError: If the batch is not the next any more.
            Exception: The driver's, if the database failed.
        """
        claim, before = self._claim, self._sequence - 1
        names = None if columns is None else json.dumps(columns)
        if self._advance((self._sequence, names, claim.run, claim.epoch, before)) != 1:
            raise LeaseLostError(
                f"{self._where}: run {claim.run!r} is not at batch {before} of attempt {claim.epoch} any more: "
                f"somebody else has taken it, or changed table {PROGRESS_TABLE}; nothing of batch {self._sequence} is "
                "stored"
            )
