"""Whether worker processes are worth it: what it costs to send records, against what it costs to work on them."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from mainstem.engine.packing import pack, sendable_piece

PROBE_SECONDS = 0.01
"""How long records are worked on here before the first decision."""

START_SECONDS = 0.3
"""About what it takes to start worker processes: they must save more than that."""

PIECE_SECONDS = 0.05
"""How much work a piece should be: enough to forget what sending it costs, and not too much to share out evenly."""

TASK_SECONDS = 0.0003
"""About what it costs to give a worker a piece, beside what depends on its size."""

LARGEST_PART = 0.8
"""Workers must take no more than this part of the time that it takes here, for all that cannot be foreseen."""

MEASURED_RECORDS = 2000
"""For how many records the way is measured: measuring it costs as much as sending them would."""


class ShippingCost:
    """Measures records that are worked on in this process, and says whether workers would be quicker.

    Args:
        workers: How many there would be.
        processors: How many there are to run on.
    """

    def __init__(self, workers: int, processors: int | None = None) -> None:
        self._workers = workers
        self._processors = processors or available_processors()
        self._records = self._sent = 0
        self._work = self._here = self._there = 0.0
        self._worked = self._seconds = 0.0
        self.reason = "nothing was worth sending"
        """Why the records stay in this process, in plain words."""

    def add(self, records: Sequence[Any], output: Sequence[Any], seconds: float) -> None:
        """Count records that were worked on in so many seconds, with what came out."""
        self._records += len(records)
        self._work += seconds
        self.add_elsewhere(len(records), seconds)
        if self._sent < MEASURED_RECORDS:
            self._sent += len(records)
            for sent, here, there in ((records, 0, 1), (output, 1, 0)):
                started = perf_counter()
                try:
                    packed = pack(sendable_piece(sent))
                    between = perf_counter()
                    pickle.loads(packed)
                except Exception:
                    continue  # sending them will fail, and say why: that is no matter of cost
                ended = perf_counter()
                # What this process sends it packs, what it gets back it unpacks; a worker does the rest.
                self._here += between - started if not here else ended - between
                self._there += ended - between if there else between - started

    def add_elsewhere(self, records: int, seconds: float) -> None:
        """Count records that a worker worked on, for the size of pieces."""
        self._worked += records
        self._seconds += seconds

    @property
    def next_piece(self) -> int:
        """How many records to work on here before deciding again."""
        if self._work < PROBE_SECONDS:
            return max(1, self._records)
        return self.piece_size(self._records)

    def piece_size(self, given: int) -> int:
        """Return how many records make a piece of ``PIECE_SECONDS``, when so many were given to be worked on."""
        if not self._seconds:
            return max(1, given)  # nothing is known yet: half of all, to learn about them with no great risk
        return max(1, int(PIECE_SECONDS * self._worked / self._seconds))

    def worthwhile(self, remaining: int | None, chunk: int) -> bool:
        """Whether workers would be quicker.

        Args:
            remaining: How many records there still are; ``None`` if that is not known.
            chunk: How many there are in a chunk, which is the most that there are in a piece.
        """
        self.reason = "there was too little work to start worker processes for"
        if self._work < PROBE_SECONDS:
            return False
        work = self._work / self._records
        here, there = self._here / self._sent, self._there / self._sent
        task = TASK_SECONDS / min(self.piece_size(0), chunk)
        cores = min(self._processors, self._workers + 1)
        shipped = task + max(here, (work + there) / self._workers, (work + here + there) / cores)
        if shipped > LARGEST_PART * work:
            self.reason = (
                f"with {self._workers} worker processes a record would take about {_duration(shipped)}, sending it "
                f"there and back included, and {_duration(work)} here"
            )
            return False
        if remaining is None:
            return self._work > START_SECONDS  # as likely as not as much again is to come
        return remaining * (work - shipped) > START_SECONDS


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds * 1e6:.2g} µs"


def available_processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
