"""``assert_rejects`` passes where exactly those records were rejected, and else says what was."""

from __future__ import annotations

from typing import Any

import pytest
from tests.runs import pipeline_of

from mainstem import BranchStage, MapStage, PipelineResult
from mainstem.testing import assert_rejects


def parsed(*texts: Any, **options: Any) -> PipelineResult[Any]:
    return pipeline_of(MapStage(int, name="parse", **options)).run(list(texts))


MANY = parsed("1", "x", None, "y", continue_on_error=True)


@pytest.mark.parametrize(
    "reasons",
    [
        ("'x'", "NoneType", "'y'"),
        (ValueError, TypeError, ValueError),
        (("x", "invalid literal"), (None, TypeError), Exception),
    ],
)
def test_reasons_may_be_texts_and_types_and_bear_the_record(reasons: tuple[Any, ...]) -> None:
    assert [each.index for each in assert_rejects(MANY, "parse", *reasons)] == [1, 2, 3]
    assert assert_rejects(MANY.context, "parse", *reasons) == MANY.context.errors


@pytest.mark.parametrize(
    "reasons",
    [
        (),
        (ValueError, TypeError),
        (ValueError, TypeError, ValueError, ValueError),
        (TypeError, ValueError, ValueError),
        ("'y'", "NoneType", "'x'"),
        (("y", ValueError), TypeError, ValueError),
        (("x", "another text"), TypeError, ValueError),
    ],
)
def test_anything_else_is_refused_and_shown(reasons: tuple[Any, ...]) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_rejects(MANY, "parse", *reasons)
    message = str(caught.value)
    assert f"stage 'parse' was to reject {len(reasons)} records, for these reasons, and rejected 3:" in message
    assert "rejected  'x' at 1: ValueError: invalid literal for int() with base 10: 'x'" in message
    assert message.count("\n  expected  ") == len(reasons)


def test_a_record_that_is_only_equal_is_another() -> None:
    result = pipeline_of(MapStage(bytes.fromhex, name="parse", continue_on_error=True)).run([1, True])
    assert_rejects(result, "parse", (1, TypeError), (True, TypeError))
    with pytest.raises(AssertionError, match="True: TypeError"):
        assert_rejects(result, "parse", (True, TypeError), (1, TypeError))


def test_none_at_all() -> None:
    assert assert_rejects(parsed("1"), "parse") == []


def test_what_other_stages_rejected_is_no_matter_but_shown() -> None:
    branches = BranchStage(a=MapStage(int, name="parse", continue_on_error=True))
    result = pipeline_of(branches).run(["x"])
    name = result.context.errors[0].stage
    assert "/" in name
    assert_rejects(result, name, "'x'")
    assert_rejects(result, "parse")
    with pytest.raises(AssertionError, match=f"elsewhere {name}: 'x' at 0: ValueError"):
        assert_rejects(result, "parse", "'x'")


def test_that_the_run_failed_is_said() -> None:
    with pytest.raises(AssertionError, match="the run failed: ValueError"):
        assert_rejects(parsed("x"), "load", "full")


def test_an_error_that_is_about_no_record_is_no_reject() -> None:
    result = pipeline_of(MapStage(int, name="parse"))
    result.before_stage(lambda *_: 1 / 0)
    assert assert_rejects(result.run(["1"]), "parse") == []
