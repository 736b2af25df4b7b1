"""What a section of a run asks of its workers, wherever they are: pieces go there, and come back done."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from mainstem.engine.sendable import describe_range, refuse_unsendable
from mainstem.engine.worker import Done, Errand
from mainstem.errors import NotSendableError, WorkerFunctionError, describe_error


@dataclass(slots=True, eq=False)
class Piece:
    """Records that a worker was given.

    Attributes:
        first: The position of the first of them in the section's input.
        count: How many they are.
        future: What became of them, packed, and what came out.
    """

    first: int
    count: int
    future: Future[tuple[bytes, bytes]]


class WorkerPool(Protocol):
    """Workers that know the stages of one errand."""

    async def start(self) -> None:
        """Start the workers, or find them.

        Raises:
            NotSendableError: If they cannot load the stages.
            WorkerDiedError: If they cannot be started.
        """
        ...

    def submit(self, records: list[Any], first: int) -> Piece:
        """Give a piece to the next worker that is free.

        Args:
            records: The records.
            first: The position of the first of them in the section's input.

        Raises:
            NotSendableError: If a record cannot be sent.
            WorkerDiedError: If a worker ended meanwhile.
        """
        ...

    async def wait(self, pieces: Sequence[Piece]) -> Piece:
        """Wait until one of the pieces is done, and return it."""
        ...

    async def wait_for_change(self) -> None:
        """Wait until something may be done; the caller has looked that nothing is, since it last waited."""
        ...

    def take(self, piece: Piece) -> tuple[Done, bytes]:
        """Return what became of a piece that is done, and what came out, which is still packed.

        Raises:
            NotSendableError: If the worker could not read the stages or the records.
            WorkerDiedError: If a worker ended meanwhile.
            WorkerFunctionError: If a record that failed there cannot be read here.
        """
        ...

    async def close(self) -> None:
        """End what is under way, at once, and wait until it is."""
        ...


def names_of(errand: Errand) -> str:
    """Name the stages of an errand, for messages."""
    return ", ".join(map(repr, errand.names or [errand.combiner_name or "the aggregation"]))


def pack_errand(errand: Errand) -> bytes:
    """Pack an errand.

    Raises:
        NotSendableError: If it cannot be sent.
    """
    try:
        # Not ``pack``, which packs each class by itself: all functions are to share one copy of the globals.
        packed: bytes = import_module("cloudpickle").dumps(errand)
    except Exception as error:  # since the run began, stages may have changed, or put something into its metadata
        refuse_unsendable(errand.stages, errand.names, errand.metadata)
        raise NotSendableError(f"stages cannot be sent to worker processes: {describe_error(error)}") from error
    return packed


def read_done(answer: bytes, piece: Piece) -> Done:
    """Read what became of a piece.

    Raises:
        WorkerFunctionError: If a record that failed there cannot be read here.
    """
    try:
        done: Done = pickle.loads(answer)
    except Exception as error:
        raise WorkerFunctionError(
            f"what became of {describe_range(piece.first, piece.count)} cannot be read outside the worker process: "
            f"{describe_error(error)}"
        ) from error
    return done
