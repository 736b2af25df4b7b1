"""Graphs, plans, previews and progress."""

from __future__ import annotations

from typing import assert_type

from mainstem import MapStage, Pipeline, PipelineContext
from mainstem.graph import PipelineGraph, graph_of, to_dot, to_mermaid, to_svg
from mainstem.plan import PipelinePlan, Preview, plan_pipeline, preview
from mainstem.progress import ProgressWatch, StageFigures, progress_bars, progress_log


def length(text: str) -> int:
    return len(text)


pipeline = Pipeline[list[str], list[int]]("lengths").add_stage(MapStage(length))

graph = graph_of(pipeline)
assert_type(graph, PipelineGraph)
assert_type(graph_of(MapStage(length) >> MapStage(str)), PipelineGraph)
assert_type(to_mermaid(graph), str)
assert_type(to_dot(graph), str)
assert_type(to_svg(graph, {"MapStage": "2 in"}), str)


async def look_ahead() -> None:
    assert_type(await plan_pipeline(pipeline, check=False), PipelinePlan)
    assert_type(await preview(pipeline, ["a"], count=1), Preview)
    assert_type(await preview(pipeline, previous={"row": 1}, patience=1.0), Preview)


with progress_bars(pipeline, total=2, leave=False) as context:
    assert_type(context, PipelineContext)
    assert_type(pipeline.run(["a"], context=context).unwrap(), list[int])
with progress_log(pipeline, every=60) as context:
    pipeline.run(["a"], context=context)
assert_type(ProgressWatch(pipeline.stages, PipelineContext(), total=2).look(), list[StageFigures])
