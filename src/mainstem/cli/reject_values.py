"""The records of rejects as the command line shows them: what the store holds, without loading anybody's classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from mainstem.cli.escape import printable, represent, shorten

_SHOWN_AS: dict[str, Callable[[Any], str]] = {
    "~i": lambda text: str(int(text, 16)),
    "~f": str,
    "~t": lambda content: f"({', '.join(map(_show, content))}{',' if len(content) == 1 else ''})",
    "~n": lambda text: f"Decimal({text!r})",
    "~u": lambda text: f"UUID({text!r})",
    "~dt": str,
    "~date": str,
    "~time": str,
    "~e": lambda content: f"{str(content[0]).rpartition('.')[2].rpartition(':')[2]}.{content[1]}",
    "~r": lambda content: (
        f"{str(content[0]).rpartition(':')[2].rpartition('.')[2]}({', '.join(map(_show, content[1:]))})"
    ),
}
"""How the marks of the store's JSON that are common are shown; others are shown as they are kept."""


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
    return shorten(printable(_show(value)), length)


def _show(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_show(each) for each in value)}]"  # pyright: ignore[reportUnknownVariableType]
    return _show_object(value) if isinstance(value, dict) else repr(value)  # pyright: ignore[reportUnknownArgumentType]


def _show_object(items: dict[str, Any]) -> str:
    if items and len(items) <= 2:
        mark, content = next(iter(items.items()))
        show = _SHOWN_AS.get(mark)
        if show is not None:
            return show(content)
    return f"{{{', '.join(f'{name!r}: {_show(each)}' for name, each in items.items())}}}"
