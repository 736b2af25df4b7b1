"""What a pipeline shows of itself in a notebook: its graph."""

from __future__ import annotations

from html import escape
from typing import Any

from mainstem.errors import MissingExtraError
from mainstem.graph.data import GraphNode, PipelineGraph
from mainstem.graph.making import graph_of
from mainstem.graph.mermaid import to_mermaid
from mainstem.graph.svg import to_svg
from mainstem.graph.words import description_of
from mainstem.printable import printable
from mainstem.stage import PipelineStage


def to_html(stage: PipelineStage[Any, Any]) -> str:
    """Return a pipeline's graph for a page: the drawing, or a list of its stages where nothing is there to draw it.

    Example:
        >>> from mainstem import MapStage, Pipeline
        >>> to_html(Pipeline[list[int], list[str]]("texts").add_stage(MapStage(str))).startswith("<svg")
        True
    """
    graph = graph_of(stage)
    try:
        return to_svg(graph)
    except MissingExtraError as error:
        return _as_list(graph, str(error))


def mime_bundle(stage: PipelineStage[Any, Any]) -> dict[str, str]:
    """Return a pipeline's graph in the forms that notebooks know, by their media types."""
    return {
        "text/plain": repr(stage),
        "text/html": to_html(stage),
        "text/vnd.mermaid": to_mermaid(graph_of(stage)),
    }


def _as_list(graph: PipelineGraph, how_to_draw: str) -> str:
    items = "".join(f"<li>{_item(graph, node)}</li>" for node in graph.nodes if node.shape != "merge")
    return f"<p><b>{escape(printable(graph.name))}</b></p><ol>{items}</ol><p><small>{escape(how_to_draw)}</small></p>"


def _item(graph: PipelineGraph, node: GraphNode) -> str:
    labels = [edge.label for edge in graph.edges if edge.end == node.id and edge.label]
    label = f"<i>{escape(printable(', '.join(labels)))}</i>: " if labels else ""
    return label + escape(description_of(node))
