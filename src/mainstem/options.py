"""Checking the options that stages are made with, and those of runs."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf


def check_names(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Check that each keyword is one that there is: where any may be left out, a wrong one would just do nothing.

    Args:
        what: What has them, with its article.
        given: The keywords that were given.
        known: Those that there are.

    Raises:
        TypeError: If one is none of them.
    """
    names = sorted(known)
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise TypeError(f"{what} has no option {unknown[0]!r}: there are {', '.join(names)}")


def check_count(what: str, number: object, *, least: int = 1) -> None:
    """Check that ``number`` is a whole number, and at least ``least``.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        kind = "a positive whole number" if least == 1 else f"a whole number of at least {least}"
        raise ValueError(f"{what} must be {kind}, not {number!r}")


def check_choice(what: str, value: object, choices: Iterable[str]) -> None:
    """Check that ``value`` is one of the choices.

    Raises:
        ValueError: If it is none.
    """
    known = list(choices)
    if value not in known:
        raise ValueError(f"{what} is one of {', '.join(known)}, not {value!r}")


def check_seconds(what: str, seconds: object, *, zero: bool = False) -> None:
    """Check that ``seconds`` is a positive, finite number; with ``zero``, that it is that or 0.

    Raises:
        ValueError: If it is not.
    """
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 <= seconds < inf and (seconds or zero):
        return
    kind = "number of seconds, 0 or more" if zero else "positive number of seconds"
    raise ValueError(f"{what} must be a {kind}, not {seconds!r}")
