"""Text from records, messages and arguments, made safe to send to a terminal.

Control characters, escape sequences and characters that reorder what is seen are shown as Python's ``repr`` shows them,
never sent. Rich markup is not interpreted anywhere: not by the consoles, and not in ``rich.text.Text``.
"""

from __future__ import annotations

import os

from rich.console import Console
from rich.pretty import pretty_repr

from mainstem.printable import printable as printable
from mainstem.printable import shorten as shorten

_FILE_WIDTH = 120
"""Columns where nobody says how many there are: in a file, a pipe, a log."""


def plain_console(*, stderr: bool = False) -> Console:
    """Make a console that prints text as it is, what the user's code prints while a live table is shown included."""
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _FILE_WIDTH
    return console


def printable_lines(text: str) -> list[str]:
    """Return the lines of ``text``, each printable."""
    return [printable(line) for line in text.split("\n")]


def represent(value: object, *, length: int) -> str:
    """Show a record in one line of about ``length`` characters, even if its own ``__repr__`` fails."""
    shown = pretty_repr(value, max_width=1_000_000, max_length=50, max_string=length, max_depth=6)
    return shorten(printable(shown), length)
