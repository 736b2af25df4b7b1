"""Values in terms of what JSON has; ``decoding.py`` is the way back.

What JSON has not is an object whose first key begins with ``~``.
"""

from __future__ import annotations

import math
import re
from base64 import b64encode
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Sequence, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

from mainstem.errors import NotEncodableError, describe_error
from mainstem.store.data_classes import (
    class_named,
    is_model,
    kind_of,
    may_hold_more,
    name_of,
    names_of,
    parts_of_model,
    reader_of,
    refuse_more,
)
from mainstem.store.times import are_plain, write_datetime, write_time

DEEPEST = 150
"""Levels of nesting that are written; both writing and reading recurse."""
TEXT_CLASSES = frozenset(
    (
        "fractions:Fraction",
        "ipaddress:IPv4Address",
        "ipaddress:IPv4Interface",
        "ipaddress:IPv4Network",
        "ipaddress:IPv6Address",
        "ipaddress:IPv6Interface",
        "ipaddress:IPv6Network",
    )
)
"""Classes of the standard library that are made again from their text."""

_LARGEST_INT = 1 << 63
"""Integers from there on are written in hex: some readers of JSON know no larger ones."""
LONG = 16
"""Values from which on several are looked at as a whole first."""
_AS_IS = frozenset((str, bool, type(None)))
_FLAT = _AS_IS | {int, float, bytes, date, datetime, time, timedelta, Decimal, UUID}
"""Classes whose instances hold no other values."""
_SPLIT_PAIR = re.compile("(?<=[\ud800-\udbff])(?=[\udc00-\udfff])")
"""Between two halves of a surrogate pair, which JSON would read as one character."""


class Walk:
    """Goes through one value.

    Args:
        most: How many containers it may hold: a few that hold one another several times are many, written out.
    """

    __slots__ = ("deep", "left")

    def __init__(self, most: int) -> None:
        self.deep = 0
        self.left = most

    def plain(self, value: Any) -> Any:
        """Return the value in terms of what JSON has.

        Raises:
            NotEncodableError: If that cannot be done.
        """
        kind = kind_of(value)
        if kind in _AS_IS:
            return value
        if kind is int:
            return value if -_LARGEST_INT <= value < _LARGEST_INT else {"~i": hex(value)}
        if kind is float:
            return value if math.isfinite(value) else {"~f": _text_of_float(value)}
        write = _WRITERS.get(kind) or _writer_of(kind)  # type: ignore[arg-type]  # classes are hashable
        self.deep += 1
        self.left -= 1
        if self.deep > DEEPEST or self.left < 0:
            raise self.refusal()
        written = write(value, self)
        self.deep -= 1
        return written

    def refusal(self) -> NotEncodableError:
        """Make the error that says why the walk ends here."""
        if self.left < 0:
            return NotEncodableError("a value holds too many values to be kept")
        return NotEncodableError(f"a value cannot be kept: it is nested in more than {DEEPEST} levels, or holds itself")

    def each(self, values: Iterable[Any]) -> list[Any]:
        return [self.plain(value) for value in values]

    def pairs(self, value: dict[Any, Any]) -> list[Any]:
        return [[self.plain(key), self.plain(each)] for key, each in value.items()]


_Writer: TypeAlias = Callable[[Any, Walk], Any]


def without_split_pairs(plain: Any) -> Any:
    """Return a plain value in which texts that hold two halves of a surrogate pair side by side are in parts."""
    if isinstance(plain, str):
        return {"~w": _SPLIT_PAIR.split(plain)} if _SPLIT_PAIR.search(plain) else plain
    kind = kind_of(plain)
    if kind is list:
        return [without_split_pairs(each) for each in plain]
    if kind is dict:
        items: dict[str, Any] = plain
        if any(map(_SPLIT_PAIR.search, items)):
            return {"~d": [[without_split_pairs(key), without_split_pairs(each)] for key, each in items.items()]}
        return {key: without_split_pairs(each) for key, each in items.items()}
    return plain


def _text_of_float(value: float) -> str:
    return "-nan" if math.isnan(value) and math.copysign(1, value) < 0 else repr(value)


def _write_list(value: list[Any], walk: Walk) -> Any:
    if len(value) >= LONG:
        kinds: set[type[Any]] = set(map(type, value))
        if len(kinds) == 1:
            column = _write_column(value, kinds.pop(), walk)
            if column is not None:
                return column
    return walk.each(value)


def _write_column(values: list[Any], kind: type[Any], walk: Walk) -> Any:
    """Write many values of one class without looking at each; ``None`` if they have to be.

    A state that keeps the keys it has seen is a long list of tuples of a few plain values.
    """
    if _is_as_is(values, {kind}):
        return values
    if kind is datetime:
        return {"~dts": list(map(datetime.isoformat, values))} if are_plain(values) else None
    if kind is tuple and walk.deep < DEEPEST:
        widths = set(map(len, values))
        if len(widths) == 1 and widths != {0}:
            walk.deep += 1
            walk.left -= len(values)
            if walk.left < 0:
                raise walk.refusal()
            columns = [_write_list(list(column), walk) for column in zip(*values, strict=True)]
            walk.deep -= 1
            return {"~ts": columns}
    return None


def _is_as_is(values: Collection[Any], kinds: Set[type[Any]]) -> bool:
    """Say whether values of these classes are all what JSON has."""
    if kinds == {int}:
        return all(-_LARGEST_INT <= value < _LARGEST_INT for value in (min(values), max(values)))
    return all(map(math.isfinite, values)) if kinds == {float} else kinds <= _AS_IS


