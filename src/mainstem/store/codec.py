"""Values as JSON text, and back exactly, without pickle.

What JSON has not is an object with a single key that begins with ``~``. Instances of classes are written with the
class's name, and read back only if that class is loaded already and is one that only holds data: reading imports
nothing and runs no code of the text's choice.
"""

from __future__ import annotations

import json
import math
import sys
from base64 import b64decode, b64encode
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from hashlib import sha256
from operator import attrgetter
from typing import Any
from uuid import UUID

from mainstem.errors import NotEncodableError, StoreError, describe_error

DEEPEST = 150
"""Levels of nesting that are written; both writing and reading recurse."""
LONGEST = 10_000_000
"""Characters of a record's text that are kept; of a longer one the beginning, its length and its hash are."""
LONGEST_REPR = 100_000

_to_ascii = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode


def _quicker() -> Callable[[Any], str]:
    """Return what writes JSON: msgspec in a quarter of the time, where it is installed."""
    try:
        from msgspec.json import Encoder
    except ImportError:
        return _to_ascii
    to_bytes = Encoder().encode

    def to_json(value: Any) -> str:
        try:
            return to_bytes(value).decode()
        except UnicodeEncodeError:  # half of a surrogate pair has no form but an escape
            return _to_ascii(value)

    return to_json


_to_json = _quicker()

_LARGEST_INT = 1 << 63
_LONG = 16
"""Values from which on a list is looked at as a whole first."""
_AS_IS = frozenset((str, bool, type(None)))


def encode(value: Any) -> str:
    """Return a value as text from which ``decode`` makes an equal value of the same type.

    Plain values, dates and times, ``Decimal``, ``UUID``, bytes, tuples, sets, deques, dictionaries with any keys,
    members of an ``Enum``, and instances of dataclasses, named tuples, msgspec structs and pydantic models.

    Raises:
        NotEncodableError: If it is, or holds, anything else, itself, or is nested too deep.

    Example:
        >>> encode({"at": (1, 2.5)}), decode('{"at":{"~t":[1,2.5]}}')
        ('{"at":{"~t":[1,2.5]}}', {'at': (1, 2.5)})
    """
    return _to_json(_plain(value, 0))


def decode(text: str) -> Any:
    """Return the value of a text that ``encode`` made.

    Raises:
        StoreError: If it is no such text, or of a class that is not loaded.
    """
    try:
        return json.loads(text, object_hook=_from_object, parse_constant=_refuse_constant)
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"a kept value cannot be read: {describe_error(error)}: {text!r:.200}") from error


@dataclass(frozen=True, slots=True)
class Encoded:
    """A record as it is kept.

    Attributes:
        text: The encoded record, or its ``repr`` as a JSON text.
        is_exact: Whether ``decode`` gives the record that it was.
    """

    text: str
    is_exact: bool


def encode_record(record: Any) -> Encoded:
    """Return a record as it is kept; of one that cannot be encoded its ``repr``. Never raises an ``Exception``."""
    try:
        text = encode(record)
    except Exception:
        try:
            shown = repr(record)
        except Exception as error:
            shown = f"<{type(record).__name__} whose repr raised {type(error).__name__}>"
        return Encoded(json.dumps(_cut(shown, LONGEST_REPR)), is_exact=False)
    if len(text) > LONGEST:
        return Encoded(json.dumps(_cut(text, LONGEST_REPR)), is_exact=False)
    return Encoded(text, is_exact=True)


def _cut(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text[:length]}... ({len(text):,} characters in all, sha256 {digest})"


def _plain(value: Any, depth: int) -> Any:
    """Return the value in terms of what JSON has."""
    kind: type[Any] = type(value)
    if kind in _AS_IS:
        return value
    if kind is int:
        return value if -_LARGEST_INT <= value < _LARGEST_INT else {"~i": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"~f": repr(value)}
    if depth > DEEPEST:
        raise NotEncodableError(f"a value is nested in more than {DEEPEST} levels, or holds itself")
    write = _WRITERS.get(kind) or _writer_of(kind)  # type: ignore[arg-type]  # classes are hashable
    return write(value, depth + 1)


def _write_list(value: list[Any], depth: int) -> Any:
    if len(value) >= _LONG:
        kinds: set[type[Any]] = set(map(type, value))
        if len(kinds) == 1:
            column = _write_column(value, kinds.pop(), depth)
            if column is not None:
                return column
    return [_plain(each, depth) for each in value]


