"""``BranchStage`` and ``fan_out``: several stages on the same input at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from time import perf_counter
from typing import Any, overload

from typing_extensions import TypeVar

from mainstem.context import PipelineContext
from mainstem.result import CompositeResult, StageResult
from mainstem.side_by_side import run_side_by_side
from mainstem.stage import PipelineStage, StageKind
from mainstem.stage_run import StageRun, State, count_records, unique_names
from mainstem.stages.branch_state import BranchState, adds_up, branch_error
from mainstem.take_all import take_all
from mainstem.type_hints import tuple_of

I = TypeVar("I")  # noqa: E741
In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")


class Branches(PipelineStage[In_contra, Out_co]):
    """Stages that run side by side on the same input. Where all of them add up, it is a combiner itself."""

    def __init__(self, branches: Mapping[str, PipelineStage[Any, Any]], name: str | None) -> None:
        if not branches:
            raise ValueError(f"{type(self).__name__} takes at least one branch")
        for branch, stage in branches.items():
            if not isinstance(stage, PipelineStage):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"branch {branch!r} must be a stage, and {stage!r} is none")
        self._branches = dict(branches)
        if all(map(adds_up, self._branches.values())):
            self.kind = StageKind.COMBINER
        if name is not None:
            self.name = name

    @property
    def branches(self) -> Mapping[str, PipelineStage[Any, Any]]:
        """The stages by name, in the given order."""
        return self._branches

    @property
    def receivers(self) -> tuple[PipelineStage[Any, Any], ...]:
        return tuple(self._branches.values())

    def begin(self) -> State | None:
        """Return the state of a run that has seen no records; ``None`` if a branch needs the whole input at once."""
        if self.kind is not StageKind.COMBINER:
            return None
        return BranchState(self._branches, self.name, self._collect)

    def _collect(self, outputs: Mapping[str, Any]) -> Any:
        return dict(outputs)

    async def process(self, data: In_contra, context: PipelineContext) -> CompositeResult[Out_co]:
        started = perf_counter()
        shared: Any = data
        if isinstance(data, Iterator):
            shared, error = take_all(shared)
            if error is not None:
                return CompositeResult(success=False, error=error, records_processed=len(shared))
        own_name = context.current_stage or self.name
        around = context.current_stage, context.chunk_start
        within = {name: context.child(own_name) for name in self._branches}
        runs = {name: StageRun(stage, name, within[name]) for name, stage in self._branches.items()}
        results: dict[str, StageResult[Any]] = {}
        failed: list[str] = []

        async def run_branch(name: str) -> bool:
            result = results[name] = await runs[name].feed(shared)
            if result.success:
                runs[name].complete()
            else:
                failed.append(name)
            return result.success

        await run_side_by_side([partial(run_branch, name) for name in runs])
        context.current_stage, context.chunk_start = around
        records = count_records(shared)
        totals = {name: run.total() for name, run in runs.items() if name in results}
        duration = (perf_counter() - started) * 1000
        if failed:
            cause: Any = results[failed[0]].error
            error = branch_error(failed[0], cause)
            return CompositeResult(
                success=False, error=error, duration_ms=duration, records_failed=max(1, records), stage_results=totals
            )
        return CompositeResult(
            data=self._collect({name: results[name].data for name in self._branches}),
            duration_ms=duration,
            records_processed=records,
            stage_results=totals,
        )


class BranchStage(Branches[In_contra, dict[str, Out_co]]):  # pyright: ignore[reportInvalidTypeArguments]  # a new dict
    """Run named stages concurrently on the same input, and collect their outputs in a dict, in the given order.

    Each branch gets the whole input: an iterator is read once and given to each in full. All get the same objects, so a
    branch must not change the records. The first failure cancels the other branches, and the ``BranchError`` names the
    branch. Branches that wait run side by side; branches that only compute take turns.

    Args:
        branches: The stages by name.
        name: The stage's name in reports.
        named: More stages, as keywords; type checkers infer mixed stages better from keywords than from a dict.

    Raises:
        ValueError: If there is no branch, or two have one name.
        TypeError: If a branch is no stage.

    Example:
        >>> from mainstem import AggregateStage, Pipeline
        >>> both = BranchStage(low=AggregateStage(min), high=AggregateStage(max))
        >>> Pipeline[list[int], dict[str, int]]("range").add_stage(both).run([3, 1, 2]).data
        {'low': 1, 'high': 3}
    """

    def __init__(
        self,
        branches: Mapping[str, PipelineStage[In_contra, Out_co]] | None = None,
        /,
        *,
        name: str | None = None,
        **named: PipelineStage[In_contra, Out_co],
    ) -> None:
        positional = dict(branches or {})
        twice = sorted(positional.keys() & named.keys())
        if twice:
            raise ValueError(f"two branches are called {twice[0]!r}")
        super().__init__({**positional, **named}, name)

    def output_hint(self, given: Any) -> Any:
        return dict[str, Any]


class FanOutStage(Branches[In_contra, Out_co]):
    """Several stages concurrently on the same input, their outputs in a tuple; made by ``fan_out``."""

    def __init__(self, stages: tuple[PipelineStage[Any, Any], ...], name: str | None) -> None:
        for stage in stages:
            if not isinstance(stage, PipelineStage):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"fan_out() takes stages, and {stage!r} is none")
        super().__init__(dict(zip(unique_names(stages), stages, strict=True)), name)

    def begin(self) -> State | None:
        """Return the state of a run that has seen no records; ``None`` if a branch needs the whole input at once."""
        if self.kind is not StageKind.COMBINER:
            return None
        return BranchState(self._branches, self.name, self._collect)

    def _collect(self, outputs: Mapping[str, Any]) -> Any:
        return tuple(outputs.values())

    def output_hint(self, given: Any) -> Any:
        return tuple_of(tuple(stage.output_hint(given) for stage in self._branches.values()))


@overload
def fan_out(
    a: PipelineStage[I, A], b: PipelineStage[I, B], /, *, name: str | None = None
) -> FanOutStage[I, tuple[A, B]]: ...
@overload
def fan_out(
    a: PipelineStage[I, A], b: PipelineStage[I, B], c: PipelineStage[I, C], /, *, name: str | None = None
) -> FanOutStage[I, tuple[A, B, C]]: ...
@overload
def fan_out(
    a: PipelineStage[I, A],
    b: PipelineStage[I, B],
    c: PipelineStage[I, C],
    d: PipelineStage[I, D],
    /,
    *,
    name: str | None = None,
) -> FanOutStage[I, tuple[A, B, C, D]]: ...
@overload
def fan_out(
    a: PipelineStage[I, A],
    b: PipelineStage[I, B],
    c: PipelineStage[I, C],
    d: PipelineStage[I, D],
    e: PipelineStage[I, E],
    /,
    *,
    name: str | None = None,
) -> FanOutStage[I, tuple[A, B, C, D, E]]: ...
@overload
def fan_out(
    a: PipelineStage[I, A],
    b: PipelineStage[I, B],
    c: PipelineStage[I, C],
    d: PipelineStage[I, D],
    e: PipelineStage[I, E],
    f: PipelineStage[I, F],
    /,
    *,
    name: str | None = None,
) -> FanOutStage[I, tuple[A, B, C, D, E, F]]: ...
@overload
def fan_out(*stages: PipelineStage[I, A], name: str | None = None) -> FanOutStage[I, tuple[A, ...]]: ...
def fan_out(*stages: PipelineStage[Any, Any], name: str | None = None) -> FanOutStage[Any, Any]:
    """Run stages concurrently on the same input, and collect their outputs in a tuple, each with its own type.

    It behaves as ``BranchStage`` does; the branches bear the names of their stages.

    Args:
        stages: The stages; up to six keep a type each, more share one.
        name: The stage's name in reports.

    Raises:
        ValueError: If there is no stage.
        TypeError: If one of them is no stage.

    Example:
        >>> from mainstem import AggregateStage, Pipeline
        >>> both = fan_out(AggregateStage(len), AggregateStage(sum))
        >>> Pipeline[list[int], tuple[int, int]]("stats").add_stage(both).run([3, 1, 2]).data
        (3, 6)
    """
    return FanOutStage(stages, name)
