"""Typed records: telling record types apart, parsing plain values into them, and reading their fields.

A record is a dict, or an object of a record type: a dataclass, ``TypedDict``, msgspec ``Struct`` or pydantic model.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

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
    setattr(parse, _ALL, _converter_of_all(model))
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


_ALL = "parse_all"
"""The attribute of a parser that parses many mappings at once, in half the time, or raises if one cannot be parsed."""


def _converter_of_all(model: type[M]) -> Callable[[Sequence[Any]], list[M]] | None:
    if hasattr(model, "__pydantic_validator__"):
        return None
    try:
        import msgspec
    except ImportError:
        return None
    of_all: Any = list[model]  # type: ignore[valid-type]
    return lambda records: msgspec.convert(records, of_all, strict=False)


def text_record_parser(model: type[M], null_values: Collection[str]) -> Callable[[dict[str, Any]], M]:
    """Return a function that turns a mapping of texts, such as the cells of a CSV row, into a record of ``model``.

    A text that is one of ``null_values`` is ``None`` for a field that may be ``None`` and is no text.

    Raises:
        MissingExtraError: If it takes a package that is not installed.
    """
    parse = record_parser(model)
    hints = field_hints(model) or {}
    absent = [name for field, hint in hints.items() if _empty_is_none(hint) for name in _input_names(model, field)]
    if not absent:
        return parse

    def parse_text(cells: dict[str, Any]) -> M:
        present = {**cells}
        for name in absent:
            if present.get(name) in null_values:
                present[name] = None
        return parse(present)

    def parse_all(records: Sequence[dict[str, Any]]) -> list[M]:
        changed: list[dict[str, Any]] = []
        for cells in records:
            empty = [name for name in absent if cells.get(name) in null_values]
            changed.append({**cells, **dict.fromkeys(empty)} if empty else cells)
        made: list[M] = convert_all(changed)
        return made

    convert_all: Any = getattr(parse, _ALL, None)
    if convert_all is not None:
        setattr(parse_text, _ALL, parse_all)
    return parse_text


def parse_each(parse: Callable[[Any], M], values: Sequence[Any]) -> tuple[list[M], list[tuple[int, Exception]]]:
    """Parse each value: all at once, if the parser can do that, and one by one if one of them cannot be parsed.

    Returns:
        What it returned, in order, and for each value at which it raised its position and the exception.
    """
    parse_all: Callable[[Sequence[Any]], list[M]] | None = getattr(parse, _ALL, None)
    if parse_all is not None and set(map(type, values)) == {dict}:
        try:
            return parse_all(values), []
        except Exception:  # found again below, with the value it is in
            pass
    parsed: list[M] = []
    failures: list[tuple[int, Exception]] = []
    remaining = iter(values)
    while True:
        try:
            parsed.extend(map(parse, remaining))
        except Exception as error:
            failure = error
        else:
            if len(parsed) + len(failures) >= len(values):
                return parsed, failures
            # Out of map(), a StopIteration reads as the end of the values.
            failure = RuntimeError("the parser raised StopIteration")
        failures.append((len(parsed) + len(failures), failure))


def _empty_is_none(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        return _empty_is_none(get_args(hint)[0])
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else ()
    return type(None) in members and str not in members and Any not in members


def _input_names(kind: type, field: str) -> tuple[str, ...]:
    """Return the names that a field has in data that is parsed: an alias, if it has one, else its own."""
    if _is_struct(kind):
        names = dict(zip(getattr(kind, "__struct_fields__"), getattr(kind, "__struct_encode_fields__"), strict=True))  # noqa: B009
        return (names[field],)
    aliased: Any = getattr(kind, "model_fields", {}).get(field)
    alias: Any = getattr(aliased, "validation_alias", None)
    return (field, alias) if isinstance(alias, str) else (field,)


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


def field_reader(kind: type[Any]) -> Callable[[Any], Mapping[str, Any]]:
    """Return a function that gives the fields of a record of the class ``kind`` as a mapping, one level deep.

    Raises:
        TypeError: If records of ``kind`` have no fields.
    """
    if issubclass(kind, Mapping):
        return lambda record: record
    if hasattr(kind, "model_fields") and getattr(kind, "model_config", {}).get("extra") == "allow":
        return dict  # a pydantic model with fields beyond those it declares
    hints = field_hints(kind)
    if hints is None:
        raise TypeError(f"a record must be a mapping or of a record type, and {kind.__name__} is neither")
    names = tuple(hints)
    return lambda record: {name: getattr(record, name) for name in names}
