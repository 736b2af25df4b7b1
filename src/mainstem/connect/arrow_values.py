"""What Arrow's values are in Python: the same, or refused.

| Arrow | Python |
| --- | --- |
| null, bool, integers | ``None``, ``bool``, ``int`` |
| float16, float32, float64 | ``float``: each fits |
| decimals | ``Decimal`` with the same digits |
| text, also large and as views | ``str``; bytes that are no UTF-8 are refused |
| binary, also large, of fixed size and as views | ``bytes`` |
| date32, date64 | ``date``; a date64 that is not midnight is refused |
| time32, time64 | ``time``; nanoseconds that are no whole microseconds are refused |
| timestamp | ``datetime`` without time zone; nanoseconds as above, and years beyond 1 to 9999 are refused |
| timestamp with time zone | ``datetime`` in that zone, with ``fold`` where a clock is set back |
| duration | ``timedelta``; nanoseconds as above |
| lists of any kind | ``list`` |
| struct | ``dict``; one that has a name twice is refused |
| map | ``list`` of pairs, for a key may come twice |
| dictionary | the values that it stands for |
| UUID, JSON | ``UUID``, ``str`` |
| interval, union, run-end encoded, other extensions | refused: leave the column out with ``columns`` |
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from mainstem.errors import ConnectError, missing_extra

_SAME = (
    "null",
    "boolean",
    "integer",
    "floating",
    "decimal",
    "string",
    "large_string",
    "string_view",
    "binary",
    "large_binary",
    "binary_view",
    "fixed_size_binary",
    "date32",
    "time32",
)
_EXTENSIONS = ("arrow.uuid", "arrow.json")


def load_arrow(purpose: str) -> Any:
    """Return pyarrow.

    Raises:
        MissingExtraError: If ``mainstem[frames]`` is not installed.
    """
    try:
        return import_module("pyarrow")
    except ImportError:
        raise missing_extra(purpose, "frames") from None


class RowMaker:
    """Makes dicts of the rows of record batches.

    Args:
        schema: What the batches are of.
        name: Where they are from, as messages show it.

    Raises:
        ConnectError: If a column's values have no equals in Python, or two columns have the same name.
    """

    def __init__(self, schema: Any, name: str) -> None:
        self._arrow = load_arrow("Reading Arrow data")
        self._name = name
        self.columns: Sequence[str] = tuple(schema.names)
        repeated = [column for at, column in enumerate(self.columns) if column in self.columns[:at]]
        if repeated:
            raise ConnectError(f"{name} has more than one column {repeated[0]!r}: rename one")
        self._types = [self._type_for(field.name, field.type) for field in schema]

    def _type_for(self, column: str, kind: Any) -> Any:
        try:
            return python_type(self._arrow, kind)
        except _NoEqualError as error:
            raise ConnectError(
                f"{self._name}: the column {column!r} is of the type {kind}, and {error}: leave it out with columns"
            ) from None

    def rows(self, batch: Any) -> tuple[list[dict[str, Any]], list[tuple[int, Any, str]]]:
        """Return the rows of a batch, and of each that has no equal in Python its number, what it holds, and why."""
        try:
            values = [self._values(array, kind) for array, kind in zip(batch.columns, self._types, strict=True)]
        except Exception:  # found again below, with the row that it is in
            return self._rows_one_by_one(batch)
        return self._as_dicts(values, batch.num_rows), []

    def _as_dicts(self, values: Sequence[Sequence[Any]], count: int) -> list[dict[str, Any]]:
        names = self.columns
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)] if names else [{}] * count

    def _values(self, array: Any, kind: Any) -> list[Any]:
        values: list[Any] = (array if kind == array.type else array.cast(kind)).to_pylist()
        return values

    def _rows_one_by_one(self, batch: Any) -> tuple[list[dict[str, Any]], list[tuple[int, Any, str]]]:
        rows: list[dict[str, Any]] = []
        failures: list[tuple[int, Any, str]] = []
        for number in range(batch.num_rows):
            row: dict[str, Any] = {}
            problems: list[str] = []
            for column, array, kind in zip(self.columns, batch.columns, self._types, strict=True):
                one = array.slice(number, 1)
                # A slice of lists is cast with its neighbours, and what is put together from slices is not.
                one = self._arrow.concat_arrays([one, one]).slice(0, 1)
                try:
                    row[column] = self._values(one, kind)[0]
                except Exception as error:
                    row[column] = self._shown(one)
                    problems.append(f"column {column!r} has no equal in Python: {error}")
            if problems:
                failures.append((number, row, "; ".join(problems)))
            else:
                rows.append(row)
        return rows, failures

    def _shown(self, one: Any) -> Any:
        """Return a value that is refused as bytes, where it is a text, or as a text."""
        arrow = self._arrow
        for kind in (arrow.binary(), arrow.string()) if _is(arrow, one.type, "string") else (arrow.string(),):
            try:
                return one.cast(kind).to_pylist()[0]
            except (arrow.ArrowException, ValueError):
                continue
        return f"a value of the type {one.type}"


class _NoEqualError(Exception):
    """Values of a type have no equals in Python."""


def python_type(arrow: Any, kind: Any) -> Any:
    """Return the type to which values are cast so that Python has their equals; the cast refuses those that change.

    Args:
        arrow: pyarrow.
        kind: The type that they are of.

    Raises:
        Exception: If there is none.
    """
    if isinstance(kind, arrow.BaseExtensionType):
        if kind.extension_name in _EXTENSIONS:
            return kind
        raise _NoEqualError("that extension is not known")
    if any(_is(arrow, kind, name) for name in _SAME):
        return kind
    if _is(arrow, kind, "date64"):
        return arrow.date32()
    if _is(arrow, kind, "timestamp"):
        return arrow.timestamp("us" if kind.unit == "ns" else kind.unit, tz=_known_zone(kind.tz))
    if _is(arrow, kind, "time64"):
        return arrow.time64("us")
    if _is(arrow, kind, "duration"):
        return arrow.duration("us" if kind.unit == "ns" else kind.unit)
    if _is(arrow, kind, "dictionary"):
        inner = python_type(arrow, kind.value_type)
        return kind if inner == kind.value_type else inner  # not every kind of text can be cast out of a dictionary
    return _nested_type(arrow, kind)


def _nested_type(arrow: Any, kind: Any) -> Any:
    def inner(field: Any) -> Any:
        return field.with_type(python_type(arrow, field.type))

    if _is(arrow, kind, "struct"):
        fields = [kind.field(at) for at in range(kind.num_fields)]
        if len({field.name for field in fields}) < len(fields):
            raise _NoEqualError("it has a name twice")
        return arrow.struct([inner(field) for field in fields])
    if _is(arrow, kind, "map"):
        return arrow.map_(inner(kind.key_field), inner(kind.item_field))
    if _is(arrow, kind, "fixed_size_list"):
        return arrow.list_(inner(kind.value_field), kind.list_size)
    makers = {
        "list": "list_",
        "large_list": "large_list",
        "list_view": "list_view",
        "large_list_view": "large_list_view",
    }
    for name, maker in makers.items():
        if _is(arrow, kind, name):
            return getattr(arrow, maker)(inner(kind.value_field))
    raise _NoEqualError("Python has no equals of its values")


def _is(arrow: Any, kind: Any, name: str) -> bool:
    found: bool = getattr(arrow.types, f"is_{name}")(kind)
    return found


def _known_zone(name: str | None) -> str | None:
    if name is not None and name[:1] not in "+-":
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(name)
        except (LookupError, ValueError, OSError):
            raise _NoEqualError(f"the time zone {name!r} is not known on this machine (is tzdata installed?)") from None
    return name
