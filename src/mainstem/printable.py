"""Text from records, messages and arguments, made safe to show: one line, in which nothing is other than it seems."""

from __future__ import annotations

import re
from unicodedata import category

_ORDINARY = re.compile(r"[ -~]*")


def printable(text: str) -> str:
    """Return ``text`` as one line in which every character that is not to be seen as itself is escaped.

    Control characters, and those that reorder what is seen, are shown as Python's ``repr`` shows them.

    Example:
        >>> print(printable("a\\x1b[31mb"))
        a\\x1b[31mb
    """
    if _ORDINARY.fullmatch(text):
        return text
    return "".join(
        each if each.isprintable() or category(each) == "Zs" else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


def shorten(text: str, length: int) -> str:
    """Cut ``text`` if it is longer than ``length``, and say how much was cut."""
    return text if len(text) <= length else f"{text[:length]}… ({len(text) - length:,} more characters)"
