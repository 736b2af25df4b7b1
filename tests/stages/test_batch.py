"""``BatchStage``: records into groups of a fixed size."""

from __future__ import annotations

from typing import Any

import pytest

from mainstem import BatchStage, FlattenStage, PipelineContext, StageKind
from mainstem.endpoints import CHUNK_SIZE
from runs import errors_of, raising_iterator, run


@pytest.mark.parametrize(
    ("size", "data", "batches"),
    [
        (2, [1, 2, 3, 4], [[1, 2], [3, 4]]),
        (2, [1, 2, 3], [[1, 2], [3]]),
        (1, [1, 2], [[1], [2]]),
        (5, [1, 2], [[1, 2]]),
        (3, [], []),
        (2, (1, 2, 3), [[1, 2], [3]]),
        (2, range(3), [[0, 1], [2]]),
        (2, "abc", [["a", "b"], ["c"]]),
    ],
)
def test_records_are_cut_into_lists_of_the_size_in_order(size: int, data: Any, batches: list[list[Any]]) -> None:
    result = run(BatchStage(size), data=data, entered=len(data))
    assert result.data == batches


def test_a_batch_may_span_what_engines_cut_into_chunks() -> None:
    size = CHUNK_SIZE - 1
    length = 3 * CHUNK_SIZE
    result = run(BatchStage(size), data=iter(range(length)), entered=length)
    assert [len(batch) for batch in result.data] == [size, size, size, 3]


def test_its_inverse_is_flatten() -> None:
    assert run(BatchStage(3), FlattenStage(), data=range(10), entered=10).data == list(range(10))


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "2", None], ids=repr)
def test_a_wrong_size_is_an_error_when_the_stage_is_made(size: Any) -> None:
    with pytest.raises(ValueError, match="size of a batch must be a positive whole number, not"):
        BatchStage(size)


def test_what_the_input_raises_fails_the_stage() -> None:
    result = run(BatchStage(2), data=raising_iterator([1, 2, 3], OSError("gone")))
    assert errors_of(result.context) == [("BatchStage", None, "gone")]
    assert result.records_processed == 3
    assert "raised by the input after 3 records" in result.error.__notes__


@pytest.mark.anyio
async def test_process_can_be_called_alone() -> None:
    result = await BatchStage(2).process([1, 2, 3], PipelineContext())
    assert (result.data, result.records_processed) == ([[1, 2], [3]], 3)


def test_it_carries_state_from_chunk_to_chunk_and_keeps_the_type_of_the_records() -> None:
    assert BatchStage(2).kind is StageKind.STATEFUL
    assert BatchStage(2).output_hint(list[int]) == list[list[int]]
    assert BatchStage(2, name="pairs").name == "pairs"
