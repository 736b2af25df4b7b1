"""A trace is carried into worker processes and Ray tasks."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import baggage, context
from opentelemetry.sdk.trace import TracerProvider
from tests.engine.processes import TWO, nothing_left
from tests.observe import sent_functions as sent
from tests.observe.receivers import attributes_of, receiver
from tests.runs import pipeline_of

from mainstem import AggregateStage, MapStage, Sum
from mainstem.observe import OpenTelemetryHook
from mainstem.ray_runner import RayRunner

pytestmark = [pytest.mark.extras, pytest.mark.slow, pytest.mark.timeout(120)]
NUMBERS = list(range(2500))


def check_carried(sdk: Any, found: list[dict[str, Any]], run_id: str, parent: str) -> None:
    assert len(found) == len(NUMBERS)
    assert os.getpid() not in {each["process"] for each in found}
    span = sdk.one(parent)
    assert {each["trace"] for each in found} == {span.context.trace_id}
    assert {each["span"] for each in found} == {span.context.span_id}  # without an SDK a worker has no spans of its own
    assert {each["tenant"] for each in found} == {"acme"}
    assert {each["run"] for each in found} == {run_id}


@pytest.fixture
def tenant() -> Any:
    token = context.attach(baggage.set_baggage("tenant", "acme"))
    yield
    context.detach(token)


def test_functions_in_worker_processes_are_below_their_stage(make_sdk: Callable[..., Any], tenant: None) -> None:
    sdk = make_sdk()
    with nothing_left():
        result = pipeline_of(MapStage(sent.describe), name="p").add_hooks(sdk.hook).run(NUMBERS, workers=TWO)
    assert "ran in 2 worker processes" in result.stage_results["MapStage"].notes
    check_carried(sdk, result.unwrap(), result.context.pipeline_id, "stage MapStage")


def test_several_stages_of_one_section_are_below_the_run(make_sdk: Callable[..., Any], tenant: None) -> None:
    sdk = make_sdk()
    pipeline = pipeline_of(MapStage(abs), MapStage(sent.describe, name="then"), name="p").add_hooks(sdk.hook)
    result = pipeline.run(NUMBERS, workers=TWO)
    check_carried(sdk, result.unwrap(), result.context.pipeline_id, "run p")
    for name in ("stage MapStage", "stage then"):
        assert sdk.one(name).attributes["mainstem.records.in"] == 2500
        assert sdk.one(name).start_time < sdk.one(name).end_time


def test_functions_in_ray_tasks_are_below_their_stage(
    make_sdk: Callable[..., Any], tenant: None, ray_cluster: Any
) -> None:
    sdk = make_sdk()
    pipeline = pipeline_of(MapStage(sent.describe), name="p").add_hooks(sdk.hook)
    result = pipeline.run(NUMBERS, runner=RayRunner(parallelism=2))
    check_carried(sdk, result.unwrap(), result.context.pipeline_id, "stage MapStage")


def test_a_worker_with_an_sdk_sends_its_own_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = TracerProvider()
    with receiver() as received:
        monkeypatch.setenv("TEST_OTLP_URL", received.url)
        hook = OpenTelemetryHook(tracer_provider=provider, in_workers=sent.set_up_sdk, chunk_interval=0)
        stages = MapStage(sent.call_service, name="call"), AggregateStage(Sum[int]())
        tracer = provider.get_tracer("test")
        with tracer.start_as_current_span("caller") as caller:
            result = pipeline_of(*stages).add_hooks(hook).run(NUMBERS, workers=TWO)
        assert result.unwrap() == sum(NUMBERS)
        pieces = {span.span_id: span for span in received.spans if span.name == "piece"}
        calls = [span for span in received.spans if span.name == "call a service"]
        assert len(calls) == 50
        large = {key for key, piece in pieces.items() if attributes_of(piece)["mainstem.records"] >= 50}
        assert len(large) > 1
        assert large <= {call.parent_span_id for call in calls} <= set(pieces)
        assert {span.trace_id.hex() for span in received.spans} == {f"{caller.get_span_context().trace_id:032x}"}
        assert sum(attributes_of(span)["mainstem.records"] for span in pieces.values()) == 2500
        told = {tuple(attributes_of(piece)["mainstem.stages"]) for piece in pieces.values()}
        assert told == {("call", "AggregateStage")}
    provider.shutdown()


def test_a_worker_whose_set_up_raises_does_its_work_all_the_same(
    make_sdk: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    sdk = make_sdk(in_workers=sent.broken_set_up, chunk_interval=math.inf)
    result = pipeline_of(MapStage(abs)).add_hooks(sdk.hook).run(NUMBERS, workers=TWO)
    assert (result.unwrap(), result.context.errors) == (NUMBERS, [])
    told = capfd.readouterr().err
    assert 1 <= told.count("an observer of a run failed in a worker process: RuntimeError: no SDK here") <= 2


def test_a_set_up_that_cannot_be_sent_leaves_the_run_unobserved_there(
    make_sdk: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    class Lock:
        def __reduce__(self) -> Any:
            raise TypeError("it stays here")

    lock = Lock()
    sdk = make_sdk(in_workers=lambda: lock)
    result = pipeline_of(MapStage(abs), name="p").add_hooks(sdk.hook).run(NUMBERS, workers=TWO)
    assert (result.unwrap(), result.context.errors) == (NUMBERS, [])
    (record,) = [record for record in caplog.records if record.name.startswith("mainstem.observe")]
    assert "it stays here" in record.getMessage()
    assert sdk.one("run p").attributes["mainstem.status"] == "completed"
