"""``FlattenStage``: groups back into records."""

from __future__ import annotations

from typing import Any

import pytest

from mainstem import FlattenStage, MapStage, PipelineContext, StageKind
from mainstem.endpoints import CHUNK_SIZE
from runs import errors_of, raising_iterator, run, watch


@pytest.mark.parametrize(
    ("groups", "records"),
    [
        ([[1, 2], [3]], [1, 2, 3]),
        ([], []),
        ([[], [1], []], [1]),
        ([(1, 2), range(2), iter([5])], [1, 2, 0, 1, 5]),
        ([[[1], [2]], [[3]]], [[1], [2], [3]]),
        (["ab", "c"], ["a", "b", "c"]),
        (([number] for number in range(3)), [0, 1, 2]),
    ],
)
def test_one_level_of_groups_is_put_into_one_list_in_order(groups: Any, records: list[Any]) -> None:
    assert run(FlattenStage(), data=groups).data == records


def test_its_counts_are_in_groups_its_input() -> None:
    result = run(FlattenStage(), data=[[1, 2], [3], []])
    assert result.stage_results["FlattenStage"].records_processed == 3


@pytest.mark.parametrize("position", [0, CHUNK_SIZE, 2 * CHUNK_SIZE + 1])
def test_a_group_that_is_none_fails_the_stage_and_is_named(position: int) -> None:
    groups: list[Any] = [[at] for at in range(2 * CHUNK_SIZE + 2)]
    groups[position] = 42
    result = run(FlattenStage(), data=groups)
    (entry,) = result.context.errors
    assert (entry.stage, entry.index, entry.record) == ("FlattenStage", position, 42)
    assert isinstance(result.error, TypeError)
    assert f"at record {position}, which holds no records that can be taken" in result.error.__notes__
    assert (result.records_processed, result.records_failed) == (position, 1)


@pytest.mark.parametrize("kind", [OSError, RuntimeError])
def test_a_group_that_raises_fails_the_stage(kind: type[Exception]) -> None:
    result = run(FlattenStage(), data=[[1], raising_iterator([2], kind("gone"))])
    assert isinstance(result.error, kind)
    assert result.context.errors[0].index == 1


def test_stop_iteration_out_of_a_group_is_a_failure() -> None:
    class Broken:
        def __iter__(self):
            raise StopIteration

    result = run(FlattenStage(), data=[[1], Broken(), [2]])
    assert [entry.index for entry in result.context.errors] == [1]


@pytest.mark.anyio
async def test_what_the_input_raises_fails_the_stage() -> None:
    context = PipelineContext()
    result = await FlattenStage().process(raising_iterator([[1], [2]], OSError("gone")), context)
    assert (result.success, result.records_processed) == (False, 2)
    assert str(result.error) == "gone"


def test_fused_and_watched_runs_agree() -> None:
    from runs import pipeline_of

    def build() -> Any:
        return pipeline_of(MapStage(lambda number: [number] * (number % 4)), FlattenStage(), MapStage(str))

    data = range(2 * CHUNK_SIZE + 3)
    fused, watched = build().run(data), watch(build()).run(data)
    assert fused.data == watched.data
    assert (fused.records_in, fused.records_processed) == (watched.records_in, watched.records_processed)
    assert errors_of(fused.context) == []


def test_it_is_elementwise_and_takes_one_level_off_the_type() -> None:
    assert FlattenStage().kind is StageKind.ELEMENTWISE
    assert FlattenStage().output_hint(list[list[int]]) == list[int]
    assert FlattenStage(name="flat").name == "flat"
