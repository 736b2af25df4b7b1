"""``graph_text`` shows what a pipeline is made of, and nothing else."""

from __future__ import annotations

from typing import Any

from tests.runs import pipeline_of

from mainstem import AggregateStage, BatchStage, BranchStage, FilterStage, MapStage, Pipeline, SplitStage, Sum
from mainstem.testing import FakeSink, FakeSource, graph_text


def half(number: int) -> float:
    return number / 2


def is_even(number: int) -> bool:
    return number % 2 == 0


def test_branches_and_pipelines_within_stand_below_their_stage() -> None:
    inner: Any = Pipeline[list[int], list[float]]("halves").add_stage(FilterStage(is_even)).add_stage(MapStage(half))
    split = SplitStage[int, Any]({"even": (is_even, FilterStage(is_even) >> MapStage(half))}, otherwise=MapStage(str))
    branches = BranchStage(total=AggregateStage(Sum()), halves=inner)
    pipeline: Any = Pipeline[None, Any]("tree").add_stage(FakeSource[int]([1], name="read"))
    assert graph_text(pipeline.add_stage(split).add_stage(MapStage(int)).add_stage(branches)) == TREE.strip("\n")


TREE = """
tree takes nothing
  read: FakeSource, stateful -> list[int]
  SplitStage, elementwise -> list[Union[float, str]]
    even:
      FilterStage, elementwise -> list[int]
      MapStage, elementwise -> list[float]
    otherwise:
      MapStage, elementwise -> list[str]
  MapStage, elementwise -> list[int]
  BranchStage, blocking -> dict[str, Any]
    total:
      AggregateStage, combiner -> ?
    halves:
      halves: Pipeline, blocking -> list[float]
        FilterStage, elementwise -> list[int]
        MapStage, elementwise -> list[float]
"""


def test_a_stage_that_keeps_the_type_of_its_records_shows_what_it_is_given() -> None:
    pipeline: Any = Pipeline[list[str], Any]("batches").add_stage(MapStage(int)).add_stage(BatchStage(2))
    assert graph_text(pipeline).splitlines()[2] == "  BatchStage, stateful -> list[list[int]]"


def test_names_that_come_twice_are_told_apart_as_in_reports() -> None:
    lines = graph_text(pipeline_of(MapStage(int), MapStage(half), FakeSink[float]())).splitlines()
    assert lines[1:] == [
        "  MapStage, elementwise -> list[int]",
        "  MapStage#2: MapStage, elementwise -> list[float]",
        "  FakeSink, blocking -> LoadReport",
    ]


def test_it_is_the_same_wherever_and_whenever_the_pipeline_was_made() -> None:
    def make() -> Any:
        return Pipeline[list[int], list[float]]("same").add_stage(MapStage(lambda number: number / 2))

    assert graph_text(make()) == graph_text(make())
    assert "0x" not in graph_text(make())


def test_a_pipeline_without_stages_is_its_name() -> None:
    assert graph_text(pipeline_of(name="empty")) == "empty takes ?"
