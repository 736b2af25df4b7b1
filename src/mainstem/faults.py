"""Named points at which a test may kill the process: between any two steps of which one survives a crash.

Without a test that asks for it, a point costs one look at a variable, once or twice a batch.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

_on_fault: Callable[[str], None] | None = None


def fault(name: str) -> None:
    """Mark a point between two steps."""
    if _on_fault is not None:
        _on_fault(name)


def watch_faults(watch: Callable[[str], None] | None) -> None:
    """Have ``watch`` called with the name of each point that is passed; ``None`` for no more."""
    global _on_fault
    _on_fault = watch


def kill_at(name: str, occurrence: int = 1) -> None:
    """Have this process killed when it passes the point ``name`` for the n-th time, as ``kill -9`` would."""
    passed = 0

    def watch(point: str) -> None:
        nonlocal passed
        passed += point == name
        if passed == occurrence and point == name:
            os.kill(os.getpid(), signal.SIGKILL)

    watch_faults(watch)
