"""The worker processes of one section of a run: started when they are needed, and gone when it ends, whichever way.

Source: the pool itself is ``loky``'s. What is added here is what a run needs beside it: an event loop that waits,
stages that are sent once, words for what went wrong, and an eye on deaths that ``loky`` cannot see.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from multiprocessing import resource_tracker
from typing import Any

import anyio
from anyio import to_thread

from mainstem.engine.background import in_this_loop
from mainstem.engine.chunk_feed import Change
from mainstem.engine.sendable import pack_records
from mainstem.engine.worker import Done, Errand
from mainstem.engine.worker_main import begin, load, work
from mainstem.engine.worker_pool import Piece, names_of, pack_errand, read_done
from mainstem.errors import NotSendableError, WorkerDiedError, describe_error

ENDING_SECONDS = 5.0
"""How long workers that were asked to end may take for that, before they are killed."""

LOOK_SECONDS = 1.0
"""How often to look for dead workers while nothing is done."""

NEVER_RESTARTED = {"LOKY_MAX_MEMORY_LEAK_SIZE": "1e18"}
"""Keeps loky from replacing a worker whose memory grows: a stage may keep what it likes."""


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
        self._count, self._names, self._errand = count, names_of(errand), pack_errand(errand)
        self._change = change or Change()
        self._executor: Any = None
        self._processes: list[Any] = []
        self._futures: set[Future[Any]] = set()
        self._unseen: list[int] = []

    async def start(self) -> None:
        """Start the workers, and wait until one of them has loaded the stages.

        They are started in the thread that this is called in: where it ends, the kernel ends them.

        Raises:
            NotSendableError: If it cannot.
            WorkerDiedError: If the workers cannot be started, or end at once.
        """
        self._notify = in_this_loop(self._change.tell)
        resource_tracker.ensure_running()  # which unblocks Ctrl-C when it is started
        self._executor = import_module("loky").ProcessPoolExecutor(
            self._count,
            context=import_module("loky.backend").get_context("loky"),
            initializer=begin,
            initargs=(self._errand, os.getpid()),
            env=NEVER_RESTARTED,
        )
        loaded, problem = None, ""
        try:
            with _interrupts_blocked():
                loaded = self._submit(load)
        except OSError as error:
            problem = describe_error(error)
        self._processes = list(self._executor._processes.values())
        if loaded is None:  # raised here, since the frames of that error hold on to pipes
            raise WorkerDiedError(f"worker processes cannot be started: {problem}")
        _leave_pipes_to_workers(self._executor)
        while not loaded.done():
            await self.wait_for_change()
        try:
            _result_of(loaded)
        except BrokenExecutor as broken:
            raise WorkerDiedError(
                f"a worker process ended as soon as it was started ({self._how(broken)}), before it had loaded the "
                f"stages {self._names}"
            ) from None

    def submit(self, records: list[Any], first: int) -> Piece:
        """Give a piece to the next worker that is free.

        Args:
            records: The records.
            first: The position of the first of them in the section's input.

        Raises:
            NotSendableError: If a record cannot be sent.
            WorkerDiedError: If a worker ended meanwhile.
        """
        packed, count = pack_records(records, first), len(records)
        try:
            return Piece(first, count, self._submit(work, packed, first, count))
        except BrokenExecutor as broken:
            raise self._died(broken) from None

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = self._executor.submit(function, *arguments)
        self._futures.add(future)
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
        """Wait until something may be done; the caller has looked that nothing is, since it last waited.

        A worker that is killed in the middle of an answer leaves loky reading the rest of it, and one that leaves a
        child behind seems to live. So who waits for long looks: where one worker is dead, the others are ended too.
        """
        with anyio.move_on_after(LOOK_SECONDS):
            await self._change.wait()
            return
        dead = [process.exitcode for process in self._processes if process.exitcode is not None]
        if dead and not self._unseen:
            self._unseen = dead
            self._kill()

    def take(self, piece: Piece) -> tuple[Done, bytes]:
        """Return what became of a piece that is done, and what came out, which is still packed.

        Raises:
            NotSendableError: If the worker could not read the stages or the records.
            WorkerDiedError: If a worker ended meanwhile.
            WorkerFunctionError: If a record that failed there cannot be read here.
        """
        try:
            answer, output = _result_of(piece.future)
        except BrokenExecutor as broken:
            raise self._died(broken) from None
        self._futures.discard(piece.future)
        return read_done(answer, piece), output

    async def close(self) -> None:
        """End the workers, at once if they are at work, and wait until they are gone."""
        if self._executor is None:
            return
        busy = not all(future.done() for future in self._futures)
        shutdown = partial(self._executor.shutdown, kill_workers=busy)
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._kill_after, LOOK_SECONDS if busy else ENDING_SECONDS)
                await to_thread.run_sync(shutdown)
                tasks.cancel_scope.cancel()
        self._kill()  # what loky did not know of: it is told of workers when all have been started
        for process in self._processes:
            process.join()
        self._processes.clear()
        self._futures.clear()
        self._executor = None

    async def _kill_after(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        self._kill()

    def _kill(self) -> None:
        for process in self._processes:
            if process.exitcode is None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))

    def _died(self, broken: BrokenExecutor) -> WorkerDiedError:
        return WorkerDiedError(
            f"a worker process ended in the middle of its work ({self._how(broken)}), in {self._names}"
        )

    def _how(self, broken: BrokenExecutor) -> str:
        """Say how workers ended, as far as that can be told from how the others were ended after them."""
        codes, text = self._unseen, str(broken)
        if not codes and "exit codes" in text:
            codes = [int(code) for code in re.findall(r"\w+\((-?\d+)\)", text)]
        elif not codes:  # an answer that broke off; its process is gone in a moment
            for process in self._processes:
                process.join(LOOK_SECONDS)
            codes = [process.exitcode for process in self._processes if process.exitcode is not None]
        return ", ".join(map(_describe_exit, codes)) or "it let go of its connection, and was killed"


def _result_of(future: Future[Any]) -> Any:
    try:
        return future.result()
    except NotSendableError as error:
        raise NotSendableError(str(error)) from None  # without the frames of a worker process, which say nothing more


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal
        name = f"signal {-code}"
    hint = "; the system does that when memory runs out" if name == "SIGKILL" else ""
    return f"killed by {name}{hint}"


def _leave_pipes_to_workers(executor: Any) -> None:
    """Close this process's copies of the ends of loky's pipes that are the workers'.

    So that reading what a dead worker left half written, and writing what nobody will read, end when all are dead; with
    the copies open they would wait for ever. And should nobody close the pool, its workers are killed when the program
    ends, which loky would else have wait for them.
    """
    executor._result_queue._writer.close()
    executor._call_queue._reader.close()
    executor._flags.kill_workers = True


@contextmanager
def _interrupts_blocked() -> Generator[None]:
    """Start processes with Ctrl-C blocked, until they ignore it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
