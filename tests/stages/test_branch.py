"""``BranchStage`` and ``fan_out``: several stages on the same input at once."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from mainstem import (
    AggregateStage,
    BranchError,
    BranchStage,
    FanOutStage,
    FilterStage,
    MapStage,
    Pipeline,
    PipelineContext,
    PipelineStage,
    StageResult,
    StageTypeError,
    current_context,
    fan_out,
)
from runs import Abort, check_accounts, errors_of, execute, pipeline_of, raising_iterator, run

pytestmark = pytest.mark.anyio


async def hang(record: Any) -> Any:
    await anyio.sleep_forever()


def fail(record: Any) -> Any:
    raise ValueError(f"bad: {record}")


class Rendezvous(PipelineStage[Any, str]):
    """Ends only after as many stages as it expects run at the same time."""

    def __init__(self, expected: int, arrived: list[str], all_here: anyio.Event, name: str) -> None:
        self._expected, self._arrived, self._all_here = expected, arrived, all_here
        self.name = name

    async def process(self, data: Any, context: PipelineContext) -> StageResult[str]:
        self._arrived.append(self.name)
        if len(self._arrived) == self._expected:
            self._all_here.set()
        await self._all_here.wait()
        return StageResult(data=self.name)


async def test_all_branches_run_at_the_same_time() -> None:
    arrived: list[str] = []
    all_here = anyio.Event()
    branches = {name: Rendezvous(3, arrived, all_here, name) for name in ("a", "b", "c")}
    with anyio.fail_after(5):
        result = await execute(BranchStage(branches), data=[1])
    assert result.data == {"a": "a", "b": "b", "c": "c"}


async def test_the_dict_is_in_the_given_order_whatever_ends_first() -> None:
    second_ended = anyio.Event()

    async def wait(records: list[int]) -> str:
        await second_ended.wait()
        return "slow"

    async def end(records: list[int]) -> str:
        second_ended.set()
        return "quick"

    with anyio.fail_after(5):
        result = await execute(BranchStage(z=AggregateStage(wait), a=AggregateStage(end)), data=[1])
    assert list(result.data.items()) == [("z", "slow"), ("a", "quick")]


def test_every_branch_gets_the_same_input_and_an_iterator_in_full() -> None:
    for data in ([1, 2, 3], iter([1, 2, 3]), (number for number in (1, 2, 3))):
        result = run(BranchStage(total=AggregateStage(sum), count=AggregateStage(len)), data=data, entered=3)
        assert result.data == {"total": 6, "count": 3}


def test_a_branch_may_be_a_chain_or_a_pipeline() -> None:
    chain = FilterStage(lambda number: number > 1) >> AggregateStage(sum)
    inner = pipeline_of(MapStage(str), name="inner")
    result = run(BranchStage({"chain": chain, "pipeline": inner}), data=[1, 2, 3], entered=3)
    assert result.data == {"chain": 5, "pipeline": ["1", "2", "3"]}
    parts = result.stage_results["BranchStage"].stage_results
    assert parts["chain"].stage_results["FilterStage"].records_filtered == 1
    assert parts["pipeline"].records_in == 3


async def test_the_first_failure_cancels_the_others_and_names_the_branch() -> None:
    cleaned: list[str] = []

    async def hang_and_clean(record: int) -> int:
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.append("slow")
        return record

    stage = BranchStage({"slow": MapStage(hang_and_clean), "broken": MapStage(fail)})
    with anyio.fail_after(5):
        result = await execute(stage, data=[1, 2], entered=2)
    assert isinstance(result.error, BranchError)
    assert result.error.branch == "broken"
    assert "branch 'broken' failed" in str(result.error)
    assert isinstance(result.error.__cause__, ValueError)
    assert cleaned == ["slow"]
    assert result.records_failed == 2


def test_the_error_of_a_branch_is_recorded_once_under_the_path_of_its_stage() -> None:
    chain = MapStage(int) >> MapStage(fail, name="second")
    result = run(BranchStage({"left": chain}, name="split"), data=["7"])
    assert errors_of(result.context) == [("split/second", 0, "bad: 7")]
    assert result.context.completed_stages == []
    assert result.context.current_stage == "split"


def test_records_that_fail_in_a_branch_that_goes_on_are_recorded_with_their_position() -> None:
    branches = BranchStage(a=MapStage(fail, continue_on_error=True), b=MapStage(str))
    result = run(branches, data=[1, 2], entered=2)
    assert result.data == {"a": [], "b": ["1", "2"]}
    assert errors_of(result.context) == [("BranchStage/a", 0, "bad: 1"), ("BranchStage/a", 1, "bad: 2")]
    parts = result.stage_results["BranchStage"].stage_results
    assert (parts["a"].records_failed, parts["b"].records_failed) == (2, 0)


def test_an_error_that_cannot_be_shown_is_reported_all_the_same() -> None:
    class Unshowable(Exception):
        def __repr__(self) -> str:
            raise RuntimeError("cannot be shown")

        __str__ = __repr__

    def broken(record: Any) -> Any:
        raise Unshowable

    result = run(BranchStage(a=MapStage(broken)), data=[1])
    assert isinstance(result.error, BranchError)
    assert isinstance(result.error.__cause__, Unshowable)


def test_metadata_is_shared_and_progress_is_each_branchs_own() -> None:
    contexts: dict[str, PipelineContext] = {}

    def remember(record: str) -> str:
        context = current_context()
        contexts[str(context.current_stage)] = context
        context.metadata[str(context.current_stage)] = record
        return record

    outer = PipelineContext()
    pipeline = pipeline_of(BranchStage(a=MapStage(remember), b=MapStage(remember)))
    check_accounts(pipeline.run(["x"], context=outer))
    assert outer.metadata == {"a": "x", "b": "x"}
    assert contexts["a"] is not contexts["b"]
    assert contexts["a"] is not outer
    assert contexts["a"].errors is outer.errors
    assert list(contexts["a"].progress) == ["a"]
    assert contexts["a"].completed_stages == ["a"]
    assert outer.completed_stages == ["BranchStage"]
    assert contexts["a"].pipeline_id == outer.pipeline_id


@pytest.mark.parametrize("kind", [Abort, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("others", [0, 2])
async def test_what_is_no_exception_passes_through_as_it_is(kind: type[BaseException], others: int) -> None:
    original = kind("out")

    def leave(record: Any) -> Any:
        raise original

    branches: dict[str, Any] = {f"other {number}": MapStage(hang) for number in range(others)}
    with pytest.raises(kind) as caught, anyio.fail_after(5):
        await execute(BranchStage({**branches, "out": MapStage(leave)}), data=[1])
    assert caught.value is original


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_from_within_a_branch_passes_through() -> None:
    async def await_something_cancelled(record: Any) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.cancel()
        return await future

    with pytest.raises(asyncio.CancelledError):
        await execute(BranchStage(a=MapStage(await_something_cancelled), b=MapStage(str)), data=[1])


async def test_cancelling_the_run_cancels_the_branches_and_waits_for_them() -> None:
    begun = anyio.Event()
    cleaned: list[int] = []

    async def hang_and_clean(record: int) -> int:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.append(record)
        return record

    async with anyio.create_task_group() as group:
        stage = BranchStage(a=MapStage(hang_and_clean), b=MapStage(str))
        group.start_soon(lambda: execute(stage, data=[1]))
        await begun.wait()
        group.cancel_scope.cancel()
    assert cleaned == [1]


def test_what_the_input_raises_fails_the_stage() -> None:
    result = run(BranchStage(a=AggregateStage(len)), data=raising_iterator([1, 2], OSError("gone")))
    assert errors_of(result.context) == [("BranchStage", None, "gone")]
    assert result.records_processed == 2


async def test_process_can_be_called_alone() -> None:
    stage = BranchStage(low=AggregateStage(min), count=AggregateStage(len))
    context = PipelineContext()
    assert check_accounts(await stage.process([3, 1, 2], context)).data == {"low": 1, "count": 3}
    result = check_accounts(await stage.process([], context))
    assert (result.success, result.error.branch) == (False, "low")
    assert context.errors[0].stage == "BranchStage/low"


def test_a_branch_stage_without_branches_or_with_what_is_no_stage_is_refused() -> None:
    with pytest.raises(ValueError, match="BranchStage takes at least one branch"):
        BranchStage({})
    with pytest.raises(TypeError, match="branch 'a' must be a stage"):
        BranchStage({"a": len})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="two branches are called 'a'"):
        BranchStage({"a": MapStage(str)}, a=MapStage(int))
    with pytest.raises(ValueError, match="FanOutStage takes at least one branch"):
        fan_out()
    with pytest.raises(TypeError, match=r"fan_out\(\) takes stages"):
        fan_out(len)  # type: ignore[arg-type]


def test_mapping_and_keywords_may_be_mixed_and_the_mapping_is_copied() -> None:
    branches: dict[str, PipelineStage[Any, Any]] = {"a": AggregateStage(len)}
    stage = BranchStage(branches, b=AggregateStage(sum), name="both")
    branches.clear()
    assert list(stage.branches) == ["a", "b"]
    assert stage.name == "both"
    assert run(stage, data=[5]).data == {"a": 1, "b": 5}


def test_fan_out_gives_a_tuple_and_names_equal_stages_apart() -> None:
    both = fan_out(AggregateStage(len), AggregateStage(sum), MapStage(str))
    assert isinstance(both, FanOutStage)
    assert list(both.branches) == ["AggregateStage", "AggregateStage#2", "MapStage"]
    assert run(both, data=[3, 1, 2], entered=3).data == (3, 6, ["3", "1", "2"])


def test_the_same_stage_object_may_be_in_several_branches() -> None:
    stage = AggregateStage(len)
    assert run(fan_out(stage, stage), data=[1, 2]).data == (2, 2)


@pytest.mark.extras
def test_each_branch_is_checked_against_what_comes_before() -> None:
    def shout(text: str) -> str:
        return text.upper()

    with pytest.raises(StageTypeError):
        Pipeline[list[int], Any]("wrong").add_stage(BranchStage(ok=AggregateStage(len), wrong=MapStage(shout)))
    assert fan_out(MapStage(shout), AggregateStage(len)).output_hint(list[str]).__args__[0] == list[str]
