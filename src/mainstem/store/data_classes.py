"""The classes whose instances only hold data: telling them apart, and taking their instances to pieces and back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cached_property, lru_cache
from operator import attrgetter
from types import MemberDescriptorType
from typing import Any, cast

from mainstem.errors import NotEncodableError, StoreError

_HEAP_TYPE = 1 << 9
"""The flag of CPython of classes that are made by a class statement."""
_TYPING_OWN = frozenset(("__orig_class__",))


kind_of: Callable[[object], type[Any]] = type
"""``type``, as type checkers understand it of a value that may be anything."""


def name_of(kind: type[Any]) -> str:
    """Return the name by which ``class_named`` finds a class."""
    return f"{kind.__module__}:{kind.__qualname__}"


def class_named(name: str) -> type[Any] | None:
    """Return the class of a name ``module:qualified.name``, if it is loaded. Nothing is imported or called."""
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        names: Mapping[str, Any] = getattr(found, "__dict__", {})
        found = names.get(part)
    kind: type[Any] | None = found if isinstance(found, type) else None
    return kind


def names_of(kind: type[Any]) -> tuple[str, ...] | None:
    """Return the names of the fields of a class that only holds data; ``None`` of any other class."""
    return _names_of(kind)  # type: ignore[arg-type]  # classes are hashable


@lru_cache(maxsize=1024)
def _names_of(kind: type[Any]) -> tuple[str, ...] | None:
    if hasattr(kind, "__del__"):  # whoever makes an instance from a text would have that called
        return None
    names: Iterable[Any] | None = None
    if tuple in kind.__mro__:
        names = getattr(kind, "_fields", None)
    elif is_struct(kind):
        names = getattr(kind, "__struct_fields__")  # noqa: B009 - an attribute of msgspec's
    elif is_model(kind):
        names = getattr(kind, "model_fields")  # noqa: B009 - an attribute of pydantic's
    elif is_dataclass(kind):
        names = [each.name for each in fields(kind)]
        if not _holds_only(kind, {*names}):
            return None
    if names is None:
        return None
    found = tuple(names)
    return found if all(isinstance(each, str) and each.isidentifier() for each in found) else None


def is_struct(kind: type[Any]) -> bool:
    """Say whether a class is a msgspec ``Struct``."""
    return any(base.__name__ == "Struct" and base.__module__ == "msgspec" for base in kind.__mro__)


def is_model(kind: type[Any]) -> bool:
    """Say whether a class is a pydantic model."""
    return any(base.__name__ == "BaseModel" and base.__module__ == "pydantic.main" for base in kind.__mro__)


def _holds_only(kind: type[Any], names: set[str]) -> bool:
    """Say whether a dataclass has no base that may hold more than the fields: a built-in class, or slots of its own."""
    for base in kind.__mro__[:-1]:
        slots: str | Iterable[str] = vars(base).get("__slots__", ())
        own = {slots} if isinstance(slots, str) else set(slots)
        if not base.__flags__ & _HEAP_TYPE or not own <= names | {"__weakref__", "__dict__"}:
            return False
    return True


def reader_of(kind: type[Any], names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that gives the values of an instance's fields."""
    if issubclass(kind, tuple):
        return _whole_tuple
    if not names:
        return lambda _: ()
    if len(names) == 1:
        (only,) = names
        return lambda value: (getattr(value, only),)
    return attrgetter(*names)


def _whole_tuple(value: Any) -> tuple[Any, ...]:
    return _items(value, slice(None))


_items: Callable[[Any, slice], tuple[Any, ...]] = tuple.__getitem__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
"""What gives the values, whatever methods a class has of its own."""
_new_tuple: Callable[[type[Any], Sequence[Any]], Any] = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def may_hold_more(kind: type[Any]) -> bool:
    """Say whether instances may have attributes beside the fields: those with a dictionary."""
    return getattr(kind, "__dictoffset__", 0) != 0


def refuse_more(value: Any, names: tuple[str, ...]) -> None:
    """Refuse an instance that has attributes beside its fields, except cached properties, which can be had again.

    Raises:
        NotEncodableError: If it has.
    """
    kind = kind_of(value)
    own: Mapping[str, Any] = value.__dict__
    if tuple(own) == names:
        return
    for name in own.keys() - set(names) - _TYPING_OWN:
        if not isinstance(_class_attribute(kind, name), cached_property):
            raise NotEncodableError(
                f"a {name_of(kind)} cannot be kept as text: it has an attribute {name!r} that is no field"
            )


def _class_attribute(kind: type[Any], name: str) -> Any:
    return next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)


def make_instance(kind: type[Any], names: Sequence[str], values: Sequence[Any], more: Mapping[str, Any]) -> Any:
    """Make an instance with these values as they are.

    No constructor is called, for it may have changed what it was given; except that of msgspec structs, which can't be
    made without.

    Args:
        kind: A class of which ``names_of`` gives the names.
        names: These names.
        values: Their values.
        more: What pydantic keeps beside the fields.
    """
    if issubclass(kind, tuple):
        return _new_tuple(cast("type[Any]", kind), values)
    given = dict(zip(names, values, strict=True))
    if is_struct(kind):
        return _make_struct(kind, given)
    made = object.__new__(kind)
    if is_model(kind):
        _fill_model(made, given, more)
        return made
    slots = _slots_of(kind, tuple(names))  # type: ignore[arg-type]  # classes are hashable
    for name, value in given.items():
        if name in slots:
            object.__setattr__(made, name, value)
        else:
            vars(made)[name] = value
    return made


@lru_cache(maxsize=1024)
def _slots_of(kind: type[Any], names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name for name in names if isinstance(_class_attribute(kind, name), MemberDescriptorType))


def _make_struct(kind: type[Any], given: Mapping[str, Any]) -> Any:
    made = kind(**given)
    if hasattr(kind, "__post_init__"):
        set_field: Callable[[Any, str, Any], None] = sys.modules["msgspec"].structs.force_setattr
        for name, value in given.items():
            set_field(made, name, value)
    return made


_PARTS_OF_MODELS = {"set": "__pydantic_fields_set__", "extra": "__pydantic_extra__", "private": "__pydantic_private__"}


def parts_of_model(value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return what a pydantic model keeps beside its fields; what is as usual is left out."""
    parts = {part: getattr(value, attribute, None) for part, attribute in _PARTS_OF_MODELS.items()}
    if parts["set"] == set(names):
        del parts["set"]
    else:
        parts["set"] = sorted(parts["set"] or ())
    return {part: content for part, content in parts.items() if content is not None}


def _fill_model(made: Any, given: Mapping[str, Any], more: Mapping[str, Any]) -> None:
    """Do what pydantic does when it unpickles a model."""
    chosen = set(more["set"]) if "set" in more else set(given)
    for part in ("extra", "private"):
        if not isinstance(more.get(part, {}), dict):
            raise StoreError(f"a kept {name_of(kind_of(made))} is not one that was written: its {part} is no dict")
    object.__setattr__(made, "__dict__", dict(given))
    object.__setattr__(made, "__pydantic_fields_set__", chosen)
    object.__setattr__(made, "__pydantic_extra__", more.get("extra"))
    object.__setattr__(made, "__pydantic_private__", more.get("private"))
