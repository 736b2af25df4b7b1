"""``Workers``: how many processes a run may use, and when; ``Runner``: workers that are elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from mainstem.errors import missing_extra
from mainstem.options import check_count


@dataclass(frozen=True, slots=True)
class Workers:
    """How many worker processes a run may use for its elementwise stages and combiners: ``mainstem[processes]``.

    ``workers=2`` is short for ``workers=Workers(2)``.

    Args:
        count: The number of processes.
        always: Whether to use them even where it takes longer to send the records than to work on them. By default that
            is measured on the first records, and they stay in this process if it is so; a note in the result says so.

    Raises:
        ValueError: If ``count`` is no positive whole number.

    Example:
        >>> Workers(2)
        Workers(count=2, always=False)
    """

    count: int
    always: bool = False

    def __post_init__(self) -> None:
        check_count("workers", self.count)

    @property
    def place(self) -> str:
        """What they are called in reports, in the plural."""
        return "worker processes"

    def require(self) -> None:
        """Look that what runs them is installed.

        Raises:
            MissingExtraError: If it is not.
        """
        try:
            import_module("loky")
        except ImportError:
            raise missing_extra("Running worker processes", "processes") from None

    @classmethod
    def of(cls, workers: int | Workers | None) -> Workers | None:
        """Read the option ``workers`` of a run.

        Raises:
            ValueError: If it is a number that is not positive.
        """
        return workers if workers is None or isinstance(workers, Workers) else cls(workers)


class Runner(Workers, ABC):
    """Workers that are no processes of the run's own: given to a run as ``runner=``. Base class of ``RayRunner``.

    They do what worker processes would, by the same division of a pipeline, and give the same answer.
    """

    @abstractmethod
    def make_pool(self, errand: Any, change: Any) -> Any:
        """Return the engine's pool of workers for one section of a run (``mainstem.engine.worker_pool.WorkerPool``).

        Args:
            errand: What the workers are to do.
            change: Is told when a piece is done.
        """

    @staticmethod
    def or_workers(runner: Runner | None, workers: int | Workers | None) -> Workers | None:
        """Read the options ``runner`` and ``workers`` of a run, of which there is one at most.

        Raises:
            ValueError: If both are given, or ``workers`` is a number that is not positive.
            TypeError: If ``runner`` is something else.
        """
        if runner is None:
            return Workers.of(workers)
        if not isinstance(runner, Runner):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"runner is a Runner, such as RayRunner(), not {runner!r}")
        if workers is not None:
            raise ValueError("workers and runner both say where stages run: give one of them")
        return runner
