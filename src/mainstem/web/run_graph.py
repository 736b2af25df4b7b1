"""The stages of a run as a graph, with their counts and times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from mainstem.store.model import RunRecord, StageCounts

_INNER = ("stages", "branches")


@dataclass(frozen=True, slots=True)
class GraphStage:
    """A stage of the graph.

    Attributes:
        name: Its name in reports.
        kind: The name of its class.
        law: Its law.
        counts: Its counts at the last batch; ``None`` if it has not begun.
        share: Its part in the time of all stages, in percent.
        inner: The names of what is within it.
    """

    name: str
    kind: str
    law: str
    counts: StageCounts | None
    share: int
    inner: Sequence[str]


def graph_of(record: RunRecord) -> list[GraphStage]:
    """Return the stages of a run, in order; those included that the run knows of and its shape does not."""
    total = sum(each.duration_ms for each in record.counts.values())
    shapes = {str(each.get("name")): each for each in record.shape}
    return [
        _stage(name, shapes.get(name, {}), record.counts.get(name), total)
        for name in dict.fromkeys([*shapes, *record.counts])
    ]


def _stage(name: str, shape: Mapping[str, Any], counts: StageCounts | None, total: float) -> GraphStage:
    share = round(100 * counts.duration_ms / total) if counts is not None and total else 0
    kind = str(shape.get("class", "")).rpartition(".")[2]
    return GraphStage(name, kind, str(shape.get("law", "")), counts, min(100, share), [*_inner(shape)])


def _inner(shape: Mapping[str, Any]) -> Sequence[str]:
    """Return the names of the members or branches of a stage, whose shape may be of another version."""
    for name in _INNER:
        found: Any = shape.get(name)
        if isinstance(found, dict):
            return [*map(str, found)]  # pyright: ignore[reportUnknownArgumentType]
        if isinstance(found, list):
            return [*_named(found)]  # pyright: ignore[reportUnknownArgumentType]
    return ()


def _named(several: Iterable[object]) -> Iterator[str]:
    for each in several:
        if isinstance(each, dict) and "name" in each:
            yield str(cast("dict[str, object]", each)["name"])
