"""Reading annotations: what a function takes and gives, what a stage class was parametrised with.

Whatever cannot be read is ``Any``: an unannotated function is no error.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache, partial
from types import UnionType
from typing import Any, ForwardRef, TypeVar, Union, get_args, get_origin, get_type_hints

from typing_extensions import get_original_bases


def function_hints(function: Callable[..., Any]) -> tuple[Any, Any]:
    """Return the hint of a function's first argument and of what it returns (of what awaiting it gives, if async)."""
    if isinstance(function, partial):
        taken, given = function_hints(function.func)
        return (Any if function.args or function.keywords else taken), given
    if isinstance(function, type):
        return _first_argument(function, getattr(function, "__init__")), function  # noqa: B009 - the class's own
    if not inspect.isroutine(function):
        function = getattr(function, "__call__")  # noqa: B004, B009 - its annotations
    try:
        returned: Any = get_type_hints(function).get("return", Any)
    except Exception:
        # Annotations may name anything, and evaluating them runs the user's code: what cannot be read is unknown.
        return Any, Any
    if _is_awaitable(returned):
        arguments = get_args(returned)
        returned = arguments[-1] if arguments else Any
    elif any(map(_is_awaitable, get_args(returned))) and get_origin(returned) in (Union, UnionType):
        returned = Any
    return _first_argument(function, function), _known(returned)


def _is_awaitable(hint: Any) -> bool:
    kind = get_origin(hint) or hint
    return isinstance(kind, type) and issubclass(kind, Awaitable)


def _first_argument(function: Callable[..., Any], annotated: Callable[..., Any]) -> Any:
    try:
        parameters = inspect.signature(function).parameters.values()
        hints = get_type_hints(annotated)
    except Exception:
        return Any  # a builtin without a signature, or annotations that cannot be read
    for each in parameters:
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD, each.VAR_POSITIONAL):
            return _known(hints.get(each.name, Any))
    return Any


def _known(hint: Any) -> Any:
    """Return the hint with its type variables as ``Any``; ``Any`` if a part of it is an unresolved name."""
    if isinstance(hint, (TypeVar, ForwardRef, str)) or hint is inspect.Parameter.empty:
        return Any
    if any(isinstance(each, (ForwardRef, str)) for each in get_args(hint)) and get_origin(hint) is not None:
        return Any
    return _substitute(hint, {})


def _substitute(hint: Any, bound: dict[Any, Any]) -> Any:
    if isinstance(hint, TypeVar):
        return bound.get(hint, Any)
    parameters: tuple[Any, ...] = getattr(hint, "__parameters__", ())
    if not parameters or isinstance(hint, type):
        return hint
    return hint[tuple(bound.get(each, Any) for each in parameters)]


def base_arguments(cls: type, arguments: tuple[Any, ...], target: type) -> tuple[Any, ...]:
    """Return the arguments that ``cls[arguments]`` gives its generic base ``target``; unknown ones are ``Any``."""
    if cls is target:
        return tuple(_known(each) for each in arguments)
    parameters: tuple[Any, ...] = getattr(cls, "__parameters__", ())
    bound = dict(zip(parameters, arguments, strict=False))
    for base in get_original_bases(cls):
        origin = get_origin(base) or base
        if isinstance(origin, type) and issubclass(origin, target):
            return base_arguments(origin, tuple(_substitute(each, bound) for each in get_args(base)), target)
    return ()


@lru_cache(maxsize=1024)
def record_of(collection: Any) -> Any:
    """Return the hint of one record of a collection's hint: ``int`` for ``list[int]``; ``Any`` where it is unknown."""
    origin = get_origin(collection)
    arguments = get_args(collection)
    if not (isinstance(origin, type) and issubclass(origin, Iterable) and arguments):
        return str if collection is str else Any
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        return arguments[0] if all(each == arguments[0] for each in arguments) else Any
    return arguments[0]


def iterable_of(record: Any) -> Any:
    """Return the hint ``Iterable[record]``, made at run time."""
    kind: Any = Iterable
    return kind[record]


def list_of(record: Any) -> Any:
    """Return the hint ``list[record]``, made at run time."""
    kind: Any = list
    return kind[record]


def tuple_of(items: tuple[Any, ...]) -> Any:
    """Return the hint ``tuple[items]``, made at run time."""
    kind: Any = tuple
    return kind[items]
