"""A pipeline with all that a graph can have: branches, a split, a join with a reference, a pipeline within."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mainstem import (
    AggregateStage,
    BranchStage,
    Count,
    FilterStage,
    JoinStage,
    MapStage,
    Pipeline,
    SplitStage,
)
from mainstem.connect import CsvSource, TableSink


def number_of(row: dict[str, str]) -> int:
    return int(row["number"])


def is_even(number: int) -> bool:
    return number % 2 == 0


def double(number: int) -> int:
    return 2 * number


def total(records: list[Any]) -> list[int]:
    return [len(records)]


def everything(folder: Path, inner_name: str = "inner", stage_name: str = "double") -> Pipeline[Any, Any, Any]:
    """A source, a pipeline within, a split, a join whose reference is a pipeline, and branches, one with a sink."""
    inner = Pipeline[list[int], list[int]](inner_name).add_stage(FilterStage(is_even)).add_stage(MapStage(double))
    split = SplitStage[int, int](
        {"even": (is_even, MapStage(double, name=stage_name) >> MapStage(double))},
        otherwise=MapStage(double),
        name="parity",
    )
    reference = (
        Pipeline[None, list[int]]("known").add_stage(CsvSource(folder / "known.csv")).add_stage(MapStage(number_of))
    )
    branches = BranchStage[Any, Any](
        stored=TableSink(f"sqlite:///{folder}/shop.db", "numbers"),
        counted=AggregateStage(Count()),
        held=AggregateStage(total) >> MapStage(double),
        name="results",
    )
    pipeline: Any = Pipeline("everything").add_stage(CsvSource(folder / "numbers.csv")).add_stage(MapStage(number_of))
    for stage in (inner, split, JoinStage(reference, key=double, name="join"), branches):
        pipeline = pipeline.add_stage(stage)
    return pipeline
