"""``PostgresSource(as_frames=True)`` gives the values that the server has, in order, and from any position on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any

import polars as pl
import psycopg
import pytest

from mainstem import ConnectError, ConnectionLostError, Pipeline, PipelineContext
from mainstem.connect import PostgresSource
from mainstem.connect import postgres_frame_reader as reader
from mainstem.frames import FrameStage

pytestmark = pytest.mark.extras


@dataclass
class Person:
    id: int


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[arg-type]


def read(url: str, query: str, **options: Any) -> pl.DataFrame:
    source = PostgresSource(url, query, as_frames=True, **options)
    return Pipeline[None, pl.DataFrame]("read").add_stage(source).run().unwrap()


@pytest.fixture
def people(postgres_url: str) -> str:
    execute(
        postgres_url,
        "CREATE TABLE people (id bigint PRIMARY KEY, name text, born timestamptz, worth numeric(10, 2))",
        "INSERT INTO people SELECT n, 'person ' || n, '2000-01-01Z'::timestamptz + n * interval '1 day', n / 4.0 "
        "FROM generate_series(1, 2500) AS n",
    )
    return postgres_url


def test_columns_hold_what_the_server_has(postgres_url: str) -> None:
    execute(
        postgres_url,
        "CREATE TYPE mood AS ENUM ('glad', 'sad')",
        "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
        "CREATE TABLE kinds (i2 smallint, i4 int, i8 bigint, f4 real, f8 float8, b bool, t text, v varchar(9), "
        "by bytea, d date, tm time, ts timestamp, tz timestamptz, n numeric(6, 2), any_n numeric, u uuid, j jsonb, "
        "m mood, p positive)",
        "INSERT INTO kinds VALUES (1, 2, 3, 1.5, 2.5, true, 'é', 'v', '\\x00ff', '2024-01-02', '03:04:05.000006', "
        "'2024-01-02 03:04:05', '2024-01-02 03:04:05+02', 12.5, 0.1234567890123456789, "
        "'12345678-1234-1234-1234-123456789012', '{\"a\": 1}', 'sad', 7)",
        "INSERT INTO kinds (i2) VALUES (NULL)",
    )
    frame = read(postgres_url, "SELECT * FROM kinds ORDER BY i2;")
    assert frame.rows()[0] == (
        1, 2, 3, 1.5, 2.5, True, "é", "v", b"\x00\xff", date(2024, 1, 2), time(3, 4, 5, 6),
        datetime(2024, 1, 2, 3, 4, 5), datetime(2024, 1, 2, 1, 4, 5, tzinfo=timezone.utc), Decimal("12.50"),
        "0.1234567890123456789", "12345678-1234-1234-1234-123456789012", '{"a": 1}', "sad", 7,
    )  # fmt: skip
    assert set(frame.rows()[1]) == {None}
    assert frame.schema["n"] == pl.Decimal(6, 2)
    assert frame.schema["tz"] == pl.Datetime("us", "UTC")


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("'infinity'::timestamptz", "infinite, or not of the years"),
        ("'-infinity'::timestamptz", "infinite, or not of the years"),
        ("'infinity'::date", "infinite, or not of the years"),
        ("'10000-01-01'::date", "infinite, or not of the years"),
        ("'0001-01-01 BC'::timestamp", "infinite, or not of the years"),
        ("'NaN'::numeric(6, 2)", "NaN or infinite"),
    ],
)
def test_a_value_that_frames_do_not_hold_is_an_error(postgres_url: str, value: str, what: str) -> None:
    with pytest.raises(ConnectError, match=rf"column 'odd' has a value that is {what}.*: leave such rows out"):
        read(postgres_url, f"SELECT 1 AS id, {value} AS odd")


@pytest.mark.parametrize(
    "value", ["'9999-12-31'::date", "'0001-01-01'::date", "'9999-12-31 23:59:59.999999Z'::timestamptz"]
)
def test_the_first_and_last_days_are_held(postgres_url: str, value: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        (expected,) = connection.execute(f"SELECT {value}").fetchall()  # type: ignore[arg-type]
    assert read(postgres_url, f"SELECT {value} AS day").rows() == [expected]


def test_a_type_that_frames_do_not_hold_is_refused_with_what_to_write(postgres_url: str) -> None:
    with pytest.raises(ConnectError, match=r"column 'at' is inet, .* CAST\(\"at\" AS text\) AS \"at\" in the query"):
        read(postgres_url, "SELECT '10.0.0.1'::inet AS at")
    assert read(postgres_url, "SELECT CAST('10.0.0.1'::inet AS text) AS at")["at"].to_list() == ["10.0.0.1/32"]


@pytest.mark.parametrize("key", [None, "id", ("born", "id"), ("worth",)])
@pytest.mark.parametrize("parameters", [[10], {"least": 10}, None])
@pytest.mark.anyio
async def test_reading_goes_on_at_every_position(
    people: str, key: Any, parameters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_BATCH_BYTES", 20_000)
    mark = {list: "%s", dict: "%(least)s"}.get(type(parameters), "10")
    percent = "%" if parameters is None else "%%"
    query = f"SELECT * FROM people WHERE id >= {mark} AND name LIKE 'p{percent}' ORDER BY born, id -- in order"
    given = {} if parameters is None else {"parameters": parameters}
    source = PostgresSource(people, query, key=key, as_frames=True, **given)
    whole = [chunk async for chunk in source.read(PipelineContext())]
    ids = [at for chunk in whole for at in chunk.records["id"]]
    assert ids == list(range(10, 2501))
    assert len(whole) > 3
    read = 0
    for chunk in whole:
        read += chunk.records.height
        rest = [again async for again in source.read(PipelineContext(), start=chunk.position)]
        assert [at for again in rest for at in again.records["id"]] == ids[read:]


@pytest.mark.anyio
async def test_a_position_behind_the_end_is_an_error(people: str) -> None:
    source = PostgresSource(people, "SELECT * FROM people", as_frames=True)
    with pytest.raises(ConnectError, match="cannot go on at row 2501: the query now gives fewer rows"):
        async for _ in source.read(PipelineContext(), start={"row": 2501}):
            pass


def test_a_key_that_two_rows_share_is_an_error(people: str) -> None:
    with pytest.raises(ConnectError, match="two rows before row 2500 share a key"):
        read(people, "SELECT id / 2 AS half FROM people", key="half")


def test_no_rows(people: str) -> None:
    source = PostgresSource(people, "SELECT * FROM people WHERE false", as_frames=True)
    assert Pipeline[None, pl.DataFrame]("read").add_stage(source).run().records_processed == 0


def test_nothing_can_be_changed(people: str) -> None:
    with pytest.raises(ConnectError, match="must be at the top level"):
        read(people, "WITH gone AS (DELETE FROM people RETURNING id) SELECT * FROM gone")
    execute(people, "CREATE SEQUENCE counted")
    with pytest.raises(ConnectError, match=r"nextval.* in a read-only transaction"):
        read(people, "SELECT nextval('counted') AS number")


def test_what_is_wrong_is_said(people: str) -> None:
    with pytest.raises(ConnectError, match='column "nme" does not exist'):
        read(people, "SELECT nme FROM people")
    with pytest.raises(ConnectError, match="division by zero"):
        read(people, "SELECT 1 / (id - 2400) AS x FROM people")
    with pytest.raises(ConnectError, match="names column 'id' more than once"):
        read(people, "SELECT id, id FROM people")
    with pytest.raises(ConnectionLostError, match="refused"):
        read("postgresql://127.0.0.1:1/shop", "SELECT 1 AS one")
    with pytest.raises(TypeError, match="leave record_type out"):
        PostgresSource(people, "SELECT 1", as_frames=True, record_type=Person)  # type: ignore[call-overload]  # pyright: ignore


def test_a_server_that_goes_away_is_noticed(people: str, postgres_server: Any) -> None:
    """The rows that are on their way take longer than it takes to end the session."""
    query = "SELECT id, repeat(name, 100) AS text FROM people, generate_series(1, 400) AS more"

    def end_the_sessions(frame: pl.DataFrame) -> pl.DataFrame:
        postgres_server.kill_backends()
        return frame

    pipeline = Pipeline[None, pl.DataFrame]("read").add_stage(PostgresSource(people, query, as_frames=True))
    result = pipeline.add_stage(FrameStage(end_the_sessions)).run()
    assert not result.success
    assert isinstance(result.error, ConnectionLostError)


@pytest.mark.anyio
async def test_rows_come_as_they_are_wanted(people: str) -> None:
    """Two hundred megabytes are read, some at a time."""
    query = "SELECT id, repeat(name, 100) AS text FROM people, generate_series(1, 80) AS more"
    source = PostgresSource(people, query, as_frames=True)
    sizes = [chunk.records.estimated_size() async for chunk in source.read(PipelineContext())]
    assert sum(sizes) > 180e6
    assert max(sizes) < 20e6
