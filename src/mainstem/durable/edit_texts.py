"""Records of rejects as text that a person edits, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from uuid import UUID

from mainstem.durable.edits import record_of
from mainstem.errors import StoreError
from mainstem.store.codec import decode, encode, names_of
from mainstem.store.model import RejectRecord

if TYPE_CHECKING:
    from mainstem.durable.ledger import RejectLedger

_READERS: dict[type[Any], Callable[[str], Any]] = {
    str: str,
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    time: time.fromisoformat,
    Decimal: Decimal,
    UUID: UUID,
}
"""How the text of a field is read that has a value of such a type; others are JSON, or text if they are none."""


def value_of(record: Any, name: str) -> Any:
    """Return the value of a record's field; ``None`` if it has none of that name."""
    return record.get(name) if isinstance(record, dict) else getattr(record, name, None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def read_field(text: str, before: object) -> Any:
    """Read a field's new value as one of the type that it had; where that is not plain, as JSON or else text.

    Raises:
        ValueError: If it is none.
    """
    read = _READERS.get(type(before))
    if read is None:
        try:
            return decode(text)
        except StoreError:
            return text
    try:
        return read(text)
    except (ValueError, InvalidOperation):
        raise ValueError(f"it is a {type(before).__name__}, and this is none") from None


def parsed(text: str) -> Any:
    """Read a whole record from JSON.

    Raises:
        ValueError: If it is no JSON, or none that can be kept.
    """
    try:
        json.loads(text)
    except ValueError as error:
        raise ValueError(f"is no JSON: {error}") from None
    try:
        return decode(text)
    except StoreError as error:  # an object that looks like one of the store's own marks, or NaN
        raise ValueError(f"cannot be kept: {error}") from None


def has_fields(reject: RejectRecord) -> bool:
    """Say whether the record of a reject is no dictionary, and has fields.

    Raises:
        StoreError: If it is of a class that is not loaded.
    """
    return (reject.is_exact or reject.edited is not None) and _names_of(record_of(reject)) is not None


def keep_whole(ledger: RejectLedger, reject: RejectRecord, value: Any, by: str | None) -> None:
    """Keep a whole record; of one that has fields and is no dictionary, an object holds the fields."""
    if isinstance(value, dict) and has_fields(reject):
        ledger.edit_fields(reject.id, value, by=by)  # pyright: ignore[reportUnknownArgumentType]
    else:
        ledger.edit(reject.id, value, by=by)


def _names_of(record: object) -> tuple[str, ...] | None:
    return names_of(type(record))


def editable(reject: RejectRecord) -> Any:
    """Return the record of a reject in plain JSON values, as it is edited.

    Raises:
        StoreError: If it is of a class that is not loaded.
    """
    if reject.edited is None and not reject.is_exact:
        return json.loads(reject.record)
    record = record_of(reject)
    names = _names_of(record)
    if names is None:
        return json.loads(encode(record))
    return {name: json.loads(encode(getattr(record, name))) for name in names}