def _write_column(values: list[Any], kind: type[Any], depth: int) -> Any:
    """Write many values of one class without looking at each; ``None`` if they have to be.

    A state that keeps the keys it has seen is a long list of tuples of a few plain values.
    """
    if kind in _AS_IS:
        return values
    if kind is int:
        return values if min(values) >= -_LARGEST_INT and max(values) < _LARGEST_INT else None
    if kind is float:
        return values if all(map(math.isfinite, values)) else None
    if kind is datetime:
        zones = set(map(attrgetter("tzinfo"), values))
        plain = zones <= {None, timezone.utc} and not any(map(attrgetter("fold"), values))
        return {"~dts": list(map(datetime.isoformat, values))} if plain else None
    if kind is tuple and depth < DEEPEST:
        widths = set(map(len, values))
        if len(widths) == 1 and widths != {0}:
            return {"~ts": [_write_list(list(column), depth + 1) for column in zip(*values, strict=True)]}
    return None


def _write_dict(value: dict[Any, Any], depth: int) -> Any:
    if all(type(key) is str and key[:1] != "~" for key in value):
        return {key: _plain(each, depth) for key, each in value.items()}
    return {"~d": [[_plain(key, depth), _plain(each, depth)] for key, each in value.items()]}


def _write_items(tag: str) -> Callable[[Any, int], Any]:
    return lambda value, depth: {tag: [_plain(each, depth) for each in value]}


def _write_text(tag: str, text: Callable[[Any], str]) -> Callable[[Any, int], Any]:
    return lambda value, depth: {tag: text(value)}


def _write_datetime(value: datetime, depth: int) -> Any:
    if value.tzinfo is timezone.utc and not value.fold:
        return {"~dt": value.isoformat()}
    zone = getattr(value.tzinfo, "key", None)
    if zone is not None:  # of zoneinfo
        return {"~z": [value.replace(tzinfo=None).isoformat(), zone, value.fold]}
    offset = value.tzinfo
    if offset is not None and type(offset) is not _TIMEZONE:
        raise NotEncodableError(f"a datetime with a {type(offset).__name__} cannot be kept exactly")
    return {"~dt": value.isoformat()} if not value.fold else {"~dt": value.isoformat(), "fold": 1}


_TIMEZONE = type(datetime.now().astimezone().tzinfo)

_WRITERS: dict[type[Any], Callable[[Any, int], Any]] = {
    list: _write_list,
    dict: _write_dict,
    tuple: _write_items("~t"),
    set: _write_items("~s"),
    frozenset: _write_items("~fs"),
    deque: lambda value, depth: {"~q": [[_plain(each, depth) for each in value], value.maxlen]},
    OrderedDict: lambda value, depth: {
        "~od": [[_plain(key, depth), _plain(each, depth)] for key, each in value.items()]
    },
    bytes: _write_text("~b", lambda value: b64encode(value).decode("ascii")),
    datetime: _write_datetime,
    date: _write_text("~date", date.isoformat),
    time: _write_text("~time", time.isoformat),
    timedelta: lambda value, depth: {"~td": [value.days, value.seconds, value.microseconds]},
    Decimal: _write_text("~n", str),
    UUID: _write_text("~u", str),
    complex: _write_text("~c", repr),
}


@lru_cache(maxsize=1024)
def _writer_of(kind: type[Any]) -> Callable[[Any, int], Any]:
    """Return what writes the instances of a class.

    Raises:
        NotEncodableError: If they hold more than data, or the class cannot be found again by its name.
    """
    name = f"{kind.__module__}:{kind.__qualname__}"
    names = names_of(kind)
    is_enum = issubclass(kind, Enum)
    if not is_enum and names is None:
        raise NotEncodableError(f"a value of {name} cannot be kept as text: it is no record of plain data")
    if class_named(name) is not kind:
        raise NotEncodableError(f"{name} cannot be found by its name: define the class at the top of its module")
    if is_enum:
        return lambda value, depth: {"~e": [name, value.name]}
    assert names is not None
    read = _reader_of(names)
    is_strict = not issubclass(kind, tuple) and not hasattr(kind, "__struct_fields__")

    def write(value: Any, depth: int) -> Any:
        if is_strict:
            _refuse_more(value, names, name)
        return {"~r": [name, *[each if type(each) in _AS_IS else _plain(each, depth) for each in read(value)]]}

    return write


