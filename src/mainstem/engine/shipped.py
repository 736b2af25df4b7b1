"""A section of a line whose stages run in worker processes, if that is worth the way there.

The law of elementwise stages lets the engine cut chunks as it likes: the first few records are worked on here, and
measured; then pieces go to the workers, and what comes back is put together in order, counts and positions included.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from time import perf_counter
from types import NoneType
from typing import Any

from mainstem.engine.barrier import Barrier
from mainstem.engine.chunk_feed import Change, ChunkFeed
from mainstem.engine.closing import closing
from mainstem.engine.line import Line, StageFailed
from mainstem.engine.packing import sendable_piece
from mainstem.engine.piece_account import account_for
from mainstem.engine.process_pool import ProcessPool
from mainstem.engine.sendable import describe_range
from mainstem.engine.shipping_cost import ShippingCost
from mainstem.engine.worker import Errand
from mainstem.engine.worker_pool import Piece, WorkerPool
from mainstem.errors import MainstemError, NotSendableError, WorkerDiedError, WorkerFunctionError
from mainstem.stage_run import StageRun
from mainstem.workers import Runner, Workers


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
        alongside: Whether what comes before may run beside the section, so that what is done need not wait for more.
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
        alongside: bool = False,
    ) -> None:
        self._runs, self._end, self._workers = runs, end, workers
        self._errand = errand if end is None else replace(errand, combiner_name=end.name)
        self._expected, self._holds = expected, holds
        self._ordered = ordered or end is not None  # accumulators are merged in order
        self._line = Line(runs, None) if runs else None
        self._cost = ShippingCost(workers.count)
        self._pool: WorkerPool | None = None
        self._taken = runs[0].progress.records_in if runs else 0
        self._under_way: deque[Piece] = deque()
        self._alongside, self._change = alongside, Change()

    async def output(self, upstream: AsyncGenerator[Sequence[Any], None]) -> AsyncGenerator[Sequence[Any], None]:
        """Give what comes out for each piece; nothing, if it is added up.

        Raises:
            StageFailed: If a stage fails, or a worker dies.
            BaseException: What a function raised that is no ``Exception``.
        """
        try:
            async with closing(self._beside(upstream) if self._alongside else self._in_turn(upstream)) as outputs:
                async for output in outputs:
                    yield output
            while self._under_way:
                yield await self._next_done()
        except (NotSendableError, WorkerDiedError, WorkerFunctionError) as error:
            raise self._failed(error) from error
        finally:
            if self._pool is not None:
                await self._pool.close()
        if self._line is not None and not self._taken:
            yield await self._line.finish()  # as in an empty run
        for run in self._runs:
            run.complete()
        self._say_where()

    async def _in_turn(self, upstream: AsyncGenerator[Sequence[Any], None]) -> AsyncGenerator[Sequence[Any], None]:
        async with closing(upstream) as chunks:
            while True:
                try:
                    chunk = await anext(chunks, None)
                except Exception:
                    while self._under_way:  # what came before is not lost
                        yield await self._next_done()
                    raise
                if chunk is None:
                    return
                async with closing(self._take(chunk)) as parts:
                    async for part in parts:
                        yield part

    async def _beside(self, upstream: AsyncGenerator[Sequence[Any], None]) -> AsyncGenerator[Sequence[Any], None]:
        """Give what is done while the next chunk is waited for."""
        async with ChunkFeed(upstream, self._change) as feed:
            while not feed.ended:
                while len(self._under_way) >= self._holds:
                    yield await self._next_done()
                feed.ask()
                while feed.chunk is None and not feed.ended:
                    if (done := self._first_done()) is not None:
                        yield await self._take_done(done)
                    elif self._pool is not None:
                        await self._pool.wait_for_change()
                    else:
                        await self._change.wait()
                if feed.chunk is not None:
                    async with closing(self._take(feed.chunk)) as parts:
                        async for part in parts:
                            yield part
            while self._under_way and isinstance(feed.error, (Exception, NoneType)):
                yield await self._next_done()
            if feed.error is not None:
                raise feed.error

    async def _take(self, chunk: Sequence[Any]) -> AsyncGenerator[Sequence[Any], None]:
        if isinstance(chunk, Barrier):
            while self._under_way:
                yield await self._next_done()
            chunk.pass_by(self._runs)
            yield chunk
            return
        at = 0
        while at < len(chunk):
            if self._pool is None and not self._goes_to_workers(len(chunk)):
                piece = chunk[at : at + self._cost.next_piece]
                at += len(piece)
                yield await self._work_here(piece)
                continue
            pool = await self._started_pool()
            while len(self._under_way) >= self._holds:
                yield await self._next_done()
            piece = sendable_piece(chunk[at : at + self._cost.piece_size(self._taken)])
            try:
                self._under_way.append(pool.submit(piece, self._taken))
            except NotSendableError:
                while self._under_way:  # what came before it is not lost
                    yield await self._next_done()
                raise
            self._taken += len(piece)
            at += len(piece)

    def _goes_to_workers(self, chunk: int) -> bool:
        remaining = None if self._expected is None else self._expected - self._taken
        return self._workers.always or self._cost.worthwhile(remaining, chunk)

    async def _started_pool(self) -> WorkerPool:
        if self._pool is None:
            self._pool = pool = self._new_pool()
            await pool.start()
        return self._pool

    def _new_pool(self) -> WorkerPool:
        if isinstance(self._workers, Runner):
            pool: WorkerPool = self._workers.make_pool(self._errand, self._change)
            return pool
        return ProcessPool(self._workers.count, self._errand, self._change)

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
        pool = await self._started_pool()
        return await self._take_done(await pool.wait(self._awaited()))

    def _awaited(self) -> Sequence[Piece]:
        return [self._under_way[0]] if self._ordered else self._under_way

    def _first_done(self) -> Piece | None:
        if not self._under_way:
            return None
        return next((piece for piece in self._awaited() if piece.future.done()), None)

    async def _take_done(self, piece: Piece) -> Sequence[Any]:
        pool = await self._started_pool()
        done, output = pool.take(piece)
        self._under_way.remove(piece)
        self._cost.add_elsewhere(piece.count, done.seconds)
        return await account_for(piece, done, output, self._runs, self._end)

    def _failed(self, error: MainstemError) -> StageFailed:
        """Return the failure of the section for a reason that is not one stage's."""
        run = self._runs[0] if self._runs else self._end
        assert run is not None
        if isinstance(error, WorkerDiedError) and self._under_way:
            died = WorkerDiedError(f"{error}\n{self._lost()} were under way and do not count as done")
            died.__cause__ = error.__cause__
            error = died
        return StageFailed(run, run.interrupt(error))

    def _lost(self) -> str:
        """Name the records of the pieces that were under way, those that follow one another together."""
        ranges: list[list[int]] = []
        for piece in sorted(self._under_way, key=lambda piece: piece.first):
            if ranges and sum(ranges[-1]) == piece.first:
                ranges[-1][1] += piece.count
            else:
                ranges.append([piece.first, piece.count])
        return f"{', '.join(describe_range(first, count) for first, count in ranges)} of the stage's input"

    def _say_where(self) -> None:
        if self._pool is not None:
            note = f"ran in {self._workers.count} {self._workers.place}"
        else:
            note = f"ran in this process: {self._cost.reason}"
        for run in [*self._runs, *([] if self._end is None else [self._end])]:
            run.notes = (*run.notes, note)
            run.workers = 0 if self._pool is None else self._workers.count
