"""What a pipeline is made of, in plain values: so that one which was changed is noticed when a run is resumed."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from os import PathLike, fspath
from typing import Any

from mainstem.records import field_hints
from mainstem.secrets import redact_url
from mainstem.stage import PipelineStage
from mainstem.stages.record_function import RecordFunction
from mainstem.typecheck import show

_NO_MATTER = frozenset(
    ("name", "made_at", "kind", "waits", "expands", "concurrency", "retry", "timeout", "continue_on_error")
)
"""What a stage has beside its parameters, and parameters that change nothing of the answer."""
_DEEPEST = 12


def shape_of(stages: Sequence[PipelineStage[Any, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return for each stage its name, its class, its law, and the parameters that its answer depends on.

    Functions count by their name, so that one can be mended; of a record type, its name and its fields.
    """
    return [{"name": name, **_of_stage(stage, 0)} for name, stage in zip(names, stages, strict=True)]


def _of_stage(stage: PipelineStage[Any, Any], depth: int) -> dict[str, Any]:
    kind = type(stage)
    shape: dict[str, Any] = {"class": f"{kind.__module__}.{kind.__qualname__}", "law": stage.kind.value}
    inner: Sequence[PipelineStage[Any, Any]] | None = getattr(stage, "stages", None)  # of a pipeline
    members = stage.members if inner is None and len(stage.members) > 1 else inner
    if members is not None:
        return {**shape, "stages": [{"name": each.name, **_of_stage(each, depth + 1)} for each in members]}
    return {**shape, **_parameters(stage, kind.not_in_shape, depth)}


def _parameters(owner: object, left_out: Iterable[str], depth: int) -> dict[str, Any]:
    """Return the attributes of an object in plain values, by name."""
    found: dict[str, Any] = {}
    for name, value in sorted(_attributes(owner).items()):
        bare = name.lstrip("_")
        if bare not in _NO_MATTER and bare not in left_out and not name.startswith("__"):
            found[bare] = _plain(value, depth + 1)
    return found


def _attributes(owner: object) -> dict[str, Any]:
    names = [*getattr(owner, "__dict__", {})]
    for base in type(owner).__mro__:
        slots: str | Iterable[str] = vars(base).get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    return {name: getattr(owner, name) for name in names if hasattr(owner, name)}


def _plain(value: Any, depth: int) -> Any:
    kind: type[Any] = type(value)
    if value is None or kind in (bool, int, float):
        return value
    if kind is str:
        return redact_url(value)
    if isinstance(value, Enum):
        return f"{kind.__qualname__}.{value.name}"
    if isinstance(value, (date, time, timedelta, Decimal, bytes, complex)):
        return repr(value)
    if isinstance(value, PathLike):
        return redact_url(str(fspath(value)))
    if depth > _DEEPEST:
        return kind.__qualname__
    if isinstance(value, PipelineStage):
        stage: PipelineStage[Any, Any] = value
        return {"name": stage.name, **_of_stage(stage, depth)}
    if isinstance(value, RecordFunction):
        return _plain(value.function, depth)
    if isinstance(value, Mapping):
        items: Mapping[Any, Any] = value
        return {str(key): _plain(each, depth + 1) for key, each in items.items()}
    if isinstance(value, (list, tuple)):
        several: Sequence[Any] = value
        return [_plain(each, depth + 1) for each in several]
    if isinstance(value, (set, frozenset)):
        members: Iterable[Any] = value
        return sorted((_plain(each, depth + 1) for each in members), key=repr)
    return _of_object(value, kind, depth)


def _of_object(value: Any, kind: type[Any], depth: int) -> Any:
    if isinstance(value, type):
        hints = field_hints(value)
        name = f"{value.__module__}.{value.__qualname__}"
        return {"type": name, "fields": {each: show(hint) for each, hint in hints.items()}} if hints else name
    if isinstance(value, functools.partial):
        return {
            "partial": _plain(value.func, depth + 1),
            "arguments": _plain([*value.args, *value.keywords.items()], depth + 1),
        }
    if hasattr(value, "__qualname__"):  # functions, methods, builtins
        return f"{getattr(value, '__module__', None) or 'builtins'}.{value.__qualname__}"
    name = f"{kind.__module__}.{kind.__qualname__}"
    if is_dataclass(value):
        return {
            "type": name,
            **{each.name: _plain(getattr(value, each.name, None), depth + 1) for each in fields(value)},
        }
    if kind.__module__.startswith("mainstem."):
        return {"type": name, **_parameters(value, (), depth)}
    return name
