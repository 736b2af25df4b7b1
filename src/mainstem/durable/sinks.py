"""The sinks of a durable run: which of them is loaded batch by batch, and what can be promised of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mainstem.endpoints import Guarantee, SinkStage, SourceStage
from mainstem.errors import GuaranteeError, StoreError
from mainstem.stage import PipelineStage
from mainstem.stage_run import unique_names
from mainstem.store.store import Store


def guarantee_of(stages: Sequence[PipelineStage[Any, Any]], names: Sequence[str]) -> tuple[Guarantee, str]:
    """Return what a durable run of some stages promises, and why it is no more than that.

    Args:
        stages: The stages.
        names: Their names in reports.
    """
    exactly_once, at_least_once = Guarantee.EXACTLY_ONCE, Guarantee.AT_LEAST_ONCE
    sinks = list(_sinks_of(stages, names))
    if not sinks:
        return at_least_once, "it ends in no sink, and what it gives is in memory only"
    last = stages[-1]
    apart = next(((name, sink) for name, sink in sinks if sink is not last or name != names[-1]), None)
    if apart is not None:
        name, sink = apart
        return at_least_once, (
            f"its sink {name!r} ({sink.target}) is not its last stage, so it is loaded apart from the batches, and "
            "again when the run is resumed: end in that sink, or load into it in a run of its own"
        )
    name, sink = sinks[0]
    first = stages[0]
    if isinstance(first, SourceStage) and first.acknowledges:
        return at_least_once, (
            f"its source {names[0]!r} is told what is committed after the fact, and gives again what it was not told of"
        )
    if sink.durable_guarantee is exactly_once:
        return exactly_once, ""
    return sink.durable_guarantee, (
        f"its sink {name!r} ({sink.target}) promises {sink.durable_guarantee.value}: it keeps no number of the last "
        "batch with its rows"
    )


def check_guarantee(wanted: Guarantee | None, guarantee: Guarantee, reason: str, pipeline: str) -> None:
    """Refuse a run that was asked to promise more than it can.

    Raises:
        GuaranteeError: If it was.
    """
    if wanted is Guarantee.EXACTLY_ONCE and guarantee is not wanted:
        raise GuaranteeError(f"pipeline {pipeline!r} cannot run {wanted.value}: {reason}")


def _sinks_of(
    stages: Sequence[PipelineStage[Any, Any]], names: Sequence[str], within: str = ""
) -> Iterator[tuple[str, SinkStage[Any]]]:
    """Give the sinks, those within other stages too, with their names in reports."""
    for stage, name in zip(stages, names, strict=True):
        path = f"{within}{name}"
        if isinstance(stage, SinkStage):
            sink: SinkStage[Any] = stage  # pyright: ignore[reportUnknownVariableType]
            yield path, sink
            continue
        branches: Mapping[str, PipelineStage[Any, Any]] = getattr(stage, "branches", {})
        inner: Sequence[PipelineStage[Any, Any]] = getattr(stage, "stages", ())  # of a pipeline
        chained = stage.members if stage.members != (stage,) else ()
        yield from _sinks_of([*branches.values()], [*branches], f"{path}/")
        for several in (inner, chained):
            yield from _sinks_of(several, unique_names(several), f"{path}/")


def refuse_shared_file(sink: SinkStage[Any] | None, store: Store) -> None:
    """Refuse a store that cannot be written during a transaction of the sink.

    Raises:
        StoreError: If it is one.
    """
    file = None if sink is None else sink.locked_file
    if file is not None and file == store.file:
        raise StoreError(
            f"the store and the target are the same file, {file}, and neither could be written while the other is: "
            "keep the store in a file of its own (store=..., --store or MAINSTEM_STORE)"
        )
