"""Hooks: user code at four points of a run, which changes no result."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from mainstem import FilterStage, MapStage, ObserverError, PipelineContext, StopPipeline
from runs import Abort, check_accounts, errors_of, pipeline_of

pytestmark = pytest.mark.anyio

HOOKS = ["before_stage", "after_stage", "on_error", "on_complete"]


def is_even(number: int) -> bool:
    return number % 2 == 0


def invert(number: int) -> float:
    return 1 / number


def short(**options: Any) -> Any:
    return pipeline_of(FilterStage(is_even), MapStage(invert), **options)


class Recorder:
    """A bundle of all four hooks."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def before_stage(self, stage_name: str, data: Any, context: PipelineContext) -> None:
        self.calls.append(("before", stage_name, data))

    async def after_stage(self, stage_name: str, output: Any, context: PipelineContext) -> None:
        await anyio.lowlevel.checkpoint()
        self.calls.append(("after", stage_name, output))

    def on_error(self, stage_name: str, exception: Exception, context: PipelineContext) -> None:
        self.calls.append(("error", stage_name, type(exception)))

    async def on_complete(self, output: Any, context: PipelineContext) -> None:
        self.calls.append(("complete", output))


async def test_on_success_hooks_are_called_around_each_stage_and_at_the_end() -> None:
    recorder = Recorder()
    result = check_accounts(await short().add_hooks(recorder).execute([1, 2, 4]), 3)
    assert result.success
    assert recorder.calls == [
        ("before", "FilterStage", [1, 2, 4]),
        ("after", "FilterStage", [2, 4]),
        ("before", "MapStage", [2, 4]),
        ("after", "MapStage", [0.5, 0.25]),
        ("complete", [0.5, 0.25]),
    ]


async def test_on_failure_the_error_hook_is_called_and_after_and_completion_are_not() -> None:
    recorder = Recorder()
    result = check_accounts(await short().add_hooks(recorder).execute([0, 2]))
    assert not result.success
    assert recorder.calls == [
        ("before", "FilterStage", [0, 2]),
        ("after", "FilterStage", [0, 2]),
        ("before", "MapStage", [0, 2]),
        ("error", "MapStage", ZeroDivisionError),
    ]


async def test_hooks_get_the_runs_context_and_the_stage_that_runs() -> None:
    pipeline = short()
    context = PipelineContext()
    seen: list[tuple[str, str | None]] = []

    @pipeline.before_stage
    @pipeline.after_stage
    def look(stage_name: str, data: Any, found: PipelineContext) -> None:
        assert found is context
        seen.append((stage_name, found.current_stage))

    await pipeline.execute([2], context=context)
    assert seen == [(name, name) for name in ("FilterStage", "FilterStage", "MapStage", "MapStage")]


@pytest.mark.parametrize("kind", HOOKS)
def test_registering_returns_the_hook_so_that_it_serves_as_a_decorator(kind: str) -> None:
    def hook(*arguments: Any) -> None: ...

    assert getattr(short(), kind)(hook) is hook


async def test_hooks_of_one_kind_are_called_in_the_order_they_were_registered() -> None:
    pipeline = short()
    seen: list[int] = []
    for number in range(3):
        pipeline.on_complete(lambda *_, number=number: seen.append(number))
    await pipeline.execute([2])
    assert seen == [0, 1, 2]


async def test_an_async_hook_is_awaited_before_the_run_goes_on() -> None:
    pipeline = short()
    seen: list[str] = []

    async def before(stage_name: str, data: Any, context: PipelineContext) -> None:
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        seen.append(f"before {stage_name}")

    pipeline.before_stage(before)
    pipeline.after_stage(lambda stage_name, *_: seen.append(f"after {stage_name}"))
    await pipeline.execute([2])
    assert seen == ["before FilterStage", "after FilterStage", "before MapStage", "after MapStage"]


