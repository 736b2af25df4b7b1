"""The store of the run that the command line starts, which remembers where that run began."""

from __future__ import annotations

from collections.abc import Sequence

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
from mainstem.store.store import Store


class WatchedStore(Store):
    """A store that does what another does.

    Args:
        store: The other.

    Attributes:
        lease: The right to work on the run, once it was given.
        start: The checkpoint from which the attempt went on; ``None`` if it is the first, or nothing was committed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.url, self.file = store.url, store.file
        self.lease: Lease | None = None
        self.start: Checkpoint | None = None
        self._is_under_way = False
        """Whether the attempt knows where it goes on; it settles once more at its end."""

    def begin(self, request: RunRequest) -> Lease:
        self.lease = self._store.begin(request)
        return self.lease

    def settle(self, lease: Lease, sequence: int) -> Checkpoint | None:
        checkpoint = self._store.settle(lease, sequence)
        if not self._is_under_way:
            self.start = checkpoint
        self._is_under_way = True
        return checkpoint

    def renew(self, lease: Lease) -> None:
        self._store.renew(lease)

    def prepare(self, lease: Lease, checkpoint: Checkpoint) -> None:
        self._store.prepare(lease, checkpoint)

    def finish(
        self,
        lease: Lease,
        status: RunStatus,
        *,
        error: str | None = None,
        guarantee: str | None = None,
        unsettled: Sequence[NewReject] = (),
    ) -> None:
        self._store.finish(lease, status, error=error, guarantee=guarantee, unsettled=unsettled)

    def runs(
        self,
        *,
        pipeline: str | None = None,
        run_id: str | None = None,
        status: RunStatus | None = None,
        limit: int | None = None,
    ) -> list[RunRecord]:
        return self._store.runs(pipeline=pipeline, run_id=run_id, status=status, limit=limit)

    def last_checkpoint(self, run: int) -> Checkpoint | None:
        return self._store.last_checkpoint(run)

    def rejects(self, query: RejectQuery) -> list[RejectRecord]:
        return self._store.rejects(query)

    def count_rejects(self, query: RejectQuery) -> int:
        return self._store.count_rejects(query)

    def change_rejects(
        self,
        query: RejectQuery,
        state: RejectState,
        *,
        among: Sequence[RejectState],
        edited: str | None = None,
        by: str | None = None,
    ) -> int:
        return self._store.change_rejects(query, state, among=among, edited=edited, by=by)

    def close(self) -> None:
        self._store.close()
