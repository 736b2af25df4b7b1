"""``Pipeline``: stages in order, with hooks, events and one structured result."""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from mainstem import (
    AggregateStage,
    BatchStage,
    BlockingCallError,
    Event,
    EventBus,
    EventType,
    FilterStage,
    FlattenStage,
    MapStage,
    Pipeline,
    PipelineContext,
    PipelineResult,
    StageTypeError,
    ValidateStage,
    default_event_bus,
)
from mainstem.endpoints import CHUNK_SIZE
from runs import Abort, Untouchable, check_accounts, errors_of, execute, pipeline_of, run, watch

pytestmark = pytest.mark.anyio


def invert(number: int) -> float:
    return 1 / number


class Heard:
    """Remembers all events of a bus."""

    def __init__(self) -> None:
        self.bus = EventBus()
        self.events: list[Event] = []
        for event_type in EventType:
            self.bus.subscribe(event_type, self.events.append)

    def data(self, event_type: EventType) -> list[Any]:
        return [event.data for event in self.events if event.type is event_type]


def test_stages_run_in_order_and_one_result_holds_everything() -> None:
    result = run(
        FilterStage(lambda number: number > 1), MapStage(str), AggregateStage("".join), data=[1, 2, 3], entered=3
    )
    assert isinstance(result, PipelineResult)
    assert result.data == "23"
    assert list(result.stage_results) == ["FilterStage", "MapStage", "AggregateStage"]
    assert result.context.completed_stages == ["FilterStage", "MapStage", "AggregateStage"]
    assert result.records_filtered == 1


def test_add_stage_returns_the_pipeline_itself() -> None:
    pipeline = Pipeline[list[int], list[str]]("same")
    assert pipeline.add_stage(MapStage(str)) is pipeline  # type: ignore[comparison-overlap]


@pytest.mark.parametrize("data", [[1, 2], None, "text", 42, {"a": 1}], ids=repr)
async def test_an_empty_pipeline_gives_its_input(data: Any) -> None:
    pipeline = pipeline_of()
    seen: list[Any] = []
    pipeline.on_complete(lambda output, context: seen.append(output))
    result = check_accounts(await pipeline.execute(data))
    assert result.success
    assert result.data is data
    assert seen == [data]
    assert result.records_in == (2 if data == [1, 2] else 0 if data is None else 1)


def test_the_fluent_forms_add_the_built_in_stages() -> None:
    pipeline: Any = (
        Pipeline[list[str], int]("fluent")
        .map(int, continue_on_error=True)
        .filter(lambda number: number > 1, name="large")
        .validate(lambda numbers: len(numbers) > 0, name="some")
        .batch(2)
        .flatten()
        .aggregate(sum, name="total")
    )
    assert [stage.name for stage in pipeline.stages] == [
        "MapStage",
        "large",
        "some",
        "BatchStage",
        "FlattenStage",
        "total",
    ]
    assert check_accounts(pipeline.run(["1", "x", "2", "3"]), 4).data == 5


async def test_a_failed_result_stops_the_run_and_later_stages_are_not_begun() -> None:
    begun: list[int] = []
    result = await execute(MapStage(invert), BatchStage(1), MapStage(begun.append), data=[1, 0])
    assert isinstance(result.error, ZeroDivisionError)
    assert list(result.stage_results) == ["MapStage"]
    assert begun == []


async def test_execute_never_raises_what_a_stage_raises() -> None:
    result = await execute(ValidateStage(lambda _: 1 / 0), data=[1])
    assert isinstance(result.error, ZeroDivisionError)


async def test_each_run_has_a_fresh_context_unless_one_is_given() -> None:
    pipeline = pipeline_of(MapStage(str))
    first, second = await pipeline.execute([1]), await pipeline.execute([1])
    assert first.context.pipeline_id != second.context.pipeline_id
    context = PipelineContext("mine", metadata={"a": 1})
    assert (await pipeline.execute([1], context=context)).context is context
    assert context.metadata == {"a": 1}


