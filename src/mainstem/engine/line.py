"""A line of stages that are fed chunk after chunk, each chunk through all of them before the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mainstem.context import context_of_run
from mainstem.engine.fused_loop import FusedLoop, fuse_neighbours
from mainstem.errors import StageContractError
from mainstem.frame_data import Gathered, is_frame
from mainstem.hooks import Hooks
from mainstem.result import StageResult
from mainstem.stage_run import StageRun, State, count_records
from mainstem.take_all import iterate


class StageFailed(Exception):  # noqa: N818 - not an error of its own: it carries a failed result out of the engine
    """A stage gave a failed result."""

    def __init__(self, run: StageRun, result: StageResult[Any]) -> None:
        super().__init__(run.name)
        self.run = run
        self.result = result


@dataclass(slots=True)
class Demand:
    """How many records a stage that ends its input early still wants, seen from a line of stages before or around it.

    So that not one record more is touched than needed, whatever the size of the chunks, the line is fed no more than
    can come out of it: as long as no stage on the way makes more records out of few, that is what is wanted, else one.

    Attributes:
        state: The state of the stage.
        at: Its place in the line, or the line's length if it comes later.
        exact: Whether each record of the line's input leads to one record at most.
    """

    state: State
    at: int
    exact: bool

    @property
    def room(self) -> int:
        """The most records to feed next."""
        wanted = self.state.wanted or 0
        return wanted if self.exact else min(1, wanted)


class Line:
    """Stages that are fed chunk by chunk.

    Args:
        runs: The stages in the run.
        hooks: Hooks that watch each stage, if there are any: they see each chunk.
        demands: Those of the stages that end their input early, in this line and the ones after it.
    """

    def __init__(self, runs: Sequence[StageRun], hooks: Hooks | None, demands: Sequence[Demand] = ()) -> None:
        self.runs = runs
        self._hooks = hooks
        self._demands = demands
        self._parts: list[StageRun | FusedLoop] = fuse_neighbours(runs) if hooks is None else list(runs)
        self._fed = False
        first: Any = runs[0].stage
        self._largest_feed: int | None = getattr(first, "largest_feed", None)

    @property
    def room(self) -> int | None:
        """The most records to feed next; ``None`` for any number, 0 if no more are wanted."""
        room = self._largest_feed
        for demand in self._demands:
            room = demand.room if room is None else min(room, demand.room)
        return room

    def cut(self, chunk: Sequence[Any]) -> Iterator[Sequence[Any]]:
        """Cut a chunk into as many pieces as the line needs, as it needs them: feed each before the next."""
        at = 0
        while True:
            room = self.room
            if room is None:
                yield chunk[at:] if at else chunk
                return
            if room == 0:
                return
            yield chunk[at : at + room]
            at += room
            if at >= len(chunk):
                return

    async def feed(self, chunk: Sequence[Any], *, last: bool = False) -> list[Any]:
        """Feed a chunk, known to be the ``last`` or not, and return what comes out.

        Raises:
            StageFailed: If a stage fails.
        """
        self._fed = True
        try:
            return await self._feed_parts(0, chunk, last=last)
        except StageFailed:
            if last:
                self._complete_before_failure()
            raise

    async def _feed_parts(self, start: int, data: Any, *, last: bool = False) -> list[Any]:
        for part in self._parts[start:] if start else self._parts:
            if isinstance(part, FusedLoop):
                result = await part.feed(data, last=last)
            else:
                result = await feed_watched(part, data, self._hooks)
            if not result.success:
                raise StageFailed(next(run for run in self.runs if not run.succeeded), result)
            data = result.data
        if type(data) is list or is_frame(data):
            return data  # pyright: ignore[reportUnknownVariableType]
        try:
            return list(iterate(data))
        except Exception as error:
            raise StageFailed(self.runs[-1], self.runs[-1].interrupt(error)) from None

    def _complete_before_failure(self) -> None:
        """Mark the stages that had all their input before a later one failed on the last of it."""
        for run in self.runs:
            if not run.succeeded:
                return
            run.complete()

    async def finish(self) -> Any:
        """End the input, and return what comes out of what the stages had kept.

        Raises:
            StageFailed: If a stage fails.
        """
        output = Gathered()
        ended = max((demand.at + 1 for demand in self._demands if not demand.state.wanted), default=0)
        if not self._fed and not ended:
            output.add(await self.feed([], last=True))  # as in an empty run
        for at, part in enumerate(self._parts):
            if isinstance(part, FusedLoop) or part.state is None or self.runs.index(part) < ended:
                continue  # what a stage before an early end has kept is of no use to anybody
            with context_of_run(part.context):
                left = await part.finish()
                if left.success and count_records(left.data) and self._hooks is not None:
                    await self._hooks.call_after(part.name, left.data, part.context)
            if not left.success:
                raise StageFailed(part, left)
            if count_records(left.data):
                output.add(await self._feed_parts(at + 1, left.data, last=True))
        for run in self.runs:
            run.complete()
        return put_together(output, self.runs[-1])


def put_together(chunks: Gathered, run: StageRun) -> Any:
    """Return the chunks that came out of a stage as one.

    Raises:
        StageFailed: If they do not fit together.
    """
    try:
        return chunks.value
    except StageContractError as error:
        raise StageFailed(run, run.interrupt(error)) from None


async def feed_watched(run: StageRun, data: Any, hooks: Hooks | None) -> StageResult[Any]:
    """Feed a stage, with the hooks that watch stages around it.

    Raises:
        StopPipeline: If a hook raised it.
    """
    with context_of_run(run.context):
        if hooks is None:
            return await run.feed(data)
        await hooks.call_before(run.name, data, run.context)
        result = await run.feed(data)
        if result.success:
            await hooks.call_after(run.name, result.data, run.context)
        return result
