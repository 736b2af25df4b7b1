"""JSON as its standard has it, with what is wrong kept to the record that it is in."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

_NAMES: dict[Any, str] = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}


@dataclass(frozen=True, slots=True)
class Flaw:
    """Stands in decoded JSON for a value that JSON or Python does not have.

    Attributes:
        problem: What is wrong.
        shown: The value as it was written: its text, or an object's keys and values, in pairs.
    """

    problem: str
    shown: str | list[list[Any]]


Decoded: TypeAlias = tuple[Any, bool]
"""A value, and whether there is a ``Flaw`` in it."""


def decode_json(content: bytes) -> Decoded:
    """Decode a JSON text in UTF-8.

    A value that JSON does not know (``NaN``, ``Infinity``), a number that Python cannot hold, and an object that has
    the same key twice come as a ``Flaw``: only the record that it is in is bad.

    Raises:
        ValueError: If it is no JSON; the text says where.

    Example:
        >>> decode_json(b'[1, {"a": NaN}]')
        ([1, {'a': Flaw(problem='NaN is not JSON: write null, or a text', shown='NaN')}], True)
    """
    flaws: list[Flaw] = []

    def flawed(problem: str, shown: str | list[list[Any]]) -> Flaw:
        flaws.append(Flaw(problem, shown))
        return flaws[-1]

    def constant(text: str) -> Any:
        return flawed(f"{text} is not JSON: write null, or a text", text)

    def real(text: str) -> Any:
        number = float(text)
        return number if math.isfinite(number) else flawed(f"the number {text:.40} is too large for a float", text)

    def whole(text: str) -> Any:
        try:
            return int(text)
        except ValueError:
            return flawed(f"the number {text:.40}... has too many digits", text)

    def mapping(pairs: list[tuple[str, Any]]) -> Any:
        made = dict(pairs)
        if len(made) == len(pairs):
            return made
        keys = [key for key, _ in pairs]
        repeated = next(key for at, key in enumerate(keys) if key in keys[:at])
        return flawed(f"the key {repeated!r} is there more than once", [list(pair) for pair in pairs])

    decoder = json.JSONDecoder(object_pairs_hook=mapping, parse_constant=constant, parse_float=real, parse_int=whole)
    try:
        value = decoder.decode(content.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise ValueError(f"this is not JSON: {error.msg} at character {error.pos + 1}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"byte 0x{content[error.start]:02x} is not valid UTF-8 ({error.reason})") from error
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    return value, bool(flaws)


def flaw_in(value: Any) -> Flaw | None:
    """Return the first flaw in decoded JSON, if there is one."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Flaw):
            return each
        if isinstance(each, dict):
            waiting += reversed(list(cast("dict[str, Any]", each).values()))
        elif isinstance(each, list):
            waiting += reversed(cast("list[Any]", each))  # type: ignore[redundant-cast]
    return None


def without_flaws(value: Any) -> Any:
    """Return decoded JSON with each flaw as it was written, so that it can be kept as JSON."""
    if isinstance(value, Flaw):
        return without_flaws(value.shown)
    if isinstance(value, dict):
        return {key: without_flaws(each) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [without_flaws(each) for each in cast("list[Any]", value)]  # type: ignore[redundant-cast]
    return value


def kind_of(value: Any) -> str:
    """Return what JSON calls a value, with its article."""
    name = _NAMES.get(type(value), "number")
    return "null" if value is None else f"{'an' if name[0] in 'ao' else 'a'} {name}"