async def test_a_run_stops_the_contexts_clock() -> None:
    result = await execute(MapStage(str), data=[1])
    assert result.context.elapsed_ms == result.context.elapsed_ms
    assert result.duration_ms >= result.stage_results["MapStage"].duration_ms


async def test_runs_of_one_pipeline_may_overlap_and_do_not_mix() -> None:
    heard = Heard()
    gate = {name: anyio.Event() for name in "ab"}
    results: dict[str, Any] = {}

    async def meet(name: str) -> str:
        gate[name].set()
        await gate["b" if name == "a" else "a"].wait()
        if name == "b":
            raise ValueError("b fails")
        return name

    pipeline = pipeline_of(MapStage(meet), event_bus=heard.bus)

    async def start(name: str) -> None:
        results[name] = check_accounts(await pipeline.execute([name], context=PipelineContext(name)))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for name in "ab":
                group.start_soon(start, name)
    assert (results["a"].data, results["a"].context.errors) == (["a"], [])
    assert errors_of(results["b"].context) == [("MapStage", 0, "b fails")]
    status = {data["pipeline_id"]: data["status"] for data in heard.data(EventType.ITEM_UPDATED)}
    assert status == {"a": "completed", "b": "failed"}


async def test_start_and_end_of_a_success_are_published_with_exactly_these_fields() -> None:
    heard = Heard()
    pipeline = pipeline_of(MapStage(str), AggregateStage(len), name="daily import/2", event_bus=heard.bus)
    result = await pipeline.execute([1])
    started, ended = heard.events
    run_id = result.context.pipeline_id
    assert (started.type, ended.type) == (EventType.ITEM_CREATED, EventType.ITEM_UPDATED)
    assert started.data == {"pipeline_id": run_id, "name": "daily import/2", "stage_count": 2}
    assert 0 <= ended.data["duration_ms"] <= result.duration_ms
    assert {**ended.data, "duration_ms": 0} == {
        "pipeline_id": run_id,
        "name": "daily import/2",
        "status": "completed",
        "duration_ms": 0,
        "completed_stages": ["MapStage", "AggregateStage"],
        "error": None,
    }
    for event in heard.events:
        assert event.subject == run_id
        assert event.source == "mainstem/daily%20import%2F2"
        assert event.to_cloudevent()["specversion"] == "1.0"


async def test_a_failure_is_published_as_failed_with_its_error() -> None:
    heard = Heard()
    await pipeline_of(MapStage(str), BatchStage(1), ValidateStage(lambda _: "no good"), event_bus=heard.bus).execute(
        [1]
    )
    (end,) = heard.data(EventType.ITEM_UPDATED)
    assert (end["status"], end["error"]) == ("failed", "ValidationError: no good")
    assert end["completed_stages"] == ["MapStage", "BatchStage"]


async def test_a_cancellation_is_published_as_cancelled_before_it_goes_on() -> None:
    heard = Heard()
    published: list[str] = []

    async def publish_later(event: Event) -> None:
        await anyio.lowlevel.checkpoint()
        published.append(event.data["status"])

    heard.bus.subscribe(EventType.ITEM_UPDATED, publish_later)
    begun = anyio.Event()

    async def hang(record: int) -> int:
        begun.set()
        await anyio.sleep_forever()
        return record

    async with anyio.create_task_group() as group:
        group.start_soon(pipeline_of(MapStage(abs), MapStage(hang), event_bus=heard.bus).execute, [1])
        await begun.wait()
        group.cancel_scope.cancel()
    (end,) = heard.data(EventType.ITEM_UPDATED)
    assert end["status"] == "cancelled"
    assert "Cancelled" in end["error"]
    assert published == ["cancelled"]


