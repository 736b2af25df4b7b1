"""The framework as it was asked for: each promise of its description, heading by heading, is a test here."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import mainstem
from mainstem import (
    AggregateStage,
    BatchStage,
    BranchStage,
    ChainedStage,
    Event,
    EventBus,
    EventType,
    FilterStage,
    FlattenStage,
    MapStage,
    Pipeline,
    PipelineContext,
    PipelineStage,
    StageResult,
    StageTypeError,
    ValidateRecordsStage,
    ValidateStage,
    create_etl_pipeline,
    current_context,
)
from runs import check_accounts, execute, pipeline_of, run

pytestmark = pytest.mark.anyio

InputType = list[str]
OutputType = str


class ValidationStage(ValidateStage[list[str]]):
    def __init__(self) -> None:
        super().__init__(lambda lines: len(lines) > 0 or "nothing to load")


class TransformStage(PipelineStage[list[str], list[int]]):
    async def process(self, data: list[str], context: PipelineContext) -> StageResult[list[int]]:
        return StageResult(data=[int(line) for line in data])


class LoadStage(PipelineStage[list[int], str]):
    async def process(self, data: list[int], context: PipelineContext) -> StageResult[str]:
        return StageResult(data=f"{len(data)} loaded")


def documented_pipeline(**options: Any) -> Any:
    return (
        Pipeline[InputType, OutputType]("my_pipeline", **options)
        .add_stage(ValidationStage())
        .add_stage(TransformStage())
        .add_stage(LoadStage())
    )


# ---- Overview


@pytest.mark.extras
def test_the_documented_path_hands_on_every_public_name() -> None:
    documented = importlib.import_module("services.data_pipeline")
    assert documented.__all__ == mainstem.__all__
    assert all(getattr(documented, name) is getattr(mainstem, name) for name in mainstem.__all__)


# ---- Core concepts


async def test_a_stage_takes_one_type_and_gives_another_and_does_so_again_with_the_same_input() -> None:
    stage = TransformStage()
    first = await stage.process(["1", "2"], PipelineContext())
    second = await stage.process(["1", "2"], PipelineContext())
    assert first.data == second.data == [1, 2]


@pytest.mark.parametrize(
    "stage",
    [
        MapStage(str),
        FilterStage(bool),
        BatchStage(2),
        AggregateStage(list),
        ValidateStage(lambda _: True),
        BranchStage(a=MapStage(str), b=AggregateStage(len)),
    ],
    ids=lambda stage: stage.name,
)
def test_built_in_stages_give_the_same_output_for_the_same_input_and_leave_the_input_alone(stage: Any) -> None:
    data = [3, 0, 2]
    assert run(stage, data=data).data == run(stage, data=data).data
    assert data == [3, 0, 2]


def test_chaining_makes_a_chained_stage_and_can_continue_indefinitely() -> None:
    def increment(number: int) -> int:
        return number + 1

    chain: Any = MapStage(increment)
    for _ in range(300):
        chain = chain >> MapStage(increment)
    assert isinstance(chain, ChainedStage)
    assert run(chain, data=[0], entered=1).data == [301]


# ---- Pipeline context


async def test_every_stage_receives_the_context_with_identity_start_metadata_errors_and_progress() -> None:
    received: list[PipelineContext] = []

    class Looks(PipelineStage[Any, Any]):
        async def process(self, data: Any, context: PipelineContext) -> StageResult[Any]:
            received.append(context)
            assert context.current_stage in ("Looks", "Looks#2")
            return StageResult(data=data)

    result = await execute(Looks(), Looks(), data=[1])
    assert received == [result.context, result.context]
    context = received[0]
    assert context.pipeline_id
    assert context.started_at.tzinfo is not None
    assert (context.metadata, context.errors) == ({}, [])
    assert context.completed_stages == ["Looks", "Looks#2"]
    assert list(context.progress) == ["Looks", "Looks#2"]


async def test_completed_stages_errors_and_elapsed_time_can_be_inspected_on_the_way() -> None:
    found: list[Any] = []

    def inspect(numbers: list[int]) -> bool:
        context = current_context()
        found.append((list(context.completed_stages), len(context.errors), context.elapsed_ms > 0))
        return True

    await execute(MapStage(int, continue_on_error=True), ValidateStage(inspect), data=["1", "x"])
    assert found == [(["MapStage"], 1, True)]


async def test_stages_record_errors_mark_completion_and_tell_later_stages_through_metadata() -> None:
    class Writes(PipelineStage[Any, Any]):
        async def process(self, data: Any, context: PipelineContext) -> StageResult[Any]:
            context.metadata["limit"] = 2
            context.record_error(ValueError("odd, but go on"), record=data[0], index=0)
            context.mark_completed("a part of mine")
            return StageResult(data=data)

    def below_limit(number: int) -> bool:
        return number < current_context().metadata["limit"]

    result = await execute(Writes(), FilterStage(below_limit), data=[1, 2, 3])
    assert result.data == [1]
    assert [(entry.stage, entry.index) for entry in result.context.errors] == [("Writes", 0)]
    assert result.context.completed_stages == ["a part of mine", "Writes", "FilterStage"]


# ---- Stage results


def test_a_result_holds_output_success_error_timing_and_counts() -> None:
    good = run(MapStage(int), data=["1"]).stage_results["MapStage"]
    bad = run(MapStage(int), data=["x"]).stage_results["MapStage"]
    assert (good.success, good.error, good.records_processed, good.records_failed) == (True, None, 1, 0)
    assert good.duration_ms > 0
    assert (bad.success, type(bad.error), bad.records_processed, bad.records_failed) == (False, ValueError, 0, 1)


async def test_a_failed_result_halts_the_run_so_that_nothing_of_it_reaches_later_stages() -> None:
    reached: list[Any] = []
    result = await execute(BatchStage(1), MapStage(lambda _: 1 / 0), BatchStage(1), MapStage(reached.append), data=[1])
    assert (result.success, result.data, reached) == (False, None, [])


def test_counts_tell_processed_from_failed() -> None:
    result = run(MapStage(int, continue_on_error=True), data=["1", "x", "3", "y"], entered=4)
    assert (result.records_processed, result.records_failed) == (2, 2)


# ---- Built-in stages


async def async_double(number: int) -> int:
    await anyio.lowlevel.checkpoint()
    return 2 * number


async def async_is_even(number: int) -> bool:
    await anyio.lowlevel.checkpoint()
    return number % 2 == 0


@pytest.mark.parametrize("function", [lambda number: 2 * number, async_double])
async def test_map_applies_a_sync_or_async_function_to_each_element(function: Any) -> None:
    assert (await execute(MapStage(function), data=[1, 2, 3])).data == [2, 4, 6]


async def test_continue_on_error_decides_whether_item_failures_halt_the_stage_or_are_collected() -> None:
    halted = await execute(MapStage(int), data=["1", "x", "3"])
    collected = await execute(MapStage(int, continue_on_error=True), data=["1", "x", "3"])
    assert not halted.success
    assert (collected.success, collected.data) == (True, [1, 3])
    assert [entry.record for entry in collected.context.errors] == ["x"]


@pytest.mark.parametrize("predicate", [lambda number: number % 2 == 0, async_is_even])
async def test_filter_retains_only_what_matches_a_sync_or_async_predicate(predicate: Any) -> None:
    assert (await execute(FilterStage(predicate), data=[1, 2, 3, 4])).data == [2, 4]


def test_batch_splits_into_fixed_sizes_and_flatten_reverses_it() -> None:
    assert run(BatchStage(2), data=[1, 2, 3, 4, 5]).data == [[1, 2], [3, 4], [5]]
    assert run(FlattenStage(), data=[[1, 2], [3, 4], [5]]).data == [1, 2, 3, 4, 5]


async def test_batches_are_processed_in_parallel_and_flattened_again() -> None:
    under_way = most = 0

    async def call_api(batch: list[int]) -> list[int]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await anyio.lowlevel.checkpoint()
        under_way -= 1
        return [2 * number for number in batch]

    result = await execute(BatchStage(3), MapStage(call_api, concurrency=4), FlattenStage(), data=range(30))
    assert result.data == [2 * number for number in range(30)]
    assert most == 4


def test_aggregate_reduces_a_collection_to_one_value() -> None:
    data = [4, 1, 3]
    report = AggregateStage(lambda numbers: {"count": len(numbers), "mean": sum(numbers) / len(numbers)})
    assert [run(AggregateStage(each), data=data).data for each in (len, sum, max)] == [3, 8, 4]
    assert run(report, data=data).data == {"count": 3, "mean": 8 / 3}


def test_validate_takes_true_false_or_a_message() -> None:
    good = run(ValidateStage(lambda _: True), data=[1])
    bad = run(ValidateStage(lambda _: False), data=[1])
    ugly = run(ValidateStage(lambda _: "no header row"), data=[1])
    assert (good.success, good.data) == (True, [1])
    assert (bad.success, ugly.success, str(ugly.error)) == (False, False, "no header row")


async def test_validation_early_in_a_pipeline_keeps_bad_data_from_being_processed() -> None:
    processed: list[Any] = []
    await execute(ValidateStage(lambda _: False), MapStage(processed.append), data=[1])
    assert processed == []


async def test_branch_runs_named_stages_concurrently_on_the_same_input_into_a_dict() -> None:
    here = {name: anyio.Event() for name in ("left", "right")}

    def meeting(name: str, other: str) -> Any:
        async def meet(records: list[int]) -> int:
            here[name].set()
            await here[other].wait()
            return sum(records)

        return AggregateStage(meet)

    with anyio.fail_after(5):
        stage = BranchStage({"left": meeting("left", "right"), "right": meeting("right", "left")})
        assert (await execute(stage, data=[1, 2])).data == {"left": 3, "right": 3}


# ---- Composing stages


async def test_a_chain_feeds_the_first_output_to_the_second_and_short_circuits_on_failure() -> None:
    reached: list[int] = []
    chain = MapStage(int) >> MapStage(reached.append)
    assert (await chain.process(["1"], PipelineContext())).success
    result = await chain.process(["x"], PipelineContext())
    assert (result.success, reached) == (False, [1])
    assert isinstance(result.error, ValueError)


def test_chained_stages_are_stages_and_can_be_chained_further() -> None:
    chain = (MapStage(int) >> MapStage(abs)) >> (MapStage(str) >> AggregateStage("".join))
    assert isinstance(chain, PipelineStage)
    assert run(chain, data=["-1", "2"]).data == "12"


@pytest.mark.extras
def test_a_mismatch_of_types_is_an_error_when_the_pipeline_is_constructed() -> None:
    with pytest.raises(StageTypeError):
        TransformStage() >> TransformStage()  # type: ignore[operator]


# ---- Building pipelines


def test_the_documented_form_builds_and_runs() -> None:
    pipeline = documented_pipeline()
    assert pipeline.name == "my_pipeline"
    result = check_accounts(pipeline.run(["1", "2"]))
    assert result.data == "2 loaded"
    assert list(result.stage_results) == ["ValidationStage", "TransformStage", "LoadStage"]


def test_add_stage_returns_the_pipeline_for_chaining() -> None:
    pipeline: Any = Pipeline[InputType, OutputType]("my_pipeline")
    assert pipeline.add_stage(ValidationStage()) is pipeline


async def test_execute_makes_a_fresh_context_runs_in_sequence_invokes_hooks_and_publishes() -> None:
    bus = EventBus()
    happened: list[str] = []
    for event_type in EventType:
        bus.subscribe(event_type, lambda event: happened.append(event.type.name))
    pipeline = documented_pipeline(event_bus=bus)
    pipeline.before_stage(lambda name, *_: happened.append(name))
    pipeline.on_complete(lambda *_: happened.append("complete"))
    first, second = await pipeline.execute(["1"]), await pipeline.execute([])
    assert first.context is not second.context
    assert happened == [
        *["ITEM_CREATED", "ValidationStage", "TransformStage", "LoadStage", "complete", "ITEM_UPDATED"],
        *["ITEM_CREATED", "ValidationStage", "ITEM_UPDATED"],
    ]


# ---- Pipeline hooks


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("data", [["1"], ["x"]], ids=["success", "failure"])
async def test_the_four_hooks_get_what_they_are_promised_at_the_right_time(data: list[str], is_async: bool) -> None:
    calls: list[tuple[Any, ...]] = []
    pipeline = documented_pipeline()

    def recorder(kind: str) -> Any:
        def record(*arguments: Any) -> None:
            calls.append((kind, *arguments))

        async def record_later(*arguments: Any) -> None:
            await anyio.lowlevel.checkpoint()
            record(*arguments)

        return record_later if is_async else record

    for kind in ("before_stage", "after_stage", "on_error", "on_complete"):
        getattr(pipeline, kind)(recorder(kind))
    result = check_accounts(await pipeline.execute(data))
    context = result.context
    validated = [
        ("before_stage", "ValidationStage", data, context),
        ("after_stage", "ValidationStage", data, context),
        ("before_stage", "TransformStage", data, context),
    ]
    if data == ["1"]:
        assert calls == [
            *validated,
            ("after_stage", "TransformStage", [1], context),
            ("before_stage", "LoadStage", [1], context),
            ("after_stage", "LoadStage", "1 loaded", context),
            ("on_complete", "1 loaded", context),
        ]
    else:
        assert calls == [*validated, ("on_error", "TransformStage", result.error, context)]
        assert isinstance(result.error, ValueError)


# ---- Error handling


async def test_exceptions_of_stage_code_become_failed_results_and_the_run_does_not_crash() -> None:
    result = await documented_pipeline().execute(["not a number"])
    assert isinstance(result, StageResult)
    assert (result.success, type(result.error)) == (False, ValueError)


async def test_with_continue_on_error_the_stage_completes_with_partial_results_and_the_pipeline_goes_on() -> None:
    result = await execute(MapStage(int, continue_on_error=True), AggregateStage(sum), data=["1", "bad", "3"])
    assert (result.success, result.data) == (True, 4)
    assert result.context.completed_stages == ["MapStage", "AggregateStage"]


async def test_the_context_holds_all_errors_whether_or_not_the_run_succeeded() -> None:
    def check(number: int) -> int:
        if number == 3:
            raise RuntimeError("three")
        return number

    for data, texts in ((["1", "a"], ["a"]), (["a", "3"], ["a", "three"])):
        result = await execute(
            MapStage(int, continue_on_error=True), BatchStage(9), FlattenStage(), MapStage(check), data=data
        )
        assert len(result.context.errors) == len(texts)
        assert all(text in str(entry.error) for text, entry in zip(texts, result.context.errors, strict=True))


# ---- Event integration


@pytest.mark.parametrize(("data", "status"), [(["1"], "completed"), (["x"], "failed")])
async def test_start_and_completion_are_published_with_what_a_monitor_needs(data: list[str], status: str) -> None:
    bus = EventBus()
    active: dict[str, Any] = {}
    summaries: list[Any] = []

    def begin(event: Event) -> None:
        active[event.data["pipeline_id"]] = (event.data["name"], event.data["stage_count"])

    async def end(event: Event) -> None:
        summaries.append((active.pop(event.data["pipeline_id"]), event.data))

    bus.subscribe(EventType.ITEM_CREATED, begin)
    bus.subscribe(EventType.ITEM_UPDATED, end)
    result = await documented_pipeline(event_bus=bus).execute(data)
    ((started, summary),) = summaries
    assert active == {}
    assert started == ("my_pipeline", 3)
    assert summary["pipeline_id"] == result.context.pipeline_id
    assert summary["status"] == status
    assert 0 < summary["duration_ms"] <= result.duration_ms
    assert summary["completed_stages"] == result.context.completed_stages


# ---- ETL helper


@pytest.mark.parametrize("source", [None, "people.csv"])
async def test_the_etl_helper_makes_a_complete_pipeline_of_three_functions(source: Any) -> None:
    loaded: list[list[str]] = []
    sources: list[Any] = []

    def extract(path: Any) -> list[str]:
        sources.append(path)
        return ["ada", "bob"]

    pipeline: Any = create_etl_pipeline(extract, str.title, loaded.append)
    result = check_accounts(await pipeline.execute(source))
    assert result.success
    assert sources == [source]
    assert loaded == [["Ada", "Bob"]], "the whole list in one call"
    assert [type(stage).__name__ for stage in pipeline.stages][1] == "MapStage", "record by record"


# ---- Performance


async def test_stages_run_one_after_another_by_default() -> None:
    happened: list[str] = []

    def logging_stage(name: str) -> Any:
        async def log(records: Iterable[int]) -> Iterable[int]:
            happened.append(f"{name} begins")
            await anyio.lowlevel.checkpoint()
            happened.append(f"{name} ends")
            return records

        return AggregateStage(log)

    await execute(logging_stage("a"), logging_stage("b"), data=[1])
    assert happened == ["a begins", "a ends", "b begins", "b ends"]


def test_branching_avoids_a_second_pass_over_the_data() -> None:
    passes: list[int] = []

    def once() -> Any:
        passes.append(1)
        yield from (1, 2, 3)

    assert run(BranchStage(total=AggregateStage(sum), top=AggregateStage(max)), data=once()).data == {
        "total": 6,
        "top": 3,
    }
    assert passes == [1]


def test_durations_identify_the_slow_stage() -> None:
    def spend(number: int) -> int:
        until = time.perf_counter() + 0.02
        while time.perf_counter() < until:
            pass
        return number

    results = run(MapStage(int), MapStage(spend, name="slow"), MapStage(str), data=[1]).stage_results
    assert max(results, key=lambda name: results[name].duration_ms) == "slow"
    assert results["slow"].duration_ms >= 20


# ---- Testing pipelines


@pytest.mark.parametrize(
    ("stage", "data", "expected"),
    [
        (MapStage(int), ["1"], [1]),
        (FilterStage(bool), [0, 1], [1]),
        (BatchStage(2), [1, 2, 3], [[1, 2], [3]]),
        (FlattenStage(), [[1], [2]], [1, 2]),
        (AggregateStage(sum), [1, 2], 3),
        (ValidateStage(lambda _: True), [1], [1]),
        (ValidateStage(lambda _: "bad"), [1], None),
        (AggregateStage(max), [], None),
        (MapStage(int), ["x"], None),
        (BranchStage(a=MapStage(int)), ["1"], {"a": [1]}),
        (MapStage(int) >> AggregateStage(sum), ["1", "2"], 3),
        (pipeline_of(MapStage(int)), ["1"], [1]),
    ],
)
async def test_every_stage_can_be_tested_alone_by_calling_process(stage: Any, data: Any, expected: Any) -> None:
    result = check_accounts(await stage.process(data, PipelineContext()))
    assert result.success is (expected is not None)
    assert result.data == expected


async def test_a_context_filled_beforehand_serves_stages_that_depend_on_earlier_ones() -> None:
    def convert(cents: int) -> float:
        return cents * current_context().metadata["rate"]

    prepared = PipelineContext(metadata={"rate": 0.5})
    assert (await MapStage(convert).process([4], prepared)).data == [2.0]
    assert (await pipeline_of(MapStage(convert)).execute([4], context=prepared)).data == [2.0]


async def test_a_hook_can_record_all_stage_results_for_a_test_to_assert_on() -> None:
    recorded: list[tuple[str, Any]] = []
    pipeline = documented_pipeline()
    pipeline.after_stage(lambda name, output, context: recorded.append((name, output)))
    await pipeline.execute(["1"])
    assert recorded == [("ValidationStage", ["1"]), ("TransformStage", [1]), ("LoadStage", "1 loaded")]


# ---- Real-world usage patterns


async def test_a_user_import_validates_transforms_dedupes_and_inserts_in_batches_with_errors_for_review() -> None:
    existing = {"ada@example.org"}
    inserted: list[list[str]] = []

    def has_address(user: dict[str, str]) -> bool | str:
        return "@" in user.get("email", "") or "no address"

    async def insert(batch: list[str]) -> list[str]:
        await anyio.lowlevel.checkpoint()
        inserted.append(batch)
        return batch

    result = await execute(
        ValidateRecordsStage(has_address, continue_on_error=True),
        MapStage(lambda user: user["email"].lower()),
        FilterStage(lambda email: email not in existing),
        BatchStage(2),
        MapStage(insert),
        FlattenStage(),
        data=[{"email": name} for name in ("Ada@example.org", "bob", "C@x.org", "D@x.org", "E@x.org")],
        entered=5,
    )
    assert result.success
    assert inserted == [["c@x.org", "d@x.org"], ["e@x.org"]]
    (review,) = result.context.errors
    assert (review.index, review.record, str(review.error)) == (1, {"email": "bob"}, "no address")


async def test_a_data_export_is_held_back_by_a_rate_limiting_hook() -> None:
    written: list[str] = []
    allowance = anyio.Semaphore(0)

    async def wait_for_allowance(stage_name: str, data: Any, context: PipelineContext) -> None:
        await allowance.acquire()

    pipeline = pipeline_of(MapStage(str), AggregateStage(written.extend))
    pipeline.before_stage(wait_for_allowance)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(pipeline.execute, [1, 2])
            await anyio.wait_all_tasks_blocked()
            allowance.release()
            await anyio.wait_all_tasks_blocked()
            assert written == []
            allowance.release()
    assert written == ["1", "2"]


def test_an_analytics_pipeline_computes_several_metrics_from_the_same_events() -> None:
    events = [{"user": "a", "ms": 10}, {"user": "b", "ms": 30}, {"user": "a", "ms": 20}]
    metrics = BranchStage(
        users=AggregateStage(lambda found: len({event["user"] for event in found})),
        slowest=MapStage(lambda event: event["ms"]) >> AggregateStage(max),
    )
    result = run(metrics, AggregateStage(lambda found: found["slowest"] / found["users"]), data=events)
    assert result.data == 15.0
