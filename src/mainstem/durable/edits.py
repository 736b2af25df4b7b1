"""The record with which a reject enters its stage again: as it was kept, or as somebody mended it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mainstem.errors import RejectError
from mainstem.secrets import SHOWN
from mainstem.store.codec import decode, encode, names_of
from mainstem.store.model import RejectRecord


def record_of(reject: RejectRecord) -> Any:
    """Return the record of a reject: the edited one, if there is one.

    Raises:
        RejectError: If only the ``repr`` of the record was kept, and nobody has edited it.
        StoreError: If it is of a class that is not loaded, or has changed.
    """
    if reject.edited is not None:
        return decode(reject.edited)
    if not reject.is_exact:
        raise reject_error(reject, _ONLY_REPR)
    return decode(reject.record)


def why_not_replayable(reject: RejectRecord) -> str | None:
    """Say why a reject's record cannot be replayed as it is; ``None`` if it can."""
    if reject.edited is not None:
        return None
    if reject.is_redacted:
        return "its secret fields were left out: supply them with edit_fields() first"
    return None if reject.is_exact else _ONLY_REPR


_ONLY_REPR = "its record could not be kept, only its repr: give the record with edit() first"


def edited_text(reject: RejectRecord, record: Any) -> str:
    """Return a mended record as it is kept.

    Raises:
        NotEncodableError: If it holds more than plain data.
        RejectError: If secret fields are still left out.
    """
    return _complete(reject, encode(record))


def with_fields(reject: RejectRecord, fields: Mapping[str, Any]) -> str:
    """Return a reject's record with other values in some fields, as it is kept.

    The other fields stay to the letter as they are: no constructor is called.

    Raises:
        NotEncodableError: If a value holds more than plain data.
        RejectError: If the record has no such field, or no fields at all, or secret ones are still left out.
    """
    record = record_of(reject)
    names = names_of(record.__class__)
    if isinstance(record, dict):
        return _complete(reject, encode({**record, **fields}))
    if names is None:
        raise reject_error(reject, f"its record is of type {type(record).__name__} and has no fields: give it whole")
    unknown = [name for name in fields if name not in names]
    if unknown:
        raise reject_error(
            reject, f"type {type(record).__name__} has no field {unknown[0]!r}: there are {', '.join(map(repr, names))}"
        )
    kept = json.loads(reject.record if reject.edited is None else reject.edited)
    for name, value in fields.items():
        kept["~r"][1 + names.index(name)] = json.loads(encode(value))
    return _complete(reject, json.dumps(kept, separators=(",", ":")))


def _complete(reject: RejectRecord, text: str) -> str:
    if reject.is_redacted and json.dumps(SHOWN) in text:
        raise reject_error(reject, f"its record still says {SHOWN} where a secret was left out: supply each such field")
    return text


def reject_error(reject: RejectRecord | int, problem: str) -> RejectError:
    """Make the error that says why something cannot be done with a reject."""
    if isinstance(reject, int):
        error = RejectError(f"reject {reject}: {problem}")
        error.reject = reject
        return error
    place = "" if reject.index is None else f", record {reject.index}"
    error = RejectError(f"reject {reject.id} (run {reject.run_id!r}, stage {reject.stage!r}{place}): {problem}")
    error.reject = reject.id
    return error
