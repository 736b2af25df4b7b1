"""Iterating over an async generator that is closed on the way out, whichever way that is."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, Generic

import anyio
from typing_extensions import TypeVar

T = TypeVar("T")

CLOSING_SECONDS = 30.0
"""How long a generator that is closed may take to clean up, before that is cancelled too."""

_open: set[object] = set()
"""Strong references: generators that are dropped together would each be closed by itself, by the garbage collector."""


class closing(Generic[T]):  # noqa: N801 - used like a function
    """Iterate over an async generator within an ``async with`` block; it is closed, and has time to, when that is left.

    Unlike ``contextlib.aclosing`` it shields the closing from a cancellation of the task, and keeps the generator from
    the event loop's list of those to close when it ends: the loop closes them all at once, so that of two of which one
    reads from the other each would find the other closing.
    """

    def __init__(self, generator: AsyncGenerator[T, Any]) -> None:
        self._generator = generator
        self._begun = False

    async def __aenter__(self) -> closing[T]:
        return self

    def __aiter__(self) -> closing[T]:
        return self

    def __anext__(self) -> Awaitable[T]:
        return self._generator.__anext__() if self._begun else self._begin()

    def _begin(self) -> Awaitable[T]:
        self._begun = True
        _open.add(self._generator)
        first_iteration, finalizer = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)
        try:
            return self._generator.__anext__()  # which is when a generator looks at the hooks
        finally:
            sys.set_asyncgen_hooks(first_iteration, finalizer)

    async def __aexit__(self, *_: object) -> None:
        try:
            with anyio.move_on_after(CLOSING_SECONDS, shield=True):
                await self._generator.aclose()
        finally:
            _open.discard(self._generator)
