"""What can be known about a user's function before it is called: its name, and whether it is async."""

from __future__ import annotations

import inspect
from functools import partial
from types import UnionType
from typing import Any, Union, get_args, get_origin

from mainstem.type_hints import function_hints


def describe_function(function: Any) -> str:
    """Name a function, with file and line where it has them."""
    while isinstance(function, partial):
        function = function.func
    if not inspect.isroutine(function) and not isinstance(function, type):
        function = type(function).__call__
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    name = getattr(function, "__qualname__", repr(function))
    return name if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"


def is_coroutine_function(function: Any) -> bool:
    """Whether a function, partial or callable object is known to be async."""
    while isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or (
        not inspect.isroutine(function)
        and not isinstance(function, type)
        and inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - is it async, not callable
    )


def returns_plain_values(function: Any) -> bool:
    """Whether a function is known, from its annotation, never to return an awaitable."""
    called = function
    while isinstance(called, partial):
        called = called.func
    if hasattr(called, "__wrapped__") or hasattr(getattr(called, "__call__", None), "__wrapped__"):  # noqa: B004
        return False  # functools.wraps() copies the annotations of an async function onto a plain one
    _, returned = function_hints(function)
    return all(_is_plain(member) for member in _members_of(returned))


def _members_of(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _is_plain(hint: Any) -> bool:
    kind = get_origin(hint) or hint
    if kind is Any or kind is object:  # Any is a class, to isinstance()
        return False
    return kind is None or (isinstance(kind, type) and not hasattr(kind, "__await__"))
