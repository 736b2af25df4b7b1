"""Checking the options that stages are made with."""

from __future__ import annotations


def check_count(what: str, number: object) -> None:
    """Check that ``number`` is a positive whole number.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(f"{what} must be a positive whole number, not {number!r}")
