"""What a pipeline is made of, in plain values: so that one which was changed is noticed when a run is resumed."""

from __future__ import annotations

import functools
import json
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from hashlib import sha256
from os import fspath
from types import BuiltinMethodType, MethodType, ModuleType
from typing import Any

from mainstem.records import field_hints
from mainstem.secrets import SHOWN, redact_url, secret_names
from mainstem.stage import PipelineStage
from mainstem.stages.record_function import RecordFunction
from mainstem.typecheck import show

_OF_EVERY_STAGE = frozenset(("name", "made_at", "kind", "waits", "expands"))
"""What a stage has beside its parameters."""
_NO_MATTER = frozenset(("concurrency", "retry", "timeout", "time_limit", "continue_on_error"))
"""Parameters that change nothing of the answer: they may be mended between two attempts."""
_SECRET = re.compile(r"(?i)password|passwd|secret|token|api_?key|credential")
_DEEPEST = 12
_MOST = 100
"""Members of a collection from which on its hash stands for it."""
_MADE_OF_ARGUMENTS: frozenset[type[Any]] = frozenset((operator.itemgetter, operator.attrgetter, operator.methodcaller))
_kind_of: Callable[[object], type[Any]] = type


def shape_of(stages: Sequence[PipelineStage[Any, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return for each stage its name, its class, its law, and the parameters that its answer depends on.

    A function counts by its name, so that it can be mended, and a lambda or closure moved; with it count the arguments
    of a ``partial``, and the object that a method is of. A record type counts by its name and its fields, an object
    of a class that is neither a dataclass nor of mainstem by the name of its class, and much data by its hash.
    Passwords are left out.

    Args:
        stages: The stages.
        names: Their names in reports.
    """
    return [{"name": name, **_of_stage(stage, 0)} for name, stage in zip(names, stages, strict=True)]


def _of_stage(stage: PipelineStage[Any, Any], depth: int) -> dict[str, Any]:
    kind = type(stage)
    shape: dict[str, Any] = {"class": f"{kind.__module__}.{kind.__qualname__}", "law": stage.kind.value}
    inner: Sequence[PipelineStage[Any, Any]] | None = getattr(stage, "stages", None)  # of a pipeline
    members = stage.members if inner is None and len(stage.members) > 1 else inner
    if members is not None:
        return {**shape, "stages": [{"name": each.name, **_of_stage(each, depth + 1)} for each in members]}
    return {**shape, **_parameters(stage, _OF_EVERY_STAGE, depth)}


def _parameters(owner: object, left_out: frozenset[str], depth: int) -> dict[str, Any]:
    """Return the attributes of an object in plain values, by name."""
    found: dict[str, Any] = {}
    not_in_shape: frozenset[str] = getattr(type(owner), "not_in_shape", frozenset())
    left_out = left_out | _NO_MATTER | not_in_shape
    secret = secret_names(_kind_of(owner))  # type: ignore[arg-type]  # classes are hashable
    for name, value in sorted(_attributes(owner).items()):
        bare = name.lstrip("_")
        if bare not in left_out and not name.startswith("__"):
            is_secret = name in secret or (isinstance(value, str) and _SECRET.search(bare))
            found[bare] = SHOWN if is_secret else _plain(value, depth + 1)
    return found


def _attributes(owner: object) -> dict[str, Any]:
    names = [*getattr(owner, "__dict__", {})]
    for base in type(owner).__mro__:
        slots: str | Iterable[str] = vars(base).get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    return {name: getattr(owner, name) for name in names if hasattr(owner, name)}


def _plain(value: Any, depth: int) -> Any:
    kind = _kind_of(value)
    if value is None or kind in (bool, int):
        return value
    if kind is float:
        return value if math.isfinite(value) else repr(value)
    if issubclass(kind, str) and not issubclass(kind, Enum):
        return redact_url(str.__str__(value))
    if issubclass(kind, Enum):
        return f"{kind.__qualname__}.{value.name}"
    if issubclass(kind, (date, time, timedelta, tzinfo, Decimal, Fraction, bytes, complex, range)):
        return repr(value)
    if issubclass(kind, re.Pattern):
        return {"pattern": _plain(value.pattern, depth), "flags": value.flags}
    if hasattr(kind, "__fspath__"):
        return redact_url(f"{fspath(value)}")
    if depth > _DEEPEST:
        return kind.__qualname__
    if issubclass(kind, (Mapping, list, tuple, set, frozenset)):
        return _of_collection(value, depth)
    return _of_object(value, kind, depth)


def _of_collection(value: Any, depth: int) -> Any:
    kind = _kind_of(value)
    if issubclass(kind, Mapping):
        items: Mapping[Any, Any] = value
        if items and all(isinstance(each, RecordFunction) for each in items.values()):
            # They are asked in their order, and two objects of JSON are the same in whatever order.
            return [[_plain(key, depth + 1), _plain(each, depth + 1)] for key, each in items.items()]
        if all(type(key) is str for key in items):
            return _shortened({key: _plain(each, depth + 1) for key, each in items.items()})
        pairs = ([_plain(key, depth + 1), _plain(each, depth + 1)] for key, each in items.items())
        return _shortened(sorted(pairs, key=repr))
    members = [_plain(each, depth + 1) for each in value]
    return _shortened(sorted(members, key=repr) if issubclass(kind, (set, frozenset)) else members)


def _shortened(plain: Any) -> Any:
    """Return what stands for data that may be much, such as the records that others are joined with."""
    if len(plain) <= _MOST:
        return plain
    text = json.dumps(plain, sort_keys=True)
    return {"length": len(plain), "sha256": sha256(text.encode("ascii")).hexdigest()}


def _of_object(value: Any, kind: type[Any], depth: int) -> Any:
    if issubclass(kind, PipelineStage):
        stage: PipelineStage[Any, Any] = value
        return {"name": stage.name, **_of_stage(stage, depth)}
    if issubclass(kind, RecordFunction):
        return _plain(value.function, depth)
    if issubclass(kind, type):
        return _of_class(value)
    called = _of_callable(value, depth)
    if called is not None:
        return called
    name = f"{kind.__module__}.{kind.__qualname__}"
    if is_dataclass(kind):
        left_out = frozenset(_attributes(value)) - {each.name for each in fields(kind)}
        return {"type": name, **_parameters(value, left_out, depth)}
    if kind.__module__.partition(".")[0] == "mainstem":
        return {"type": name, **_parameters(value, frozenset(), depth)}
    return name


def _of_class(kind: type[Any]) -> Any:
    name = f"{kind.__module__}.{kind.__qualname__}"
    hints = field_hints(kind)
    return {"type": name, "fields": {each: show(hint) for each, hint in hints.items()}} if hints else name


def _of_callable(value: Any, depth: int) -> Any:
    """Return what stands for a function and the like; ``None`` of anything else."""
    kind = _kind_of(value)
    if issubclass(kind, functools.partial):
        made: functools.partial[Any] = value
        keywords = dict(sorted(made.keywords.items()))
        return {
            "partial": _plain(made.func, depth + 1),
            "arguments": _plain(made.args, depth + 1),
            **({"keywords": _plain(keywords, depth + 1)} if keywords else {}),
        }
    if kind in _MADE_OF_ARGUMENTS:
        _, *arguments = value.__reduce__()
        return {"type": f"operator.{kind.__name__}", "arguments": _plain(arguments, depth + 1)}
    name: str | None = getattr(value, "__qualname__", None)
    if name is None:
        return None
    if isinstance(value, (MethodType, BuiltinMethodType)) and not isinstance(value.__self__, (type, ModuleType)):
        return {"method": name, "of": _plain(value.__self__, depth + 1)}
    return f"{getattr(value, '__module__', None) or 'builtins'}.{name}"
