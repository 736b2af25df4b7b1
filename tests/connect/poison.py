"""Records and lines that something between a source and a target cannot take, as data.

Each is a record of ``{"id": int, "text": str}`` with something wrong in it, or a line of a file of such records, and
says what refuses it: one reject, and all its neighbours loaded. Whatever is not named takes it, unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any

SQLITE, POSTGRES, CSV, JSON_LINES = "sqlite", "postgres", "csv", "json lines"
ALL = frozenset((SQLITE, POSTGRES, CSV, JSON_LINES))


def good(number: int) -> dict[str, Any]:
    """Return a record that everything takes."""
    return {"id": number, "text": f"text {number}"}


@dataclass(frozen=True)
class PoisonRecord:
    """A record that targets refuse.

    Attributes:
        name: What is wrong.
        make: Makes the record with this number.
        refused_by: The targets that refuse it; the others store it as it is.
    """

    name: str
    make: Callable[[int], Any]
    refused_by: frozenset[str] = ALL


@dataclass(frozen=True)
class PoisonLine:
    """A line of a file that a source refuses.

    Attributes:
        name: What is wrong.
        source: What kind of file.
        content: The line, without its line break.
        typed_only: Whether it is refused only by a source with ``Row`` for its record type.
    """

    name: str
    source: str
    content: bytes
    typed_only: bool = False


@dataclass
class Row:
    """What the records are, for sources that parse."""

    id: int
    text: str
    when: date | None = None


class RefusingError(Exception):
    """What the objects below raise, and what cannot be shown either."""

    def __str__(self) -> str:
        raise RuntimeError("no text can be had of it")


def _refuse(*_: object, **__: object) -> Any:
    raise RefusingError


def _refusing(name: str, base: type[Any], *methods: str) -> type[Any]:
    return type(name, (base,), dict.fromkeys(methods, _refuse))


_LOOKS = ("__eq__", "__hash__", "__bool__", "__str__", "__repr__", "__format__")

RefusingObject = _refusing("RefusingObject", object, *_LOOKS, "__len__", "__iter__")
RefusingText = _refusing("RefusingText", str, *_LOOKS, "__len__", "__iter__", "encode", "__contains__")
RefusingInt = _refusing("RefusingInt", int, *_LOOKS, "__int__", "__index__", "__add__", "__radd__", "__lt__", "__ge__")
RefusingFloat = _refusing("RefusingFloat", float, *_LOOKS, "__float__", "__add__", "__radd__", "__ne__")
RefusingDecimal = _refusing("RefusingDecimal", Decimal, *_LOOKS)
RefusingDict = _refusing("RefusingDict", dict, *_LOOKS, "__len__", "__iter__", "__getitem__", "keys", "items", "values")
RefusingKey = _refusing("RefusingKey", str, "__str__", "__repr__", "__format__", "__len__", "__bool__", "encode")
RefusingMapping = _refusing("RefusingMapping", Mapping, *_LOOKS, "__len__", "__iter__", "__getitem__")


class Loud(Enum):
    """An enum whose value is no plain one."""

    VALUE = (1, 2)


UnreadableDict = _refusing("UnreadableDict", dict, "__getitem__", "get")


@dataclass
class Pair:
    """A record of a class."""

    id: int
    text: str


def _without_text(number: int) -> Pair:
    pair = Pair(number, "x")
    del pair.text
    return pair


class NoFields:
    """An object that is no record."""

    __slots__ = ()


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def _cyclic() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


class RefusingClass:
    """An object like a proxy of nothing, which cannot even be asked for its class."""

    __class__ = property(_refuse)  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleMethodOverride]


def _text(name: str, make: Callable[[], Any], refused_by: frozenset[str] = ALL) -> PoisonRecord:
    return PoisonRecord(name, lambda number: {"id": number, "text": make()}, refused_by)


def _number(name: str, make: Callable[[], Any], refused_by: frozenset[str] = ALL) -> PoisonRecord:
    return PoisonRecord(name, lambda number: {"id": make(), "text": f"text {number}"}, refused_by)


# PostgreSQL refuses all of them: it is asked for a table whose columns say exactly what they take.
_POSTGRES = frozenset((POSTGRES,))
_DATABASES = frozenset((SQLITE, POSTGRES))
_TABLES = ALL - {JSON_LINES}

RECORDS: list[PoisonRecord] = [
    # Numbers
    _number("NaN", lambda: math.nan, ALL - {CSV}),
    _number("infinity", lambda: math.inf, _POSTGRES | {JSON_LINES}),
    _number("minus infinity", lambda: -math.inf, _POSTGRES | {JSON_LINES}),
    _number("an integer over 64 bits", lambda: 2**63, _DATABASES),
    _number("a negative integer over 64 bits", lambda: -(2**63) - 1, _DATABASES),
    _number("an integer of 5,000 digits", lambda: 10**5000),
    _number("a whole float for an integer", lambda: 1000.0, _DATABASES),
    _number("a complex number", lambda: 1j),
    _number("a fraction", lambda: Fraction(1, 3)),
    _number("a text for a number", lambda: "7", _DATABASES),
    _number("nothing for a number", lambda: None, _DATABASES),
    _number("an integer that refuses", lambda: RefusingInt(2**70), _DATABASES),
    _number("a float that refuses", lambda: RefusingFloat("nan"), ALL - {CSV}),
    # Texts
    _text("half a surrogate pair", lambda: "\ud800"),
    _text("the other half", lambda: "x\udfff"),
    _text("a byte that was no text", lambda: b"x\xff".decode("utf-8", "surrogateescape")),
    _text("NUL", lambda: "a\0b", _TABLES),
    _text("NUL alone", lambda: "\0", _TABLES),
    _text("a number for a text", lambda: 7, _DATABASES),
    _text("a truth value for a text", lambda: True, _DATABASES),
    _text("nothing for a text", lambda: None, _DATABASES),
    _text("bytes for a text", lambda: b"\xff", ALL - {SQLITE}),
    _text("a text that refuses", lambda: RefusingText("\ud800")),
    _text("a decimal of 40 digits", lambda: Decimal("1." + "3" * 39), _POSTGRES),
    _text("a decimal that refuses", lambda: RefusingDecimal(1)),
    # Other values
    _text("a list", lambda: [1], _TABLES),
    _text("a dict", lambda: {"a": 1}, _TABLES),
    _text("a set", lambda: {1}),
    _text("an enum whose value is a tuple", lambda: Loud.VALUE, _TABLES),
    _text("a list 100,000 deep", lambda: _nested(100_000)),
    _text("a list in itself", _cyclic),
    _text("an object", NoFields),
    _text("an object that refuses", lambda: RefusingObject()),
    _text("an object without a class", RefusingClass),
    _text("a dict that refuses", lambda: RefusingDict(a=1)),
    # Records
    PoisonRecord("no record", lambda _: None),
    PoisonRecord("a number", lambda number: number),
    PoisonRecord("a list of values", lambda number: [number, "text"]),
    PoisonRecord("an object without fields", lambda _: NoFields()),
    PoisonRecord("an object that refuses for a record", lambda _: RefusingObject()),
    PoisonRecord("a dict that refuses for a record", lambda number: RefusingDict(good(number))),
    PoisonRecord("a dict that gives no values", lambda number: UnreadableDict(good(number)), _TABLES),
    PoisonRecord("an object that has lost a field", _without_text),
    PoisonRecord("a mapping that refuses", lambda _: RefusingMapping()),
    PoisonRecord("no fields", lambda _: {}, _TABLES),
    PoisonRecord("a key too few", lambda number: {"id": number}, _TABLES),
    PoisonRecord("a key too many", lambda number: {**good(number), "more": 1}, _TABLES),
    PoisonRecord("another key", lambda number: {"id": number, "Text": "x"}, _TABLES),
    PoisonRecord("a key that is no text", lambda number: {"id": number, 1: "x"}),
    PoisonRecord("keys of which one is a truth value", lambda number: {"id": number, 1: "x", "text": "y"}),
    PoisonRecord("a key with half a surrogate pair", lambda number: {"id": number, "\ud800": "x"}),
    PoisonRecord("a key that refuses", lambda number: {"id": number, RefusingKey(): "x"}, _TABLES),
]


def _csv(name: str, content: bytes, *, typed_only: bool = False) -> PoisonLine:
    return PoisonLine(name, CSV, content, typed_only)


def _json(name: str, content: bytes, *, typed_only: bool = False) -> PoisonLine:
    return PoisonLine(name, JSON_LINES, content, typed_only)


LINES: list[PoisonLine] = [
    _csv("a cell too few", b"1"),
    _csv("a cell too many", b"1,x,,,"),
    _csv("a quote within a cell", b'1,"x"y,'),
    _csv("a byte that is no UTF-8", b"1,\xff,"),
    _csv("half a surrogate pair as bytes", b"1,\xed\xa0\x80,"),
    _csv("NUL", b"1,a\0b,"),
    _csv("a carriage return", b"1,a\rb,"),
    _csv("a cell of 200 kB", b"1," + b"x" * 200_000 + b","),
    _csv("a cell of 64 MB", b"1," + b"x" * (64 << 20) + b","),
    _csv("a quoted cell of many lines that is too long", b'1,"' + b"x\n" * 100_000 + b'",'),
    _csv("a text for a number", b"x,y,", typed_only=True),
    _csv("no number", b",y,", typed_only=True),
    _csv("NaN for a number", b"nan,y,", typed_only=True),
    _csv("a number of 5,000 digits", b"9" * 5000 + b",y,", typed_only=True),
    _csv("the year 10000", b"1,y,10000-01-01", typed_only=True),
    _csv("a day that is none", b"1,y,2023-02-29", typed_only=True),
    _json("no JSON", b"x"),
    _json("half an object", b'{"id": 1'),
    _json("two objects", b'{"id": 1, "text": "x"} {}'),
    _json("a list", b"[1]"),
    _json("null", b"null"),
    _json("NaN", b'{"id": NaN, "text": "x"}'),
    _json("infinity", b'{"id": -Infinity, "text": "x"}'),
    _json("a number too large for a float", b'{"id": 1e999, "text": "x"}'),
    _json("a number of 5,000 digits", b'{"id": ' + b"9" * 5000 + b', "text": "x"}'),
    _json("a key twice", b'{"id": 1, "text": "x", "id": 1}'),
    _json("a key twice further in", b'{"id": 1, "text": {"a": 1, "a": 2}}'),
    _json("100,000 deep", b'{"id": 1, "text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    _json("objects 100,000 deep", b'{"id":' * 100_000 + b"1" + b"}" * 100_000),
    _json("a byte that is no UTF-8", b'{"id": 1, "text": "\xff"}'),
    _json("half a surrogate pair as bytes", b'{"id": 1, "text": "\xed\xa0\x80"}'),
    _json("a byte order mark", b'\xef\xbb\xbf{"id": 1, "text": "x"}'),
    _json("NUL", b'{"id": 1, "text": "a\0b"}'),
    _json("a text for a number", b'{"id": "x", "text": "y"}', typed_only=True),
    _json("a list for a text", b'{"id": 1, "text": ["x"]}', typed_only=True),
    _json("a key too few", b'{"id": 1}', typed_only=True),
    _json("the year 10000", b'{"id": 1, "text": "x", "when": "10000-01-01"}', typed_only=True),
]

POSITIONS: dict[str, list[int]] = {
    "first": [0],
    "in the middle": [3],
    "last": [6],
    "two adjacent": [3, 4],
    "first and last": [0, 6],
    "all": list(range(7)),
}
"""Where among seven records the poison is."""
