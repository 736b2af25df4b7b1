"""Neighbouring sync stages as one loop, such as one would write by hand.

Stage by stage, even a chunk of records is written to a list and read back between two stages, which takes longer than
many a function. So the calls of neighbouring stages are put into the body of one ``for`` loop. Its source text is put
together from the few lines below, one piece for each stage, and holds nothing of the user's: functions come in as
arguments. A ``try`` that nothing is raised in costs nothing in Python 3.11 and later.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from operator import length_hint
from time import perf_counter
from typing import Any, Protocol

from mainstem.context import context_of_run
from mainstem.errors import RejectLimitError
from mainstem.frame_data import is_frame
from mainstem.own_frames import LOOP_FILE
from mainstem.result import StageResult
from mainstem.stage_run import UNOBSERVED, StageRun
from mainstem.stages.record_function_stage import LoopStep, RecordFunctionStage

TIMED_CHUNKS = 64
"""One chunk in so many is run stage by stage, to learn how the time of the loop is shared among the stages."""

_HEAD = """
def loop(records, output, fail, functions, requires, plain):
    {functions} = functions
    {requires} = requires
    {dropped} = 0
    for record in records:
"""
_CALL = """
        try:
            a{at} = f{at}({record})
"""
_LOOK = """
            if type(a{at}) not in plain:
                if hasattr(a{at}, "__await__"):
                    return ({dropped}), ({at}, {record}, a{at})
                plain.add(type(a{at}))
"""
_TAKE = {
    "map": "",
    "tap": "",
    "filter": """
            if not a{at}:
                d{at} += 1
                continue
""",
    "check": """
            if a{at} is not True:
                q{at}(a{at})
""",
}
_FAIL = """
        except Exception as error:
            if fail({at}, {record}, error, ({dropped})):
                break
            continue
"""
_FOOT = """
        output.append({record})
    del records, output
    return ({dropped}), None
