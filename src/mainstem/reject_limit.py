"""How many records may be rejected before a run stops."""

from __future__ import annotations

from mainstem.errors import RejectLimitError
from mainstem.options import check_count

FEWEST = 1000
"""A share of fewer records than this says little: fewer that were read count as so many, until the input has ended."""


class RejectLimit:
    """Counts the rejects of a run, and stops it at the first that is one too many.

    Args:
        most: How many records may be rejected; ``None`` for any number.
        rate: Which share of the records that were read may be rejected, from 0 to 1; ``None`` for any. It is looked at
            from the thousandth record on, and at the end.

    Attributes:
        rejected: How many have been.

    Raises:
        ValueError: If one of them is none.
    """

    def __init__(self, most: int | None = None, rate: float | None = None) -> None:
        if most is not None:
            check_count("max_rejects", most, least=0)
        if rate is not None and not _is_share(rate):
            raise ValueError(f"max_reject_rate must be a share between 0 and 1, not {rate!r}")
        self._most, self._rate = most, rate
        self.rejected = 0
        self._stopped: str = ""

    def check_open(self) -> None:
        """Refuse a further reject if the limit was reached: the run is about to stop.

        Raises:
            RejectLimitError: If it was.
        """
        if self._stopped:
            raise RejectLimitError(self._stopped)

    def count(self, error: Exception, records_in: int) -> None:
        """Count a reject, ``records_in`` having been read so far.

        Raises:
            RejectLimitError: If it is one too many; its cause is ``error``.
        """
        self.rejected += 1
        if self._most is not None and self.rejected > self._most:
            self._stop(f"{self.rejected:,} records are rejected, and max_rejects is {self._most:,}", error)
        self._check_rate(max(records_in, FEWEST), error)

    def check_end(self, records_in: int) -> None:
        """Look at the share once more, now that ``records_in`` is all there is.

        Raises:
            RejectLimitError: If it is too large.
        """
        if records_in:
            self._check_rate(records_in, None)

    def _check_rate(self, records_in: int, error: Exception | None) -> None:
        if self._rate is not None and self.rejected > self._rate * records_in:
            self._stop(
                f"{self.rejected:,} of {records_in:,} records are rejected, and max_reject_rate is {self._rate:g}",
                error,
            )

    def _stop(self, reason: str, error: Exception | None) -> None:
        self._stopped = f"{reason}: mend what is wrong with them, or allow more, and run again"
        raise RejectLimitError(self._stopped) from error


def _is_share(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 <= value <= 1
