"""A graph as a drawing in SVG, for light and dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from itertools import pairwise
from unicodedata import east_asian_width

from mainstem.graph.data import GraphEdge, GraphGroup, GraphNode, PipelineGraph
from mainstem.graph.layout import Layout, Point, lay_out
from mainstem.graph.words import description_of, lines_of, title_of
from mainstem.printable import printable

_CHARACTER, _LINE, _PADDING = 7.3, 17.0, 12.0
"""The width of a character, the height of a line, and the room around a text, in pixels."""
_GAP_ACROSS, _GAP_DOWN, _MARGIN = 36.0, 46.0, 24.0
_STYLE = """
.ID { --line: #57606a; --text: #1f2328; --soft: #57606a; --box: #ffffff; --source: #ddf4ff; --sink: #dafbe1;
  --group: #f6f8fa; font-family: ui-sans-serif, system-ui, sans-serif; max-width: 100%; height: auto }
@media (prefers-color-scheme: dark) { .ID { --line: #8b949e; --text: #e6edf3; --soft: #9da7b1; --box: #161b22;
  --source: #0c2d4d; --sink: #0f3323; --group: #0d1117 } }
[data-jp-theme-light="true"] .ID { --line: #57606a; --text: #1f2328; --soft: #57606a; --box: #ffffff;
  --source: #ddf4ff; --sink: #dafbe1; --group: #f6f8fa }
[data-jp-theme-light="false"] .ID { --line: #8b949e; --text: #e6edf3; --soft: #9da7b1; --box: #161b22;
  --source: #0c2d4d; --sink: #0f3323; --group: #0d1117 }
.ID text { fill: var(--text); font-size: 13px; text-anchor: middle }
.ID .name { font-weight: 600 }
.ID .more { fill: var(--soft); font: 11px ui-monospace, monospace }
.ID .of-group { text-anchor: start }
.ID .box { fill: var(--box); stroke: var(--line); stroke-width: 1.2 }
.ID .source .box { fill: var(--source) }
.ID .sink .box { fill: var(--sink) }
.ID .blocks .box { stroke-dasharray: 5 4 }
.ID .group { fill: var(--group); stroke: var(--line); stroke-width: 0.8; stroke-opacity: 0.6 }
.ID .edge { fill: none; stroke: var(--line); stroke-width: 1.3 }
.ID .head { fill: var(--line) }
.ID .label { fill: var(--soft); font-size: 11px; stroke: var(--box); stroke-width: 4; paint-order: stroke }
"""


@dataclass(frozen=True, slots=True)
class _Box:
    """What is written of a node, and the size that this takes."""

    title: str
    lines: tuple[str, ...]
    width: float
    height: float


def to_svg(graph: PipelineGraph, notes: Mapping[str, str] | None = None) -> str:
    """Return the drawing, one element ``svg`` that can stand by itself or in a page, and takes the page's colours.

    Names and types are escaped, whatever is in them. Stages that hold their whole input have a dashed border, and each
    node has all that is known of it in a tooltip.

    Args:
        graph: The graph.
        notes: More lines to write into nodes, by the node's path: the counts of a run, say.

    Raises:
        MissingExtraError: If ``mainstem[graph]`` is not installed.

    Example:
        >>> from mainstem import MapStage, Pipeline
        >>> from mainstem.graph import graph_of
        >>> to_svg(graph_of(Pipeline[list[int], list[str]]("texts").add_stage(MapStage(str))))[:4]
        '<svg'
    """
    boxes = {node.id: _box_of(node, (notes or {}).get(node.path, "")) for node in graph.nodes}
    widest = max((box.width for box in boxes.values()), default=0.0)
    highest = max((box.height for box in boxes.values()), default=0.0)
    layout = lay_out(graph, across=widest + _GAP_ACROSS, down=highest + _GAP_DOWN)
    left = min((point[0] for point in layout.nodes.values()), default=0.0) - widest / 2 - _MARGIN
    right = max((point[0] for point in layout.nodes.values()), default=0.0) + widest / 2 + _MARGIN
    top = min((point[1] for point in layout.nodes.values()), default=0.0) - highest / 2 - _MARGIN
    bottom = max((point[1] for point in layout.nodes.values()), default=0.0) + highest / 2 + _MARGIN
    body = [
        *(_group(group, layout, boxes) for group in graph.groups if _stands_apart(group, layout, boxes)),
        *(_edge(edge, bends, layout, boxes) for edge, bends in zip(graph.edges, layout.bends, strict=True)),
        *(_node(node, layout.nodes[node.id], boxes[node.id]) for node in graph.nodes),
    ]
    drawn = "\n".join(body)
    name = f"mainstem-{sha256(drawn.encode()).hexdigest()[:10]}"  # several drawings of a page share its styles and ids
    title = _text(f"pipeline {graph.name}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{name}" role="img" aria-label="{title}" '
        f'viewBox="{left:.0f} {top:.0f} {right - left:.0f} {bottom - top:.0f}" '
        f'width="{right - left:.0f}" height="{bottom - top:.0f}">\n'
        f"<title>{title}</title>\n<style>{_STYLE.replace('ID', name)}</style>\n"
        f'<defs><marker id="{name}-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path class="head" d="M0 0 8 4 0 8z"/></marker></defs>\n'
        f"{drawn.replace('url(#head)', f'url(#{name}-head)')}\n</svg>\n"
    )


def _box_of(node: GraphNode, note: str) -> _Box:
    title, lines = title_of(node), lines_of(node)
    if note:
        lines.append(printable(note))
    texts = [title, *lines] if title else lines
    width = max(map(_width, texts), default=0.0) + 2 * _PADDING
    if node.shape == "split":
        width += 2 * _PADDING
    return _Box(title, tuple(lines), width, _LINE * len(texts) + _PADDING)


def _width(text: str) -> float:
    return sum(2 if east_asian_width(each) in "WF" else 1 for each in text) * _CHARACTER


def _text(text: str) -> str:
    """Return text for an element or an attribute; what XML has no place for is shown as an escape."""
    return escape(printable(text))


def _node(node: GraphNode, at: Point, box: _Box) -> str:
    x, y = at
    left, top = x - box.width / 2, y - box.height / 2
    cut = _PADDING
    if node.shape in ("fork", "split"):
        corners = (
            f"{left:.1f},{y:.1f} {left + cut:.1f},{top:.1f} {left + box.width - cut:.1f},{top:.1f} "
            f"{left + box.width:.1f},{y:.1f} {left + box.width - cut:.1f},{top + box.height:.1f} "
            f"{left + cut:.1f},{top + box.height:.1f}"
        )
        shape = f'<polygon class="box" points="{corners}"/>'
    else:
        radius = 6.0 if node.shape in ("stage", "source", "sink") else box.height / 2
        shape = (
            f'<rect class="box" x="{left:.1f}" y="{top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" '
            f'rx="{radius:.1f}"/>'
        )
    texts = [("name", box.title)] if box.title else []
    texts += [("more", line) for line in box.lines]
    first = y - _LINE * len(texts) / 2 + _LINE * 0.72
    written = "".join(
        f'<text class="{kind}" x="{x:.1f}" y="{first + _LINE * row:.1f}">{_text(text)}</text>'
        for row, (kind, text) in enumerate(texts)
    )
    kinds = f"{node.shape} {node.flow.replace(' ', '-')}" if node.flow else node.shape
    return f'<g class="{kinds}"><title>{_text(description_of(node))}</title>{shape}{written}</g>'


def _edge(edge: GraphEdge, bends: Sequence[Point], layout: Layout, boxes: Mapping[str, _Box]) -> str:
    (x, y), (to_x, to_y) = layout.nodes[edge.start], layout.nodes[edge.end]
    points = [(x, y + boxes[edge.start].height / 2), *bends, (to_x, to_y - boxes[edge.end].height / 2)]
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (from_x, from_y), (next_x, next_y) in pairwise(points):
        middle = (from_y + next_y) / 2
        path += f" C{from_x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {next_y:.1f}"
    drawn = f'<path class="edge" marker-end="url(#head)" d="{path}"/>'
    if edge.label:
        (first_x, first_y), (second_x, second_y) = points[0], points[1]
        at_x, at_y = (first_x + second_x) / 2, (first_y + second_y) / 2 + 4
        drawn += f'<text class="label" x="{at_x:.1f}" y="{at_y:.1f}">{_text(edge.label)}</text>'
    return drawn


def _frame_of(group: GraphGroup, layout: Layout, boxes: Mapping[str, _Box]) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of what is drawn around a group."""
    sides = [(*layout.nodes[each], boxes[each].width / 2, boxes[each].height / 2) for each in group.members]
    return (
        min(x - width for x, _, width, _ in sides) - _PADDING,
        min(y - height for _, y, _, height in sides) - _LINE - 4,
        max(x + width for x, _, width, _ in sides) + _PADDING,
        max(y + height for _, y, _, height in sides) + _PADDING,
    )


def _stands_apart(group: GraphGroup, layout: Layout, boxes: Mapping[str, _Box]) -> bool:
    """Whether a frame around a group would be around nothing else."""
    left, top, right, bottom = _frame_of(group, layout, boxes)
    return not any(
        left < x + boxes[each].width / 2
        and x - boxes[each].width / 2 < right
        and top < y + boxes[each].height / 2
        and y - boxes[each].height / 2 < bottom
        for each, (x, y) in layout.nodes.items()
        if each not in group.members
    )


def _group(group: GraphGroup, layout: Layout, boxes: Mapping[str, _Box]) -> str:
    left, top, right, bottom = _frame_of(group, layout, boxes)
    return (
        f'<rect class="group" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}" '
        f'rx="8"/><text class="more of-group" x="{left + 8:.1f}" y="{top + 13:.1f}">'
        f"{_text(group.name)}</text>"
    )
