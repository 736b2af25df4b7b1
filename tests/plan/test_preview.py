"""A preview: which records it reads, what it leaves alone, and what it says of sinks of every kind."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.brokers.channels import KINDS, Channel
from tests.connect.sql_databases import DATABASES

from mainstem import (
    BranchStage,
    EventBus,
    EventType,
    FilterStage,
    JoinStage,
    LoadReport,
    MapStage,
    Pipeline,
    PipelineStage,
    SourceChunk,
    SourceStage,
    StageResult,
    open_store,
)
from mainstem.connect import CsvSource, JsonLinesSink, SqlSource, TableSink
from mainstem.plan import Preview, preview

pytestmark = [pytest.mark.extras, pytest.mark.timeout(90)]


def previewed(pipeline: Any, data: Any = None, **options: Any) -> Preview:
    async def run() -> Preview:
        return await preview(pipeline, data, **options)

    return anyio.run(run)


@dataclass
class Person:
    id: int
    name: str


class Numbers(SourceStage[dict[str, Any]]):
    """Counts from 1 up to ``end``, and what was read of it."""

    def __init__(self, end: int) -> None:
        self.end, self.given, self.closed = end, 0, False

    async def read(self, context: Any, *, start: Any = None, chunk_size: int = 1000) -> Any:
        try:
            for first in range(1, self.end + 1, chunk_size):
                numbers = range(first, min(first + chunk_size, self.end + 1))
                self.given += len(numbers)
                yield SourceChunk([{"id": number, "name": f"n{number}"} for number in numbers], {"at": numbers[-1]})
        finally:
            self.closed = True


def shop(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "shop.db")) as connection:
        connection.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)")
        connection.executemany("INSERT INTO people VALUES (?, ?)", [(1, "n1"), (7, "other"), (500, "n500")])
        connection.commit()
    return f"sqlite:///{folder}/shop.db"


def into_people(folder: Path, **options: Any) -> TableSink[Any]:
    return TableSink(shop(folder), "people", key="id", mode="upsert", **options)


def refuse_thirteen(record: dict[str, Any]) -> dict[str, Any]:
    if record["id"] == 13:
        raise ValueError("thirteen")
    return record


def test_a_hundred_records_are_compared_and_no_more_are_read(tmp_path: Path) -> None:
    source = Numbers(100_000)
    pipeline = Pipeline("people").add_stage(source).add_stage(MapStage(refuse_thirteen, continue_on_error=True))
    sink = into_people(tmp_path)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    found = previewed(pipeline.add_stage(sink))
    assert str(found) == "97 insert, 1 update, 1 unchanged, 1 reject"
    assert (found.records_read, source.given, source.closed) == (100, 100, True)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before
    changes = found.sinks[0].changes
    assert changes is not None
    (update,) = [each for each in changes.samples if each.kind == "update"]
    assert (update.before, update.after) == ({"id": 7, "name": "other"}, {"id": 7, "name": "n7"})
    assert [(each.index, str(each.error)) for each in found.rejects] == [(12, "thirteen")]


def test_a_run_that_would_fail_says_so(tmp_path: Path) -> None:
    pipeline: Any = Pipeline("people").add_stage(Numbers(20)).add_stage(MapStage(refuse_thirteen))
    found = previewed(pipeline.add_stage(into_people(tmp_path)))
    assert (found.result.success, str(found.result.error)) == (False, "thirteen")


def test_sinks_within_branches_and_pipelines_are_replaced_too(tmp_path: Path) -> None:
    def keep(record: dict[str, Any]) -> bool:
        return record["id"] % 2 == 0

    inner = Pipeline[list[dict[str, Any]], LoadReport]("inner")
    inner.add_stage(JsonLinesSink(tmp_path / "inner.jsonl"))
    branches = BranchStage[Any, Any](
        table=into_people(tmp_path), even=FilterStage(keep) >> JsonLinesSink(tmp_path / "even.jsonl"), inner=inner
    )
    pipeline: Any = Pipeline("people").add_stage(Numbers(1000)).add_stage(branches)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    found = previewed(pipeline, count=10)
    assert {sink.path: str(sink) for sink in found.sinks} == {
        "BranchStage/table": "8 insert, 1 update, 1 unchanged",
        "BranchStage/even/JsonLinesSink": "5 written",
        "BranchStage/inner/JsonLinesSink": "10 written",
    }
    assert [record["id"] for record in found.sinks[1].first] == [2, 4, 6, 8, 10]
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before
    assert pipeline.stages[1] is branches
    assert pipeline.run().success, "the pipeline itself still loads"
    assert (tmp_path / "even.jsonl").exists()


def test_neither_hooks_nor_handlers_hear_of_it(tmp_path: Path) -> None:
    heard: list[object] = []
    bus = EventBus()
    for kind in EventType:
        bus.subscribe(kind, heard.append)
    pipeline: Any = Pipeline("people", event_bus=bus).add_stage(Numbers(5)).add_stage(into_people(tmp_path))
    pipeline.on_complete(lambda data, context: heard.append(data))
    assert previewed(pipeline).result.success
    assert heard == []
    pipeline.run()
    assert len(heard) == 3


def test_input_that_is_given_is_cut_too(tmp_path: Path) -> None:
    pipeline: Any = Pipeline("people").add_stage(into_people(tmp_path))
    found = previewed(pipeline, ({"id": number, "name": "x"} for number in range(1000)), count=3)
    assert (found.records_read, str(found)) == (3, "2 insert, 1 update")


def test_a_first_stage_that_is_no_source_runs_whole_and_that_is_said(tmp_path: Path) -> None:
    class Two(PipelineStage[None, list[dict[str, Any]]]):
        async def process(self, data: None, context: Any) -> StageResult[list[dict[str, Any]]]:
            return StageResult(data=[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])

    pipeline: Any = Pipeline("people").add_stage(Two()).add_stage(into_people(tmp_path))
    found = previewed(pipeline, count=1)
    assert str(found) == "1 insert, 1 update"
    assert found.notes == ("the first stage is no SourceStage, so it was run as a whole",)


def test_frames_are_compared_and_counted(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("id,name\n" + "".join(f"{number},n{number}\n" for number in range(1, 300)))
    source: Any = CsvSource(tmp_path / "people.csv", record_type=Person, as_frames=True)
    pipeline: Any = Pipeline("people").add_stage(source).add_stage(into_people(tmp_path))
    found = previewed(pipeline, count=50)
    assert (found.records_read, str(found)) == (50, "48 insert, 1 update, 1 unchanged")
    assert found.sinks[0].first[0] == {"id": 1, "name": "n1"}


def test_a_reference_is_read_as_a_whole(tmp_path: Path) -> None:
    def key(record: dict[str, Any]) -> int:
        return int(record["id"])

    reference = Numbers(5000)
    join = JoinStage(reference, key=key, how="semi")
    pipeline: Any = Pipeline("people").add_stage(Numbers(100)).add_stage(join).add_stage(into_people(tmp_path))
    assert str(previewed(pipeline, count=5)) == "4 insert, 1 unchanged"
    assert reference.given == 5000


def test_a_source_of_what_is_new_begins_where_a_run_would(tmp_path: Path) -> None:
    url = shop(tmp_path)
    source = SqlSource(url, "people", cursor="id", key="id", initial=5)
    pipeline: Any = Pipeline("people").add_stage(source).add_stage(JsonLinesSink(tmp_path / "people.jsonl"))
    assert [record["id"] for record in previewed(pipeline).sinks[0].first] == [7, 500]
    pipeline.run(store=tmp_path / "runs.db", run_id="one").unwrap()
    store = open_store(tmp_path / "runs.db")
    checkpoint = store.last_checkpoint(store.runs()[0].run)
    store.close()
    assert checkpoint is not None
    assert previewed(pipeline, previous=checkpoint.position).sinks[0].first == ()


def test_rows_of_mariadb_are_counted_and_not_compared(tmp_path: Path) -> None:
    database = DATABASES["mariadb"](tmp_path)
    try:
        database.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)")
        pipeline: Any = Pipeline("people").add_stage(Numbers(5)).add_stage(TableSink(database.url, "people"))
        found = previewed(pipeline)
        assert (str(found), found.sinks[0].changes) == ("5 written", None)
        assert database.execute("SELECT count(*) FROM people") == [(0,)]
    finally:
        database.remove()


def test_other_databases_are_counted(tmp_path: Path) -> None:
    pipeline: Any = Pipeline("people").add_stage(Numbers(5))
    pipeline.add_stage(TableSink(f"duckdb:///{tmp_path}/shop.duckdb", "people"))
    found = previewed(pipeline)
    assert (str(found), found.sinks[0].changes) == ("5 written", None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_no_message_is_acknowledged(kind: str, tmp_path: Path) -> None:
    channel = Channel(kind)
    channel.publish([{"id": number, "name": f"n{number}"} for number in range(1, 9)])
    pipeline: Any = Pipeline("people").add_stage(channel.source()).add_stage(into_people(tmp_path))
    found = previewed(pipeline, count=5)
    assert (found.records_read, str(found)) == (5, "4 insert, 1 unchanged")
    again = previewed(pipeline, count=100, patience=1.0)
    assert again.records_read == 8
    assert again.notes == ("BrokerSource: no more records came within 1 s",)
    assert sorted(record["id"] for record in channel.left()) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_source_that_is_full_ends_it(tmp_path: Path) -> None:
    channel = Channel("redis")
    channel.publish([{"id": number, "name": "x"} for number in range(1, 9)])
    pipeline: Any = Pipeline("people").add_stage(channel.source(prefetch=3)).add_stage(into_people(tmp_path))
    found = previewed(pipeline, count=5)
    assert found.records_read == 3
    assert "before what it gave is committed" in found.notes[0]
    assert len(channel.left()) == 8
