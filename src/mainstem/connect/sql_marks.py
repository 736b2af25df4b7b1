"""Placeholders: how each database's driver has them written in a query, and values put in besides those given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mainstem.connect.query_source import Parameters
from mainstem.connect.table_columns import quoted


class Marks:
    """Adds values to a query's parameters, each under a placeholder.

    Args:
        parameters: The parameters that are given.
        positional: The placeholder in a sequence, ``?`` say; ``None`` if parameters are always named.
        named: The form of a named placeholder, ``:{}`` say.
        percent: Whether a ``%`` is doubled in a query that has parameters.
        quote: Makes an identifier of a name.

    Attributes:
        parameters: All parameters.
    """

    def __init__(
        self,
        parameters: Parameters,
        positional: str | None,
        named: str,
        *,
        percent: bool = False,
        quote: Callable[[str], str] = quoted,
    ) -> None:
        self._given = bool(parameters)
        is_named = isinstance(parameters, Mapping) or (positional is None and not parameters)
        self._positional = None if is_named else positional
        self._named, self._percent, self._quote = named, percent, quote
        self.parameters: Any = dict(parameters) if is_named else list(parameters)
        self._stem = "mainstem_value"
        while any(str(name).startswith(self._stem) for name in (self.parameters if is_named else ())):
            self._stem += "_"

    def add(self, value: Any) -> str:
        """Keep a value, and return its placeholder; placeholders must be used in the order they were added."""
        if self._positional is not None:
            self.parameters.append(value)
            return self._positional
        name = f"{self._stem}{len(self.parameters)}"
        self.parameters[name] = value
        return self._named.format(name)

    def name(self, column: str, of: str = "query") -> str:
        """Return the qualified name of a column; SQLite would take an unknown one without it for a text."""
        return self.text(f"{self._quote(of)}.{self._quote(column)}")

    def text(self, text: str) -> str:
        """Return a text of ours as part of the query, to be called after all values were added."""
        return text.replace("%", "%%") if self._percent and self.parameters else text

    def rows(self, query: str) -> str:
        """Return what gives the rows of the query in a FROM clause, to be called after all values were added.

        The query is on lines of its own, because it may end with a comment.
        """
        if self._percent and not self._given and self.parameters:
            query = query.replace("%", "%%")  # which without parameters is just a character
        return f"(\n{query.rstrip().rstrip(';')}\n) AS {self._quote('query')}"

    def qualified(self, columns: Sequence[str]) -> list[str]:
        """Return the qualified names of columns."""
        return [self.name(each) for each in columns]


def row_value(parts: Sequence[str]) -> str:
    """Return several values as one that is compared as a whole."""
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"
