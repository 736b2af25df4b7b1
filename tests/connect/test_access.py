"""``check_access``: whether a place can be reached with the credentials given, without moving a record."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import anyio
import pytest
from tests.brokers.channels import KINDS, WRONG, Channel
from tests.connect.file_servers import Bucket, web_server
from tests.connect.file_servers import bucket as bucket
from tests.connect.http_service import Reply, serving
from tests.connect.sql_databases import DATABASES, Database

from mainstem import ConnectError, SinkStage, SourceStage
from mainstem.brokers import BrokerSink, BrokerSource
from mainstem.connect import (
    ArrowSink,
    CsvSink,
    CsvSource,
    HttpSource,
    JsonLinesSink,
    JsonLinesSource,
    ParquetSink,
    SingerSource,
    SqlSource,
    TableSink,
)

pytestmark = [pytest.mark.extras, pytest.mark.timeout(90)]


def found(place: SourceStage[Any, Any] | SinkStage[Any]) -> str | None:
    return anyio.run(place.check_access)


@contextmanager
def fail_after(seconds: float) -> Iterator[None]:
    """Fail if what is within has taken longer."""
    began = monotonic()
    yield
    assert monotonic() - began < seconds


def refusal(place: SourceStage[Any, Any] | SinkStage[Any]) -> str:
    with pytest.raises(ConnectError) as caught:
        anyio.run(place.check_access)
    return str(caught.value)


def test_files_are_found_and_not_read(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("id\n1\n")
    assert found(CsvSource(tmp_path / "a.csv")) == f"{tmp_path}/a.csv: 5 bytes"
    assert found(CsvSource(f"{tmp_path}/*.csv")) == f"{tmp_path}/*.csv: 2 files of 10 bytes"
    assert "there is no such file" in refusal(JsonLinesSource(tmp_path / "none.jsonl"))
    for number in range(150):
        (tmp_path / f"{number}.txt").write_text("id\n")
    assert found(CsvSource(f"{tmp_path}/*.txt")) == (f"{tmp_path}/*.txt: 150 files, the first 100 of them of 300 bytes")
    assert "no file that fits" in refusal(CsvSource(f"{tmp_path}/*.tsv"))
    assert "it is a folder" in refusal(CsvSource(tmp_path))


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # to open it would wait for ever for somebody who writes
    assert found(CsvSource(tmp_path / "pipe")) == f"{tmp_path}/pipe: 0 bytes"


@pytest.mark.parametrize("make", [ArrowSink, CsvSink, JsonLinesSink, ParquetSink])
def test_files_that_are_to_be_written_are_not_written(make: Any, tmp_path: Path) -> None:
    path = tmp_path / "out"
    assert found(make(path)) == "the file is new"
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"12345")
    assert found(make(path)) == "the file of 5 bytes is replaced"
    assert "there is no folder" in refusal(make(tmp_path / "no" / "out"))
    assert "it is a folder" in refusal(make(tmp_path))
    assert (path.read_bytes(), make(path).durable_refusal) == (b"12345", "")


def test_a_folder_that_may_not_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    assert "permission denied; check the rights of the folder" in refusal(JsonLinesSink(tmp_path / "out"))


def test_object_stores_are_asked(bucket: Bucket) -> None:
    url = bucket.put("people.csv", b"id\n1\n")
    options = bucket.options
    assert str(found(CsvSource(url, storage_options=options))).endswith("people.csv: 5 bytes")
    assert "there is no such file" in refusal(CsvSource(f"{url}.none", storage_options=options))
    sink = JsonLinesSink(f"{url}.out", storage_options=options)
    assert "the file is new; whether it may be written shows by writing" in str(found(sink))
    assert "the file is there, and is replaced" in str(found(JsonLinesSink(url, storage_options=options)))
    assert sink.durable_refusal == "", "S3 takes conditional writes"
    assert "knows no conditional writes" in JsonLinesSink("memory://people.jsonl").durable_refusal
    nowhere = {**options, "endpoint": "http://127.0.0.1:1", "retry_config": {"max_retries": 0}}
    assert "the server cannot be reached" in refusal(CsvSource(url, storage_options=nowhere))


def test_web_servers_are_asked() -> None:
    with web_server() as server:
        url = server.put("/people.csv", b"id\n1\n")
        assert str(found(CsvSource(url))).endswith("people.csv: 5 bytes")
        assert "cannot read" in refusal(CsvSource(f"{url}.none"))


def test_services_are_asked_for_the_head_alone() -> None:
    def answer(request: Any) -> Reply:
        if request.headers.get("authorization") != "Bearer right":
            return Reply({"error": "who are you?"}, 401)
        return Reply([{"id": 1}])

    with serving(answer) as service:
        right = HttpSource(service.url, headers={"Authorization": "Bearer right"})
        assert found(right) == f"{service.url} takes the request"
        wrong = refusal(HttpSource(service.url, headers={"Authorization": "Bearer wrong-secret"}))
        assert "401" in wrong
        assert "check the credentials" in wrong
        assert "wrong-secret" not in wrong
        assert {request.method for request in service.requests} == {"HEAD"}
    assert "cannot connect" in refusal(right)


@pytest.mark.parametrize("status", [405, 501])
def test_a_service_that_takes_no_head_is_there(status: int) -> None:
    with serving(lambda _: Reply(status=status)) as service:
        text = found(HttpSource(service.url))
    assert "it takes no HEAD request, so whether it takes the credentials shows by reading" in str(text)


def test_a_redirect_is_an_answer() -> None:
    with serving(lambda _: Reply(status=302, headers={"Location": "/elsewhere"})) as service:
        assert "takes the request" in str(found(HttpSource(service.url)))
        assert len(service.requests) == 1


def test_a_tap_is_looked_for() -> None:
    assert str(found(SingerSource([sys.executable, "-c", "x"], streams="people"))).startswith("the tap is /")
    assert "there is no program 'tap-nowhere'" in refusal(SingerSource(["tap-nowhere"], streams="people"))


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    made: Database = DATABASES[request.param](tmp_path)
    yield made
    made.remove()


def test_queries_are_checked_and_give_no_rows(database: Database) -> None:
    database.execute("CREATE TABLE people (id INTEGER)", "INSERT INTO people VALUES (1)")
    for query in ("people", "SELECT id FROM people WHERE id > 0 -- those;", "SELECT id FROM people;"):
        assert "the query can be run" in str(found(SqlSource(database.url, query)))
    for wrong in ("SELECT nothing FROM people", "SELECT * FROM nowhere"):
        refusal(SqlSource(database.url, wrong))
    refusal(SqlSource(database.absent(), "SELECT 1 AS one"))
    denied = database.wrong_password()
    if denied is not None:
        assert "wrong" not in refusal(SqlSource(denied, "SELECT 1 AS one")).replace("wrong_", "")


def test_an_expensive_query_is_not_run(tmp_path: Path) -> None:
    database = DATABASES["postgres"](tmp_path)
    try:
        with fail_after(15):
            assert "can be run" in str(found(SqlSource(database.url, "SELECT pg_sleep(30)::text AS slept")))
    finally:
        database.remove()


@pytest.mark.parametrize("name", DATABASES)
def test_tables_are_looked_at(name: str, tmp_path: Path) -> None:
    database = DATABASES[name](tmp_path)
    try:
        assert found(TableSink(database.url, "people")) == "there is no such table yet"
        denied = database.wrong_password()
        if denied is not None:
            assert "wrong" not in refusal(TableSink(denied, "people")).replace("wrong_", "")
        database.execute("CREATE TABLE people (id INTEGER, name TEXT)")
        assert found(TableSink(database.url, "people")) == "the table has 2 columns"
        assert "no column 'key'" in refusal(TableSink(database.url, "people", key="key"))
    finally:
        database.remove()
    if denied is not None:  # of a server, which has no such database any more
        refusal(TableSink(database.url, "people"))
    else:
        assert "there is no folder" in refusal(TableSink(f"{name}:///{tmp_path}/no/x.db", "people"))


# Clients leave the socket of a connection that was refused to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_brokers_take_the_connection_and_keep_their_messages(kind: str) -> None:
    channel = Channel(kind)
    channel.publish([{"id": 1}])
    for place in (channel.source(), channel.sink()):
        assert "takes the connection" in str(found(place))
    wrong, nowhere = KINDS[kind].url(WRONG), f"{KINDS[kind].scheme}://127.0.0.1:1"
    for url in (wrong, nowhere) if wrong != channel.url else (nowhere,):  # a URL may have no place for a password
        for refused in (
            BrokerSource(url, channel.name, connect_timeout=3),
            BrokerSink(url, channel.name, connect_timeout=3),
        ):
            assert WRONG not in refusal(refused)
    assert channel.left() == [{"id": 1}]
    gc.collect()  # here, and not in a later test that it would be blamed on


def test_what_only_a_run_tells_is_none() -> None:
    class Mine(SourceStage[int]):
        async def read(self, context: Any, *, start: Any = None, chunk_size: int = 1000) -> Any:
            yield None

    assert found(Mine()) is None
