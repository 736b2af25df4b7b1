"""``create_etl_pipeline``: extract, transform, load from three functions."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from mainstem import (
    Event,
    EventBus,
    EventType,
    MapStage,
    Pipeline,
    PipelineContext,
    StageTypeError,
    create_etl_pipeline,
)
from runs import Abort, check_accounts, errors_of, raising_iterator

pytestmark = pytest.mark.anyio


def extract() -> list[str]:
    return ["1", "x", "3"]


async def extract_later() -> list[str]:
    await anyio.lowlevel.checkpoint()
    return extract()


async def to_int_later(text: str) -> int:
    await anyio.lowlevel.checkpoint()
    return int(text)


class Stored:
    def __init__(self) -> None:
        self.loads: list[list[Any]] = []

    def load(self, records: list[Any]) -> int:
        self.loads.append(records)
        return len(records)

    async def load_later(self, records: list[Any]) -> int:
        await anyio.lowlevel.checkpoint()
        return self.load(records)


@pytest.mark.parametrize("fetch", [extract, extract_later])
@pytest.mark.parametrize("transform", [int, to_int_later])
@pytest.mark.parametrize("load_name", ["load", "load_later"])
async def test_each_of_the_three_may_be_sync_or_async(fetch: Any, transform: Any, load_name: str) -> None:
    stored = Stored()
    pipeline: Any = create_etl_pipeline(fetch, transform, getattr(stored, load_name), continue_on_error=True)
    result = check_accounts(await pipeline.execute(), 3)
    assert result.data == 2
    assert stored.loads == [[1, 3]]
    assert [(entry.stage, entry.index, entry.record) for entry in result.context.errors] == [("transform", 1, "x")]
    assert result.context.completed_stages == ["extract", "transform", "load"]


def test_it_is_a_pipeline_of_three_stages_called_etl_unless_named() -> None:
    pipeline = create_etl_pipeline(extract, int, len)
    assert isinstance(pipeline, Pipeline)
    assert [stage.name for stage in pipeline.stages] == ["extract", "transform", "load"]
    assert pipeline.name == "etl"
    assert create_etl_pipeline(extract, int, len, name="nightly").name == "nightly"


def test_by_default_a_record_that_fails_fails_the_run_and_nothing_is_loaded() -> None:
    stored = Stored()
    result = check_accounts(create_etl_pipeline(extract, int, stored.load).run())
    assert isinstance(result.error, ValueError)
    assert [(entry.stage, entry.index) for entry in result.context.errors] == [("transform", 1)]
    assert stored.loads == []


def test_extract_may_take_the_value_given_to_execute() -> None:
    def read(path: str) -> list[str]:
        return [f"{path}:{line}" for line in (1, 2)]

    pipeline: Any = create_etl_pipeline(read, str.upper, list)
    assert check_accounts(pipeline.run("file"), 2).data == ["FILE:1", "FILE:2"]


@pytest.mark.parametrize(
    "fetch",
    [
        lambda: iter(["1"]),
        lambda path="1": [path],
        lambda *paths: ["1"],
        lambda **options: ["1"],
        partial(lambda path: [path], "1"),
        partial(lambda path: [path], path="1"),
    ],
    ids=["iterator", "default", "variadic", "keywords", "partial", "partial keyword"],
)
def test_extract_without_a_required_argument_is_called_without_one(fetch: Any) -> None:
    assert check_accounts(create_etl_pipeline(fetch, int, list).run(), 1).data == [1]


def test_a_builtin_without_a_signature_is_called_without_an_argument() -> None:
    assert check_accounts(create_etl_pipeline(dict, str, list).run(), 0).data == []


async def test_load_gets_the_full_list_at_once_even_of_nothing() -> None:
    stored = Stored()
    await create_etl_pipeline(lambda: range(2000), str, stored.load).execute()
    await create_etl_pipeline(list, str, stored.load).execute()
    assert [len(records) for records in stored.loads] == [2000, 0]
    assert type(stored.loads[0]) is list


async def test_a_failure_of_extract_or_load_is_that_stages() -> None:
    def broken(*arguments: Any) -> Any:
        raise OSError("no connection")

    assert errors_of((await create_etl_pipeline(lambda: broken(), int, len).execute()).context) == [
        ("extract", None, "no connection")
    ]
    result = check_accounts(await create_etl_pipeline(lambda: ["1"], int, broken).execute())
    assert errors_of(result.context) == [("load", None, "no connection")]


def test_an_extract_that_raises_halfway_or_gives_no_collection_fails() -> None:
    result = check_accounts(create_etl_pipeline(lambda: raising_iterator("ab", OSError("gone")), str, len).run())
    assert errors_of(result.context) == [("extract", None, "gone")]
    nothing: Any = lambda: None  # noqa: E731
    assert isinstance(create_etl_pipeline(nothing, str, len).run().error, TypeError)


async def test_what_is_no_exception_passes_through() -> None:
    def leave() -> list[str]:
        raise Abort

    with pytest.raises(Abort):
        await create_etl_pipeline(leave, int, len).execute()


async def test_concurrency_bounds_the_transformations_under_way() -> None:
    under_way = most = 0

    async def transform(number: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await anyio.lowlevel.checkpoint()
        under_way -= 1
        return number

    result = await create_etl_pipeline(lambda: range(20), transform, list, concurrency=4).execute()
    assert result.data == list(range(20))
    assert most == 4


async def test_its_events_go_to_the_bus_given() -> None:
    bus = EventBus()
    seen: list[Event] = []
    bus.subscribe(EventType.ITEM_UPDATED, seen.append)
    await create_etl_pipeline(extract, str, len, event_bus=bus).execute()
    assert [(event.data["name"], event.data["status"]) for event in seen] == [("etl", "completed")]


def test_further_stages_and_hooks_can_be_added() -> None:
    seen: list[str] = []
    pipeline: Any = create_etl_pipeline(lambda: ["1"], int, list).add_stage(MapStage(str))
    pipeline.before_stage(lambda name, *_: seen.append(name))
    assert pipeline.run(context=PipelineContext()).data == ["1"]
    assert seen == ["extract", "transform", "load", "MapStage"]


@pytest.mark.parametrize(("at", "role"), [(0, "extract"), (1, "fn of MapStage"), (2, "load")])
def test_what_cannot_be_called_is_refused(at: int, role: str) -> None:
    functions: list[Any] = [extract, int, len]
    functions[at] = None
    with pytest.raises(TypeError, match=f"{role} must be a function"):
        create_etl_pipeline(*functions)


@pytest.mark.extras
def test_functions_that_do_not_fit_one_another_are_refused() -> None:
    def double(number: int) -> int:
        return 2 * number

    def load_text(records: list[str]) -> None: ...

    wrong: Any = double
    with pytest.raises(StageTypeError, match="'extract' gives"):
        create_etl_pipeline(extract, wrong, len)
    numbers: Any = lambda: [1]  # noqa: E731
    with pytest.raises(StageTypeError, match="'transform' gives"):
        create_etl_pipeline(numbers, double, load_text)  # type: ignore[arg-type]
