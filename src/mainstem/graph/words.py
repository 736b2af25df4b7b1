"""What a node of a graph says of itself, the same in every form in which it is drawn."""

from __future__ import annotations

from mainstem.graph.data import GraphNode
from mainstem.printable import printable

LONGEST_LINE = 46
"""Characters of a line; what is longer is cut, and stands in full in the node's tooltip, where there is one."""


def title_of(node: GraphNode) -> str:
    """Return the name of a node, as one line that is safe to show but not escaped for any language."""
    return "" if node.shape == "merge" else _cut(printable(node.name))


def lines_of(node: GraphNode) -> list[str]:
    """Return the lines below the name: what it is, what it gives, where it writes."""
    if node.shape in ("input", "merge"):
        return [_cut(printable(node.gives))]
    if node.shape == "output":
        return [_cut(printable(node.takes))]
    kind = [] if node.stage_class == node.name else [node.stage_class]
    if node.shape in ("stage", "fork", "split"):
        kind.append(node.law if node.flow == "blocks" else f"{node.law}, {node.flow}")
    lines = [", ".join(kind)]
    if node.target:
        lines.append(node.target)
    elif node.shape not in ("fork", "split"):
        lines.append(f"gives {node.gives}")
    return [_cut(printable(line)) for line in lines if line]


def description_of(node: GraphNode) -> str:
    """Return all that is known of a node, in one line."""
    parts = [node.path or node.name, node.stage_class, node.law, node.flow or ""]
    if node.takes or node.gives:
        parts.append(f"{node.takes} -> {node.gives}" if node.takes and node.gives else node.takes or node.gives)
    parts += [node.target, f"made at {node.made_at}" if node.made_at else ""]
    return printable(", ".join(part for part in parts if part))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_LINE else f"{text[: LONGEST_LINE - 1]}…"
