"""The signs of life of a run: from a thread, so that code which holds up the event loop does not cost it its lease."""

from __future__ import annotations

import logging
from threading import Event, Thread

from mainstem.errors import LeaseLostError, MainstemError, describe_error
from mainstem.store.model import Lease
from mainstem.store.store import Store

logger = logging.getLogger("mainstem.durable")


class Heartbeat:
    """Renews a lease until it is stopped, or lost.

    Args:
        store: The store.
        lease: The lease.
    """

    def __init__(self, store: Store, lease: Lease) -> None:
        self._store, self._lease = store, lease
        self._stopped = Event()
        self._thread = Thread(target=self._beat, name=f"mainstem lease of {lease.run_id}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for that."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _beat(self) -> None:
        while not self._stopped.wait(self._lease.seconds / 4):
            try:
                self._store.renew(self._lease)
            except LeaseLostError:
                return  # the run's next commit says so
            except MainstemError as error:  # may pass; if not, the next commit fails as well
                logger.warning("run %s: no sign of life could be given: %s", self._lease.run_id, describe_error(error))
