"""The way back from what ``encoding.py`` writes: the text is not trusted, and can build plain data only."""

from __future__ import annotations

from base64 import b64decode
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, Flag
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from mainstem.errors import StoreError
from mainstem.store.data_classes import class_named, is_model, make_instance, names_of
from mainstem.store.encoding import TEXT_CLASSES


def from_object(value: dict[str, Any]) -> Any:
    """Return what an object of JSON stands for.

    Raises:
        StoreError: If it stands for nothing.
    """
    for key in value:  # the first
        if key[:1] != "~":
            return value
        content = value[key]
        if key in _READERS:
            kind, read = _READERS[key]
            if type(content) is not kind or len(value) > 1:
                raise _not_written(value)
            return read(content)
        if key not in _READERS_OF_MORE:
            raise StoreError(f"a kept value has the unknown mark {key!r:.50}: a later version may have written it")
        kind, read_more, others = _READERS_OF_MORE[key]
        if type(content) is not kind or not value.keys() - {key} <= others:
            raise _not_written(value)
        return read_more(content, value)
    return value


def _not_written(value: object) -> StoreError:
    return StoreError(f"a kept value is none that was written: {value!r:.200}")


def _data_class(name: object) -> type[Any]:
    """Return a class whose instances a text may hold.

    Raises:
        StoreError: If it is not loaded, or may do more than hold data.
    """
    found = class_named(name) if isinstance(name, str) else None
    if found is None:
        raise StoreError(
            f"a kept value is a {name!s:.200}, which this program has not loaded: "
            + (
                "run the program that wrote it, or define the class in a module that both import"
                if isinstance(name, str) and name.startswith("__main__:")
                else f"import {str(name).partition(':')[0]:.100} first, or run the pipeline as it was run then"
            )
        )
    if not issubclass(found, Enum) and names_of(found) is None:
        raise StoreError(f"a kept value says it is a {name!s:.200}, which is no record of plain data")
    return found


def _make_record(content: list[Any], whole: dict[str, Any]) -> Any:
    name, *values = content
    kind = _data_class(name)
    names = names_of(kind)
    if names is None:
        raise StoreError(f"a kept value says it is a record {name!s:.200}, which is an Enum")
    written: object = whole.get("fields")
    if not isinstance(written, str) or len(values) != (len(written.split(",")) if written else 0):
        raise _not_written(whole)
    if len(whole) > 2 and not is_model(kind):
        raise _not_written(whole)
    if written != ",".join(names):
        raise StoreError(
            f"the class {name:.200} has changed since a value of it was kept: it has the fields "
            f"{', '.join(names)}; it had {written.replace(',', ', ')}. Give it those, or the record anew"
        )
    return make_instance(kind, names, values, whole)


def _make_member(content: Any) -> Any:
    name, member = content
    kind = _data_class(name)
    if not issubclass(kind, Enum):
        raise StoreError(f"a kept value says it is a member of {name!s:.200}, which is no Enum")
    if type(member) is int and issubclass(kind, Flag):
        return kind(member)
    found = kind.__members__.get(member) if isinstance(member, str) else None
    if found is None:
        raise StoreError(f"a kept value is {name!s:.200}.{member!s:.100}, and there is no such member any more")
    return found


def _make_of_text(content: list[Any]) -> Any:
    name, text = content
    kind = class_named(name) if name in TEXT_CLASSES else None
    if kind is None or type(text) is not str:
        raise StoreError(f"a kept value is a {name!s:.200}, which this program has not loaded: import it first")
    return kind(text)


def _make_float(text: str) -> float:
    if text not in ("nan", "-nan", "inf", "-inf"):
        raise StoreError(f"a kept number is {text!r:.50}")
    return float(text)


def _make_complex(content: list[Any]) -> complex:
    real, imaginary = content
    if type(real) is not float or type(imaginary) is not float:
        raise StoreError(f"a kept complex number is {content!r:.100}")
    return complex(real, imaginary)


_T = TypeVar("_T", datetime, time)


def _make_datetime(text: str, whole: dict[str, Any]) -> datetime:
    return _with_zone(datetime.fromisoformat(text), whole)


def _make_time(text: str, whole: dict[str, Any]) -> time:
    return _with_zone(time.fromisoformat(text), whole)


def _with_zone(made: _T, whole: dict[str, Any]) -> _T:
    if "zone" in whole:
        made = made.replace(tzinfo=_zone(whole["zone"]))
    return made.replace(fold=1) if "fold" in whole else made


def _zone(content: list[Any]) -> tzinfo:
    if len(content) == 1:
        return ZoneInfo(content[0])
    name, *offset = content
    return timezone(_make_timedelta(offset), name)


def _make_timedelta(content: list[Any]) -> timedelta:
    days, seconds, microseconds = content
    if not all(type(each) is int for each in content):
        raise StoreError(f"a kept duration is {content!r:.100}")
    return timedelta(days, seconds, microseconds)


def _make_unset(content: list[Any]) -> Any:
    unset = class_named("msgspec:UnsetType")
    if unset is None:
        raise StoreError("a kept value is msgspec.UNSET, and this program has not loaded msgspec: import it first")
    return unset()


_READERS: dict[str, tuple[type[Any], Callable[[Any], Any]]] = {
    "~i": (str, lambda text: int(text, 16)),
    "~f": (str, _make_float),
    "~t": (list, tuple),
    "~ts": (list, lambda columns: list(zip(*columns, strict=True))),
    "~dts": (list, lambda texts: list(map(datetime.fromisoformat, texts))),
    "~s": (list, set),
    "~fs": (list, frozenset),
    "~q": (list, lambda content: deque(content[0], content[1])),
    "~d": (list, dict),
    "~od": (list, OrderedDict),
    "~w": (list, "".join),
    "~b": (str, lambda text: b64decode(text, validate=True)),
    "~ba": (str, lambda text: bytearray(b64decode(text, validate=True))),
    "~date": (str, date.fromisoformat),
    "~td": (list, _make_timedelta),
    "~n": (str, Decimal),
    "~u": (str, UUID),
    "~c": (list, _make_complex),
    "~path": (str, Path),
    "~x": (list, _make_of_text),
    "~unset": (list, _make_unset),
    "~e": (list, _make_member),
}
"""For each mark of what stands alone, of which type its content is, and what reads it."""

_READERS_OF_MORE: dict[str, tuple[type[Any], Callable[[Any, dict[str, Any]], Any], frozenset[str]]] = {
    "~dt": (str, _make_datetime, frozenset(("zone", "fold"))),
    "~time": (str, _make_time, frozenset(("zone", "fold"))),
    "~r": (list, _make_record, frozenset(("fields", "set", "extra", "private"))),
}
"""For each other mark the same, and what may stand beside it."""
