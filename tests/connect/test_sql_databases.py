"""What ``SqlSource`` and ``TableSink`` keep to on every database: the list of the conformance suite."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.connect.reading import (
    errors_in,
    failure_of,
    load,
    load_with_errors,
    read,
    read_chunks,
    read_with_errors,
    records_of,
    refusal_of,
)
from tests.connect.sql_databases import DATABASES, Database

from mainstem import ConnectError, Guarantee, LoadReport, Pipeline, PipelineContext
from mainstem.connect import SqlSource, TableSink
from mainstem.endpoints import Claim
from mainstem.errors import LeaseLostError

pytestmark = [pytest.mark.extras, pytest.mark.timeout(60)]


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    made: Database = DATABASES[request.param](tmp_path)
    yield made
    made.remove()


def records(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [{"id": at, "text": f"line one\nof {at}, “quoted” 100% 😀"} for at in range(first, first + count)]


def stored(database: Database, table: str = "records") -> list[dict[str, Any]]:
    rows = database.execute(f"SELECT id, text FROM {table} ORDER BY id")
    return [{"id": id_, "text": text} for id_, text in rows]


def tables_of(database: Database) -> list[str]:
    """The names of its tables, as far as they were made by the test."""
    try:
        database.execute("SELECT count(*) FROM records")
    except Exception:
        return []
    return ["records"]


def filled(database: Database, count: int) -> Database:
    database.execute(f"CREATE TABLE records (id BIGINT NOT NULL PRIMARY KEY, text {database.text} NOT NULL)")
    if count:
        values = ", ".join(f"({record['id']}, '{record['text']}')" for record in records(count))
        database.execute(f"INSERT INTO records VALUES {values.replace('%', database.percent)}")
    return database


@dataclass(frozen=True)
class OddOnly:
    """A record whose text is refused where it is marked."""

    id: int
    text: str

    def __post_init__(self) -> None:
        if "poison" in self.text:
            raise ValueError("poison")


@pytest.mark.parametrize("count", [0, 1, 2, 7, 1001])
@pytest.mark.parametrize("key", [None, "id"])
def test_a_source_gives_every_record_in_order(database: Database, count: int, key: str | None) -> None:
    filled(database, count)
    query = "SELECT id, text FROM records" + ("" if key else " ORDER BY id")
    assert read(SqlSource(database.url, query, key=key)) == records(count)


def test_a_table_may_be_named_instead(database: Database) -> None:
    assert read(SqlSource(filled(database, 3).url, "records", key="id")) == records(3)


@pytest.mark.anyio
@pytest.mark.parametrize("chunk_size", [1, 3])
@pytest.mark.parametrize("key", [None, "id", ("text", "id")])
async def test_reading_from_each_position_gives_exactly_the_rest(database: Database, chunk_size: int, key: Any) -> None:
    filled(database, 11)
    text = "CAST(id % 3 AS CHAR(9))" if database.url[:1] == "m" else "CAST(id % 3 AS VARCHAR)"
    source = SqlSource(database.url, f"SELECT id, {text} AS text FROM records {'' if key else 'ORDER BY id'}", key=key)
    chunks = await read_chunks(source, chunk_size=chunk_size)
    everything = records_of(chunks)
    assert sorted(record["id"] for record in everything) == list(range(11))
    seen = 0
    for chunk in chunks:
        seen += len(chunk.records)
        position = json.loads(json.dumps(chunk.position))
        assert records_of(await read_chunks(source, start=position, chunk_size=4)) == everything[seen:]
    assert seen == 11


@pytest.mark.parametrize("parameters", [True, False])
def test_a_percent_sign_and_parameters_do_not_mix_up(database: Database, parameters: bool) -> None:
    filled(database, 5)
    mark = "?" if database.url[:6] in ("sqlite", "duckdb") else "%s"
    doubled = "%%" if parameters and mark == "%s" else "%"
    query = f"SELECT id, text FROM records WHERE text LIKE '{doubled}100{doubled}'"
    if parameters:
        source = SqlSource(database.url, f"{query} AND id > {mark}", parameters=[2], key="id")
    else:
        source = SqlSource(database.url, query, key="id")
    assert read(source) == records(5)[3 if parameters else 0 :]


@pytest.mark.parametrize("at", [0, 5, 10])
def test_a_record_that_cannot_be_read_is_recorded_and_the_rest_is_read(database: Database, at: int) -> None:
    filled(database, 11)
    database.execute(f"UPDATE records SET text = 'poison' WHERE id = {at}")
    source = SqlSource(database.url, "records", key="id", record_type=OddOnly, continue_on_error=True)
    found, errors = read_with_errors(source)
    assert [record.id for record in found] == [each for each in range(11) if each != at]
    assert [(index, "poison" in str(record)) for index, record, _ in errors] == [(at, True)]
    assert "poison" in str(failure_of(SqlSource(database.url, "records", key="id", record_type=OddOnly)))


def test_a_database_that_is_not_there_is_named(database: Database) -> None:
    for error in (
        failure_of(SqlSource(database.absent(), "SELECT 1 AS one")),
        failure_of(SqlSource(database.url, "SELECT nothing FROM nowhere")),
    ):
        assert isinstance(error, ConnectError)
        assert database.url.rpartition("/")[2] in str(error)


def test_a_wrong_password_is_said_and_not_shown(database: Database) -> None:
    url = database.wrong_password()
    if url is None:
        return
    errors = [failure_of(SqlSource(url, "SELECT 1 AS one")), refusal_of(TableSink(url, "records"), records(1)).error]
    for error in errors:
        assert isinstance(error, ConnectError)
        assert "password" in str(error)
        assert "wrong" not in str(error)


@pytest.mark.anyio
async def test_a_source_may_be_left_early(database: Database) -> None:
    filled(database, 5000)
    async with aclosing(SqlSource(database.url, "records", key="id").read(PipelineContext(), chunk_size=2)) as chunks:
        assert (await anext(chunks)).records == records(2)
    database.execute("DROP TABLE records")  # nothing is open any more


@pytest.mark.anyio
async def test_two_rows_that_the_database_takes_for_one_are_not_left_out(database: Database) -> None:
    text = "varchar(9)"
    database.execute(f"CREATE TABLE words (word {text})", "INSERT INTO words VALUES ('a'), ('a'), ('b')")
    with pytest.raises(ConnectError, match="key"):
        await read_chunks(SqlSource(database.url, "words", key="word"))


@pytest.mark.anyio
@pytest.mark.parametrize("start", [{}, {"row": -1}, {"row": True}, {"row": 3, "key": "[1"}])
async def test_what_is_no_position_is_refused(database: Database, start: Any) -> None:
    filled(database, 3)
    with pytest.raises(Exception, match=r"position|decode|read|JSON|kept"):
        await read_chunks(SqlSource(database.url, "SELECT id, text FROM records"), start=start)


@pytest.mark.anyio
async def test_a_position_behind_the_end_is_refused(database: Database) -> None:
    filled(database, 3)
    with pytest.raises(ConnectError, match="replaced"):
        await read_chunks(SqlSource(database.url, "SELECT id, text FROM records"), start={"row": 9})


@pytest.mark.parametrize("count", [1, 501, 5001])
def test_a_sink_stores_every_record(database: Database, count: int) -> None:
    report = load(TableSink(database.url, "records", key="id"), records(count))
    assert stored(database) == records(count)
    assert report.guarantee is Guarantee.AT_LEAST_ONCE
    assert "secret" not in report.target


def test_a_load_of_nothing_succeeds(database: Database) -> None:
    load(TableSink(database.url, "records"), [])
    assert tables_of(database) == []


def test_upsert_updates_and_the_last_of_a_key_counts(database: Database) -> None:
    load(TableSink(database.url, "records", key="id"), records(5))
    newer = [{"id": 3, "text": "x"}, {"id": 9, "text": "y"}, {"id": 3, "text": "z"}]
    load(TableSink(database.url, "records", key="id", mode="upsert"), newer)
    assert stored(database) == [*records(3), {"id": 3, "text": "z"}, *records(1, 4), {"id": 9, "text": "y"}]


def test_replace_empties_the_table(database: Database) -> None:
    load(TableSink(database.url, "records", key="id"), records(5))
    load(TableSink(database.url, "records", key="id", mode="replace"), records(2, 3))
    assert stored(database) == records(2, 3)
    refusal_of(TableSink(database.url, "records", key="id", mode="replace"), [*records(3, 50), 7])
    assert stored(database) == records(2, 3)


BAD: list[Any] = [{"id": 1, "text": {"a set"}}, {"id": "x", "text": "\ud800"}, 7, {1: "no text"}, {"id": 1}]


@pytest.mark.parametrize("at", [0, 700])
@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_a_record_that_is_not_taken_costs_the_others_nothing(database: Database, at: int, bad: Any) -> None:
    filled(database, 0)
    rows = [*records(at), bad, *records(2, at), bad]
    failed: Any = refusal_of(TableSink(database.url, "records", key="id"), rows)
    assert stored(database) == []
    assert [(entry.index, entry.record) for entry in failed.context.errors] == [(at, bad)]
    report, errors = load_with_errors(TableSink(database.url, "records", key="id", continue_on_error=True), rows)
    assert stored(database) == records(at + 2)
    assert [(index, record) for index, record, _ in errors] == [(at, bad), (at + 3, bad)]
    assert report.records_rejected == 2


def test_what_a_constraint_refuses_is_found(database: Database) -> None:
    database.execute(
        "CREATE TABLE other (id BIGINT NOT NULL PRIMARY KEY)",
        "INSERT INTO other VALUES (1), (2)",
        "CREATE TABLE records (id BIGINT NOT NULL PRIMARY KEY, text VARCHAR(9) NOT NULL UNIQUE CHECK (text <> 'bad'), "
        "other BIGINT, FOREIGN KEY (other) REFERENCES other (id))",
    )
    rows = [
        {"id": 0, "text": "a", "other": 1},
        {"id": 0, "text": "b", "other": 1},  # the key again
        {"id": 1, "text": "bad", "other": 1},
        {"id": 2, "text": "a", "other": None},  # the text again
        {"id": 3, "text": None, "other": None},
        {"id": 4, "text": "e", "other": 7},  # refers to nothing
        {"id": 1, "text": "f", "other": 2},
    ]
    _, errors = load_with_errors(TableSink(database.url, "records", key="id", continue_on_error=True), rows)
    assert database.execute("SELECT id, text, other FROM records ORDER BY id") == [(0, "a", 1), (1, "f", 2)]
    assert [index for index, _, _ in errors] == [1, 2, 3, 4, 5]
    again, errors = load_with_errors(TableSink(database.url, "records", key="id", continue_on_error=True), rows[-1:])
    assert again.records_loaded == 0


@pytest.mark.anyio
async def test_nothing_is_seen_before_commit(database: Database) -> None:
    filled(database, 0)
    transaction = await TableSink(database.url, "records", key="id").begin(PipelineContext())
    assert await transaction.write(records(700)) == 0
    assert stored(database) == []
    await transaction.commit()
    await transaction.abort()
    assert stored(database) == records(700)


@pytest.mark.anyio
async def test_abort_leaves_nothing(database: Database) -> None:
    transaction = await TableSink(database.url, "records", key="id").begin(PipelineContext())
    await transaction.write(records(700))
    await transaction.abort()
    await transaction.abort()
    if database.has_transactional_ddl:
        assert tables_of(database) == []
    else:
        assert stored(database) == []


@pytest.mark.anyio
async def test_runs_of_one_sink_may_overlap(database: Database) -> None:
    filled(database, 0)
    sink = TableSink[Any](database.url, "records", key="id")
    reports: list[LoadReport] = []

    async def store(first: int, count: int) -> None:
        result = await sink.process(records(count, first), PipelineContext())
        reports.append(result.unwrap())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store, 0, 700)
        tasks.start_soon(store, 700, 900)
    assert sorted(report.records_loaded for report in reports) == [700, 900]
    assert stored(database) == records(1600)


@pytest.mark.anyio
async def test_positions_of_rejects_count_from_the_whole_input(database: Database) -> None:
    context = PipelineContext()
    transaction = await TableSink[Any](database.url, "records", continue_on_error=True).begin(context)
    context.chunk_start = 100
    assert await transaction.write([*records(2), 7]) == 1
    await transaction.abort()
    assert [index for index, _, _ in errors_in(context)] == [102]


@pytest.mark.anyio
async def test_a_batch_is_committed_with_its_number_and_a_former_owner_is_shut_out(database: Database) -> None:
    filled(database, 0)
    sink = TableSink[Any](database.url, "records", key="id")
    assert await sink.claim(Claim("p/r", 1)) == 0
    first = await sink.begin_batch(PipelineContext(), Claim("p/r", 1), 1)
    await first.write(records(3))
    await first.commit()
    late = None
    if database.url[:6] not in ("sqlite", "duckdb"):  # where the late one would hold the file
        late = await sink.begin_batch(PipelineContext(), Claim("p/r", 1), 2)
        await late.write(records(3, 3))
    assert await sink.claim(Claim("p/r", 2)) == 1
    if late is not None:
        with pytest.raises((LeaseLostError, ConnectError)):
            await late.commit()
        await late.abort()
    with pytest.raises(LeaseLostError):
        await sink.claim(Claim("p/r", 1))
    with pytest.raises(LeaseLostError):
        await sink.begin_batch(PipelineContext(), Claim("p/r", 1), 2)
    second = await sink.begin_batch(PipelineContext(), Claim("p/r", 2), 2)
    await second.write(records(3, 3))
    await second.abort()
    assert await sink.claim(Claim("p/r", 2)) == 1
    assert stored(database) == records(3)


def test_a_durable_run_loads_each_record_once(database: Database, tmp_path: Path) -> None:
    filled(database, 0)
    rows = records(900)

    def pipeline(count: int) -> Any:
        def check(record: dict[str, Any]) -> dict[str, Any]:
            if record["id"] >= count:
                raise RuntimeError("the power fails")
            return record

        sink = TableSink[Any](database.url, "records", key="id")
        return Pipeline[list[dict[str, Any]], LoadReport]("durable").map(check).add_stage(sink)

    store = f"sqlite:///{tmp_path / 'store.db'}"
    failed = pipeline(700).run(rows, store=store, run_id="r", commit_every=100)
    assert not failed.success
    assert len(stored(database)) == 700 - 700 % 100 or len(stored(database)) in range(500, 701, 100)
    done = pipeline(900).run(rows, store=store, run_id="r", commit_every=100, guarantee="exactly-once")
    assert done.success, done.error
    assert stored(database) == rows


def test_every_value_comes_back_as_it_was(database: Database) -> None:
    values = [
        {"id": 1, "text": "a" * 70_000, "big": 2**63 - 1, "ratio": 0.1, "content": bytes(range(256))},
        {"id": 2, "text": "", "big": -(2**63), "ratio": -1e-300, "content": b""},
        {"id": 3, "text": "trailing  ", "big": 0, "ratio": 1.7976931348623157e308, "content": b"'\\%"},
    ]
    load(TableSink(database.url, "values_of", key="id"), values)
    assert read(SqlSource(database.url, "values_of", key="id")) == values
