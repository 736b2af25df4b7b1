"""What a run knows of the way of its records, for the accounting: the counts of its stages, and what each may do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from mainstem.accounting import Passage, RecordFlow, StageFlow, Traits
from mainstem.endpoints import SinkStage, SourceStage
from mainstem.engine.batch_load import BatchLoad
from mainstem.result import CompositeResult, StageResult
from mainstem.stage import PipelineStage, RecordsStage, StageKind
from mainstem.stage_run import StageRun, unique_names

_BLOCKING, _ELEMENTWISE, _STATEFUL = StageKind.BLOCKING, StageKind.ELEMENTWISE, StageKind.STATEFUL


def flow_of(runs: Iterable[StageRun], given: int | None, *, completed: bool, entered: int | None = None) -> RecordFlow:
    """Return the way of the records through the stages of a run.

    Args:
        runs: The stages that have begun, in order, with their counts, which may be over several attempts.
        given: Records that came out; ``None`` if that is not known any more.
        completed: Whether the run has completed.
        entered: Records that were handed to it; ``None`` if that is not known.
    """
    flows: list[StageFlow] = []
    for run in runs:
        stage: Any = run.stage
        if run.parts is not None and _stages_within(stage):
            flows += _flows_within(stage, run.parts, completed=run.succeeded)
            continue
        counts, kind = run.progress, stage.kind
        flows.append(
            StageFlow(
                run.name,
                _traits(stage.__class__, stage.expands, kind is _ELEMENTWISE, kind is _STATEFUL),
                counts.records_in,
                counts.records_passed,
                counts.records_filtered,
                counts.records_failed,
                counts.done,
                run.succeeded,
                stage.made_at,
                run.miscount,
                _in_target(run),
            )
        )
    return RecordFlow(flows, given, completed, entered)


def _in_target(run: StageRun) -> int:
    """How many of the records that a sink wrote are in its target for good, though it may have more to do."""
    return run.progress.records_passed - run.state.records_uncommitted if isinstance(run.state, BatchLoad) else 0


def traits_of(stage: PipelineStage[Any, Any]) -> Traits:
    """Return what a stage may do with the number of its records, which follows from the law that it keeps."""
    kind = stage.kind
    return _traits(stage.__class__, stage.expands, kind is _ELEMENTWISE, kind is _STATEFUL)


def passes_all_on(runs: Iterable[StageRun], given: int | None, entered: int | None) -> bool:
    """Whether all stages passed on what they took but for what they filtered or failed: then the counts say it all.

    That is so in most runs, and this is a quicker way to find it out than ``flow_of`` and ``RecordFlow.check``. It does
    not tell a sink's records or repeats from others, so where there may be such it says no.
    """
    passed = entered
    for run in runs:
        stage: Any = run.stage
        counts, kind = run.progress, stage.kind
        taken, filtered, failed = counts.records_in, counts.records_filtered, counts.records_failed
        if (passed is not None and taken != passed) or run.miscount is not None or kind is _BLOCKING:
            return False
        passed = counts.records_passed
        if taken != passed + filtered + failed or passed < 0 or filtered < 0 or failed < 0:
            return False
        if filtered and kind is _STATEFUL:
            return False
    return passed is not None and passed == given


@lru_cache(maxsize=1024)
def _traits(kind_of_stage: Any, expands: bool, elementwise: bool, stateful: bool) -> Traits:
    stage: type[Any] = kind_of_stage  # as a type it would be no key to mypy
    drops_repeats, ends_input = getattr(stage, "drops_repeats", False), getattr(stage, "ends_input", False)
    if issubclass(stage, SourceStage):
        passage = Passage.ONE_TO_ONE
    elif issubclass(stage, SinkStage):
        passage = Passage.LOADED
    elif not elementwise and not stateful:
        passage = Passage.AT_END
    elif expands:
        passage = Passage.REGROUPED
    else:
        passage = Passage.ONE_TO_ONE if elementwise or issubclass(stage, RecordsStage) else Passage.GROUPED
    return Traits(passage, drops_repeats, ends_input)


def _stages_within(stage: Any) -> tuple[PipelineStage[Any, Any], ...]:
    """Return the stages of a pipeline that is a stage; those that it runs count as the outer run's own."""
    stages: Any = getattr(stage, "stages", ())
    return stages if isinstance(stages, tuple) and all(isinstance(each, PipelineStage) for each in stages) else ()  # pyright: ignore[reportUnknownVariableType]  # of whatever they are


def _flows_within(stage: Any, results: Mapping[str, StageResult[Any]], *, completed: bool) -> Iterator[StageFlow]:
    stages = _stages_within(stage)
    last = list(results)[-1:]
    for name, part in zip(unique_names(stages), stages, strict=True):
        result = results.get(name)
        if result is None:
            continue
        if isinstance(result, CompositeResult) and _stages_within(part):
            yield from _flows_within(part, result.stage_results, completed=result.success)
            continue
        yield StageFlow(
            f"{stage.name}/{name}",
            traits_of(part),
            result.records_in,
            result.records_passed,
            result.records_filtered,
            result.records_failed,
            # In a pipeline that failed, a stage had all its input if one after it began, and else one can't tell.
            completed or (result.success and name not in last),
            result.success,
            part.made_at,
        )
