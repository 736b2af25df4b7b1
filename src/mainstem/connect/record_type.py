"""The ``record_type`` of sources and sinks."""

from __future__ import annotations

from typing import Any

from mainstem.records import is_record_type


def model_of(record_type: type[Any], stage: str) -> type[Any] | None:
    """Return the type that records are parsed into; ``None`` for plain dicts.

    Raises:
        TypeError: If it is no type of records.
    """
    if record_type is dict:
        return None
    if is_record_type(record_type):
        return record_type
    raise TypeError(
        f"record_type of {stage} must be dict, a dataclass, TypedDict, msgspec Struct or pydantic model, "
        f"not {record_type!r}"
    )
