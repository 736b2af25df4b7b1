"""What goes wrong with observing is logged once, and never becomes the run's concern."""

from __future__ import annotations

import logging
from threading import Lock

from mainstem.errors import describe_error
from mainstem.secrets import redact_url

logger = logging.getLogger("mainstem.observe")


class Faults:
    """Logs the first of a series of faults, and, when things go well again, that they do.

    Args:
        what: What fails, as the start of a sentence.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = Lock()
        self._failing = False

    def report(self, error: BaseException) -> None:
        """Log an error, unless one was logged since things last went well."""
        with self._lock:
            first, self._failing = not self._failing, True
        if first:
            text = redact_url(describe_error(error))
            logger.warning("%s: %s; the run goes on, and further failures are not logged", self._what, text)

    def recovered(self) -> None:
        """Take note that things go well."""
        if not self._failing:
            return
        with self._lock:
            was, self._failing = self._failing, False
        if was:
            logger.info("%s no more", self._what)
