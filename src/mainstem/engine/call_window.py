"""A stage whose async calls overlap, in a stream: a fixed number of workers, which go from one chunk into the next.

So the window of calls stays full where one chunk ends and another begins. Chunks leave in order, or, if the order does
not matter, as they are done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from time import perf_counter
from typing import Any

import anyio

from mainstem.context import PipelineContext, context_of_run
from mainstem.engine.background import end, is_urgent, raise_if_urgent, start_in_background
from mainstem.engine.barrier import Barrier
from mainstem.engine.closing import closing
from mainstem.engine.line import StageFailed
from mainstem.hooks import Hooks
from mainstem.result import StageResult
from mainstem.stage_run import UNOBSERVED, StageRun
from mainstem.stages.record_calls import Calls, outcome_of
from mainstem.stages.record_function_stage import RecordFunctionStage

_PENDING = object()


class _Chunk:
    """Records whose calls are under way or still to be made."""

    __slots__ = ("answers", "calls", "fails", "first", "left", "passed", "records", "remaining")

    def __init__(self, records: Sequence[Any], first: int, *, fails: bool) -> None:
        self.fails = fails
        """Whether a record that fails, fails the stage."""
        self.records = records
        self.first = first
        """Position of the first record in the stage's whole input."""
        self.remaining: Iterator[tuple[int, Any]] = enumerate(records)
        self.answers: list[Any] = [_PENDING] * len(records)
        self.calls = Calls(records, self.answers)
        self.left = len(records)
        self.passed: anyio.Event | None = anyio.Event() if isinstance(records, Barrier) else None
        """Is set when it has been handed on, if it is a barrier: until then no chunk after it is taken."""

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
        hooks: Hooks that watch stages, if there are any.
        holds: How many chunks it may hold at a time, the one that is being taken from it included.
        ordered: Whether the chunks leave in the order they came.
    """

    def __init__(
        self, run: StageRun, stage: RecordFunctionStage[Any, Any], hooks: Hooks | None, holds: int, *, ordered: bool
    ) -> None:
        self._run, self._stage, self._hooks, self._ordered = run, stage, hooks, ordered
        self._retries = stage.record_function.retries()
        self._room = anyio.Semaphore(holds)
        self._under_way: deque[_Chunk] = deque()
        """The chunks that were pulled and not handed out yet."""
        self._to_call: deque[_Chunk] = deque()
        """Those of them that have records for which no call was made yet."""
        self._arrived = anyio.Event()
        self._changed = anyio.Event()
        self._ended = False
        """Whether there are no more chunks to be had."""
        self._failed = False
        """Whether a record has failed the stage."""
        self._error: BaseException | None = None
        """What came from upstream, or is no failure of a record."""
        self._activity = _Activity(run)

    async def output(self, upstream: AsyncGenerator[Sequence[Any], None]) -> AsyncGenerator[Sequence[Any], None]:
        """Give the stage's output for each chunk.

        Raises:
            StageFailed: If the stage fails, after the output for the chunks before.
            Exception: What came from upstream, after the output for the chunks before.
            BaseException: What upstream or a function raised that is no ``Exception``.
        """
        scope, ended = anyio.CancelScope(), anyio.Event()
        start_in_background(partial(self._work, upstream, scope), ended)
        try:
            while (chunk := await self._next_done()) is not None:
                yield await self._hand_out(chunk)
                self._room.release()
                if chunk.passed is not None:
                    chunk.passed.set()
            if self._error is not None:
                raise self._error
        finally:
            await end(scope, ended)
            raise_if_urgent(self._error)
        self._run.complete()

    async def _hand_out(self, chunk: _Chunk) -> Sequence[Any]:
        run = self._run
        if isinstance(chunk.records, Barrier):
            chunk.records.pass_by([run])
            return chunk.records
        with context_of_run(run.context):
            result = await run.feed_with(partial(self._conclude, chunk), chunk.records)
            if not result.success:
                raise StageFailed(run, result)
            output: list[Any] = result.data or []
            if self._hooks is not None:
                await self._hooks.call_after(run.name, output, run.context)
            return output

    async def _conclude(self, chunk: _Chunk, _: Any, context: PipelineContext) -> StageResult[Any]:
        context.chunk_start = chunk.first  # chunks may leave in another order than they came
        calls = chunk.concluded()
        if self._retries is not None:
            calls.retry_ms, self._retries.spent_ms = self._retries.spent_ms, 0.0
        return self._stage.conclude(chunk.records, calls, context)

    async def _next_done(self) -> _Chunk | None:
        """Wait for the next chunk to hand out."""
        while True:
            for chunk in self._under_way:
                if chunk.settled() and (chunk.passed is None or chunk is self._under_way[0]):
                    self._under_way.remove(chunk)
                    return chunk
                if self._ordered or self._failed or chunk.passed is not None:
                    break
            hopeless = self._error is not None and not isinstance(self._error, Exception)
            if hopeless or (self._ended and not self._under_way):
                return None
            self._changed = anyio.Event()
            await self._changed.wait()

    async def _work(self, upstream: AsyncGenerator[Sequence[Any], None], scope: anyio.CancelScope) -> None:
        run = self._run
        run.context.current_stage = run.name  # for what its functions log: the context is this stage's own
        observed = run.context.observed
        watched = UNOBSERVED if observed is None else observed.around_stage(run.name)
        with scope, context_of_run(run.context), watched:
            async with anyio.create_task_group() as group:
                group.start_soon(self._noting_what_ends_it, partial(self._pull, upstream))
                for _ in range(self._stage.concurrency):
                    group.start_soon(self._noting_what_ends_it, self._call_each)

    async def _noting_what_ends_it(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except anyio.get_cancelled_exc_class() as cancelled:
            self._stop(cancelled)  # of interest only if the function itself awaited something that was cancelled
            raise
        except BaseException as error:
            self._stop(error)

    async def _pull(self, upstream: AsyncGenerator[Sequence[Any], None]) -> None:
        """Take the chunks, from first to last in one task: their source may have opened things that want that."""
        run, fails, fed = self._run, not self._stage.continue_on_error, False
        first = run.progress.records_in
        async with closing(upstream) as chunks:
            while True:
                self._activity.block(True)
                await self._room.acquire()
                self._activity.block(False)
                if self._failed:
                    break
                pulled = await anext(chunks, None)
                if pulled is None and fed:
                    break
                fed = True
                records: Sequence[Any] = (
                    [] if pulled is None else pulled
                )  # of no input there is one chunk, as elsewhere
                if self._hooks is not None and not isinstance(records, Barrier):
                    await self._hooks.call_before(run.name, records, run.context)
                chunk = _Chunk(records, first, fails=fails)
                first += len(records)
                self._under_way.append(chunk)
                if chunk.passed is None:
                    self._to_call.append(chunk)
                self._announce()
                if chunk.passed is not None:
                    await chunk.passed.wait()
        self._stop(None)

    async def _call_each(self) -> None:
        """One worker: make calls for records of chunk after chunk, one at a time."""
        while (chunk := await self._next_to_call()) is not None:
            await self._call_in(chunk)
            if self._to_call and self._to_call[0] is chunk:
                self._to_call.popleft()

    async def _next_to_call(self) -> _Chunk | None:
        while not self._failed:
            if self._to_call:
                return self._to_call[0]
            if self._ended:
                break
            await self._arrived.wait()
        return None

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

    def _stop(self, error: BaseException | None) -> None:
        self._ended = True
        if self._error is None or is_urgent(error):
            self._error = error
        self._announce()

    def _announce(self) -> None:
        self._arrived.set()
        self._arrived = anyio.Event()
        self._changed.set()


class _Activity:
    """How long at least one call was under way, how long all calls took, and, where there was none, why not."""

    __slots__ = ("_blocked", "_progress", "_run", "_since", "_under_way")

    def __init__(self, run: StageRun) -> None:
        self._run, self._progress = run, run.progress
        self._under_way = 0
        self._since = perf_counter()
        self._blocked = False
        """Whether no further chunk may be taken yet, because those that are done were not taken."""

    def begin(self) -> None:
        self._count()
        self._under_way += 1

    def end(self) -> None:
        self._count()
        self._under_way -= 1

    def block(self, blocked: bool) -> None:
        self._count()
        self._blocked = blocked

    def _count(self) -> None:
        """Count the time since something changed."""
        now = perf_counter()
        passed = (now - self._since) * 1000
        self._since = now
        if self._under_way:
            self._progress.duration_ms += passed
            self._run.calls_ms += passed * self._under_way
        elif self._blocked:
            self._progress.blocked_ms += passed
        else:
            self._progress.waiting_ms += passed