@pytest.mark.parametrize("kind", [Abort, KeyboardInterrupt, SystemExit])
async def test_what_is_no_exception_is_published_as_cancelled_and_passes_through(kind: type[BaseException]) -> None:
    heard = Heard()
    original = kind("out")

    def leave(record: int) -> int:
        raise original

    inner = pipeline_of(MapStage(leave), name="inner", event_bus=heard.bus)
    with pytest.raises(kind) as caught:
        await pipeline_of(inner, event_bus=heard.bus).execute([1])
    assert caught.value is original
    ends = heard.data(EventType.ITEM_UPDATED)
    assert [(end["name"], end["status"]) for end in ends] == [("inner", "cancelled"), ("under test", "cancelled")]
    assert ends[0]["error"] == f"{kind.__name__}: out"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_run_that_is_closed_halfway_awaits_nothing_more() -> None:
    heard = Heard()

    async def hang(record: int) -> int:
        await asyncio.sleep(3600)
        return record

    coroutine = pipeline_of(MapStage(hang), event_bus=heard.bus).execute([1])
    coroutine.send(None)
    coroutine.close()
    assert heard.data(EventType.ITEM_UPDATED) == []


async def test_without_a_bus_the_default_one_is_used() -> None:
    seen: list[Event] = []
    with default_event_bus.subscribe(EventType.ITEM_CREATED, seen.append):
        result = await Pipeline[list[int], list[int]]("on the default bus").execute([1])
    assert [event.data["pipeline_id"] for event in seen] == [result.context.pipeline_id]


@pytest.mark.parametrize("event_type", list(EventType))
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_a_subscriber_that_raises_or_hangs_is_recorded_and_changes_no_result(
    event_type: EventType, is_async: bool
) -> None:
    def broken(event: Event) -> None:
        raise ValueError("broken subscriber")

    async def hang(event: Event) -> None:
        await anyio.sleep_forever()

    bus = EventBus(handler_timeout=0.01)
    bus.subscribe(event_type, hang if is_async else broken)
    with anyio.fail_after(5):
        result = check_accounts(await pipeline_of(MapStage(str), event_bus=bus, name="named").execute([1]), 1)
    assert result.data == ["1"]
    (entry,) = result.context.errors
    assert entry.stage == "named"
    assert isinstance(entry.error.__cause__, TimeoutError if is_async else ValueError)


async def test_an_error_that_cannot_be_shown_is_published_all_the_same() -> None:
    class Unshowable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

        __repr__ = __str__

    def fail(record: int) -> int:
        raise Unshowable

    heard = Heard()
    result = await pipeline_of(MapStage(fail), event_bus=heard.bus).execute([1])
    assert isinstance(result.error, Unshowable)
    assert heard.data(EventType.ITEM_UPDATED)[0]["error"].startswith("Unshowable: (its text cannot be had")


async def test_a_nested_pipeline_is_a_run_of_its_own_that_shares_metadata_and_errors() -> None:
    heard = Heard()
    inner = pipeline_of(MapStage(int, continue_on_error=True), name="inner", event_bus=heard.bus)
    outer = pipeline_of(FilterStage(bool), inner, MapStage(str), name="outer", event_bus=heard.bus)
    result = check_accounts(await outer.execute(["1", "", "x", "3"]), 4)
    assert result.data == ["1", "3"]
    assert [(data["name"], data["stage_count"]) for data in heard.data(EventType.ITEM_CREATED)] == [
        ("outer", 3),
        ("inner", 1),
    ]
    ends = {data["name"]: data for data in heard.data(EventType.ITEM_UPDATED)}
    assert ends["inner"]["pipeline_id"] != ends["outer"]["pipeline_id"] == result.context.pipeline_id
    assert ends["inner"]["completed_stages"] == ["MapStage"]
    assert ends["outer"]["completed_stages"] == ["FilterStage", "inner", "MapStage"]
    assert [(entry.stage, entry.index) for entry in result.context.errors] == [("inner/MapStage", 1)]
    nested = result.stage_results["inner"]
    assert (nested.records_in, nested.records_failed) == (3, 1)
    assert nested.stage_results["MapStage"].records_failed == 1


