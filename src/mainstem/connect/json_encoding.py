"""Records as JSON, written so that reading gives them back: what sinks of files and of messages have in common."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, cast
from uuid import UUID

from mainstem.connect.rows import class_of, shown
from mainstem.errors import ValidationError, describe_error
from mainstem.records import field_reader, is_record_type

_SCALARS = frozenset((str, int, float, bool, type(None)))


def _json_value(value: Any) -> Any:
    """Give what ``json`` does not know in a form that it does."""
    if isinstance(value, Enum):
        return value.value
    if type(value) in (datetime, date, time):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if isinstance(value, Mapping) or is_record_type(type(value)):
        return _object_form(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON: {shown(value)}")


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_json_value).encode


def _object_form(record: Any) -> dict[str, Any]:
    fields = field_reader(class_of(record))(record)
    plain = fields if isinstance(fields, dict) else dict(fields)
    _check_keys(plain)
    return plain


def _check_keys(value: Any) -> None:
    """Check that all keys are texts: ``json`` would write ``{1: ..., True: ...}`` as texts without a word."""
    values = cast("Iterable[Any]", value if isinstance(value, (list, tuple)) else ())
    if isinstance(value, dict):
        fields: dict[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]  # of anything
        for key in fields:
            if not isinstance(key, str):
                raise TypeError(f"a key in JSON is a text, and {shown(key)} is {class_of(key).__name__}")
        values = fields.values()
    if not _SCALARS.issuperset(map(type, values)):
        for each in values:
            _check_keys(each)


def json_line(record: Any) -> bytes:
    """Return a record as a JSON object in UTF-8, with a line feed after it.

    Raises:
        Exception: If JSON cannot say it; ``unwritable_as_json`` makes the error for it.
    """
    return (_encode(_object_form(record)) + "\n").encode("utf-8")


def unwritable_as_json(error: Exception) -> ValidationError:
    """Return the error for a record that ``json_line`` did not take."""
    problem = str(error) if type(error) in (TypeError, ValueError) else describe_error(error)
    if isinstance(error, UnicodeEncodeError):
        problem = f"{error.object[error.start]!r} is half of a surrogate pair, which UTF-8 cannot hold"
    elif isinstance(error, RecursionError):
        problem = "it is nested too deep"
    unwritable = ValidationError(f"the record cannot be written as JSON: {problem}")
    unwritable.__cause__ = error
    return unwritable