def plain_records(records: Sequence[Any]) -> Iterable[Any] | None:
    """Return what ``Walk.plain`` gives for each of many records of one class, which is looked at field by field.

    ``None`` if each has to be looked at by itself: fields hold more than numbers, texts, times and the like, or an
    instance has more than its class says.

    Raises:
        Exception: Whatever code of the class raises, or if a value cannot be kept; the records tell themselves then.
    """
    kind: type[Any] = kind_of(records[0])
    names = names_of(kind)
    if not names or is_model(kind) or class_named(name_of(kind)) is not kind:
        return None
    if may_hold_more(kind):
        expected = () if tuple in kind.__mro__ else names
        attributes: list[dict[str, Any]] = list(map(attrgetter("__dict__"), records))
        if {tuple(each) for each in attributes} != {expected}:
            return None
    rows = list(map(reader_of(kind, names), records))
    if set(map(len, rows)) != {len(names)}:
        return None
    columns = list(map(_plain_field, zip(*rows, strict=True)))
    if None in columns:
        return None
    name, joined = name_of(kind), ",".join(names)
    return ({"~r": [name, *row], "fields": joined} for row in zip(*columns, strict=True))


def _plain_field(values: Sequence[Any]) -> Iterable[Any] | None:
    kinds: set[type[Any]] = set(map(type, values))
    if _is_as_is(values, kinds):
        return values
    if kinds == {datetime} and are_plain(values):
        return ({"~dt": text} for text in map(datetime.isoformat, values))
    return Walk(len(values)).each(values) if kinds <= _FLAT else None


def _write_dict(value: dict[Any, Any], walk: Walk) -> Any:
    if all(type(key) is str and key[:1] != "~" for key in value):
        plain = walk.plain
        return {key: plain(each) for key, each in value.items()}
    return {"~d": walk.pairs(value)}


def _write_items(mark: str) -> _Writer:
    return lambda value, walk: {mark: walk.each(value)}


def _write_text(mark: str, text: Callable[[Any], str]) -> _Writer:
    return lambda value, walk: {mark: text(value)}


def _write_bytes(mark: str) -> _Writer:
    return _write_text(mark, lambda value: b64encode(value).decode("ascii"))


_WRITERS: dict[type[Any], _Writer] = {
    list: _write_list,
    dict: _write_dict,
    tuple: _write_items("~t"),
    set: _write_items("~s"),
    frozenset: _write_items("~fs"),
    deque: lambda value, walk: {"~q": [walk.each(value), value.maxlen]},
    OrderedDict: lambda value, walk: {"~od": walk.pairs(value)},
    bytes: _write_bytes("~b"),
    bytearray: _write_bytes("~ba"),
    datetime: lambda value, walk: write_datetime(value),
    date: _write_text("~date", date.isoformat),
    time: lambda value, walk: write_time(value),
    timedelta: lambda value, walk: {"~td": [value.days, value.seconds, value.microseconds]},
    Decimal: _write_text("~n", str),
    UUID: _write_text("~u", str),
    complex: lambda value, walk: {"~c": [walk.plain(value.real), walk.plain(value.imag)]},
    type(Path()): _write_text("~path", str),
}


@lru_cache(maxsize=1024)
def _writer_of(kind: type[Any]) -> _Writer:
    """Return what writes the instances of a class.

    Raises:
        NotEncodableError: If they hold more than data, or the class cannot be found again by its name.
    """
    name = name_of(kind)
    if name in TEXT_CLASSES:
        return lambda value, walk: {"~x": [name, str(value)]}
    if kind.__name__ == "UnsetType" and kind.__module__.partition(".")[0] == "msgspec":
        return lambda value, walk: {"~unset": []}
    names = names_of(kind)
    is_enum = issubclass(kind, Enum)
    if not is_enum and names is None:
        raise NotEncodableError(f"a {name} cannot be kept as text: it is no record of plain data")
    if class_named(name) is not kind:
        raise NotEncodableError(
            f"a {name} cannot be kept as text: its class cannot be found by this name; define it at the top of a module"
        )
    if is_enum:
        return lambda value, walk: {"~e": _member(name, value)}
    assert names is not None
    return _record_writer(kind, name, names)


def _member(name: str, value: Enum) -> list[Any]:
    """Return what tells a member of an ``Enum``: its name, and for several flags together their number."""
    if value.name in type(value).__members__:
        return [name, value.name]
    if isinstance(value, Flag) and type(value.value) is int:
        return [name, value.value]
    raise NotEncodableError(f"{value!r} cannot be kept as text: it is no member of {name}")


def _record_writer(kind: type[Any], name: str, names: tuple[str, ...]) -> _Writer:
    read, joined = reader_of(kind, names), ",".join(names)
    # An instance of a model always has a dictionary: its fields.
    check, has_parts = may_hold_more(kind), is_model(kind)
    expected = () if tuple in kind.__mro__ else names

    def write(value: Any, walk: Walk) -> Any:
        try:
            values = read(value)
            if check:
                refuse_more(value, expected)
        except AttributeError as error:
            raise NotEncodableError(f"a {name} cannot be kept as text: {describe_error(error)}") from error
        if len(values) != len(names):
            raise NotEncodableError(f"a {name} cannot be kept as text: it has {len(values)} of {len(names)} fields")
        plain = walk.plain
        kept = [each if type(each) in _AS_IS else plain(each) for each in values]
        written: dict[str, Any] = {"~r": [name, *kept], "fields": joined}
        if has_parts:
            written.update({part: walk.plain(each) for part, each in parts_of_model(value, names).items()})
        return written

    return write