async def test_a_failure_in_a_nested_pipeline_fails_the_outer_one_and_is_recorded_once() -> None:
    reported: list[str] = []
    inner = pipeline_of(MapStage(invert), name="inner")
    inner.on_error(lambda name, *_: reported.append(f"inner: {name}"))
    outer = pipeline_of(inner, MapStage(str))
    outer.on_error(lambda name, *_: reported.append(f"outer: {name}"))
    result = check_accounts(await outer.execute([1, 0]))
    assert isinstance(result.error, ZeroDivisionError)
    assert errors_of(result.context) == [("inner/MapStage", 1, "division by zero")]
    assert reported == ["inner: MapStage", "outer: inner"]
    assert result.context.current_stage == "inner"


async def test_a_pipeline_can_be_processed_alone_as_a_stage() -> None:
    context = PipelineContext()
    result = check_accounts(await pipeline_of(MapStage(invert), name="alone").process([1, 0], context))
    assert not result.success
    assert errors_of(context) == [("alone/MapStage", 1, "division by zero")]


def test_run_blocks_until_the_result_is_there() -> None:
    async def later(number: int) -> int:
        await anyio.lowlevel.checkpoint()
        return number

    context = PipelineContext()
    result = pipeline_of(MapStage(later)).run([1], context=context)
    assert (result.data, result.context) == ([1], context)


async def test_run_inside_an_event_loop_is_refused_and_says_what_to_write() -> None:
    with pytest.raises(BlockingCallError, match=r"await pipeline\.execute"):
        pipeline_of(MapStage(str)).run([1])


async def test_run_works_in_a_thread_beside_an_event_loop() -> None:
    result = await anyio.to_thread.run_sync(functools.partial(pipeline_of(MapStage(str)).run, [1]))
    assert result.data == ["1"]


def test_a_keyboard_interrupt_comes_out_of_run() -> None:
    def interrupt(record: int) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline_of(MapStage(interrupt)).run([1])


def test_a_run_is_logged_at_its_start_and_end(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "mainstem.pipeline"):
        run_id = pipeline_of(MapStage(str), name="logged").run([1]).context.pipeline_id
    first, last = [entry.getMessage() for entry in caplog.records]
    assert first == f"pipeline logged started, run {run_id}"
    assert last.startswith("pipeline logged completed after ")
    assert last.endswith(run_id)


def test_records_are_carried_through_built_in_stages_untouched() -> None:
    records = [Untouchable() for _ in range(3)]
    result = run(BatchStage(2), FlattenStage(), FilterStage(lambda record: True), data=records, entered=3)
    assert [id(record) for record in result.data] == [id(record) for record in records]


def as_text(number: int) -> str:
    return str(number)


def lying(number: int) -> str:
    return number if number < 0 else str(number)  # type: ignore[return-value]  # what the net looks for


@pytest.mark.parametrize(
    ("check", "position", "caught"),
    [
        ("all", 0, True),
        ("all", CHUNK_SIZE + 3, True),
        (1.0, CHUNK_SIZE + 3, True),
        ("first", 0, True),
        ("first", 1, False),
        ("first", CHUNK_SIZE, False),
        (1 / 7, 0, True),
        (1 / 7, 7, True),
        (1 / 7, 8, False),
        (1 / 7, 504, True),
        (1 / 7, 500, False),
        (None, 0, False),
    ],
)
@pytest.mark.parametrize("watched", [False, True], ids=["fused", "watched"])
@pytest.mark.extras
def test_the_record_net_looks_at_the_records_it_was_asked_to(
    check: Any, position: int, caught: bool, watched: bool
) -> None:
    data = list(range(CHUNK_SIZE + 10))
    data[position] = -1
    pipeline = pipeline_of(MapStage(lying), MapStage(lambda text: text), check=check)
    result = check_accounts((watch(pipeline) if watched else pipeline).run(data))
    assert result.success is not caught
    if caught:
        assert isinstance(result.error, StageTypeError)
        expected = f"stage 'MapStage' is to give str, and record {position} of its output is -1"
        assert str(result.error) == expected
        assert [entry.stage for entry in result.context.errors] == ["MapStage"]


