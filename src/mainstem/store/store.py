"""The protocol of stores.

A batch of a durable run is committed in two steps. First the store takes the checkpoint, with the batch's rejects, as
*prepared*; then the target takes the rows together with the batch's number. Whether the batch happened is decided by
the target alone: whoever goes on after a crash asks it for the number of its last batch, and tells the store, which
keeps the prepared checkpoint or puts it aside. So rows, position and rejects are those of the same batch, always.

Source: two-phase commit with one participant as the coordinator; Flink's ``TwoPhaseCommitSinkFunction``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

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


class Store(ABC):
    """Holds runs, their progress and their rejects.

    Methods block, may be called from any thread, and are atomic: what they say they do is done, durably, or, if they
    raise, not at all. Rejects have the key run, stage, index and, where several share that, their order.

    Attributes:
        url: Where it is, without secrets.
        file: The file that holds it, its path resolved; ``None`` if it is none.
    """

    url: str
    file: Path | None = None

    @abstractmethod
    def begin(self, request: RunRequest) -> Lease:
        """Begin a run, or take one that was killed, failed or cancelled.

        Raises:
            RunCompletedError: If it has completed, unless it is to be gone on with again.
            RunActiveError: If somebody works on it.
            PipelineChangedError: If the pipeline's shape is another, without ``force``.
            SourceChangedError: If the input is another, without ``force``, and some of it was committed.
            StoreError: If the store cannot be reached or written.
        """

    @abstractmethod
    def renew(self, lease: Lease) -> None:
        """Give a sign of life.

        Raises:
            LeaseLostError: If somebody else has taken the run.
        """

    @abstractmethod
    def prepare(self, lease: Lease, checkpoint: Checkpoint) -> None:
        """Keep the checkpoint of a batch that is about to be committed in the target.

        With it the batch before, which it follows, is known to be committed. The same batch may be prepared again: then
        only what was said last counts. A reject that is there already, by its key, keeps its state, its edited record
        and its number. Rejects of earlier attempts at this stretch that did not come up again are removed: those that
        are not settled, and whose index is below the number of records their stage has had (``counts``).

        Raises:
            LeaseLostError: If somebody else has taken the run.
            RejectError: If a reject that was replayed is not what it was then any more.
        """

    @abstractmethod
    def settle(self, lease: Lease, sequence: int) -> Checkpoint | None:
        """Take note which batch is the last that the target has: the prepared one, or the one before it.

        Returns:
            The checkpoint of that batch; ``None`` if that is none.

        Raises:
            LeaseLostError: If somebody else has taken the run.
            StoreError: If it is neither: the target and the store do not belong together.
        """

    @abstractmethod
    def finish(
        self,
        lease: Lease,
        status: RunStatus,
        *,
        error: str | None = None,
        guarantee: str | None = None,
        unsettled: Sequence[NewReject] = (),
    ) -> None:
        """End an attempt.

        Args:
            lease: The right to do so, which ends with it.
            status: How it ended; anything but running.
            error: What made it fail, in one line.
            guarantee: What the sink promises.
            unsettled: Rejects that came up after the last committed batch. They are shown, and not settled.

        Raises:
            LeaseLostError: If somebody else has taken the run.
        """

    @abstractmethod
    def runs(
        self,
        *,
        pipeline: str | None = None,
        run_id: str | None = None,
        status: RunStatus | None = None,
        limit: int | None = None,
    ) -> list[RunRecord]:
        """Return runs, the latest first."""

    @abstractmethod
    def last_checkpoint(self, run: int) -> Checkpoint | None:
        """Return the checkpoint of the last batch of a run that is known to be committed.

        Args:
            run: The run's number in the store.

        Returns:
            The checkpoint; ``None`` if no batch is.
        """

    @abstractmethod
    def rejects(self, query: RejectQuery) -> list[RejectRecord]:
        """Return rejects, by number."""

    @abstractmethod
    def count_rejects(self, query: RejectQuery) -> int:
        """Count the rejects that a query means; its ``after`` and ``limit`` do not matter."""

    @abstractmethod
    def change_rejects(
        self,
        query: RejectQuery,
        state: RejectState,
        *,
        among: Sequence[RejectState],
        edited: str | None = None,
        by: str | None = None,
    ) -> int:
        """Change the state of all rejects that a query means, and that are in one of the states ``among``.

        Args:
            query: Which; ``after`` and ``limit`` do not matter.
            state: The new state.
            among: The states that it may follow.
            edited: The changed record, encoded; ``None`` leaves it as it is.
            by: Who does it.

        Returns:
            How many were changed.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the connection."""
