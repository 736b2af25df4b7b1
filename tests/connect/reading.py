"""What tests of sources and sinks share."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from typing import Any

from tests.runs import run

from mainstem import LoadReport, PipelineContext, Position, SinkStage, SourceChunk, SourceStage, StageResult


async def read_chunks(
    source: SourceStage[Any],
    *,
    context: PipelineContext | None = None,
    start: Position | None = None,
    chunk_size: int = 500,
) -> list[SourceChunk[Any]]:
    """Read a source to its end."""
    async with aclosing(source.read(context or PipelineContext(), start=start, chunk_size=chunk_size)) as chunks:
        return [chunk async for chunk in chunks]


def records_of(chunks: Iterable[SourceChunk[Any]]) -> list[Any]:
    return [record for chunk in chunks for record in chunk.records]


def read(source: SourceStage[Any]) -> list[Any]:
    """Run a source that must succeed without rejects."""
    result = run(source, data=None)
    assert result.success, result.error
    assert result.context.errors == []
    return list(result.unwrap())


def read_with_errors(source: SourceStage[Any]) -> tuple[list[Any], list[tuple[int | None, Any, str]]]:
    """Run a source that must succeed; index, record and text of each reject."""
    result = run(source, data=None)
    assert result.success, result.error
    return list(result.unwrap()), errors_in(result.context)


def failure_of(source: SourceStage[Any]) -> Exception:
    """Run a source that must fail, with the error recorded once."""
    result = run(source, data=None)
    assert not result.success
    assert result.error is not None
    assert [entry.error for entry in result.context.errors] == [result.error]
    return result.error


def errors_in(context: PipelineContext) -> list[tuple[int | None, Any, str]]:
    return [(entry.index, entry.record, str(entry.error)) for entry in context.errors]


def load(sink: SinkStage[Any], records: Iterable[Any]) -> LoadReport:
    """Run a sink that must succeed without rejects."""
    records = list(records)
    result = run(sink, data=records, entered=len(records))
    assert result.success, result.error
    assert result.context.errors == []
    report: LoadReport = result.unwrap()
    assert (report.records_loaded, report.records_rejected) == (len(records), 0)
    return report


def load_with_errors(
    sink: SinkStage[Any], records: Iterable[Any]
) -> tuple[LoadReport, list[tuple[int | None, Any, str]]]:
    """Run a sink that must succeed; its report, and index, record and text of each reject."""
    records = list(records)
    result = run(sink, data=records, entered=len(records))
    assert result.success, result.error
    report: LoadReport = result.unwrap()
    assert report.records_loaded + report.records_rejected == len(records)
    assert len(result.context.errors) == report.records_rejected
    return report, errors_in(result.context)


def refusal_of(sink: SinkStage[Any], records: Iterable[Any]) -> StageResult[Any]:
    """Run a sink that must fail."""
    result = run(sink, data=list(records))
    assert not result.success
    assert result.error is not None
    return result
