"""Taking the records out of whatever a stage is handed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from typing_extensions import TypeVar

from mainstem.errors import add_note_once
from mainstem.frame_data import is_frame

T = TypeVar("T")


def iterate(data: Iterable[T]) -> Iterator[T]:
    """Return an iterator over the records of ``data``.

    Raises:
        TypeError: If there are none to be had.
    """
    if is_frame(data):
        raise TypeError(
            "a stage of records was handed a frame, whose iterator gives columns: put ToRecords() before it"
        )
    kind = type(data)
    if not hasattr(kind, "__iter__") and not hasattr(kind, "__getitem__"):
        raise TypeError(f"a collection of records is needed, and {kind.__name__} is none")
    return iter(data)


def take_all(data: Iterable[T]) -> tuple[Sequence[T], Exception | None]:
    """Take all records out of ``data``; if it raises on the way, those before it and what it raised."""
    if isinstance(data, (list, tuple)):
        return data, None
    records: list[T] = []
    try:
        records.extend(iterate(data))
    except Exception as error:
        add_note_once(error, f"raised by the input after {len(records)} records")
        return records, error
    return records, None
