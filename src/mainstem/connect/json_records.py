"""Records out of decoded JSON objects, and what is wrong with those that cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from mainstem.connect.strict_json import decode_json, flaw_in, kind_of, without_flaws
from mainstem.errors import ConnectError, ValidationError
from mainstem.records import parse_each, record_parser


class JsonRecords:
    """Makes records of decoded JSON objects.

    Args:
        model: The type that they are parsed into; ``None`` for dicts.

    Raises:
        MissingExtraError: If it takes a package that is not installed.
    """

    def __init__(self, model: type[Any] | None) -> None:
        self._parse = None if model is None else record_parser(model)

    def read_all(self, items: Sequence[Any], *, has_flaws: bool) -> tuple[list[Any], list[tuple[int, Exception]]]:
        """Return the records, and for each item that cannot be one its position and the error.

        Args:
            items: What was decoded.
            has_flaws: Whether there may be flaws in it.
        """
        if not has_flaws and set(map(type, items)) <= {dict}:
            return (list(items), []) if self._parse is None else parse_each(self._parse, items)
        return parse_each(self.read, items)

    def read(self, item: Any) -> Any:
        """Return the record that an item is.

        Raises:
            ConnectError: If it is no object, or has a flaw.
            ValidationError: If its type refuses it.
        """
        flaw = flaw_in(item)
        if flaw is not None:
            raise ConnectError(flaw.problem)
        if not isinstance(item, dict):
            raise ConnectError(f"{kind_of(item)} where an object is expected")
        return cast("Any", item) if self._parse is None else self._parse(item)

    def read_again(self, record: Any) -> Any:
        """Return the record that a mended one is: a mapping, or JSON in a text or bytes.

        Raises:
            ConnectError: If it is none of these, or cannot be read.
            ValidationError: If its type refuses it.
        """
        if isinstance(record, Mapping):
            return self.read(dict(cast("Mapping[str, Any]", record)))
        if not isinstance(record, (str, bytes)):
            raise ConnectError(f"a record is a mapping, or JSON in a text or bytes, not {type(record).__name__}")
        try:
            item, _ = decode_json(record if isinstance(record, bytes) else record.encode("utf-8"))
        except ValueError as error:
            raise ConnectError(str(error)) from error
        return self.read(item)


def located(error: Exception, where: str) -> Exception:
    """Return an error of a record that says where the record is."""
    problem = (ValidationError if isinstance(error, ValidationError) else ConnectError)(f"{where}: {error}")
    problem.__cause__ = error
    return problem


def kept(item: Any) -> Any:
    """Return an item as it is kept when it is rejected."""
    return without_flaws(item)
