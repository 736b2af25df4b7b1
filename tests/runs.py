"""What many tests share: short pipelines, and a look at the accounts of every result."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mainstem import CompositeResult, EventBus, Pipeline, PipelineContext, PipelineResult, PipelineStage, StageResult


def check_accounts(result: StageResult[Any], entered: int | None = None) -> Any:
    """Check that the counts of a result, and of all results in it, add up, and hand it back.

    Args:
        result: Any result.
        entered: How many records went in, if the result must account for each.
    """
    counts = (result.records_passed, result.records_filtered, result.records_failed)
    assert min(counts) >= 0, counts
    assert result.records_in == sum(counts)
    assert result.records_processed == result.records_passed + result.records_filtered
    assert result.duration_ms >= 0
    assert result.success == (result.error is None)
    if not result.success:
        assert result.data is None
    if entered is not None:
        assert result.records_in == entered
    if isinstance(result, CompositeResult):
        for part in result.stage_results.values():
            check_accounts(part)
    if isinstance(result, PipelineResult):
        for progress in result.context.progress.values():
            handled = progress.records_passed + progress.records_filtered + progress.records_failed
            assert progress.records_in == handled
    return result


def pipeline_of(*stages: PipelineStage[Any, Any], name: str = "under test", **options: Any) -> Pipeline[Any, Any, Any]:
    """Make a pipeline with a bus of its own, so that tests do not hear one another."""
    options.setdefault("event_bus", EventBus())
    pipeline: Any = Pipeline[Any, Any](name, **options)
    for stage in stages:
        pipeline.add_stage(stage)
    return pipeline


async def execute(*stages: PipelineStage[Any, Any], data: Any, entered: int | None = None) -> PipelineResult[Any]:
    """Execute the stages on ``data`` and check the accounts."""
    return check_accounts(await pipeline_of(*stages).execute(data), entered)


def run(*stages: PipelineStage[Any, Any], data: Any, entered: int | None = None) -> PipelineResult[Any]:
    """Run the stages on ``data`` and check the accounts."""
    return check_accounts(pipeline_of(*stages).run(data), entered)


def watch(pipeline: Pipeline[Any, Any, Any]) -> Pipeline[Any, Any, Any]:
    """Register a hook that sees the data between stages, so that stages do not share chunks."""
    pipeline.before_stage(lambda *_: None)
    return pipeline


def errors_of(context: PipelineContext) -> list[tuple[str, int | None, str]]:
    """Return stage, position and text of each error."""
    return [(entry.stage, entry.index, str(entry.error)) for entry in context.errors]


def raising_iterator(records: Iterable[Any], error: BaseException) -> Any:
    """Yield the records, then raise."""
    yield from records
    raise error


class Abort(BaseException):
    """What is no ``Exception``: nothing may take it for a failed record."""


class Untouchable:
    """A record that can only be carried: everything else that Python might do with it raises."""

    def _refuse(self, *_: object) -> Any:
        raise AssertionError("nobody has a reason to call this")

    __eq__ = __ne__ = __lt__ = __bool__ = __len__ = __iter__ = __str__ = __repr__ = __format__ = _refuse
    __hash__ = _refuse
