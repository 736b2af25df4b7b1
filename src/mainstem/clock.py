"""The clock that limits and retries go by, in one place, so that a test can put a virtual one there.

It is read as an attribute of this module, ``clock.monotonic()``, and never imported by name: so what
``mainstem.testing.VirtualClock`` puts in its place is seen by all, and nobody pays for a clock being handed around.
Sleeping needs no such place: it is done by the event loop, which has a clock of its own, and ``event_loop`` says which.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

monotonic: Callable[[], float] = time.monotonic
"""Seconds from some beginning."""
monotonic_ns: Callable[[], int] = time.monotonic_ns
"""The same in whole nanoseconds."""
perf_counter: Callable[[], float] = time.perf_counter
"""Seconds, for measuring what was spent on waiting."""
event_loop: dict[str, Any] = {}
"""Of which kind the event loop of blocking forms, such as ``Pipeline.run``, is: options of ``anyio.run``."""
