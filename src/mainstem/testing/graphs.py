"""``graph_text``: the stages of a pipeline, their laws and their types, as text that can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mainstem.pipeline import Pipeline
from mainstem.stage import PipelineStage
from mainstem.stage_run import unique_names
from mainstem.typecheck import show

_INDENT = "  "


def graph_text(pipeline: Pipeline[Any, Any, Any]) -> str:
    """Show a pipeline as text: a line for each stage, with its name, class, law and the type of what it gives.

    The stages of branches, and of pipelines within it, stand indented below. The text depends on nothing else, so it is
    the same until somebody changes what the pipeline is made of. A type that is not known is a question mark.

    Example:
        >>> from mainstem import AggregateStage
        >>> numbers = Pipeline[list[str], int]("numbers").map(int, name="parse").add_stage(AggregateStage(sum))
        >>> print(graph_text(numbers))
        numbers takes list[str]
          parse: MapStage, elementwise -> list[int]
          AggregateStage, blocking -> ?
    """
    takes = f"{pipeline.name} takes {_type(pipeline.input_hint)}"
    return "\n".join([takes, *_lines(pipeline.stages, pipeline.input_hint, _INDENT)])


def _lines(stages: Sequence[PipelineStage[Any, Any]], hint: Any, indent: str) -> Iterator[str]:
    for name, stage in zip(unique_names(stages), stages, strict=True):
        given = stage.output_hint(hint)
        kind = type(stage).__name__
        yield f"{indent}{kind if name == kind else f'{name}: {kind}'}, {stage.kind.value} -> {_type(given)}"
        inner: Sequence[PipelineStage[Any, Any]] = getattr(stage, "stages", ())  # of a pipeline
        yield from _lines(inner, hint, indent + _INDENT)
        branches: Mapping[str, PipelineStage[Any, Any]] = getattr(stage, "branches", {})
        for branch, first in branches.items():
            yield f"{indent}{_INDENT}{branch}:"
            yield from _lines(first.members, hint, indent + 2 * _INDENT)
        hint = given


def _type(hint: Any) -> str:
    if hint is Any:
        return "?"
    return "nothing" if hint in (None, type(None)) else show(hint)
