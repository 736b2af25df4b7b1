"""What a run gives, however it is run, so that two ways to run a pipeline can be compared."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from mainstem import CompositeResult, PipelineResult
from runs import check_accounts


@dataclass(frozen=True)
class Outcome:
    """All that a run gives, but times; the order of errors of different stages is not promised."""

    output: Any
    errors: list[tuple[str, int, str, str]]
    stages: list[Any]
    counts: tuple[int, int, int]
    completed: list[str]


@dataclass(frozen=True)
class Failure:
    """Why a run failed, and where. How far the stages before had come depends on how far records go before others."""

    error: tuple[str, str]
    stage: list[str]
    records: list[tuple[str, int | None, str]]


def outcome_of(result: PipelineResult[Any], output: Any) -> Outcome | Failure:
    check_accounts(result)
    context = result.context
    error = result.error
    if error is not None:
        return Failure(
            (type(error).__name__, str(error)),
            [name for name, part in result.stage_results.items() if not part.success],
            [
                (entry.stage, entry.index, repr(entry.record))
                for entry in context.errors
                if entry.error in (error, error.__cause__)
            ],
        )
    errors = [
        (entry.stage, -1 if entry.index is None else entry.index, repr(entry.error), repr(entry.record))
        for entry in context.errors
    ]
    return Outcome(
        output,
        sorted(errors),
        _counts_of_parts(result),
        (result.records_processed, result.records_failed, result.records_filtered),
        context.completed_stages,
    )


def _counts_of_parts(result: Any) -> list[Any]:
    """Return the counts of each part, in order, and of the parts of those; which branch of a split begins, may vary."""
    if not isinstance(result, CompositeResult):
        return []
    return [
        (
            *(name, part.success, part.records_processed, part.records_failed, part.records_filtered),
            sorted(_counts_of_parts(part)),
        )
        for name, part in result.stage_results.items()
    ]


async def arriving(records: Sequence[Any]) -> AsyncGenerator[Any, None]:
    """Give the records one by one, and let others have a turn before some."""
    for record in records:
        if record % 5 == 0:
            await anyio.sleep(0)
        yield record


Build = Callable[[], Any]
"""Makes a new pipeline of the same stages."""


async def executed(build: Build, data: Any, **options: Any) -> Outcome | Failure:
    result: PipelineResult[Any] = await build().execute(data, **options)
    return outcome_of(result, result.data)


async def streamed(build: Build, data: Any, **options: Any) -> Outcome | Failure:
    stream = build().stream(data, **options)
    chunks: list[Any] = []
    raised: Exception | None = None
    async with stream:
        try:
            async for chunk in stream:
                chunks.append(chunk)
        except Exception as error:
            raised = error
    result: PipelineResult[Any] = stream.result
    assert raised is result.error, f"raised {raised!r}, and the result says {result.error!r}"
    if result.data is None:
        return outcome_of(result, [record for chunk in chunks for record in chunk])
    assert chunks == [result.data], "a pipeline that ends in one value gives just that"
    return outcome_of(result, result.data)
