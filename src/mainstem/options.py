"""Checking the options that stages are made with."""

from __future__ import annotations

from math import inf


def check_count(what: str, number: object) -> None:
    """Check that ``number`` is a positive whole number.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(f"{what} must be a positive whole number, not {number!r}")


def check_seconds(what: str, seconds: object, *, zero: bool = False) -> None:
    """Check that ``seconds`` is a positive, finite number; with ``zero``, that it is that or 0.

    Raises:
        ValueError: If it is not.
    """
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 <= seconds < inf and (seconds or zero):
        return
    kind = "number of seconds, 0 or more" if zero else "positive number of seconds"
    raise ValueError(f"{what} must be a {kind}, not {seconds!r}")
