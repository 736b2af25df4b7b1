"""One worker process as the run's own process sees it: a connection, and a thread that waits for what comes over it.

Each process has a connection of its own, whose other end only that process holds. So its death is seen at once, in the
middle of a message too, and one knows what it had in hand. (``concurrent.futures`` shares one pipe among all: a process
that is killed while it writes leaves the reader waiting for ever.)
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.context import SpawnContext
from queue import SimpleQueue
from time import monotonic, sleep
from typing import Any

from mainstem.engine.worker_main import serve
from mainstem.errors import describe_error

ENDING_SECONDS = 5.0
"""How long a worker that was asked to end may take for that, before it is killed."""

LOOK_SECONDS = 1.0
"""How often to look whether a process still lives whose connection is silent: a child it left may hold that open."""


@dataclass(slots=True, eq=False)
class Piece:
    """Records for a worker.

    Attributes:
        first: The position of the first of them in the section's input.
        count: How many they are.
        records: The records, pickled, until they are sent.
        answer: What became of them, pickled, and what came out; ``None`` until they are done.
    """

    first: int
    count: int
    records: bytes
    answer: tuple[bytes, bytes] | None = None


class WorkerProcess:
    """A process that works on one piece after another.

    Args:
        context: Starts it.
        errand: What it is sent first, pickled.
        pieces: Where it takes its pieces from, until there is ``None``.
        changed: Called, in another thread, when something has changed that others wait for.

    Attributes:
        ready: Whether it has loaded its stages.
        problem: Why it could not.
        in_hand: The piece that it works on.
        died: How it ended, if that came before its connection was closed.
        ended: Whether it is gone.

    Raises:
        OSError: If it cannot be started.
    """

    def __init__(
        self, context: SpawnContext, errand: bytes, pieces: SimpleQueue[Piece | None], changed: Callable[[], None]
    ) -> None:
        self._errand, self._pieces, self._changed = errand, pieces, changed
        self.ready = self.ended = False
        self.problem: str | None = None
        self.in_hand: Piece | None = None
        self.died: str | None = None
        self._closing = False
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs,), name="mainstem-worker")
        try:
            with _interrupts_blocked():
                self._process.start()
        except BaseException:
            self._connection.close()
            raise
        finally:
            theirs.close()
        self._thread = threading.Thread(target=self._run, name="mainstem-worker", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let it end: at once if it is at work, or else as Python programs end."""
        self._closing = True
        self._pieces.put(None)
        if self.in_hand is not None or not self.ready:
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def release(self) -> None:
        """Let go of it, once it has ended."""
        self._thread.join()
        if self._process.exitcode is not None:
            self._process.close()

    def _run(self) -> None:
        try:
            self._connection.send_bytes(self._errand)
            self.problem = self._receive().decode() or None
            if self.problem is None:
                self.ready = True
                self._changed()
                self._work()
        except (EOFError, OSError):
            self.died = self._how_it_ended()
        except Exception as error:  # a message that there is no memory for, say
            self.died = describe_error(error)
            self._process.kill()
        finally:
            self._connection.close()
            if not self._ends_within(ENDING_SECONDS):
                self._process.kill()
            self._process.join()
            self.ended = True
            self._changed()

    def _work(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self.in_hand = piece
            if self._closing:  # looked at after taking the piece, as ``close`` looks at the piece after saying so
                return
            self._connection.send_bytes(piece.records)
            piece.records = b""
            piece.answer = self._receive(), self._receive()
            self.in_hand = None
            self._changed()

    def _receive(self) -> bytes:
        while not self._connection.poll(LOOK_SECONDS):
            if not self._process.is_alive() and not self._connection.poll(0):
                raise EOFError
        return self._connection.recv_bytes()

    def _ends_within(self, seconds: float) -> bool:
        """Wait for the end.

        Its sentinel tells, but not always: the process may have closed it and live on, or left it to a child.
        """
        deadline = monotonic() + seconds
        while self._process.is_alive():
            if monotonic() > deadline:
                return False
            if connection.wait([self._process.sentinel], 0.05):
                sleep(0.002)
        return True

    def _how_it_ended(self) -> str:
        if not self._ends_within(LOOK_SECONDS):
            self._process.kill()
            return "it had closed its connection, and was killed"
        code: Any = self._process.exitcode
        if code is None or code >= 0:
            return f"exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:  # a real-time signal
            name = f"signal {-code}"
        hint = "; the system does that when memory runs out" if name == "SIGKILL" else ""
        return f"killed by {name}{hint}"


@contextmanager
def _interrupts_blocked() -> Generator[None]:
    """Start a process with Ctrl-C blocked, until it ignores it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
