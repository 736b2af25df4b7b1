"""Typed records: telling record types apart, parsing plain values into them, and reading their fields.

A record is a dict, or an object of a record type: a dataclass, ``TypedDict``, msgspec ``Struct`` or pydantic model.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from typing_extensions import get_type_hints, is_typeddict

from mainstem.errors import ValidationError, missing_extra

M = TypeVar("M")


def is_record_type(candidate: Any) -> bool:
    """Say whether ``candidate`` is a dataclass, ``TypedDict``, msgspec ``Struct`` or pydantic model.

    Example:
        >>> is_record_type(dataclasses.make_dataclass("Point", ["x", "y"])), is_record_type(dict)
        (True, False)
    """
    return inspect.isclass(candidate) and (
        dataclasses.is_dataclass(candidate)
        or is_typeddict(candidate)
        or _is_struct(candidate)
        or hasattr(candidate, "__pydantic_validator__")
    )


def _is_struct(kind: type[Any]) -> bool:
    return hasattr(kind, "__struct_fields__")


def record_parser(model: type[M]) -> Callable[[Any], M]:
    """Return a function that turns a mapping into a record of ``model``, reading numbers and the like from text.

    A record that is one already is returned as it is.

    Raises:
        MissingExtraError: If it takes a package that is not installed.
    """
    convert = _converter(model)
    accepted: tuple[type, ...] = () if is_typeddict(model) else (model,)

    def parse(record: Any) -> M:
        if isinstance(record, accepted):
            return record  # type: ignore[return-value]  # it is one of the model
        try:
            return convert(record)
        except Exception as error:
            raise ValidationError(f"not a {model.__name__}: {error}") from error

    parse.__qualname__ = parse.__name__ = f"parse_{model.__name__}"
    return parse


def _converter(model: type[M]) -> Callable[[Any], M]:
    if not hasattr(model, "__pydantic_validator__"):
        try:
            import msgspec
        except ImportError:
            pass
        else:
            return lambda record: msgspec.convert(record, model, strict=False)
    try:
        from pydantic import TypeAdapter
    except ImportError:
        raise missing_extra(f"Parsing records into {model.__name__}", "models") from None
    return TypeAdapter(model).validate_python


def field_hints(kind: type[Any]) -> Mapping[str, Any] | None:
    """Return the names and annotations of a record type's fields, in order; ``None`` if ``kind`` is no record type.

    An annotation that cannot be resolved is ``Any``.
    """
    if _is_struct(kind):
        names = list(getattr(kind, "__struct_fields__"))  # noqa: B009 - an attribute of msgspec's
    elif hasattr(kind, "model_fields"):
        names = list(getattr(kind, "model_fields"))  # noqa: B009 - an attribute of pydantic's
    elif dataclasses.is_dataclass(kind):
        names = [each.name for each in dataclasses.fields(kind)]
    elif is_typeddict(kind):
        names = list(kind.__annotations__)
    else:
        return None
    try:
        hints = get_type_hints(kind)
    except NameError:
        hints = {}
    return {name: hints.get(name, Any) for name in names}


def field_reader(kind: type) -> Callable[[Any], Mapping[str, Any]]:
    """Return a function that gives the fields of a record of the class ``kind`` as a mapping, one level deep.

    Raises:
        TypeError: If records of ``kind`` have no fields.
    """
    if issubclass(kind, Mapping):
        return lambda record: record
    hints = field_hints(kind)
    if hints is None:
        raise TypeError(f"a record must be a mapping or of a record type, and {kind.__name__} is neither")
    names = tuple(hints)
    return lambda record: {name: getattr(record, name) for name in names}
