"""Records as the store keeps them, shown as text: nobody's classes are loaded for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_SHOWN_AS: dict[str, Callable[[Any], str]] = {
    "~i": lambda text: str(int(text, 16)),
    "~f": str,
    "~t": lambda content: f"({', '.join(map(show_value, content))}{',' if len(content) == 1 else ''})",
    "~n": lambda text: f"Decimal({text!r})",
    "~u": lambda text: f"UUID({text!r})",
    "~dt": str,
    "~date": str,
    "~time": str,
    "~e": lambda content: f"{str(content[0]).rpartition('.')[2].rpartition(':')[2]}.{content[1]}",
    "~r": lambda content: (
        f"{str(content[0]).rpartition(':')[2].rpartition('.')[2]}({', '.join(map(show_value, content[1:]))})"
    ),
}
"""How the marks of the store's JSON that are common are shown; others are shown as they are kept."""


def show_value(value: Any) -> str:
    """Show a value of the store's JSON as Python would show what it stands for; control characters included."""
    if isinstance(value, list):
        return f"[{', '.join(show_value(each) for each in value)}]"  # pyright: ignore[reportUnknownVariableType]
    return _show_object(value) if isinstance(value, dict) else repr(value)  # pyright: ignore[reportUnknownArgumentType]


def _show_object(items: dict[str, Any]) -> str:
    if items and len(items) <= 2:
        mark, content = next(iter(items.items()))
        show = _SHOWN_AS.get(mark)
        if show is not None:
            return show(content)
    return f"{{{', '.join(f'{name!r}: {show_value(each)}' for name, each in items.items())}}}"
