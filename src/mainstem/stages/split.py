"""``SplitStage``: each record to the one branch that is for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from time import perf_counter
from typing import Any, TypeAlias, Union, cast

from typing_extensions import TypeVar

from mainstem.context import PipelineContext, context_of_run
from mainstem.errors import BranchError, add_note_once, describe_error
from mainstem.result import CompositeResult, StageResult
from mainstem.stage import PipelineStage, StageKind
from mainstem.stages.record_calls import Failure, as_failure, fail_answers
from mainstem.stages.record_function import RecordFunction
from mainstem.stages.split_branch import SplitBranch
from mainstem.take_all import take_all
from mainstem.type_hints import function_hints, iterable_of, list_of, record_of

T = TypeVar("T")
U_co = TypeVar("U_co", covariant=True)

Predicate: TypeAlias = Callable[[T], bool | Awaitable[bool]]
"""Says whether a record is for a branch; sync or async."""

OTHERWISE = "otherwise"
"""The name of the branch of the records that no other takes."""


class SplitStage(PipelineStage[Iterable[T], list[U_co]]):  # pyright: ignore[reportInvalidTypeArguments]  # a new list
    """Send each record to the first branch whose predicate says yes; the outputs are merged in the input's order.

    The predicates are asked in the given order, for their truth. A record that none takes goes to ``otherwise``, and
    without that it fails. Neighbouring records that take the same branch go through it together. The first failure of a
    branch fails the stage with a ``BranchError`` that names it, unless the branch's stages go on past failed records.
    Reports call a branch's stages ``split/branch/stage``, and the position of an error is the record's in the split's
    input; after a stage that makes several records out of one there is none. Failed and filtered records of a branch
    count as the split's, up to such a stage.

    Args:
        branches: For each name a predicate of one record, sync or async, and the branch: an elementwise stage, or a
            chain of such stages.
        otherwise: The branch, called ``otherwise``, of the records that no predicate takes.
        continue_on_error: Whether a record whose predicate fails, or that no branch takes, is recorded in
            ``context.errors`` and left out, instead of failing the stage.
        name: The stage's name in reports.

    Raises:
        ValueError: If there is no branch, a branch has a stage that is not elementwise, or two are called the same.
        TypeError: If a branch is no pair of a predicate and a stage.

    Example:
        >>> from mainstem import FilterStage, MapStage, Pipeline
        >>> def show(text: str) -> str:
        ...     return f"{text}!"
        >>> split = SplitStage[str, int | str]({"numbers": (str.isdigit, MapStage(int))}, otherwise=MapStage(show))
        >>> Pipeline[list[str], list[int | str]]("split").add_stage(split).run(["7", "a", "8"]).data
        [7, 'a!', 8]

    Source: Flink's split and side outputs, Apache NiFi's RouteOnAttribute with its "unmatched".
    """

    kind = StageKind.ELEMENTWISE

    def __init__(
        self,
        branches: Mapping[str, tuple[Predicate[T], PipelineStage[list[T], Iterable[U_co]]]],
        *,
        otherwise: PipelineStage[list[T], Iterable[U_co]] | None = None,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None:
        if not branches:
            raise ValueError("SplitStage takes at least one branch")
        self._predicates: dict[str, RecordFunction] = {}
        self._branches: dict[str, PipelineStage[Any, Any]] = {}
        for branch, pair in branches.items():
            predicate, stage = _checked_pair(branch, pair)
            self._predicates[branch] = RecordFunction(predicate, f"the predicate of branch {branch!r}")
            self._branches[branch] = _checked(branch, stage)
        if otherwise is not None:
            if OTHERWISE in self._branches:
                raise ValueError(f"two branches are called {OTHERWISE!r}: give the named one another name")
            self._branches[OTHERWISE] = _checked(OTHERWISE, otherwise)
        self._exhaustive = otherwise is not None
        self.waits = any(predicate.is_async for predicate in self._predicates.values()) or any(
            member.waits for stage in self._branches.values() for member in stage.members
        )
        self.expands = any(member.expands for stage in self._branches.values() for member in stage.members)
        self._continue_on_error = continue_on_error
        if name is not None:
            self.name = name

    @property
    def branches(self) -> Mapping[str, PipelineStage[Any, Any]]:
        """The stages by name, in the given order; ``otherwise`` last."""
        return self._branches

    @property
    def receivers(self) -> tuple[PipelineStage[Any, Any], ...]:
        return (self, *self._branches.values())

    @property
    def input_hint(self) -> Any:
        hints = (function_hints(predicate.function)[0] for predicate in self._predicates.values())
        return iterable_of(next((hint for hint in hints if hint is not Any), Any))

    def output_hint(self, given: Any) -> Any:
        records = [record_of(stage.output_hint(given)) for stage in self._branches.values()]
        return list_of(Any if Any in records else Union[tuple(records)])  # noqa: UP007 - made at run time

    async def process(self, data: Iterable[T], context: PipelineContext) -> CompositeResult[list[U_co]]:
        started = perf_counter()
        taken, input_error = take_all(data)
        records = taken if isinstance(taken, list) else list(taken)
        run = _SplitRun(self._branches, context, context.current_stage or self.name)
        with context_of_run(context):
            routes, failures = await self._route(records)
        error: Exception | None = None
        for branch, at, end in _neighbours(routes):
            if branch is None:
                run.records_failed += 1
                failure = self._record_failure(context, records[at], at, failures[at])
                error = None if self._continue_on_error else failure
            else:
                error = await run.feed(branch, records if end - at == len(records) else records[at:end], at)
            if error is not None:
                break
        error = error or input_error
        return CompositeResult(
            data=run.output if error is None else None,
            success=error is None,
            error=error,
            duration_ms=(perf_counter() - started) * 1000,
            records_processed=run.records_processed,
            records_failed=run.records_failed,
            records_filtered=run.records_filtered,
            stage_results=run.stage_results(),
        )

    async def _route(self, records: Sequence[Any]) -> tuple[list[str | None], dict[int, Exception]]:
        """Say for each record which branch it takes; ``None`` where it takes none, and why.

        Where it does not go on, that is so for the records up to the first that takes none.
        """
        go_on = self._continue_on_error
        routes: list[str | None] = [None] * len(records)
        failures: dict[int, Exception] = {}
        waiting: Sequence[int] = range(len(records))  # the positions of the records that no branch has taken
        for branch, predicate in self._predicates.items():
            asked = records if len(waiting) == len(records) else [records[at] for at in waiting]
            answers, failed = await _ask(predicate, asked, go_on=go_on)
            if asked is records and not failed and all(answers):
                return [branch] * len(records), failures
            for at, failure in failed:
                error = as_failure(failure)
                add_note_once(error, f"raised by the predicate of branch {branch!r}, {predicate.describe()}")
                failures[waiting[at]] = error
            without_answer = {at for at, _ in failed}
            answered = [position for at, position in enumerate(waiting) if at not in without_answer][: len(answers)]
            for at, answer in zip(answered, answers, strict=True):
                if answer:
                    routes[at] = branch
            waiting = [at for at, answer in zip(answered, answers, strict=True) if not answer]
        for at in waiting:
            if self._exhaustive:
                routes[at] = OTHERWISE
            else:
                failures[at] = self._nobody_takes_it()
        return routes, failures

    def _nobody_takes_it(self) -> LookupError:
        asked = ", ".join(f"{branch!r} {predicate.describe()}" for branch, predicate in self._predicates.items())
        return LookupError(f"no branch takes the record, asked were {asked}: give otherwise=, the stage for the rest")

    def _record_failure(self, context: PipelineContext, record: Any, position: int, error: Exception) -> Exception:
        context.record_error(error, stage=context.current_stage or self.name, record=record, index=position)
        if not self._continue_on_error:
            add_note_once(error, f"at record {context.chunk_start + position}")
        return error


class _SplitRun:
    """What one call of ``process`` has done so far."""

    def __init__(self, branches: Mapping[str, PipelineStage[Any, Any]], context: PipelineContext, name: str) -> None:
        self._branches = branches
        self._context = context
        self._name = name
        self._begun: dict[str, SplitBranch] = {}
        self.output: list[Any] = []
        self.records_processed = 0
        self.records_failed = 0
        self.records_filtered = 0

    async def feed(self, name: str, records: Sequence[Any], at: int) -> Exception | None:
        """Run a branch on neighbouring records, the first at position ``at`` of those handed to the split.

        Returns:
            ``None``, or why the split fails.
        """
        branch = self._begun.get(name)
        if branch is None:
            branch = self._begun[name] = SplitBranch(name, self._branches[name], self._context, self._name)
        result = await branch.feed(records, self._context.chunk_start + at)
        self.records_processed += result.records_processed
        self.records_failed += result.records_failed
        self.records_filtered += result.records_filtered
        if result.success:
            self.output.extend(result.data or ())
            return None
        cause: Any = result.error
        error = BranchError(f"branch {name!r} failed: {describe_error(cause)}")
        error.branch = name
        error.__cause__ = cause
        return error

    def stage_results(self) -> Mapping[str, StageResult[Any]]:
        """Return the result of each branch that was fed, in the given order."""
        return {name: self._begun[name].result() for name in self._branches if name in self._begun}


async def _ask(predicate: RecordFunction, records: Sequence[Any], *, go_on: bool) -> tuple[list[bool], list[Failure]]:
    """Return the truth of the predicate's answers; without going on those up to the first failure."""
    calls = await predicate.call_each(records, go_on=go_on, concurrency=1)
    truths: list[bool] = []
    try:
        truths.extend(map(bool, calls.answers))
    except Exception:
        complete = False  # the truth of an answer may be an error, as with an array of several values
    else:
        complete = len(truths) == len(calls.answers)  # to map(), a StopIteration is the end
    if not complete:
        fail_answers(calls, bool, go_on=go_on)
        truths = [bool(answer) for answer in calls.answers]
    return truths, calls.failures