async def test_a_plain_hook_may_return_an_awaitable() -> None:
    pipeline = short()
    seen: list[str] = []

    async def later() -> None:
        seen.append("awaited")

    pipeline.on_complete(lambda *_: later())
    await pipeline.execute([2])
    assert seen == ["awaited"]


async def test_what_a_hook_returns_changes_nothing() -> None:
    pipeline = short()
    for kind in HOOKS:
        getattr(pipeline, kind)(lambda *_: "something else")
    assert (await pipeline.execute([2])).data == [0.5]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("kind", HOOKS)
@pytest.mark.parametrize("data", [[2, 4], [0]], ids=["success", "failure"])
async def test_a_hook_that_raises_is_logged_and_recorded_and_the_run_goes_on(
    data: list[int], kind: str, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    cause = ValueError("broken hook")

    def broken(*arguments: Any) -> None:
        raise cause

    async def broken_later(*arguments: Any) -> None:
        raise cause

    calls: list[str] = []
    plain = await short().execute(data)
    pipeline = short()
    getattr(pipeline, kind)(broken_later if is_async else broken)
    getattr(pipeline, kind)(lambda *_: calls.append("the hook after it"))
    with caplog.at_level(logging.ERROR, "mainstem.hooks"):
        result = check_accounts(await pipeline.execute(data))
    assert (result.data, result.success, type(result.error)) == (plain.data, plain.success, type(plain.error))
    reports = [entry for entry in result.context.errors if isinstance(entry.error, ObserverError)]
    assert len(reports) == len(calls) == len(caplog.records)
    assert all(entry.error.__cause__ is cause for entry in reports)
    assert all("broken" in str(entry.error) and "ValueError: broken hook" in str(entry.error) for entry in reports)
    expected = {"before_stage": 2, "after_stage": 2 if plain.success else 1}
    assert len(reports) == expected.get(kind, 1 if (kind == "on_complete") is plain.success else 0)


async def test_the_report_of_a_broken_hook_names_the_stage() -> None:
    def broken(*arguments: Any) -> None:
        raise ValueError("no")

    pipeline = short(name="named")
    pipeline.after_stage(broken)
    pipeline.on_complete(broken)
    result = await pipeline.execute([2])
    assert [entry.stage for entry in result.context.errors] == ["FilterStage", "MapStage", "named"]
    assert f"broken ({__file__}:" in str(result.context.errors[0].error)
    assert "at stage 'FilterStage'" in str(result.context.errors[0].error)


@pytest.mark.parametrize("kind", HOOKS)
async def test_an_async_hook_that_never_returns_cannot_hang_a_run(kind: str) -> None:
    async def hang(*arguments: Any) -> None:
        await anyio.sleep_forever()

    pipeline = short(hook_timeout=0.01)
    getattr(pipeline, kind)(hang)
    with anyio.fail_after(5):
        result = await pipeline.execute([0] if kind == "on_error" else [2])
    assert result.success is (kind != "on_error")
    reports = [entry.error for entry in result.context.errors if isinstance(entry.error, ObserverError)]
    assert reports
    assert all(isinstance(report.__cause__, TimeoutError) for report in reports)


async def test_an_error_that_cannot_be_shown_is_reported_all_the_same() -> None:
    class Unshowable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

        __repr__ = __str__

    def broken(*arguments: Any) -> None:
        raise Unshowable

    pipeline = short()
    pipeline.on_complete(broken)
    result = await pipeline.execute([2])
    assert result.success
    assert isinstance(result.context.errors[0].error.__cause__, Unshowable)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("kind", "seen_stages"),
    [("before_stage", []), ("after_stage", ["FilterStage"]), ("on_complete", ["FilterStage", "MapStage"])],
)
async def test_stop_pipeline_out_of_a_hook_stops_the_run_on_purpose(
    kind: str, seen_stages: list[str], is_async: bool
) -> None:
    stop = StopPipeline("enough for today")
    later_hooks: list[str] = []

    def hook(*arguments: Any) -> None:
        raise stop

    async def hook_later(*arguments: Any) -> None:
        raise stop

    pipeline = short()
    getattr(pipeline, kind)(hook_later if is_async else hook)
    getattr(pipeline, kind)(lambda *_: later_hooks.append("called"))
    pipeline.on_error(lambda *_: later_hooks.append("on_error"))
    result = check_accounts(await pipeline.execute([2]))
    assert (result.success, result.data) == (False, None)
    assert result.error is stop
    assert [entry.error for entry in result.context.errors] == [stop]
    assert result.context.completed_stages == seen_stages
    assert later_hooks == []


