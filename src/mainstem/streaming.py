"""``PipelineStream``: what ``Pipeline.stream`` returns."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Any, Generic, Self

from typing_extensions import TypeVar

from mainstem.context import PipelineContext
from mainstem.errors import StreamClosedError
from mainstem.result import PipelineResult

Out_co = TypeVar("Out_co", covariant=True)


class PipelineStream(AsyncIterator[Out_co], Generic[Out_co]):
    """A run of a pipeline as an async iterator of its output, chunk by chunk.

    The chunks, put together, are what ``execute`` gives at once; a pipeline that ends in one value gives just that.
    Nothing runs before the first chunk is asked for. In an ``async with`` block, all that was started is closed and
    awaited when the block is left, whichever way; without one, that happens at the end, at an error, at ``aclose()``,
    or, as with any async generator, some time after the iterator was dropped.

    Attributes:
        context: The run's context; its counts can be read while the run goes on.
        max_in_flight: The most chunks there are at a time between the input and whoever takes the output.
    """

    def __init__(self, chunks: AsyncGenerator[Out_co, None], context: PipelineContext, max_in_flight: int) -> None:
        self._chunks = chunks
        self._result: PipelineResult[Any] | None = None
        self.context = context
        self.max_in_flight = max_in_flight

    @property
    def result(self) -> PipelineResult[Any]:
        """Counts, times and errors of the whole run. The chunks are gone: ``data`` is ``None``, or the one value.

        Raises:
            RuntimeError: While the run goes on.
        """
        if self._result is None:
            raise RuntimeError("the stream has no result yet: take all of its chunks first, or close it")
        return self._result

    def conclude(self, result: PipelineResult[Any]) -> None:
        """Take the result; the engine does so at the end of the run."""
        self._result = result

    async def __anext__(self) -> Out_co:
        """Return the next chunk.

        Raises:
            StopAsyncIteration: At the end.
            Exception: The error of the stage that failed; the chunks before it have been given.
        """
        return await anext(self._chunks)

    async def aclose(self) -> None:
        """End the run, and wait until all that it started is closed. After its end this does nothing."""
        await self._chunks.aclose()
        if self._result is None:  # it had not begun
            closed = StreamClosedError("the stream was closed before it began")
            self._result = PipelineResult(success=False, error=closed, context=self.context)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
