"""A thread that sends what runs have to tell, so that no run waits for a receiver."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from queue import Empty, Full, Queue
from threading import Condition, Lock, Thread
from time import monotonic

from mainstem.observe.faults import Faults

WAITING = 1000
"""How many messages may wait; those that come then are dropped."""
LAST_SECONDS = 5.0
"""How long the end of the program waits for messages that are not sent yet."""
IDLE_SECONDS = 5.0
"""After so long without a message the thread ends; another is started for the next."""


_sending: set[Sender] = set()
"""Those that have something to send."""


@atexit.register
def _send_the_last() -> None:
    until = monotonic() + LAST_SECONDS
    for sender in tuple(_sending):
        sender.flush(max(0.0, until - monotonic()))


class Sender:
    """Does what it is given, in order, in a thread of its own that does not keep the program from ending.

    Args:
        faults: Is told what goes wrong.
        waiting: How many messages may wait.
    """

    def __init__(self, faults: Faults, waiting: int = WAITING) -> None:
        self._faults, self._waiting = faults, waiting
        self._begin()

    def _begin(self) -> None:
        self._queue = Queue[Callable[[], None]](self._waiting)
        self._lock, self._process = Lock(), os.getpid()
        self._thread: Thread | None = None
        self._unsent = 0
        self._all_sent = Condition()

    def send(self, message: Callable[[], None]) -> None:
        """Have a message sent. It is dropped, and that is logged once, where too many wait."""
        if os.getpid() != self._process:  # a fork has a copy of the queue, and not the thread
            self._begin()
        with self._all_sent:
            self._unsent += 1
            _sending.add(self)
        with self._lock:
            try:
                self._queue.put_nowait(message)
            except Full:
                self._faults.report(OverflowError(f"{self._waiting:,} messages wait, and this one is dropped"))
                self._sent()
                return
            if self._thread is None:
                self._thread = Thread(target=self._work, name="mainstem-observe", daemon=True)
                self._thread.start()

    def flush(self, seconds: float) -> bool:
        """Wait until all is sent, or given up, for at most so many seconds; say whether it is."""
        if os.getpid() != self._process:  # what waits is the process's that this one is a copy of
            return True
        with self._all_sent:
            return self._all_sent.wait_for(lambda: not self._unsent, seconds)

    def _work(self) -> None:
        while True:
            try:
                message = self._queue.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if not self._queue.empty():
                        continue
                    self._thread = None
                    return
            try:
                message()
            except Exception as error:
                self._faults.report(error)
            finally:
                self._sent()

    def _sent(self) -> None:
        with self._all_sent:
            self._unsent -= 1
            if not self._unsent:
                _sending.discard(self)
                self._all_sent.notify_all()