async def test_stop_pipeline_out_of_an_error_hook_becomes_the_runs_error_and_both_are_kept() -> None:
    def stop(*arguments: Any) -> None:
        raise StopPipeline("give up")

    pipeline = short()
    pipeline.on_error(stop)
    result = await pipeline.execute([0])
    assert str(result.error) == "give up"
    assert [type(entry.error) for entry in result.context.errors] == [ZeroDivisionError, StopPipeline]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("kind", ["before_stage", "after_stage", "on_complete"])
@pytest.mark.parametrize("error", [Abort, KeyboardInterrupt, SystemExit])
async def test_what_is_no_exception_passes_through_as_it_is(
    error: type[BaseException], kind: str, is_async: bool
) -> None:
    original = error("out")

    def leave(*arguments: Any) -> None:
        raise original

    async def leave_later(*arguments: Any) -> None:
        raise original

    pipeline = short()
    getattr(pipeline, kind)(leave_later if is_async else leave)
    with pytest.raises(error) as caught:
        await pipeline.execute([2])
    assert caught.value is original


def test_a_bundle_may_have_any_of_the_four() -> None:
    class OnlyErrors:
        def __init__(self) -> None:
            self.seen: list[str] = []

        def on_error(self, stage_name: str, exception: Exception, context: PipelineContext) -> None:
            self.seen.append(stage_name)

    bundle = OnlyErrors()
    pipeline = short()
    assert pipeline.add_hooks(bundle) is pipeline
    pipeline.run([0])
    assert bundle.seen == ["MapStage"]


def test_a_bundle_with_none_of_the_four_or_with_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="any of before_stage, after_stage, on_error, on_complete"):
        short().add_hooks(object())

    class Wrong:
        on_error = "not a function"

    with pytest.raises(TypeError, match="on_error takes a function"):
        short().add_hooks(Wrong())


@pytest.mark.parametrize("kind", HOOKS)
def test_what_cannot_be_called_is_refused_when_it_is_registered(kind: str) -> None:
    with pytest.raises(TypeError, match=f"{kind} takes a function, and None cannot be called"):
        getattr(short(), kind)(None)


@pytest.mark.parametrize("wrong", [0, -1.0, float("nan")], ids=repr)
def test_a_timeout_that_is_not_positive_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="hook_timeout must be a positive number of seconds"):
        short(hook_timeout=wrong)


async def test_hooks_of_a_nested_pipeline_are_its_own() -> None:
    inner_calls: list[str] = []
    outer_calls: list[str] = []
    inner = pipeline_of(MapStage(int), MapStage(str), name="inner")
    inner.before_stage(lambda name, *_: inner_calls.append(name))
    outer = pipeline_of(inner, MapStage(len))
    outer.before_stage(lambda name, *_: outer_calls.append(name))
    result = check_accounts(await outer.execute(["1", "22"]), 2)
    assert result.data == [1, 2]
    assert inner_calls == ["MapStage", "MapStage#2"]
    assert outer_calls == ["inner", "MapStage"]


async def test_a_hook_may_raise_in_a_nested_pipeline_and_is_recorded_under_its_path() -> None:
    inner = pipeline_of(MapStage(int), name="inner")
    inner.before_stage(lambda *_: 1 / 0)
    result = await pipeline_of(inner).execute(["1"])
    assert result.success
    assert [stage for stage, _, _ in errors_of(result.context)] == ["inner/MapStage"]
