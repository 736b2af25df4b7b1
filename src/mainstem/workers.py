"""``Workers``: how many processes a run may use, and when."""

from __future__ import annotations

from dataclasses import dataclass

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

    @classmethod
    def of(cls, workers: int | Workers | None) -> Workers | None:
        """Read the option ``workers`` of a run.

        Raises:
            ValueError: If it is a number that is not positive.
        """
        return workers if workers is None or isinstance(workers, Workers) else cls(workers)
