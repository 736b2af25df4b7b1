"""The next chunk of a generator, waited for in a task of its own, so that one can wait for something else as well."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio

from mainstem.engine.background import start_in_background
from mainstem.engine.closing import closing


class Change:
    """Something may have changed that others wait for. Look first, then wait, and await nothing between the two."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def tell(self) -> None:
        """Wake who waits."""
        self._event.set()

    async def wait(self) -> None:
        """Wait until it is told."""
        self._event = anyio.Event()
        await self._event.wait()


class ChunkFeed(AbstractAsyncContextManager[Any]):
    """Takes chunks from a generator, each when it is asked for.

    Args:
        chunks: The generator, which nobody else uses.
        change: Is told when there is a chunk, or there are no more.

    Attributes:
        chunk: The chunk that was asked for, once it is there.
        ended: Whether there are no more.
        error: What the generator raised.
    """

    def __init__(self, chunks: AsyncGenerator[Sequence[Any], None], change: Change) -> None:
        self._chunks, self._change = chunks, change
        self._asked = anyio.Event()
        self._scope, self._gone = anyio.CancelScope(), anyio.Event()
        self.chunk: Sequence[Any] | None = None
        self.ended = False
        self.error: BaseException | None = None

    async def __aenter__(self) -> ChunkFeed:
        start_in_background(self._work, self._gone)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._gone.wait()

    def ask(self) -> None:
        """Let go of the chunk, and ask for the next."""
        self.chunk = None
        self._asked.set()

    async def _work(self) -> None:
        try:
            with self._scope:
                await self._asked.wait()
                async with closing(self._chunks) as chunks:
                    async for chunk in chunks:
                        self.chunk, self._asked = chunk, anyio.Event()
                        self._change.tell()
                        await self._asked.wait()
        except anyio.get_cancelled_exc_class() as cancelled:
            self.error = (
                cancelled  # not of this scope: the event loop ends, or the generator awaited what was cancelled
            )
            raise
        except BaseException as error:
            self.error = error
        finally:
            self.ended = True
            self._change.tell()
