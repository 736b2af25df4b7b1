"""What holds for every run: order, accounts, and the same answer however it is run and whoever watches."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_pipelines import StageMaker, numbers, pipelines, sync_makers

from mainstem import EventBus, EventType, FilterStage, MapStage, ValidateRecordsStage
from runs import check_accounts, errors_of, pipeline_of, watch

BACKENDS = ["asyncio", "trio"]


def outcome(result: Any) -> Any:
    """All that a run gives, but times; the order of errors of different stages is not promised."""
    return (
        result.data,
        result.success,
        repr(result.error),
        sorted(errors_of(result.context), key=lambda entry: (entry[0], entry[1] or 0)),
        [
            (name, part.success, part.records_processed, part.records_failed, part.records_filtered)
            for name, part in result.stage_results.items()
        ],
        (result.records_processed, result.records_failed, result.records_filtered),
        result.context.completed_stages,
    )


def turns_of(data: st.DataObject, length: int) -> list[int]:
    return data.draw(st.lists(st.integers(0, 6), min_size=length, max_size=length), label="turns each call takes")


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=30, deadline=None)
@given(data=st.data(), length=st.integers(0, 25), concurrency=st.integers(1, 12))
def test_order_is_kept_and_each_record_is_handed_over_once_at_any_concurrency_and_latency(
    backend: str, data: st.DataObject, length: int, concurrency: int
) -> None:
    turns = turns_of(data, length)
    seen: list[int] = []
    under_way = most = 0

    async def work(record: int) -> bool:
        nonlocal under_way, most
        seen.append(record)
        under_way += 1
        most = max(most, under_way)
        for _ in range(turns[record]):
            await anyio.sleep(0)
        under_way -= 1
        return record % 3 != 0

    expected = {
        MapStage: [record % 3 != 0 for record in range(length)],
        FilterStage: [record for record in range(length) if record % 3 != 0],
    }
    for make, output in expected.items():
        seen.clear()
        pipeline: Any = pipeline_of(make(work, concurrency=concurrency))
        result = check_accounts(anyio.run(pipeline.execute, range(length), backend=backend), length)
        assert result.data == output
        assert sorted(seen) == list(range(length))
        assert most <= concurrency


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("make", [MapStage, FilterStage, ValidateRecordsStage])
@settings(max_examples=20, deadline=None)
@given(data=st.data(), length=st.integers(0, 20), concurrency=st.integers(1, 6))
def test_continue_on_error_splits_the_input_exactly_into_results_and_errors(
    make: Any, backend: str, data: st.DataObject, length: int, concurrency: int
) -> None:
    turns = turns_of(data, length)
    bad = data.draw(st.sets(st.integers(0, max(0, length - 1))), label="records that fail")
    bad = {record for record in bad if record < length}

    async def work(record: int) -> Any:
        for _ in range(turns[record]):
            await anyio.sleep(0)
        if record in bad:
            raise ValueError(record)
        return record if make is MapStage else True

    pipeline: Any = pipeline_of(make(work, continue_on_error=True, concurrency=concurrency))
    result = check_accounts(anyio.run(pipeline.execute, range(length), backend=backend), length)
    assert result.success
    assert result.data == [record for record in range(length) if record not in bad]
    assert [entry.record for entry in result.context.errors] == sorted(bad)
    assert [entry.index for entry in result.context.errors] == sorted(bad)
    assert sorted([*result.data, *(entry.record for entry in result.context.errors)]) == list(range(length))


@settings(max_examples=60, deadline=None)
@given(makers=pipelines(), data=numbers())
def test_fused_and_watched_runs_agree(makers: list[StageMaker], data: list[int]) -> None:
    fused = pipeline_of(*(make() for make in makers)).run(data)
    watched = watch(pipeline_of(*(make() for make in makers))).run(data)
    assert outcome(check_accounts(fused, len(data))) == outcome(check_accounts(watched, len(data)))


@settings(max_examples=80, deadline=None)
@given(
    before=st.lists(sync_makers(), max_size=3),
    last=sync_makers(go_on=False),
    after=st.lists(sync_makers(), max_size=2),
    data=numbers(),
)
def test_fused_and_watched_runs_fail_at_the_same_record(
    before: list[StageMaker], last: StageMaker, after: list[StageMaker], data: list[int]
) -> None:
    def build() -> Any:
        return pipeline_of(*(make() for make in [*before, last, *after]))

    fused = check_accounts(build().run(data))
    watched = check_accounts(watch(build()).run(data))
    assert (fused.success, fused.data, repr(fused.error)) == (watched.success, watched.data, repr(watched.error))
    if fused.error is not None:
        failing = list(watched.stage_results)[-1]
        # Chunks that a fused run did not come to would have had records dropped or failed on the way.
        assert fused.records_in <= watched.records_in
        assert fused.context.current_stage == watched.context.current_stage == failing
        assert errors_at(fused, failing) == errors_at(watched, failing)
        assert counts_of(fused.stage_results[failing]) == counts_of(watched.stage_results[failing])


def errors_at(result: Any, stage: str) -> list[Any]:
    return [entry for entry in errors_of(result.context) if entry[0] == stage]


def counts_of(part: Any) -> tuple[int, int, int]:
    return part.records_processed, part.records_failed, part.records_filtered


@settings(max_examples=40, deadline=None)
@given(makers=pipelines(), data=numbers(), kind=st.sampled_from([iter, tuple, lambda each: (n for n in each)]))
def test_a_list_and_an_iterator_of_the_same_records_give_the_same(
    makers: list[StageMaker], data: list[int], kind: Any
) -> None:
    listed = pipeline_of(*(make() for make in makers)).run(data)
    iterated = pipeline_of(*(make() for make in makers)).run(kind(data))
    assert outcome(listed) == outcome(iterated)


@settings(max_examples=30, deadline=None)
@given(makers=pipelines(), data=numbers(600), name=st.text(max_size=8))
def test_a_pipeline_as_a_stage_gives_what_it_gives_alone(makers: list[StageMaker], data: list[int], name: str) -> None:
    alone = check_accounts(pipeline_of(*(make() for make in makers)).run(data), len(data))
    inner = pipeline_of(*(make() for make in makers), name=name)
    nested = check_accounts(pipeline_of(inner).run(data), len(data))
    assert nested.data == alone.data
    assert nested.records_failed == alone.records_failed
    assert sorted(errors_of(nested.context)) == sorted(
        (f"{name}/{stage}", index, text) for stage, index, text in errors_of(alone.context)
    )


HOOKS = ("before_stage", "after_stage", "on_error", "on_complete")


@settings(max_examples=50, deadline=None)
@given(
    makers=pipelines(3),
    data=numbers(600),
    broken=st.sets(st.sampled_from([*HOOKS, *EventType]), min_size=1),
    is_async=st.booleans(),
    fails=st.booleans(),
)
def test_a_hook_or_subscriber_that_raises_anywhere_changes_no_result(
    makers: list[StageMaker], data: list[int], broken: set[Any], is_async: bool, fails: bool
) -> None:
    def build(bus: EventBus) -> Any:
        stages = [make() for make in makers]
        if fails:
            stages.append(MapStage(lambda _: 1 / 0, name="the end"))
        return watch(pipeline_of(*stages, event_bus=bus))

    def refuse(*_: object) -> None:
        raise RuntimeError("observer")

    async def refuse_later(*_: object) -> None:
        raise RuntimeError("observer")

    expected = outcome(build(EventBus()).run(data))
    bus = EventBus()
    pipeline = build(bus)
    for where in broken:
        observer = refuse_later if is_async else refuse
        if isinstance(where, EventType):
            bus.subscribe(where, observer)
        else:
            getattr(pipeline, where)(observer)
    result = check_accounts(pipeline.run(data))
    result.context.errors[:] = [
        entry for entry in result.context.errors if not isinstance(entry.error.__cause__, RuntimeError)
    ]
    assert outcome(result) == expected
