"""Records and lines that something between a source and a target cannot take, as data.

Each is a record of ``{"id": int, "text": str}`` with something wrong in it, or a line of a file of such records, and
says what refuses it: one reject, and all its neighbours loaded. Whatever is not named takes it, unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

SQLITE, CSV, JSON_LINES = "sqlite", "csv", "json lines"
ALL = frozenset((SQLITE, CSV, JSON_LINES))


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
RefusingMapping = _refusing("RefusingMapping", Mapping, *_LOOKS, "__len__", "__iter__", "__getitem__")


class Loud(Enum):
    """An enum whose value is no plain one."""

    VALUE = (1, 2)


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


def _text(name: str, make: Callable[[], Any], refused_by: frozenset[str] = ALL) -> PoisonRecord:
    return PoisonRecord(name, lambda number: {"id": number, "text": make()}, refused_by)


def _number(name: str, make: Callable[[], Any], refused_by: frozenset[str] = ALL) -> PoisonRecord:
    return PoisonRecord(name, lambda number: {"id": make(), "text": f"text {number}"}, refused_by)


def _whole(name: str, make: Callable[[int], Any], refused_by: frozenset[str] = ALL) -> PoisonRecord:
    return PoisonRecord(name, make, refused_by)