def _neighbours(routes: Sequence[str | None]) -> Iterator[tuple[str | None, int, int]]:
    """Yield each branch with the positions of the neighbouring records that take it; ``None`` for one record each."""
    if routes and routes[0] is not None and routes.count(routes[0]) == len(routes):
        yield routes[0], 0, len(routes)
        return
    at = 0
    for branch, group in groupby(routes):
        end = at + sum(1 for _ in group)
        if branch is None:
            yield from ((None, each, each + 1) for each in range(at, end))
        else:
            yield branch, at, end
        at = end


def _checked_pair(branch: str, pair: Any) -> tuple[Any, Any]:
    if isinstance(cast("object", pair), tuple) and len(pair) == 2:
        return pair[0], pair[1]
    raise TypeError(f"branch {branch!r} of SplitStage must be a pair (predicate, stage), not {pair!r}")


def _checked(branch: str, stage: PipelineStage[Any, Any]) -> PipelineStage[Any, Any]:
    """Return the stage of a branch, if it is one that may be there."""
    if not isinstance(stage, PipelineStage):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"branch {branch!r} of SplitStage must be a stage, and {stage!r} is none")
    for member in stage.members:
        if member.kind is not StageKind.ELEMENTWISE:
            raise ValueError(
                f"branch {branch!r} of SplitStage has stage {member.name!r}, which is {member.kind.value}, and a split "
                "takes elementwise stages only, because it hands on records in their order: put that stage behind the "
                "split, or use BranchStage with a FilterStage at the start of each branch"
            )
    return stage
