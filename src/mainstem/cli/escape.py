"""Text from records, messages and arguments, made safe to send to a terminal.

Control characters, escape sequences and characters that reorder what is seen are shown as Python's ``repr`` shows them,
never sent. Rich markup is not interpreted anywhere: not by the consoles, and not in ``rich.text.Text``.
"""

from __future__ import annotations

import os
import re
from unicodedata import category

from rich.console import Console
from rich.pretty import pretty_repr

_FILE_WIDTH = 120
"""Columns where nobody says how many there are: in a file, a pipe, a log."""

_ORDINARY = re.compile(r"[ -~]*")


def plain_console(*, stderr: bool = False) -> Console:
    """Make a console that prints text as it is, what the user's code prints while a live table is shown included."""
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _FILE_WIDTH
    return console


def printable(text: str) -> str:
    """Return ``text`` as one line in which every character that is not to be seen as itself is escaped.

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


def printable_lines(text: str) -> list[str]:
    """Return the lines of ``text``, each printable."""
    return [printable(line) for line in text.split("\n")]


def shorten(text: str, length: int) -> str:
    """Cut ``text`` if it is longer than ``length``, and say how much was cut."""
    return text if len(text) <= length else f"{text[:length]}… ({len(text) - length:,} more characters)"


def represent(value: object, *, length: int) -> str:
    """Show a record in one line of about ``length`` characters, even if its own ``__repr__`` fails."""
    shown = pretty_repr(value, max_width=1_000_000, max_length=50, max_string=length, max_depth=6)
    return shorten(printable(shown), length)
