"""The records of rejects as the command line shows them: what the store holds, without loading anybody's classes."""

from __future__ import annotations

import json

from mainstem.cli.escape import printable, represent, shorten
from mainstem.durable.kept_values import show_value


def show_kept(text: str, *, is_exact: bool = True, length: int) -> str:
    """Show a kept record in one line of about ``length`` characters."""
    try:
        value = json.loads(text)
    except ValueError:
        return shorten(printable(text), length)
    if not is_exact:
        return shorten(printable(str(value)), length)
    if isinstance(value, str):
        return represent(value, length=length)
    return shorten(printable(show_value(value)), length)
