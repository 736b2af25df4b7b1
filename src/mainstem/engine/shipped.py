"""A section of a line whose stages run in worker processes, if that is worth the way there.

The law of elementwise stages lets the engine cut chunks as it likes: the first few records are worked on here, and
measured; then pieces go to the workers, and what comes back is put together in order, counts and positions included.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from time import perf_counter
from typing import Any

from mainstem.engine.closing import closing
from mainstem.engine.line import Line, StageFailed
from mainstem.engine.process_pool import Piece, ProcessPool
from mainstem.engine.shipping_cost import ShippingCost
from mainstem.engine.worker import Done, Errand, moved
from mainstem.errors import NotSendableError, WorkerDiedError
from mainstem.stage_run import StageRun
from mainstem.workers import Workers


class ShippedSection:
    """Runs stages of a line, and perhaps the combiner at its end, in worker processes.

    Args:
        runs: The stages in the run.
        end: The combiner's stage, if its accumulators are to be made by the workers.
        workers: How many processes, and when.
        errand: What they are told.
        expected: How many records there will be, if that is known.
        holds: How many pieces may be under way at a time.
        ordered: Whether the output keeps the order of the input.
    """

    def __init__(
        self,
        runs: Sequence[StageRun],
        end: StageRun | None,
        workers: Workers,
        errand: Errand,
        expected: int | None,
        holds: int,
        *,
        ordered: bool,
    ) -> None:
        self._runs, self._end, self._workers, self._errand = runs, end, workers, errand
        self._expected, self._holds = expected, holds
        self._ordered = ordered or end is not None  # accumulators are merged in order
        self._line = Line(runs, None) if runs else None
        self._cost = ShippingCost(workers.count)
        self._pool: ProcessPool | None = None
        self._taken = 0
        self._under_way: deque[Piece] = deque()

    async def output(self, upstream: AsyncGenerator[Sequence[Any], None]) -> AsyncGenerator[Sequence[Any], None]:
        """Give what comes out for each piece; nothing, if it is added up.

        Raises:
            StageFailed: If a stage fails, or a worker dies.
        """
        try:
            async with closing(upstream) as chunks:
                async for chunk in chunks:
                    async for part in self._take(chunk):
                        yield part
                while self._under_way:
                    yield await self._next_done()
        except (NotSendableError, WorkerDiedError) as error:
            run = self._runs[0] if self._runs else self._end
            assert run is not None
            raise StageFailed(run, run.interrupt(error)) from error
        finally:
            if self._pool is not None:
                await self._pool.close()
        left = [] if self._line is None else await self._line.finish()
        self._say_where()
        if left:
            yield left

    async def _take(self, chunk: Sequence[Any]) -> AsyncGenerator[Sequence[Any], None]:
        at = 0
        while at < len(chunk):
            if self._pool is None and not self._goes_to_workers():
                piece = chunk[at : at + self._cost.next_piece]
                at += len(piece)
                yield await self._work_here(piece)
                continue
            piece = list(chunk[at : at + self._cost.piece_size])
            pool = await self._started_pool()
            while len(self._under_way) >= self._holds:
                yield await self._next_done()
            self._under_way.append(pool.submit(piece, self._taken))
            self._taken += len(piece)
            at += len(piece)

    def _goes_to_workers(self) -> bool:
        remaining = None if self._expected is None else self._expected - self._taken
        return self._workers.always or self._cost.worthwhile(remaining)

    async def _started_pool(self) -> ProcessPool:
        if self._pool is None:
            self._pool = ProcessPool(self._workers.count, self._errand)
            await self._pool.start()
        return self._pool

    async def _work_here(self, piece: Sequence[Any]) -> Sequence[Any]:
        """Work on a piece in this process, and measure it."""
        started = perf_counter()
        output: Sequence[Any] = piece if self._line is None else await self._line.feed(piece)
        came_out = output
        if self._end is not None:
            result = await self._end.feed(output)
            if not result.success:
                raise StageFailed(self._end, result)
            came_out = []
        self._cost.add(piece, came_out, perf_counter() - started)
        self._taken += len(piece)
        return came_out

    async def _next_done(self) -> Sequence[Any]:
        """Wait for the next piece, and count it."""
        pool, under_way = await self._started_pool(), self._under_way
        if not self._ordered:
            await pool.done(under_way)
            ready = next(at for at, piece in enumerate(under_way) if piece.done())
            under_way.rotate(-ready)
        done = await pool.result(under_way[0])
        under_way.popleft()
        return self._count(done)

    def _count(self, done: Done) -> Sequence[Any]:
        positions = [run.progress.records_in for run in self._runs]
        for at, entry in done.errors:
            run = self._runs[at]
            run.context.errors.append(moved(entry, positions[at]))
        for run, counts in zip(self._runs, done.counts, strict=True):
            run.account(counts.passed, counts.failed, counts.duration_ms, records_filtered=counts.filtered)
        if done.failed is not None:
            assert done.error is not None
            if done.failed == len(self._runs):
                assert self._end is not None
                self._end.account(0, max(1, done.records), 0.0)
                raise StageFailed(self._end, self._end.interrupt(done.error))
            run = self._runs[done.failed]
            known = any(entry.error is done.error for _, entry in done.errors)
            raise StageFailed(run, run.fail(done.error) if known else run.interrupt(done.error))
        if self._end is None:
            output: list[Any] = done.output
            return output
        state: Any = self._end.state
        try:
            state.merge(done.output, done.records)
        except Exception as error:
            raise StageFailed(self._end, self._end.interrupt(error)) from error
        self._end.account(done.records, 0, 0.0)
        return []

    def _say_where(self) -> None:
        if self._pool is not None:
            note = f"ran in {self._workers.count} worker processes"
        else:
            note = f"ran in this process: {self._cost.reason}"
        for run in [*self._runs, *([] if self._end is None else [self._end])]:
            run.notes = (*run.notes, note)
