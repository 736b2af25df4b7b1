"""Reading annotations: what a function takes and gives, what a stage class was parametrised with."""

from __future__ import annotations

from asyncio import Future
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, Optional, TypeVar

import pytest

from mainstem.type_hints import base_arguments, function_hints, iterable_of, list_of, record_of, tuple_of

T = TypeVar("T")
U = TypeVar("U")


def plain(number: int) -> str: ...
async def later(number: int) -> str: ...
def awaitable(number: int) -> Awaitable[str]: ...
def coroutine(number: int) -> Coroutine[Any, Any, str]: ...
def bare_awaitable(number: int) -> Awaitable: ...  # type: ignore[type-arg]
def either(number: int) -> str | Awaitable[str]: ...
def future(number: int) -> Future[str]: ...
def bare_future(number: int) -> Future: ...  # type: ignore[type-arg]
def unannotated(number): ...
def half(number: int): ...
def nothing() -> str: ...
def generic(item: T) -> list[T]: ...
def unresolved(number: Missing) -> str: ...  # type: ignore[name-defined]  # noqa: F821
def variadic(*numbers: int) -> str: ...
def keyword_only(*, number: int) -> str: ...
def optional(number: Optional[int]) -> int | None: ...  # noqa: UP045
def gives_none(number: int) -> None: ...


class Callable:
    def __call__(self, number: int) -> str: ...

    def method(self, number: int) -> str: ...


class Made:
    def __init__(self, number: int) -> None: ...


class Pair(NamedTuple):
    left: int
    right: str


@pytest.mark.parametrize(
    ("function", "hints"),
    [
        (plain, (int, str)),
        (later, (int, str)),
        (awaitable, (int, str)),
        (coroutine, (int, str)),
        (bare_awaitable, (int, Any)),
        (either, (int, Any)),
        (future, (int, str)),
        (bare_future, (int, Any)),
        (unannotated, (Any, Any)),
        (half, (int, Any)),
        (nothing, (Any, str)),
        (generic, (Any, list[Any])),
        (unresolved, (Any, Any)),
        (variadic, (int, str)),
        (keyword_only, (Any, str)),
        (optional, (int | None, int | None)),
        (gives_none, (int, type(None))),
        (Callable(), (int, str)),
        (Callable().method, (int, str)),
        (Made, (int, Made)),
        (partial(plain), (int, str)),
        (partial(plain, 1), (Any, str)),
        (len, (Any, Any)),
        (str.upper, (Any, Any)),
        (str, (Any, str)),
        (lambda number: number, (Any, Any)),
    ],
)
def test_what_a_function_takes_and_gives(function: Any, hints: tuple[Any, Any]) -> None:
    assert function_hints(function) == hints


class Base(Generic[T, U]): ...


class Bound(Base[int, str]): ...


class Flipped(Base[U, T], Generic[T, U]): ...


class Nested(Base[list[T], dict[str, T]], Generic[T]): ...


class Below(Nested[int]): ...


class Bare(Base): ...  # type: ignore[type-arg]


class Beside(str, Bound): ...


class Unresolved(Base[list["Missing"], "Missing"]): ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("cls", "arguments", "expected"),
    [
        (Base, (int, str), (int, str)),
        (Base, (), ()),
        (Bound, (), (int, str)),
        (Flipped, (int, str), (str, int)),
        (Flipped, (), (Any, Any)),
        (Nested, (bool,), (list[bool], dict[str, bool])),
        (Nested, (), (list[Any], dict[str, Any])),
        (Below, (), (list[int], dict[str, int])),
        (Bare, (), ()),
        (Beside, (), (int, str)),
        (Unresolved, (), (Any, Any)),
        (int, (), ()),
    ],
)
def test_the_arguments_a_class_gives_its_generic_base(cls: Any, arguments: Any, expected: Any) -> None:
    assert base_arguments(cls, arguments, Base) == expected


@pytest.mark.parametrize(
    ("collection", "record"),
    [
        (list[int], int),
        (Iterable[str], str),
        (Iterator[str], str),
        (Sequence[list[int]], list[int]),
        (set[int], int),
        (dict[str, int], str),
        (tuple[int, ...], int),
        (tuple[int, int], int),
        (tuple[int, str], Any),
        (tuple[()], Any),
        (str, str),
        (list, Any),
        (int, Any),
        (Any, Any),
        (AsyncIterator[int], Any),
    ],
    ids=repr,
)
def test_the_record_of_a_collection(collection: Any, record: Any) -> None:
    assert record_of(collection) == record


def test_hints_made_at_run_time_are_those_one_would_write() -> None:
    assert list_of(int) == list[int]
    assert iterable_of(int) == Iterable[int]
    assert tuple_of((int, str)) == tuple[int, str]
