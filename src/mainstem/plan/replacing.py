"""A pipeline with other sinks in the place of its own, wherever they are: within branches, chains, pipelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

from mainstem.events import EventBus
from mainstem.hooks import Hooks
from mainstem.pipeline import Pipeline
from mainstem.plan.kinds import is_pipeline, is_sink
from mainstem.plan.preview_sink import PreviewSink
from mainstem.stage import PipelineStage
from mainstem.stage_run import unique_names

_HOOK_SECONDS = 300.0


def quiet_copy(pipeline: Pipeline[Any, Any, Any], stages: Sequence[PipelineStage[Any, Any]]) -> Pipeline[Any, Any, Any]:
    """Return a pipeline with other stages of the same types, which calls no hooks and tells nobody of its runs."""
    copied: Any = copy(pipeline)
    copied._stages = tuple(stages)
    copied._hooks = Hooks(_HOOK_SECONDS)
    copied._event_bus = EventBus()
    return copied  # type: ignore[no-any-return]


def replace_sinks(
    stages: Sequence[PipelineStage[Any, Any]], within: str = ""
) -> tuple[list[PipelineStage[Any, Any]], list[PreviewSink]]:
    """Return stages with a ``PreviewSink`` in the place of each sink, and those.

    Args:
        stages: The stages.
        within: What their names in reports begin with.
    """
    replaced: list[PipelineStage[Any, Any]] = []
    found: list[PreviewSink] = []
    for stage, name in zip(stages, unique_names(stages), strict=True):
        other, sinks = _replace(stage, f"{within}{name}")
        replaced.append(other)
        found += sinks
    return replaced, found


def _replace(stage: PipelineStage[Any, Any], path: str) -> tuple[PipelineStage[Any, Any], list[PreviewSink]]:
    if is_sink(stage):
        sink = PreviewSink(stage, path)
        return sink, [sink]
    if is_pipeline(stage):
        inner, sinks = replace_sinks(stage.stages, f"{path}/")
        return quiet_copy(stage, inner), sinks
    copied: Any
    if len(stage.members) > 1:
        inner, sinks = replace_sinks(stage.members, f"{path}/")
        copied = copy(stage) if sinks else stage
        if sinks:
            copied._members = tuple(inner)
        return copied, sinks
    branches: Mapping[str, PipelineStage[Any, Any]] = getattr(stage, "branches", {})
    others = {name: _replace(branch, f"{path}/{name}") for name, branch in branches.items()}
    changed = {name: other for name, (other, _) in others.items()}
    sinks = [sink for _, several in others.values() for sink in several]
    if all(changed[name] is branch for name, branch in branches.items()):
        return stage, sinks
    copied = copy(stage)
    copied._branches = changed
    return copied, sinks
