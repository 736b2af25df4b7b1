"""Ctrl-C and SIGTERM during a run: the first cancels it, so that what it holds is closed, a second ends it at once."""

from __future__ import annotations

import signal
from asyncio import get_running_loop
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from anyio import CancelScope

from mainstem.cli.exit_code import ExitCode
from mainstem.cli.progress import Progress


class RunSignals:
    """Cancels a run when the process is told to end.

    A signal that the user's code ignores, or handles itself, is left to it.

    Attributes:
        received: The first signal that came, if one did.
        interrupt_is_ours: Whether Ctrl-C was as Python has it when this was made, before the event loop took it.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.interrupt_is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler

    @property
    def exit_code(self) -> ExitCode:
        """What shells report for the signal that ended the run."""
        return ExitCode.TERMINATED if self.received == signal.SIGTERM else ExitCode.CANCELLED

    @contextmanager
    def cancelling(self, progress: Progress) -> Generator[CancelScope]:
        """Cancel what is awaited within a ``with`` block, inside an event loop of asyncio, when a signal comes.

        The progress says so: a function that blocks may keep the run from ending.

        Raises:
            KeyboardInterrupt: At the second signal, wherever the program is.
        """
        loop, scope = get_running_loop(), CancelScope()

        def notice(number: int, frame: FrameType | None) -> None:
            if self.received is not None:
                raise KeyboardInterrupt
            self.received, progress.stopping = number, True
            loop.call_soon_threadsafe(scope.cancel)

        before = {number: signal.getsignal(number) for number in self._ours()}
        for number in before:
            signal.signal(number, notice)
        try:
            with scope:
                yield scope
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ours(self) -> list[signal.Signals]:
        ours = [signal.SIGINT] if self.interrupt_is_ours else []
        return [*ours, signal.SIGTERM] if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL else ours
