"""The worker processes of one section of a run: started when they are needed, and gone when it ends, whichever way.

Stages that cannot be sent are refused by name, before the first record is read. No process outlives the run, even if a
record would take it another hour.
"""

from __future__ import annotations

import atexit
import multiprocessing
import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import anyio

from mainstem.engine.background import in_trio
from mainstem.engine.chunk_feed import Change
from mainstem.engine.sendable import describe_range, problem_with, refuse_unsendable
from mainstem.engine.worker import Done, Errand
from mainstem.engine.worker_main import UNREADABLE
from mainstem.engine.worker_process import Piece, WorkerProcess
from mainstem.errors import NotSendableError, WorkerDiedError, WorkerFunctionError, describe_error

__all__ = ["Piece", "ProcessPool", "dump_records", "refuse_unsendable"]


class ProcessPool:
    """Worker processes that know the stages of one errand.

    Args:
        count: How many.
        errand: What they are to do.
        change: Is told when a piece is done.

    Raises:
        NotSendableError: If the errand cannot be sent.
    """

    def __init__(self, count: int, errand: Errand, change: Change | None = None) -> None:
        self._count, self._names = count, errand.names or [errand.combiner_name or "the aggregation"]
        try:
            self._errand = pickle.dumps(errand, pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # since the run began, stages may have changed, or put something into its metadata
            refuse_unsendable(errand.stages, errand.names, errand.metadata)
            raise NotSendableError(f"stages cannot be sent to worker processes: {describe_error(error)}") from error
        self._pieces: SimpleQueue[Piece | None] = SimpleQueue()
        self._workers: list[WorkerProcess] = []
        self._change = change or Change()

    async def start(self) -> None:
        """Start the workers, and wait until one of them has loaded the stages.

        Raises:
            NotSendableError: If it cannot.
            WorkerDiedError: If the workers cannot be started.
        """
        notify = _in_this_loop(self._change.tell)
        # Not fork: this process has threads, and a copy of it may wait for a lock that nobody there will release.
        context = multiprocessing.get_context("spawn")
        atexit.register(self._kill)  # should nobody close it: Python waits for its processes before it ends
        try:
            for _ in range(self._count):
                self._workers.append(WorkerProcess(context, self._errand, self._pieces, notify))
        except OSError as error:
            raise WorkerDiedError(f"worker processes cannot be started: {describe_error(error)}") from error
        while not any(worker.ready for worker in self._workers):
            await self.wait_for_change()

    def submit(self, records: list[Any], first: int) -> Piece:
        """Give a piece to the next worker that is free.

        Args:
            records: The records.
            first: The position of the first of them in the section's input.

        Raises:
            NotSendableError: If a record cannot be sent.
        """
        piece = Piece(first, len(records), dump_records(records, first))
        self._pieces.put(piece)
        return piece

    async def wait(self, pieces: Sequence[Piece]) -> Piece:
        """Wait until one of the pieces is done, and return it.

        Raises:
            NotSendableError: If another worker could not load the stages.
            WorkerDiedError: If a worker ended meanwhile.
        """
        while True:
            for piece in pieces:
                if piece.answer is not None:
                    return piece
            await self.wait_for_change()

    def take(self, piece: Piece) -> tuple[Done, bytes]:
        """Return what became of a piece that is done, and what came out, which is still pickled.

        Raises:
            NotSendableError: If the worker could not read the records.
            WorkerFunctionError: If a record that failed there cannot be read here.
        """
        assert piece.answer is not None
        answer, output = piece.answer
        piece.answer = None
        if answer == UNREADABLE:
            raise NotSendableError(
                f"{'' if piece.count == 1 else 'one of '}{describe_range(piece.first, piece.count)} cannot be read in "
                f"a worker process: {output.decode()}\nGive records that are plain data, or run without workers"
            )
        try:
            done: Done = pickle.loads(answer)
        except Exception as error:
            raise WorkerFunctionError(
                f"what became of {describe_range(piece.first, piece.count)} cannot be read outside the worker process: "
                f"{describe_error(error)}"
            ) from error
        return done, output

    async def close(self) -> None:
        """End the workers, at once if they are at work, and wait until they are gone."""
        for worker in self._workers:
            worker.close()
        with anyio.CancelScope(shield=True):
            while not all(worker.ended for worker in self._workers):
                await self._change.wait()
        atexit.unregister(self._kill)
        for worker in self._workers:
            worker.release()
        self._workers.clear()

    def _kill(self) -> None:
        for worker in self._workers:
            worker.kill()

    async def wait_for_change(self) -> None:
        """Wait for a change; the caller has looked that what it waits for is not so, since it last waited.

        Raises:
            NotSendableError: If a worker could not load the stages.
            WorkerDiedError: If a worker has ended.
        """
        for worker in self._workers:
            if worker.ended:
                raise self._why(worker)
        await self._change.wait()

    def _why(self, worker: WorkerProcess) -> Exception:
        names = ", ".join(map(repr, self._names))
        if worker.problem is not None:
            return NotSendableError(
                f"a worker process cannot load the stages {names}: {worker.problem}\n"
                "Workers import the modules that functions are defined in: put them in a module that can be imported"
            )
        if not worker.ready:
            return WorkerDiedError(
                f"a worker process ended as soon as it was started ({worker.died}), before it had loaded the stages "
                f"{names}; a script must protect its entry point, for each worker imports it: "
                "if __name__ == '__main__': main()"
            )
        in_hand = worker.in_hand
        at = "" if in_hand is None else f" while it worked on {describe_range(in_hand.first, in_hand.count)}"
        return WorkerDiedError(f"a worker process ended in the middle of its work ({worker.died}){at}, in {names}")


def _in_this_loop(function: Callable[[], None]) -> Callable[[], None]:
    """Return a function that, called in any thread, lets ``function`` be called in the event loop that runs here."""
    if in_trio():
        import trio

        token = trio.lowlevel.current_trio_token()
        schedule: Callable[[Callable[[], None]], object] = token.run_sync_soon
    else:
        import asyncio

        schedule = asyncio.get_running_loop().call_soon_threadsafe

    def call() -> None:
        with suppress(RuntimeError):  # the event loop has ended, and nobody waits any more
            schedule(function)

    return call


def dump_records(records: list[Any], first: int) -> bytes:
    """Pickle records, the first of which is at the position ``first``.

    Raises:
        NotSendableError: Names the first record that cannot be pickled.
    """
    try:
        return pickle.dumps(records, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        for at, record in enumerate(records):
            problem = problem_with(record)
            if problem is not None:
                raise NotSendableError(
                    f"record {first + at} cannot be sent to a worker process: {problem}\n"
                    "Give records that are plain data, or run without workers"
                ) from None
        raise NotSendableError(f"records cannot be sent to a worker process: {describe_error(error)}") from None