def _reader_of(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if not names:
        return lambda _: ()
    if len(names) == 1:
        (only,) = names
        return lambda value: (getattr(value, only),)
    return attrgetter(*names)


def _refuse_more(value: Any, names: tuple[str, ...], name: str) -> None:
    """Refuse an instance that has more attributes than its fields.

    Raises:
        NotEncodableError: If it has.
    """
    own: dict[str, Any] | None = getattr(value, "__dict__", None)
    if own is None:
        return
    if (
        len(own) > len(names)
        or getattr(value, "__pydantic_extra__", None)
        or getattr(value, "__pydantic_private__", None)
    ):
        raise NotEncodableError(f"a value of {name} has attributes that are no fields: it cannot be kept as text")


def names_of(kind: type[Any]) -> tuple[str, ...] | None:
    """Return the names of the fields of a class that only holds data; ``None`` of any other class."""
    if issubclass(kind, tuple):
        return getattr(kind, "_fields", None)
    struct_fields: tuple[str, ...] | None = getattr(kind, "__struct_fields__", None)
    if struct_fields is not None:
        return struct_fields
    if "__pydantic_fields__" in vars(kind) or hasattr(kind, "model_fields"):
        return tuple(kind.model_fields)
    if is_dataclass(kind) and not issubclass(kind, (int, float, str, bytes, list, dict, set)):
        return tuple(each.name for each in fields(kind))
    return None


def class_named(name: str) -> type[Any] | None:
    """Return the class of a name ``module:qualified.name``, if it is loaded."""
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = vars(found).get(part) if found is not None and hasattr(found, "__dict__") else None
    return found if isinstance(found, type) else None


def _data_class(name: object) -> type[Any]:
    """Return a class whose instances a text may hold.

    Raises:
        StoreError: If it is not loaded, or may do more than hold data.
    """
    found = class_named(name) if isinstance(name, str) else None
    if found is None:
        raise StoreError(
            f"a kept value is a {name!s:.200}, which this program has not loaded: import its module, or run the "
            "pipeline as it was run then"
        )
    if not issubclass(found, Enum) and names_of(found) is None:
        raise StoreError(f"a kept value says it is a {name!s:.200}, which is no record of plain data")
    return found


def _make_record(content: list[Any]) -> Any:
    name, *values = content
    kind = _data_class(name)
    names = names_of(kind) or ()
    if issubclass(kind, Enum) or len(names) != len(values):
        raise StoreError(
            f"a kept {name!s:.200} has {len(values)} fields and the class has {len(names)}: it has changed since"
        )
    if issubclass(kind, tuple):
        return tuple.__new__(kind, values)
    if hasattr(kind, "__struct_fields__"):
        return kind(**dict(zip(names, values, strict=True)))
    if hasattr(kind, "model_construct"):
        return kind.model_construct(**dict(zip(names, values, strict=True)))
    made = object.__new__(kind)  # as it was: its constructor may have changed what it was given
    for each, value in zip(names, values, strict=True):
        object.__setattr__(made, each, value)
    return made


def _make_enum(content: list[Any]) -> Any:
    name, member = content
    kind = _data_class(name)
    if not issubclass(kind, Enum):
        raise StoreError(f"a kept value says it is a member of {name!s:.200}, which is no Enum")
    return kind[member]


def _make_zoned(content: list[Any]) -> Any:
    from zoneinfo import ZoneInfo

    text, zone, fold = content
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


_READERS: dict[str, Callable[[Any], Any]] = {
    "~i": lambda text: int(text, 16),
    "~f": float,
    "~t": tuple,
    "~ts": lambda columns: list(zip(*columns, strict=True)),
    "~dts": lambda texts: list(map(datetime.fromisoformat, texts)),
    "~s": set,
    "~fs": frozenset,
    "~q": lambda content: deque(content[0], content[1]),
    "~d": dict,
    "~od": OrderedDict,
    "~b": lambda text: b64decode(text, validate=True),
    "~dt": datetime.fromisoformat,
    "~z": _make_zoned,
    "~date": date.fromisoformat,
    "~time": time.fromisoformat,
    "~td": lambda content: timedelta(*content),
    "~n": Decimal,
    "~u": UUID,
    "~c": complex,
    "~e": _make_enum,
    "~r": _make_record,
}


def _from_object(value: dict[str, Any]) -> Any:
    """Return what an object of JSON stands for."""
    for key in value:  # the first
        if key[:1] != "~":
            return value
        read = _READERS.get(key)
        if read is None or len(value) > 2:
            raise StoreError(f"a kept value has the unknown mark {key!r}")
        made = read(value[key])
        return made.replace(fold=value["fold"]) if "fold" in value else made
    return value


def _refuse_constant(text: str) -> Any:
    raise StoreError(f"{text} is not JSON")