@pytest.mark.extras
def test_the_record_net_checks_what_is_no_list_as_a_whole() -> None:
    def count(numbers: list[int]) -> int:
        return "many"  # type: ignore[return-value]  # what the net looks for

    result = check_accounts(pipeline_of(AggregateStage(count), check="first").run([1]))
    assert "stage 'AggregateStage' is to give int, and its output is 'many'" in str(result.error)


@pytest.mark.parametrize("wrong", ["some", 0, 1.5, -0.1], ids=repr)
def test_a_wrong_check_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="check must be 'first', 'all' or a share"):
        pipeline_of(check=wrong)


@pytest.mark.parametrize("wrong", [None, 3, MapStage(str)], ids=lambda wrong: type(wrong).__name__)
def test_a_name_that_is_no_text_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="a pipeline's name is a text"):
        Pipeline[int, int](wrong)


@pytest.mark.extras
def test_a_stage_that_does_not_fit_is_refused_and_the_pipeline_stays_as_it_was() -> None:
    pipeline: Any = Pipeline[list[int], list[str]]("typed").add_stage(MapStage(as_text, name="first"))
    with pytest.raises(StageTypeError, match=r"'FilterStage' gives list\[str\], but 'wrong' takes Iterable\[int\]"):
        pipeline.add_stage(FilterStage(bool) >> MapStage(as_text, name="wrong") >> MapStage(str))
    assert [stage.name for stage in pipeline.stages] == ["first"]
    assert pipeline.run([1]).data == ["1"]


@pytest.mark.extras
def test_the_first_stage_must_take_the_pipelines_input() -> None:
    with pytest.raises(StageTypeError, match="the input of pipeline typed"):
        Pipeline[list[bytes], list[str]]("typed").add_stage(MapStage(as_text))


@pytest.mark.extras
async def test_the_last_stage_must_give_the_pipelines_output() -> None:
    pipeline: Any = Pipeline[list[int], list[int]]("typed").add_stage(MapStage(as_text))
    with pytest.raises(StageTypeError, match=r"'typed' is to give list\[int\], but its last stage, 'MapStage'"):
        await pipeline.execute([1])


def test_the_input_hint_of_a_pipeline_is_that_of_its_first_stage_or_its_annotation() -> None:
    assert Pipeline[int, str]("empty").input_hint is int
    assert Pipeline[int, str]("empty").output_hint(int) is int
    assert Pipeline("bare").input_hint is Any  # type: ignore[var-annotated]
    filled = Pipeline[list[int], list[str]]("filled").add_stage(MapStage(as_text))
    assert filled.input_hint.__args__ == (int,)
    assert filled.output_hint(Any) == list[str]


def test_a_pipeline_cannot_be_a_stage_of_itself() -> None:
    pipeline: Any = pipeline_of(MapStage(str))
    with pytest.raises(TypeError, match="cannot be a stage of itself"):
        pipeline.add_stage(pipeline)
    assert len(pipeline.stages) == 1


@pytest.mark.parametrize("watched", [False, True], ids=["fused", "watched"])
@pytest.mark.parametrize("data", [None, 5, len])
async def test_data_that_holds_no_records_is_a_failure_that_says_so(data: Any, watched: bool) -> None:
    pipeline = pipeline_of(MapStage(str))
    result = await (watch(pipeline) if watched else pipeline).execute(data)
    assert not result.success
    assert str(result.error) == f"a collection of records is needed, and {type(data).__name__} is none"
