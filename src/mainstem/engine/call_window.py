"""A stage whose async calls overlap, in a stream: a fixed number of workers, which go from one chunk into the next.

So the window of calls stays full where one chunk ends and another begins. Chunks leave in order, or, if the order does
not matter, as they are done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from functools import partial
from time import perf_counter
from typing import Any

import anyio

from mainstem.context import PipelineContext, StageProgress, context_of_run
from mainstem.engine.background import start_in_background
from mainstem.engine.closing import closing
from mainstem.engine.line import StageFailed
from mainstem.result import StageResult
from mainstem.stage_run import StageRun
from mainstem.stages.record_calls import Calls, outcome_of
from mainstem.stages.record_function_stage import RecordFunctionStage

_PENDING = object()


class _Chunk:
    """Records whose calls are under way or still to be made."""

    __slots__ = ("answers", "calls", "fails", "left", "records", "remaining")

    def __init__(self, records: Sequence[Any], *, fails: bool) -> None:
        self.fails = fails
        """Whether a record that fails, fails the stage."""
        self.records = records
        self.remaining: Iterator[tuple[int, Any]] = enumerate(records)
        self.answers: list[Any] = [_PENDING] * len(records)
        self.calls = Calls(records, self.answers)
        self.left = len(records)

    def concluded(self) -> Calls:
        """Return what the calls gave."""
        calls = self.calls
        if calls.failures:
            calls.failures.sort(key=lambda failure: failure[0])
            done = [at for at, answer in enumerate(self.answers) if answer is not _PENDING]
            calls.records = [self.records[at] for at in done]
            calls.answers, calls.positions = [self.answers[at] for at in done], done
        return calls

    def settled(self) -> bool:
        """Whether all is known that counts: of every record, or, if one fails the stage, of those before it."""
        if not self.left:
            return True
        if not self.fails or not self.calls.failures:
            return False
        return all(answer is not _PENDING for answer in self.answers[: min(at for at, _ in self.calls.failures)])


class CallWindow:
    """Runs one stage over a stream of chunks, with calls for up to ``concurrency`` records under way at a time.

    Args:
        run: The stage in its run.
        stage: The same stage.
        holds: How many chunks may be under way at a time.
        ordered: Whether the chunks leave in the order they came.
    """

    def __init__(self, run: StageRun, stage: RecordFunctionStage[Any, Any], holds: int, *, ordered: bool) -> None:
        self._run, self._stage, self._ordered = run, stage, ordered
        self._retries = stage.record_function.retries()
        self._room = anyio.Semaphore(holds)
        self._pulling = anyio.Lock()
        self._current: _Chunk | None = None
        self._under_way: deque[_Chunk] = deque()
        self._changed = anyio.Event()
        self._ended = False
        """Whether there are no more chunks to be had."""
        self._failed = False
        """Whether a record has failed the stage."""
        self._error: BaseException | None = None
        """What came from upstream, or is no failure of a record."""
        self._activity = _Activity(run.progress)

    async def output(self, upstream: AsyncGenerator[Sequence[Any], None]) -> AsyncGenerator[Sequence[Any], None]:
        """Give the stage's output for each chunk.

        Raises:
            StageFailed: If the stage fails, after the output for the chunks before.
            BaseException: What came from upstream; what a function raised that is no ``Exception``.
        """
        scope, ended = anyio.CancelScope(), anyio.Event()
        async with closing(upstream) as chunks:
            start_in_background(partial(self._work, chunks, scope, ended))
            try:
                while (chunk := await self._next_done()) is not None:
                    result = await self._run.feed_with(partial(self._conclude, chunk), chunk.records)
                    if not result.success:
                        raise StageFailed(self._run, result)
                    self._room.release()
                    yield result.data or []
                if self._error is not None:
                    raise self._error
            finally:
                scope.cancel()
                with anyio.CancelScope(shield=True):
                    await ended.wait()
        self._run.complete()

    async def _conclude(self, chunk: _Chunk, _: Any, context: PipelineContext) -> StageResult[Any]:
        calls = chunk.concluded()
        if self._retries is not None:
            calls.retry_ms, self._retries.spent_ms = self._retries.spent_ms, 0.0
        return self._stage.conclude(chunk.records, calls, context)

    async def _next_done(self) -> _Chunk | None:
        """Wait for the next chunk to hand out."""
        while True:
            for chunk in self._under_way:
                if chunk.settled():
                    self._under_way.remove(chunk)
                    return chunk
                if self._ordered or self._failed:
                    break
            if self._error is not None or (self._ended and not self._under_way):
                return None
            self._changed = anyio.Event()
            await self._changed.wait()

    async def _work(self, chunks: closing[Sequence[Any]], scope: anyio.CancelScope, ended: anyio.Event) -> None:
        try:
            with scope, context_of_run(self._run.context):
                async with anyio.create_task_group() as group:
                    for _ in range(self._stage.concurrency):
                        group.start_soon(self._call_each, chunks)
        finally:
            ended.set()

    async def _call_each(self, chunks: closing[Sequence[Any]]) -> None:
        """One worker: make calls for records of chunk after chunk, one at a time."""
        try:
            chunk = await self._next_chunk(chunks, None)
            while chunk is not None:
                await self._call_in(chunk)
                chunk = await self._next_chunk(chunks, chunk)
        except anyio.get_cancelled_exc_class() as cancelled:
            self._stop(cancelled)  # of interest only if the function itself awaited something that was cancelled
            raise
        except BaseException as error:
            self._stop(error)

    async def _call_in(self, chunk: _Chunk) -> None:
        call, activity, answers = self._stage.record_function.call_one(), self._activity, chunk.answers
        for position, record in chunk.remaining:
            activity.begin()
            try:
                answers[position] = await call(record)
            except Exception as error:
                again = None if self._retries is None else self._retries.again
                outcome = await outcome_of(chunk.calls, position, chunk.records, error, again)
                if outcome.error is None:
                    answers[position] = outcome.answer
                elif not self._stage.continue_on_error:
                    self._failed = True
            finally:
                activity.end()
            chunk.left -= 1
            if not chunk.left or self._failed:
                self._changed.set()
            if self._failed:
                return

    async def _next_chunk(self, chunks: closing[Sequence[Any]], finished: _Chunk | None) -> _Chunk | None:
        """Return the chunk after ``finished``, whose records are all being seen to; one worker pulls for all."""
        async with self._pulling:
            if self._current is not finished:
                return self._current
            if self._ended or self._failed:
                return None
            self._activity.blocked = True
            await self._room.acquire()
            self._activity.blocked = False
            records = await anext(chunks, None)
            if records is None:
                self._stop(None)
                return None
            self._current = _Chunk(records, fails=not self._stage.continue_on_error)
            self._under_way.append(self._current)
            self._changed.set()
            return self._current

    def _stop(self, error: BaseException | None) -> None:
        self._ended = True
        self._error = self._error or error
        self._changed.set()


class _Activity:
    """How long at least one call was under way, and, where none was, why not."""

    __slots__ = ("_progress", "_since", "_under_way", "blocked")

    def __init__(self, progress: StageProgress) -> None:
        self._progress = progress
        self._under_way = 0
        self._since = perf_counter()
        self.blocked = False
        """Whether no further chunk may be taken yet, because those that are done were not taken."""

    def begin(self) -> None:
        if not self._under_way:
            now = perf_counter()
            idle = (now - self._since) * 1000
            if self.blocked:
                self._progress.blocked_ms += idle
            else:
                self._progress.waiting_ms += idle
            self._since = now
        self._under_way += 1

    def end(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            now = perf_counter()
            self._progress.duration_ms += (now - self._since) * 1000
            self._since = now
