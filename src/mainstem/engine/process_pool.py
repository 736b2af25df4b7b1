"""The worker processes of one section of a run: started when they are needed, and gone when it ends, whichever way.

The pool is ``concurrent.futures``'; what is added is what it leaves open: stages that cannot be sent are refused by
name, and no process outlives the run, even if a record would take it another hour.
"""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any, TypeAlias

import anyio

from mainstem.engine.worker import Done, Errand, load_errand, start_worker, work
from mainstem.errors import NotSendableError, WorkerDiedError, describe_error
from mainstem.stage import PipelineStage

Piece: TypeAlias = "Future[Any]"
"""Records that a worker has been given."""


def refuse_unsendable(
    stages: Sequence[PipelineStage[Any, Any]], names: Sequence[str], metadata: dict[str, Any]
) -> None:
    """Refuse stages and metadata that cannot be sent to a worker process.

    Raises:
        NotSendableError: Names the stage, or the key of the metadata, with the reason and the way out.
    """
    for stage, name in zip(stages, names, strict=True):
        problem = _problem_with(stage)
        if problem is not None:
            raise NotSendableError(
                f"stage {name!r}, made at {stage.made_at}, cannot be sent to a worker process: {problem}\n"
                "Give it a function that is defined at the top of a module (no lambda, no function within a function), "
                "or run without workers"
            )
    for key, value in metadata.items():
        problem = _problem_with(value)
        if problem is not None:
            raise NotSendableError(f"context.metadata[{key!r}] cannot be sent to a worker process: {problem}")


def _problem_with(thing: object) -> str | None:
    try:
        pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        return describe_error(error)
    return None


class ProcessPool:
    """Worker processes that know the stages of one errand.

    Args:
        count: How many.
        errand: What they are to do.
    """

    def __init__(self, count: int, errand: Errand) -> None:
        payload = pickle.dumps(errand, pickle.HIGHEST_PROTOCOL)
        # Not fork: this process has threads, and a copy of it may wait for a lock that nobody there will release.
        self._executor = ProcessPoolExecutor(
            count, multiprocessing.get_context("spawn"), initializer=start_worker, initargs=(payload,)
        )
        self._names = errand.names
        self._given: list[Piece] = []
        self._limiter = anyio.CapacityLimiter(1)

    async def start(self) -> None:
        """Start the workers, and let one of them load the stages.

        Raises:
            NotSendableError: If it cannot.
            WorkerDiedError: If the workers cannot be started.
        """
        try:
            self._given.append(self._executor.submit(load_errand))
            problem = await self._wait_for(self._given[0])
        except BrokenProcessPool as error:
            raise WorkerDiedError(
                "the worker processes ended as soon as they were started; a script must protect its entry point, for "
                "each worker imports it: if __name__ == '__main__': main()"
            ) from error
        if problem is not None:
            raise NotSendableError(
                f"a worker process cannot load the stages {', '.join(map(repr, self._names))}: {problem}\n"
                "Workers import the modules that functions are defined in: put them in a module that can be imported"
            )

    @property
    def _busy(self) -> bool:
        return any(not piece.done() for piece in self._given)

    def submit(self, records: list[Any], first: int) -> Piece:
        """Give a piece to the next worker that is free.

        Args:
            records: The records.
            first: The position of the first of them in the section's input, for error messages.

        Raises:
            NotSendableError: If a record cannot be sent.
        """
        self._given = [piece for piece in self._given if not piece.done()]
        self._given.append(self._executor.submit(work, dump_records(records, first)))
        return self._given[-1]

    async def done(self, pieces: Sequence[Piece]) -> None:
        """Wait until at least one of the pieces is done."""
        await self._in_thread(partial(wait, pieces, return_when=FIRST_COMPLETED))

    async def result(self, piece: Piece) -> Done:
        """Wait for a piece.

        Raises:
            WorkerDiedError: If a worker ended while it had the piece, or any other.
            BaseException: What a function raised that is no ``Exception``.
        """
        try:
            done: Done = pickle.loads(await self._wait_for(piece))
        except BrokenProcessPool as error:
            raise WorkerDiedError(
                f"a worker process ended in the middle of its work{self._how_they_ended()}"
            ) from error
        return done

    async def _wait_for(self, future: Future[Any]) -> Any:
        if not future.done():
            await self._in_thread(partial(wait, [future]))
        return future.result()

    async def _in_thread(self, blocking: Any) -> None:
        # Cancelled, the thread is left to itself: it ends with the pool, which ``close`` sees to.
        await anyio.to_thread.run_sync(blocking, abandon_on_cancel=True, limiter=self._limiter)

    def _processes(self) -> list[Any]:
        processes: Any = getattr(self._executor, "_processes", None)  # there is no public way to them before 3.14
        return [] if processes is None else list(processes.values())

    def _how_they_ended(self) -> str:
        codes = [process.exitcode for process in self._processes() if process.exitcode]
        signals = [f"killed by signal {-code}" if code < 0 else f"exit code {code}" for code in codes]
        return f" ({', '.join(dict.fromkeys(signals))})" if signals else ""

    async def close(self) -> None:
        """End the workers, at once if they are busy, and wait until they are gone."""
        if self._busy:
            for process in self._processes():
                process.kill()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(partial(self._executor.shutdown, cancel_futures=True))


def dump_records(records: list[Any], first: int) -> bytes:
    """Pickle records, the first of which is at the position ``first``.

    Raises:
        NotSendableError: Names the first record that cannot be pickled.
    """
    try:
        return pickle.dumps(records, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        for at, record in enumerate(records):
            problem = _problem_with(record)
            if problem is not None:
                raise NotSendableError(
                    f"record {first + at} cannot be sent to a worker process: {problem}\n"
                    "Give records that are plain data, or run without workers"
                ) from None
        raise NotSendableError(f"records cannot be sent to a worker process: {describe_error(error)}") from None
