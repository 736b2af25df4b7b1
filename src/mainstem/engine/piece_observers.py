"""What observes the work of a worker process or Ray task on its pieces, none of which can harm it."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager

from mainstem.errors import describe_error
from mainstem.run_observer import WorkerObserver

logger = logging.getLogger("mainstem.hooks")


class PieceObservers:
    """The observers that were sent with an errand. One that raises is logged, and not asked again.

    Args:
        packed: The observers, each packed by itself.
        stages: The names of the stages that pieces go through.
    """

    def __init__(self, packed: Sequence[bytes], stages: Sequence[str]) -> None:
        self._stages = stages
        self._observers: list[WorkerObserver] = []
        for each in packed:
            try:
                self._observers.append(pickle.loads(each))
            except Exception as error:
                _report("cannot be loaded in a worker process", error)

    @contextmanager
    def around(self, records: int) -> Generator[None]:
        """Let them observe the work on a piece, within a ``with`` block."""
        entered: list[tuple[WorkerObserver, AbstractContextManager[object]]] = []
        for observer in tuple(self._observers):
            try:
                around = observer(self._stages, records)
                if around is not None:
                    around.__enter__()
                    entered.append((observer, around))
            except Exception as error:
                self._drop(observer, error)
        try:
            yield
        finally:
            for observer, around in reversed(entered):
                try:
                    around.__exit__(None, None, None)
                except Exception as error:
                    self._drop(observer, error)

    def _drop(self, observer: WorkerObserver, error: Exception) -> None:
        self._observers = [each for each in self._observers if each is not observer]
        _report("failed in a worker process", error)


def _report(what: str, error: Exception) -> None:
    logger.error("an observer of a run %s: %s", what, describe_error(error), exc_info=error)
