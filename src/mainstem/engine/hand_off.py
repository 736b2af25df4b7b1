"""Two parts of a pipeline that run side by side: one hands its chunks over to the other, which may lag a little."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import anyio

from mainstem.context import StageProgress
from mainstem.engine.background import end, raise_if_urgent, start_in_background
from mainstem.engine.closing import closing

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectSendStream  # which importing anyio itself does not load


class HandOff:
    """Runs a generator of chunks in a task of its own.

    Back-pressure: it works at most ``ahead`` chunks ahead, and then waits with one more in its hands.

    Args:
        chunks: The generator, which nobody else uses.
        ahead: How many chunks may lie between the two.
        giver: Where the time is counted in which a chunk could not be handed over.
        taker: Where the time is counted in which there was none to be had, and how many lay there.
    """

    def __init__(
        self, chunks: AsyncGenerator[Any, None], ahead: int, giver: StageProgress | None, taker: StageProgress | None
    ) -> None:
        self._chunks = chunks
        self._giver, self._taker = giver, taker
        self._ahead = ahead
        self._error: BaseException | None = None

    async def output(self) -> AsyncGenerator[Any, None]:
        """Give the chunks; on the way out, however it is left, the task is ended and waited for.

        Raises:
            BaseException: What the generator raised, after the chunks it gave before.
        """
        send, receive = anyio.create_memory_object_stream[Any](self._ahead)
        scope, ended = anyio.CancelScope(), anyio.Event()
        start_in_background(partial(self._work, send, scope), ended)
        try:
            while True:
                if self._taker is not None:
                    lying = receive.statistics()
                    self._taker.queue_depth = max(
                        self._taker.queue_depth, lying.current_buffer_used + lying.tasks_waiting_send
                    )
                    self._taker.idle = "input"
                started = perf_counter()
                try:
                    chunk = await receive.receive()
                except anyio.EndOfStream:
                    break
                finally:
                    if self._taker is not None:
                        self._taker.waiting_ms += (perf_counter() - started) * 1000
                        self._taker.idle = ""
                yield chunk
            if self._error is not None:
                raise self._error
        finally:
            receive.close()
            await end(scope, ended)
            send.close()  # if the event loop ended before the task began
            raise_if_urgent(self._error)

    async def _work(self, send: MemoryObjectSendStream[Any], scope: anyio.CancelScope) -> None:
        try:
            with scope, send:
                async with closing(self._chunks) as chunks:
                    async for chunk in chunks:
                        started = perf_counter()
                        if self._giver is not None:
                            self._giver.idle = "output"
                        await send.send(chunk)
                        if self._giver is not None:
                            self._giver.blocked_ms += (perf_counter() - started) * 1000
                            self._giver.idle = ""
        except anyio.get_cancelled_exc_class() as cancelled:
            self._error = (
                cancelled  # not of this scope: the event loop ends, or the generator awaited what was cancelled
            )
            raise
        except BaseException as error:
            self._error = error
