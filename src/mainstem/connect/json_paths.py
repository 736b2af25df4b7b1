"""Paths to a value in decoded JSON: names with dots between."""

from __future__ import annotations

from typing import Any, cast

from mainstem.connect.strict_json import kind_of
from mainstem.errors import ConnectError


class JsonPath:
    """The way to a value in decoded JSON.

    Args:
        path: Names of fields, with dots between; each lies in the object before.

    Raises:
        ValueError: If it is none.

    Example:
        >>> JsonPath("data.items").get({"data": {"items": [1]}})
        [1]
    """

    def __init__(self, path: str) -> None:
        given: Any = path
        if not isinstance(given, str) or not all(given.split(".")):
            raise ValueError(f"a path is names of fields with dots between, such as 'data.items', not {path!r}")
        self._path = path

    def get(self, content: Any) -> Any:
        """Return the value.

        Raises:
            ConnectError: If it is not there; the text says what is.
        """
        value, so_far = content, "the page"
        for name in self._path.split("."):
            if not isinstance(value, dict):
                raise ConnectError(f"{so_far} is {kind_of(value)}, where an object with {name!r} is expected")
            fields = cast("dict[str, Any]", value)
            if name not in fields:
                raise ConnectError(f"{so_far} has no {name!r}: it has {', '.join(map(repr, fields)) or 'nothing':.300}")
            value = fields[name]
            so_far = repr(name)
        return value

    def find(self, content: Any) -> Any:
        """Return the value; ``None`` if it is not there."""
        value = content
        for name in self._path.split("."):
            if not isinstance(value, dict):
                return None
            value = cast("dict[str, Any]", value).get(name)
        return value