"""


class _Loop(Protocol):
    first_lines: tuple[int, ...]
    """The line in which each of its steps begins."""

    def __call__(
        self,
        records: Iterator[Any],
        output: list[Any],
        fail: Callable[[int, Any, Exception, tuple[int, ...]], bool],
        functions: Sequence[Callable[[Any], Any]],
        requires: Sequence[Callable[[Any], None] | None],
        plain: set[type],
        /,
    ) -> tuple[tuple[int, ...], tuple[int, Any, Any] | None]: ...


@lru_cache(maxsize=256)
def compile_loop(kinds: tuple[tuple[str, bool], ...]) -> _Loop:
    """Return the loop through steps of the kinds ``map``, ``tap``, ``filter`` or ``check``, at least one.

    Each kind comes with whether the types of its answers are looked at, for a function that may hand out awaitables. At
    the first awaitable the loop returns, with the step, its record and the awaitable.
    """
    numbers = range(len(kinds))
    names = {
        "functions": "".join(f"f{at}, " for at in numbers),
        "requires": "".join(f"q{at}, " for at in numbers),
        "dropped": "".join(f"d{at}, " for at in numbers),
    }
    text = _HEAD.format(**{**names, "dropped": " = ".join(f"d{at}" for at in numbers)})
    record = "record"
    first_lines: list[int] = []
    for at, (kind, look) in enumerate(kinds):
        first_lines.append(text.count("\n") + 1)
        step = _CALL + (_LOOK if look else "") + _TAKE[kind] + _FAIL
        text += step.format(at=at, record=record, dropped=names["dropped"])
        if kind == "map":
            record = f"a{at}"
    text += _FOOT.format(record=record, **names)
    made: dict[str, Any] = {}
    exec(compile(text, LOOP_FILE, "exec"), made)
    loop: Any = made["loop"]
    loop.first_lines = tuple(first_lines)
    return loop  # type: ignore[no-any-return]


class FusedLoop:
    """Stages of a run that are fed through one loop.

    Args:
        runs: The stages in the run.
        steps: What each of them does with a record.
    """

    def __init__(self, runs: Sequence[StageRun], steps: Sequence[LoopStep]) -> None:
        self._runs = runs
        self._steps = steps
        self._loop = compile_loop(tuple((step.kind, not step.function.never_async) for step in steps))
        self._functions = tuple(step.function.call for step in steps)
        self._requires = tuple(step.require for step in steps)
        self._plain: set[type] = set()
        self._chunks = 0
        self._timed_ms = [0.0 for _ in runs]
        self._names = tuple(run.name for run in runs)
        self._answered = False
        """Whether every function has answered once."""
        self._awaits = False
        """Whether one of them has been seen to hand out awaitables."""

    def stage_at(self, line: int) -> str:
        """Name the stage that a line of the loop's text belongs to."""
        return self._names[max(0, bisect_right(self._loop.first_lines, line) - 1)]

    async def feed(self, records: Sequence[Any], *, last: bool) -> StageResult[Any]:
        """Feed a chunk of records through all the stages.

        The last chunk goes stage by stage, so that a stage is known to have had all its input when a later one fails;
        and so do chunks until every function has answered once, which shows if its annotation is wrong and it is async.
        """
        timed = self._chunks % TIMED_CHUNKS == 0
        self._chunks += 1
        if not self._answered:
            self._answered = all(run.progress.records_in > run.progress.records_failed for run in self._runs)
        if last or timed or not self._answered or self._awaits or is_frame(records):
            return await self._feed_by_stage(self._runs, records, timed=timed)
        return await self._feed_by_loop(records)

    async def _feed_by_stage(
        self, runs: Sequence[StageRun], records: Sequence[Any], *, timed: bool = False
    ) -> StageResult[Any]:
        result: StageResult[Any] = StageResult(data=records)
        for at, run in enumerate(runs):
            before = run.progress.duration_ms
            result = await run.feed(result.data)
            if timed:
                self._timed_ms[at] += run.progress.duration_ms - before
            if not result.success:
                break
        self._awaits = any(step.function.gave_awaitables for step in self._steps)
        return result

    async def _feed_by_loop(self, records: Sequence[Any]) -> StageResult[Any]:
        started = perf_counter()
        context = self._runs[0].context
        context.current_stage, context.loop = self._runs[0].name, self
        remaining = iter(records)
        output: list[Any] = []
        failed = [0 for _ in self._runs]
        stopped_by: list[tuple[StageRun, Exception]] = []

        def fail(at: int, record: Any, error: Exception, dropped: tuple[int, ...]) -> bool:
            taken = len(records) - length_hint(remaining)
            position = taken - sum(dropped[:at]) - sum(failed[:at]) - 1
            failed[at] += 1
            run, step = self._runs[at], self._steps[at]
            context.current_stage, context.chunk_start = run.name, run.progress.records_in
            try:
                error = step.record_failure(context, record, position, error)
            except RejectLimitError as limit:
                stopped_by.append((run, limit))
                return True
            if not step.go_on:
                stopped_by.append((run, error))
            return not step.go_on

        try:
            observed = context.observed
            watched = UNOBSERVED if observed is None else observed.around_chunk(self._names, len(records))
            with context_of_run(context), watched:
                dropped, unfinished = self._loop(remaining, output, fail, self._functions, self._requires, self._plain)
            entered = len(records) - length_hint(remaining)
            # Its part of the time is the part it had of the chunks that were timed stage by stage.
            unit = (perf_counter() - started) * 1000 / (sum(self._timed_ms) or 1.0)
            for at, run in enumerate(self._runs):
                entered -= unfinished is not None and at == unfinished[0]
                passed = entered - dropped[at] - failed[at]
                run.account(passed, failed[at], unit * self._timed_ms[at], records_filtered=dropped[at])
                entered = passed
            if stopped_by:
                run, error = stopped_by[0]
                return run.fail(error)
            if unfinished is not None:
                return await self._finish_by_stage(output, unfinished, list(remaining))
            return StageResult(data=output)
        finally:  # an error that was raised below keeps this frame, which is not to keep the chunk
            records, output = (), []
            remaining = iter(records)

    async def _finish_by_stage(
        self, output: list[Any], unfinished: tuple[int, Any, Any], rest: Sequence[Any]
    ) -> StageResult[Any]:
        """Go on after a function has handed out an awaitable for a record, which nothing in a loop can await."""
        at, record, answer = unfinished
        self._steps[at].function.gave_awaitables = True
        run = self._runs[at]
        stage: Any = run.stage
        run.stage = stage.with_answer(answer)
        try:
            result = await run.feed([record])
        finally:
            run.stage = stage
        if result.success:
            result = await self._feed_by_stage(self._runs[at + 1 :], result.data or [])
        if result.success:
            output.extend(result.data or [])
            result = await self._feed_by_stage(self._runs, rest)
        return StageResult(data=output + list(result.data or [])) if result.success else result


def fuse_neighbours(runs: Sequence[StageRun]) -> list[StageRun | FusedLoop]:
    """Put each stretch of two or more stages that can be part of a loop into one."""
    parts: list[StageRun | FusedLoop] = []
    for steps, group in groupby(((_loop_step(run), run) for run in runs), key=lambda pair: pair[0] is not None):
        members = list(group)
        if steps and len(members) > 1:
            parts.append(FusedLoop([run for _, run in members], [step for step, _ in members if step is not None]))
        else:
            parts.extend(run for _, run in members)
    return parts


def _loop_step(run: StageRun) -> LoopStep | None:
    stage: Any = run.stage
    if run.net is not None or not isinstance(stage, RecordFunctionStage):
        return None  # its output is looked at, or it is no stage of one function
    return stage.loop_step()
