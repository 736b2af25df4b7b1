"""The sources and sinks of a run, those within branches included, and what stages counted, by their paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mainstem.datasets import Dataset
from mainstem.endpoints import SinkStage, SourceStage
from mainstem.result import CompositeResult, StageResult
from mainstem.run_observer import RunStart
from mainstem.stage_run import unique_names
from mainstem.type_hints import record_of


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A source or a sink of a run.

    Attributes:
        path: Its name in reports, after those of the stages that it is within.
        is_output: Whether it writes.
        datasets: What it reads or writes.
        record: The type of its records; ``Any`` where that is unknown.
    """

    path: tuple[str, ...]
    is_output: bool
    datasets: Sequence[Dataset]
    record: Any


@dataclass(frozen=True, slots=True)
class StageCounts:
    """What a stage counted."""

    passed: int
    failed: int


def endpoints_of(start: RunStart, known: Mapping[str, Sequence[Dataset]]) -> list[Endpoint]:
    """Return the endpoints of a run.

    Args:
        start: The run.
        known: What sources and sinks read and write, by their names, in the place of what they say themselves.
    """
    before = [None, *start.hints]
    found: list[Endpoint] = []
    for name, stage, given, gives in zip(start.names, start.stages, before, start.hints, strict=False):
        found += _endpoints(stage, (name,), given, gives, known)
    return found


def _endpoints(
    stage: Any, path: tuple[str, ...], given: Any, gives: Any, known: Mapping[str, Sequence[Dataset]]
) -> Iterator[Endpoint]:
    is_source = isinstance(stage, SourceStage)
    if is_source or isinstance(stage, SinkStage):
        told: Sequence[Dataset] = known.get("/".join(path), stage.datasets)
        taken = record_of(stage.input_hint)
        record = record_of(gives) if is_source else (record_of(given) if taken is Any else taken)
        yield Endpoint(path, not is_source, told, record)
    for name, inner in _parts_of(stage):
        yield from _endpoints(inner, (*path, name), given, Any, known)


def _parts_of(stage: Any) -> Iterator[tuple[str, Any]]:
    """Give the stages that a stage is made of, with their names: branches, members of a chain, stages of a pipeline."""
    branches: Mapping[str, Any] | None = getattr(stage, "branches", None)
    inner: tuple[Any, ...] | None = getattr(stage, "stages", None)  # of a pipeline
    if branches is not None:
        yield from branches.items()
    elif inner is not None or len(stage.members) > 1:
        members = stage.members if inner is None else inner
        yield from zip(unique_names(members), members, strict=True)


def counts_of(
    results: Mapping[str, StageResult[Any]], within: tuple[str, ...] = ()
) -> dict[tuple[str, ...], StageCounts]:
    """Return what stages counted, by their paths."""
    found: dict[tuple[str, ...], StageCounts] = {}
    for name, result in results.items():
        found[(*within, name)] = StageCounts(result.records_passed, result.records_failed)
        if isinstance(result, CompositeResult):
            found |= counts_of(result.stage_results, (*within, name))
    return found
