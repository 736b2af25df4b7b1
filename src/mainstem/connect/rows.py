"""Records as rows: the values of each in the order of the columns, with no key dropped and none filled in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias

from mainstem.connect.frame_rows import FrameRows
from mainstem.errors import ValidationError, describe_error
from mainstem.records import field_hints, field_reader

Row: TypeAlias = tuple[Any, ...]


def class_of(value: object) -> type[Any]:
    """Return the class of a value of any type, for which type checkers have no name."""
    return type(value)


def shown(value: object) -> str:
    """Show a value in an error message: cut where it is long, and whatever its own ``__repr__`` does."""
    try:
        return f"{value!r:.100}"
    except Exception:
        return f"a value of {type(value).__name__} that cannot be shown"


def keys_of(record: object) -> tuple[str, ...]:
    """Return the names of a record's fields, in order.

    Raises:
        ValidationError: If it is no record, or a key is no text.
    """
    try:
        keys: tuple[Any, ...] = tuple(_fields_of(record))
    except ValidationError:
        raise
    except Exception as error:  # a record's own methods may raise anything
        raise _unreadable(error) from error
    for key in keys:
        if not issubclass(class_of(key), str):
            raise ValidationError(f"a record's keys must be texts, and {shown(key)} is {class_of(key).__name__}")
    return tuple(map(str.__str__, keys))  # not as a class of their own may show them


def _fields_of(record: object) -> Mapping[Any, Any]:
    try:
        read = field_reader(class_of(record))
    except TypeError as error:
        raise ValidationError(str(error)) from None
    return read(record)


def _unreadable(error: Exception) -> ValidationError:
    return ValidationError(f"the record's fields cannot be read: {describe_error(error)}")


class RowReader:
    """Turns records into rows of the same columns.

    Args:
        columns: The columns; every record must have exactly these keys.
        target: What has the columns, for error messages.
    """

    def __init__(self, columns: Sequence[str], target: str) -> None:
        self.columns = tuple(columns)
        self._target = target
        self._readers: dict[type, Callable[[Any], Row] | None] = {}

    def read(self, records: Sequence[Any]) -> tuple[list[Row], list[tuple[int, Exception]]]:
        """Return the rows, and for each record that has other keys its position and the error.

        Records of one class are read at C speed; only if that fails, or classes mix, is each looked at.
        """
        if isinstance(records, FrameRows):
            return self._read_frame(records)
        kinds: set[type[Any]] = set(map(type, records))
        if len(kinds) == 1:
            rows = self._read_alike(records, kinds.pop())
            if rows is not None:
                return rows, []
        rows = list[Row]()
        failures = list[tuple[int, Exception]]()
        for at, record in enumerate(records):
            try:
                rows.append(self._read_one(record))
            except ValidationError as error:
                failures.append((at, error))
        return rows, failures

    def _read_frame(self, records: FrameRows) -> tuple[list[Row], list[tuple[int, Exception]]]:
        frame = records.frame
        if set(frame.columns) == set(self.columns):
            return frame.select(self.columns).rows(), []
        return [], [(at, ValidationError(self._mismatch(frame.columns))) for at in range(frame.height)]

    def _read_alike(self, records: Sequence[Any], kind: type[Any]) -> list[Row] | None:
        columns = self.columns
        if kind is dict:
            if set(map(len, records)) != {len(columns)}:
                return None
            try:
                return list(map(_getter(itemgetter, columns), records))
            except KeyError:
                return None
        if kind not in self._readers:
            hints = field_hints(kind) or {}
            alike = set(hints) == set(columns) and not issubclass(kind, Mapping) and not hasattr(kind, "model_fields")
            self._readers[kind] = _getter(attrgetter, columns) if alike else None
        reader = self._readers[kind]
        try:
            return None if reader is None else list(map(reader, records))
        except Exception:
            return None  # found again, with the record it is in

    def _read_one(self, record: object) -> Row:
        keys = keys_of(record)
        if set(keys) != set(self.columns):
            raise ValidationError(self._mismatch(keys))
        try:
            fields = _fields_of(record)
            return tuple(fields[name] for name in self.columns)
        except Exception as error:
            raise _unreadable(error) from error

    def _mismatch(self, keys: Sequence[str]) -> str:
        unknown = [key for key in keys if key not in self.columns]
        missing = [name for name in self.columns if name not in keys]
        parts = [f"has {_listed(unknown)}, which {self._target} has not"] if unknown else []
        parts += [f"lacks {_listed(missing)}"] if missing else []
        return f"the record {' and '.join(parts)}; the columns are {_listed(self.columns)}"


def _listed(names: Iterable[str]) -> str:
    text = ", ".join(map(repr, names))
    return text if len(text) <= 500 else f"{text[:500]}..."


def _getter(make: Callable[..., Callable[[Any], Any]], names: tuple[str, ...]) -> Callable[[Any], Row]:
    if len(names) == 1:
        read = make(names[0])
        return lambda record: (read(record),)
    return make(*names) if names else lambda record: ()
