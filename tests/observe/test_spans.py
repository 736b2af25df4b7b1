"""Spans of runs, as OpenTelemetry's SDK is told of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import anyio
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode
from tests.runs import pipeline_of

from mainstem import AggregateStage, BatchStage, FilterStage, MapStage, PipelineContext, Secret
from mainstem.connect import CsvSink, CsvSource
from mainstem.observe import OpenTelemetryHook

pytestmark = [pytest.mark.extras, pytest.mark.anyio]


def increment(number: int) -> int:
    return number + 1


def is_even(number: int) -> bool:
    return number % 2 == 0


async def test_a_run_and_each_stage_have_a_span_with_their_counts(make_sdk: Callable[..., Any]) -> None:
    sdk = make_sdk()
    run_context = PipelineContext()
    pipeline = pipeline_of(MapStage(increment), FilterStage(is_even), name="numbers").add_hooks(sdk.hook)
    await pipeline.execute([1, 2, 3], context=run_context)
    run, stage, other = sdk.one("run numbers"), sdk.one("stage MapStage"), sdk.one("stage FilterStage")
    assert run.parent is None
    assert dict(run.attributes) == {
        "mainstem.pipeline": "numbers",
        "mainstem.run.id": run_context.pipeline_id,
        "mainstem.streams": False,
        "mainstem.status": "completed",
        "mainstem.records.in": 3,
        "mainstem.records.out": 2,
        "mainstem.records.filtered": 1,
        "mainstem.records.rejected": 0,
    }
    assert stage.parent.span_id == other.parent.span_id == run.context.span_id
    assert stage.attributes["mainstem.records.in"] == 3
    assert other.attributes["mainstem.records.filtered"] == 1
    assert other.attributes["mainstem.records.out"] == 2
    assert other.attributes["mainstem.stage.busy_time"] > 0
    assert run.start_time <= stage.start_time <= stage.end_time <= other.start_time <= other.end_time <= run.end_time
    assert run.status.status_code is StatusCode.UNSET
    assert run.instrumentation_scope.name == "mainstem"


async def test_a_run_is_a_child_of_the_span_that_is_current(make_sdk: Callable[..., Any]) -> None:
    sdk = make_sdk()
    pipeline = pipeline_of(MapStage(increment), name="p").add_hooks(sdk.hook)
    with sdk.spans.get_tracer("test").start_as_current_span("caller") as caller:
        await pipeline.execute([1])
        assert trace.get_current_span() is caller
    assert sdk.one("run p").parent.span_id == caller.get_span_context().span_id


async def test_what_functions_do_comes_below_their_stage(make_sdk: Callable[..., Any]) -> None:
    sdk = make_sdk(chunk_interval=math.inf)
    tracer = sdk.spans.get_tracer("test")

    def call(number: int) -> int:
        with tracer.start_as_current_span("call"):
            return number

    async def call_later(number: int) -> int:
        await anyio.sleep(0)
        with tracer.start_as_current_span("later"):
            return number

    pipeline = pipeline_of(MapStage(call, name="one"), MapStage(call_later, concurrency=2, name="two"), name="p")
    pipeline.add_hooks(sdk.hook)
    assert (await pipeline.execute([1, 2])).success
    async with pipeline.stream([1, 2]) as chunks:
        async for _ in chunks:
            pass
    stages = {span.context.span_id: span.name for span in sdk.finished if span.name.startswith("stage")}
    assert [stages[span.parent.span_id] for span in sdk.named("call")] == ["stage one"] * 4
    assert [stages[span.parent.span_id] for span in sdk.named("later")] == ["stage two"] * 4


async def test_what_functions_in_one_loop_do_comes_below_the_run(make_sdk: Callable[..., Any]) -> None:
    sdk = make_sdk(chunk_interval=math.inf)
    tracer = sdk.spans.get_tracer("test")

    def call(number: int) -> int:
        if number == 1500:
            tracer.start_span("call").end()
        return number

    pipeline = pipeline_of(MapStage(call), FilterStage(is_even), name="p").add_hooks(sdk.hook)
    assert (await pipeline.execute(list(range(3000)))).success
    assert sdk.one("call").parent.span_id == sdk.one("run p").context.span_id


async def test_nothing_stays_current_after_a_run(make_sdk: Callable[..., Any]) -> None:
    pipeline = pipeline_of(MapStage(increment), BatchStage(2)).add_hooks(make_sdk(chunk_interval=0).hook)
    before = context.get_current()
    await pipeline.execute(list(range(2500)))
    assert context.get_current() is before
    async with pipeline.stream(range(2500)) as chunks:
        async for _ in chunks:
            assert context.get_current() is before


async def test_a_span_of_a_chunk_is_a_child_of_its_stage_and_current(make_sdk: Callable[..., Any]) -> None:
    sdk = make_sdk(chunk_interval=0)
    seen: list[Any] = []

    def look(number: int) -> int:
        seen.append(trace.get_current_span().get_span_context().span_id)
        return number

    await pipeline_of(MapStage(look)).add_hooks(sdk.hook).execute([1])
    chunk = sdk.one("chunk")
    assert dict(chunk.attributes) == {"mainstem.stages": ("MapStage",), "mainstem.records": 1}
    assert chunk.parent.span_id == sdk.one("stage MapStage").context.span_id
    assert seen == [chunk.context.span_id]


async def test_chunks_of_a_loop_have_a_span_for_all_its_stages(make_sdk: Callable[..., Any]) -> None:
    sdk = make_sdk(chunk_interval=0)
    pipeline = pipeline_of(MapStage(increment), FilterStage(is_even), name="p").add_hooks(sdk.hook)
    await pipeline.execute(list(range(3500)))
    of_both = [span for span in sdk.named("chunk") if span.attributes["mainstem.stages"] == ("MapStage", "FilterStage")]
    assert [span.attributes["mainstem.records"] for span in of_both] == [1000, 1000]
    assert {span.parent.span_id for span in of_both} == {sdk.one("run p").context.span_id}


@pytest.mark.parametrize(("interval", "spans"), [(0, 10), (3600, 1), (math.inf, 0)])
async def test_chunks_have_a_span_one_in_an_interval(make_sdk: Callable[..., Any], interval: float, spans: int) -> None:
    sdk = make_sdk(chunk_interval=interval)
    pipeline = pipeline_of(MapStage(increment)).add_hooks(sdk.hook)
    async with pipeline.stream(range(100), chunk_size=10) as chunks:
        async for _ in chunks:
            pass
    assert len(sdk.named("chunk")) == spans
    assert len(sdk.named("stage MapStage")) == 1


async def test_a_failure_is_noted_at_the_stage_and_the_run_without_secrets(make_sdk: Callable[..., Any]) -> None:
    @dataclass
    class Login:
        user: str
        password: Annotated[str, Secret]

    def check(login: Login) -> bool:
        raise ValueError(f"{login.password} of {login.user} is wrong at postgresql://me:pw1234@db/x")

    sdk = make_sdk()
    pipeline = pipeline_of(MapStage(increment_login), MapStage(check, name="check"), name="logins").add_hooks(sdk.hook)
    result = await pipeline.execute([Login("ada", "hunter2")])
    assert not result.success
    for span in (sdk.one("run logins"), sdk.one("stage check")):
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description == "ValueError: <secret> of ada is wrong at postgresql://me:<secret>@db/x"
        (event,) = span.events
        assert event.name == "exception"
        assert dict(event.attributes) == {
            "exception.type": "builtins.ValueError",
            "exception.message": span.status.description,
        }
    assert sdk.one("run logins").attributes["mainstem.status"] == "failed"
    assert sdk.one("stage MapStage").status.status_code is StatusCode.UNSET
    assert not any("hunter2" in span.to_json() for span in sdk.finished)


async def test_a_secret_that_was_found_before_is_left_out_of_what_fails_later(make_sdk: Callable[..., Any]) -> None:
    @dataclass
    class Login:
        password: Annotated[str, Secret]

    def check(login: Login) -> str:
        raise ValueError(login.password)

    def total(checked: list[str]) -> int:
        raise RuntimeError("hunter2 was the last one")

    sdk = make_sdk()
    stages = MapStage(check, continue_on_error=True), AggregateStage(total)
    await pipeline_of(*stages, name="logins").add_hooks(sdk.hook).execute([Login("hunter2")])
    assert sdk.one("run logins").status.description == "RuntimeError: <secret> was the last one"


def increment_login(login: Any) -> Any:
    return login


async def test_a_run_that_is_cancelled_has_its_spans_ended(make_sdk: Callable[..., Any]) -> None:
    async def hang(number: int) -> int:
        await anyio.sleep_forever()
        return number

    sdk = make_sdk()
    with anyio.move_on_after(0.05):
        await pipeline_of(MapStage(hang), name="p").add_hooks(sdk.hook).execute([1])
    assert sdk.one("run p").attributes["mainstem.status"] == "cancelled"
    assert sdk.one("run p").status.status_code is StatusCode.UNSET
    assert len(sdk.named("stage MapStage")) == len(sdk.named("chunk")) == 1


def write_two_rows(file: Path) -> None:
    file.write_text("n\n1\n2\n")


async def test_from_a_source_to_a_sink_each_has_its_span_and_a_durable_run_its_name(
    make_sdk: Callable[..., Any], tmp_path: Path
) -> None:
    write_two_rows(tmp_path / "in.csv")
    sdk = make_sdk(chunk_interval=0)
    pipeline = pipeline_of(CsvSource(tmp_path / "in.csv"), CsvSink(tmp_path / "out.csv"), name="copy")
    pipeline.add_hooks(sdk.hook)
    result = await pipeline.execute(store=tmp_path / "runs.db", run_id="monday")
    assert result.success
    assert sdk.one("run copy").attributes["mainstem.durable_run.id"] == "monday"
    assert sdk.one("stage CsvSource").attributes["mainstem.records.out"] == 2
    assert sdk.one("stage CsvSink").attributes["mainstem.records.in"] == 2
    assert {span.attributes["mainstem.stages"] for span in sdk.named("chunk")} == {("CsvSource",), ("CsvSink",)}


async def test_a_nested_pipelines_run_is_below_the_stage_that_it_is(make_sdk: Callable[..., Any]) -> None:
    sdk = make_sdk(chunk_interval=math.inf)
    inner = pipeline_of(MapStage(increment), name="inner").add_hooks(sdk.hook)
    await pipeline_of(inner, name="outer").add_hooks(sdk.hook).execute([1])
    assert sdk.one("run inner").parent.span_id == sdk.one("stage inner").context.span_id
    assert sdk.one("stage inner").parent.span_id == sdk.one("run outer").context.span_id


async def test_a_trace_that_is_not_sampled_is_carried_on_as_such(make_sdk: Callable[..., Any]) -> None:
    sdk = make_sdk(sampler=ALWAYS_OFF)
    seen: list[Any] = []

    def look(number: int) -> int:
        seen.append(trace.get_current_span().get_span_context())
        return number

    await pipeline_of(MapStage(look)).add_hooks(sdk.hook).execute([1])
    assert sdk.finished == []
    assert [(each.is_valid, each.trace_flags.sampled) for each in seen] == [(True, False)]


async def test_baggage_of_the_caller_reaches_the_functions(make_sdk: Callable[..., Any]) -> None:
    seen: list[Any] = []
    pipeline = pipeline_of(MapStage(lambda number: seen.append(baggage.get_baggage("tenant"))))
    pipeline.add_hooks(make_sdk().hook)
    token = context.attach(baggage.set_baggage("tenant", "acme"))
    try:
        await pipeline.execute([1])
    finally:
        context.detach(token)
    assert seen == ["acme"]


async def test_without_an_sdk_nothing_comes_of_it() -> None:
    pipeline = pipeline_of(MapStage(increment)).add_hooks(OpenTelemetryHook())
    result = await pipeline.execute([1])
    assert (result.data, result.context.errors) == ([2], [])


@pytest.mark.parametrize("wrong", [-1, math.nan], ids=repr)
def test_an_interval_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="chunk_interval must be a number of seconds that is not negative"):
        OpenTelemetryHook(chunk_interval=wrong)


def test_a_set_up_of_workers_that_cannot_be_called_is_refused() -> None:
    wrong: Any = 3
    with pytest.raises(TypeError, match="in_workers takes a function, and 3 cannot be called"):
        OpenTelemetryHook(in_workers=wrong)
