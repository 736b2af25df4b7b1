"""``StageResult`` and its kin: what stages give back."""

from __future__ import annotations

import pytest

from mainstem import CompositeResult, PipelineContext, PipelineResult, StageFailedError, StageResult


def test_a_result_is_a_success_without_counts_unless_it_says_otherwise() -> None:
    result = StageResult(data=[1])
    assert (result.data, result.success, result.error, result.duration_ms) == ([1], True, None, 0.0)
    assert (result.records_processed, result.records_failed, result.records_filtered) == (0, 0, 0)


def test_it_is_made_by_keyword_only() -> None:
    with pytest.raises(TypeError):
        StageResult([1])  # type: ignore[misc]


def test_counts_add_up() -> None:
    result = StageResult(data=[], records_processed=7, records_failed=2, records_filtered=3)
    assert (result.records_in, result.records_passed) == (9, 4)
    assert result.records_in == result.records_passed + result.records_filtered + result.records_failed


def test_a_failure_has_its_error_and_no_data() -> None:
    error = ValueError("no such table")
    result = StageResult.failure(error, records_processed=2, records_failed=1)
    assert (result.success, result.error, result.data) == (False, error, None)
    assert (result.records_processed, result.records_failed) == (2, 1)


def test_unwrap_gives_the_data_of_a_success_even_if_it_is_none() -> None:
    assert StageResult(data=[1]).unwrap() == [1]
    assert StageResult[None](data=None).unwrap() is None


def test_unwrap_raises_the_error_of_a_failure() -> None:
    class Empty(Exception):
        def __len__(self) -> int:
            return 0

    for error in (ValueError("bad"), Empty()):
        with pytest.raises(type(error)) as caught:
            StageResult.failure(error).unwrap()
        assert caught.value is error


def test_unwrap_of_a_failure_without_an_error_says_so() -> None:
    with pytest.raises(StageFailedError, match="carries no error"):
        StageResult(success=False).unwrap()


def test_composite_and_pipeline_results_are_stage_results_with_parts_and_context() -> None:
    part = StageResult(data=1)
    assert CompositeResult(data=1).stage_results == {}
    context = PipelineContext()
    result = PipelineResult(data=1, stage_results={"a": part}, context=context)
    assert isinstance(result, CompositeResult)
    assert isinstance(result, StageResult)
    assert (result.stage_results["a"], result.context) == (part, context)
