"""Making the plan of a pipeline: places are looked at, and no record is moved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from mainstem.connect.table_look import TableLook
from mainstem.connect.table_sink import TableSink
from mainstem.durable.sinks import guarantee_of
from mainstem.errors import MainstemError, describe_error
from mainstem.graph.data import GraphNode, PipelineGraph
from mainstem.graph.making import GraphMap, map_graph
from mainstem.pipeline import Pipeline
from mainstem.plan.data import Access, PipelinePlan, SinkPlan, SourcePlan
from mainstem.plan.kinds import is_sink, is_source, is_table_sink
from mainstem.stage import PipelineStage
from mainstem.stage_run import unique_names
from mainstem.type_hints import record_of

CHECK_SECONDS = 30.0
"""How long looking at one place may take."""


async def plan_pipeline(pipeline: Pipeline[Any, Any, Any], *, check: bool = True) -> PipelinePlan:
    """Say what a run of a pipeline would do; no record is moved, and nothing is changed.

    Args:
        pipeline: The pipeline.
        check: Whether to look at the places that it reads and writes: whether they can be reached with the credentials
            that they are given, and what the tables are like.

    Raises:
        ValueError: If a pipeline is within itself.

    Example:
        >>> import anyio
        >>> from mainstem import Pipeline
        >>> from mainstem.connect import CsvSource, TableSink
        >>> pipeline = Pipeline("people").add_stage(CsvSource("people.csv")).add_stage(TableSink("sqlite:///p.db", "p"))
        >>> plan = anyio.run(plan_pipeline, pipeline)
        >>> plan.guarantee.value
        'exactly-once'
        >>> plan.problems
        ('CsvSource: cannot read people.csv: there is no such file; check the path',)
    """
    mapped = map_graph(pipeline)
    graph, stages = mapped.graph, pipeline.stages
    guarantee, reason = guarantee_of(stages, unique_names(stages))
    return PipelinePlan(
        pipeline=pipeline.name,
        graph=graph,
        sources=tuple([await _plan_source(node, mapped, check) for node in graph.nodes if node.shape == "source"]),
        sinks=tuple([await _plan_sink(node, mapped, check) for node in graph.sinks]),
        held=_held(graph),
        collects=not (stages and is_sink(stages[-1])),
        guarantee=guarantee,
        guarantee_reason=reason,
    )


def _held(graph: PipelineGraph) -> tuple[tuple[str, str], ...]:
    """Return what holds its whole input: stages that say so, and pipelines that are stages of others."""
    held = [
        (
            node.path,
            "it is no SourceStage, and gives all at once"
            if node.shape == "source"
            else f"it is {node.law}, and so needs its whole input at once",
        )
        for node in graph.stages
        if node.flow == "blocks"
    ]
    groups = [(group.path, "it is a pipeline within another, which runs on the whole input") for group in graph.groups]
    return (*held, *groups)


async def _plan_source(node: GraphNode, mapped: GraphMap, check: bool) -> SourcePlan:
    stage = mapped.stages[node.id]
    return SourcePlan(
        path=node.path,
        stage_class=node.stage_class,
        gives=node.gives,
        access=await _access(stage, check),
        acknowledges=_acknowledges(stage),
        is_reference=_is_reference(node, mapped.graph),
    )


def _acknowledges(stage: object) -> bool:
    return is_source(stage) and stage.acknowledges


def _is_reference(node: GraphNode, graph: PipelineGraph) -> bool:
    """Whether all that a node gives ends in a join that looks it up."""
    leads = [edge for edge in graph.edges if edge.start == node.id]
    by_id = {each.id: each for each in graph.nodes}
    return bool(leads) and all(
        edge.label == "reference" or (edge.label == "" and _is_reference(by_id[edge.end], graph)) for edge in leads
    )


async def _plan_sink(node: GraphNode, mapped: GraphMap, check: bool) -> SinkPlan:
    sink: Any = mapped.stages[node.id]
    table, access = None, await _access(sink, check)
    if access.level == "ok" and is_table_sink(sink):
        table, failed = await _look(sink, record_of(mapped.hints[node.id]))
        access = failed or access
    return SinkPlan(
        path=node.path,
        stage_class=node.stage_class,
        target=sink.target,
        access=access,
        guarantee=sink.guarantee,
        durable_guarantee=sink.durable_guarantee,
        durable_refusal=sink.durable_refusal,
        replaces=sink.replaces,
        locked_file=None if sink.locked_file is None else str(sink.locked_file),
        table=table,
    )


async def _look(sink: TableSink[Any], record: Any) -> tuple[TableLook | None, Access | None]:
    found: list[TableLook | None] = []

    async def look() -> str:
        found.append(await sink.look(record if isinstance(record, type) and record not in (Any, object) else None))
        return ""

    access = await _tried(look)
    return (found[0], None) if found else (None, access)


async def _access(stage: PipelineStage[Any, Any], check: bool) -> Access:
    if not check:
        return Access("not checked", "")
    if not is_source(stage) and not is_sink(stage):
        return Access("unknown", "it is no SourceStage, so only a run tells")
    return await _tried(stage.check_access)


async def _tried(look: Callable[[], Awaitable[str | None]]) -> Access:
    """Look at a place, for so long and no longer; whatever goes wrong is what was found."""
    try:
        with anyio.fail_after(CHECK_SECONDS):
            found = await look()
    except TimeoutError:
        return Access("broken", f"no answer in {CHECK_SECONDS:g} s: check the address and the network")
    except Exception as error:
        return Access("broken", _said(error))
    return Access("unknown", "only a run tells") if found is None else Access("ok", found)


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, MainstemError) else describe_error(error)
