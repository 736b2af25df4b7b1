"""What goes wrong with observing is logged once in a while, and never becomes the run's concern."""

from __future__ import annotations

import logging
from threading import Lock
from time import monotonic

from mainstem.errors import describe_error
from mainstem.secrets import redact_url

logger = logging.getLogger("mainstem.observe")

SILENT_SECONDS = 600.0
"""For how long nothing more is logged after a fault."""


class Faults:
    """Logs the first fault at once, and later ones every ten minutes at most.

    Args:
        what: What fails, as the start of a sentence.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = Lock()
        self._silent_until = 0.0
        self._since = 0

    def report(self, error: BaseException) -> None:
        """Log an error, unless one was logged not long ago."""
        with self._lock:
            now = monotonic()
            if now < self._silent_until:
                self._since += 1
                return
            before, self._since, self._silent_until = self._since, 0, now + SILENT_SECONDS
        more = f", as {before:,} times since this was last logged" if before else ""
        logger.warning("%s%s: %s; runs go on without", self._what, more, redact_url(describe_error(error)))
