"""The tasks of one section of a run on Ray: what ``ProcessPool`` is for the worker processes of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from importlib import import_module  # Ray is not always there, and its types are known in part
from typing import Any

import anyio
from anyio import to_thread

from mainstem.engine.background import in_this_loop
from mainstem.engine.chunk_feed import Change
from mainstem.engine.sendable import describe_range, pack_records
from mainstem.engine.worker import Done, Errand
from mainstem.engine.worker_pool import Piece, names_of, pack_errand, read_done
from mainstem.errors import NotSendableError, WorkerDiedError, describe_error
from mainstem.ids import new_id
from mainstem.ray_runner.cluster import connect
from mainstem.ray_runner.task import work_in_task


class RayPool:
    """Ray tasks that know the stages of one errand. The stages go to the cluster once, as an object of Ray's.

    Args:
        address: Where the cluster is: see ``connect``.
        options: What each task needs, for Ray: ``num_cpus``, ``resources``, ``max_retries``.
        errand: What they are to do.
        change: Is told when a piece is done.

    Raises:
        NotSendableError: If the errand cannot be sent.
    """

    def __init__(self, address: str | None, options: dict[str, Any], errand: Errand, change: Change) -> None:
        self._address, self._options, self._change = address, options, change
        self._names, self._packed, self._id = names_of(errand), pack_errand(errand), new_id()
        self._errand: Any = None
        self._task: Any = None
        self._under_way: dict[Future[Any], Any] = {}

    async def start(self) -> None:
        """Connect to Ray, and wait until one of its workers has loaded the stages.

        Raises:
            NotSendableError: If it cannot.
            WorkerDiedError: If Ray cannot be reached or started, or the worker ends at once.
        """
        await to_thread.run_sync(connect, self._address, abandon_on_cancel=True)
        ray: Any = import_module("ray")
        self._notify = in_this_loop(self._change.tell)
        self._task = ray.remote(**self._options)(work_in_task)
        self._errand = ray.put(self._packed)
        loaded = self._submit(b"", 0, 0)
        while not loaded.done():
            await self.wait_for_change()
        self._result_of(loaded, "before it had loaded the stages")

    def submit(self, records: list[Any], first: int) -> Piece:
        """Give a piece to Ray: see ``WorkerPool``."""
        packed, count = pack_records(records, first), len(records)
        return Piece(first, count, self._submit(packed, first, count))

    def _submit(self, records: bytes, first: int, count: int) -> Future[Any]:
        reference = self._task.remote(self._id, self._errand, records, first, count)
        future: Future[Any] = reference.future()
        self._under_way[future] = reference
        future.add_done_callback(lambda _: self._notify())
        return future

    async def wait(self, pieces: Sequence[Piece]) -> Piece:
        """Wait until one of the pieces is done, and return it."""
        while True:
            for piece in pieces:
                if piece.future.done():
                    return piece
            await self.wait_for_change()

    async def wait_for_change(self) -> None:
        """Wait until something may be done: see ``WorkerPool``."""
        await self._change.wait()

    def take(self, piece: Piece) -> tuple[Done, bytes]:
        """Return what became of a piece that is done, and what came out: see ``WorkerPool``."""
        answer, output = self._result_of(piece.future, f"at {describe_range(piece.first, piece.count)}")
        return read_done(answer, piece), output

    def _result_of(self, future: Future[Any], when: str) -> tuple[bytes, bytes]:
        try:
            result: tuple[bytes, bytes] | NotSendableError = future.result()
        except import_module("ray.exceptions").RayError as error:
            what = describe_error(error).strip().splitlines()[0]
            retries = self._options["max_retries"]
            raise WorkerDiedError(
                f"a Ray task ended in the middle of its work, {when}, in {self._names}, and so did the {retries} that "
                f"tried it again: {what}"
            ) from None
        finally:
            self._under_way.pop(future, None)
        if isinstance(result, NotSendableError):
            raise result
        return result

    async def close(self) -> None:
        """Cancel what is under way, with the worker processes that are at it, and let go of the stages."""
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(self._cancel)
        self._errand = self._task = None

    def _cancel(self) -> None:
        ray: Any = import_module("ray")
        for future, reference in self._under_way.items():
            if not future.done():
                ray.cancel(reference, force=True)
        self._under_way.clear()
