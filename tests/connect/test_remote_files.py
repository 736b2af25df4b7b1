"""Files that are read from S3, from web servers and from memory, over real connections."""

from __future__ import annotations

import gzip
import json
import os
import socket
import zipfile
from collections.abc import Iterator
from contextlib import aclosing
from io import BytesIO
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

import anyio
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from tests.connect.file_servers import S3_OPTIONS, SECRET_KEY, Bucket, WebServer, bucket, web_server
from tests.connect.reading import failure_of, read, read_chunks, read_with_errors, records_of
from tests.connect.workbooks import workbook

from mainstem import ConnectError, Pipeline, PipelineContext, SourceStage
from mainstem.connect import CsvSource, JsonLinesSource, TableSink
from mainstem.connect.arrow_source import ArrowSource
from mainstem.connect.excel_source import ExcelSource
from mainstem.connect.locations import Locations
from mainstem.connect.object_store import ObstoreStore
from mainstem.connect.parquet_source import ParquetSource
from mainstem.connect.ranges import RANGE_BYTES, RangeReader, WholeReader
from mainstem.errors import ConnectionLostError

__all__ = ["bucket"]
pytestmark = pytest.mark.extras

ROWS = [{"id": str(number), "text": f"text {number}"} for number in range(1500)]


def csv_of(rows: list[dict[str, str]]) -> bytes:
    return ("id,text\n" + "".join(f"{row['id']},{row['text']}\n" for row in rows)).encode()


def json_of(rows: list[dict[str, str]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parquet_of(rows: list[dict[str, str]]) -> bytes:
    content = BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), content, row_group_size=100)
    return content.getvalue()


def arrow_of(rows: list[dict[str, str]]) -> bytes:
    content = BytesIO()
    table = pa.Table.from_pylist(rows)
    with pa.ipc.new_file(content, table.schema) as writer:
        writer.write_table(table, max_chunksize=100)
    return content.getvalue()


def workbook_of(rows: list[dict[str, str]]) -> bytes:
    return workbook({"rows": [["id", "text"], *([row["id"], row["text"]] for row in rows)]})


KINDS: dict[str, tuple[Any, Any]] = {
    "csv": (CsvSource, csv_of),
    "csv.gz": (CsvSource, lambda rows: gzip.compress(csv_of(rows))),
    "jsonl": (JsonLinesSource, json_of),
    "jsonl.zst": (JsonLinesSource, lambda rows: zstandard.compress(json_of(rows))),
    "parquet": (ParquetSource, parquet_of),
    "arrow": (ArrowSource, arrow_of),
    "xlsx": (ExcelSource, workbook_of),
}


class Place:
    """A place where files are, and what opens them."""

    def __init__(self, put: Any, options: dict[str, Any]) -> None:
        self.put = put
        self.options = options


@pytest.fixture(params=["s3", "http", "http without ranges", "http without tags", "memory", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "s3":
        owned = Bucket()
        yield Place(owned.put, owned.options)
    elif request.param == "memory":
        memory = fsspec.filesystem("memory")
        folder = f"memory://{tmp_path.name}-{os.getpid()}"

        def put_in_memory(key: str, content: bytes) -> str:
            memory.pipe_file(f"{folder}/{key}", content)
            return f"{folder}/{key}"

        yield Place(put_in_memory, {})
        memory.store.clear()
    elif request.param == "file":

        def put_here(key: str, content: bytes) -> str:
            (tmp_path / key).write_bytes(content)
            return (tmp_path / key).as_uri()

        yield Place(put_here, {})
    else:
        ranges, tags = request.param != "http without ranges", request.param != "http without tags"
        with web_server(ranges=ranges, e_tags=tags) as server:
            yield Place(lambda key, content: server.put(f"/{key}", content), {})


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
async def test_a_remote_file_is_read_and_gone_on_with_at_every_position(place: Place, kind: str) -> None:
    make, content_of = KINDS[kind]
    source = make(place.put(f"r.{kind}", content_of(ROWS)), storage_options=place.options)
    chunks = await read_chunks(source, chunk_size=400)
    assert records_of(chunks) == ROWS
    assert len(chunks) == 4
    seen = 0
    for chunk in chunks:
        seen += len(chunk.records)
        position = json.loads(json.dumps(chunk.position))
        assert records_of(await read_chunks(source, start=position)) == ROWS[seen:]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
async def test_the_fingerprint_is_the_same_until_the_file_changes(place: Place, kind: str) -> None:
    make, content_of = KINDS[kind]
    source = make(place.put(f"r.{kind}", content_of(ROWS)), storage_options=place.options)
    before = await source.fingerprint()
    assert before == json.loads(json.dumps(await source.fingerprint()))
    place.put(f"r.{kind}", content_of([*ROWS[:-1], {"id": "1499", "text": "another!"}]))
    assert await source.fingerprint() != before


def test_an_empty_file_has_no_records(place: Place) -> None:
    assert read(CsvSource(place.put("r.csv", b""), storage_options=place.options)) == []
    assert read(JsonLinesSource(place.put("r.jsonl", b""), storage_options=place.options)) == []


def test_what_cannot_be_read_is_a_reject_that_names_the_url(place: Place) -> None:
    url = place.put("r.csv", b"id,text\n1,a\n2,b,c\n3,d\n")
    found, errors = read_with_errors(CsvSource(url, storage_options=place.options, continue_on_error=True))
    assert found == [{"id": "1", "text": "a"}, {"id": "3", "text": "d"}]
    assert [(index, record) for index, record, _ in errors] == [(1, "2,b,c")]
    assert url.removeprefix("file://") + ", line 3" in errors[0][2]


def test_a_file_that_is_not_there_is_named(place: Place) -> None:
    url = place.put("there.csv", b"id\n").replace("there.csv", "absent.csv")
    error = failure_of(CsvSource(url, storage_options=place.options))
    assert isinstance(error, ConnectError)
    assert url.removeprefix("file://") in str(error)
    assert "there is no such file" in str(error)


def test_a_name_with_spaces_and_signs_is_one(place: Place) -> None:
    url = place.put("ä file+%.csv", csv_of(ROWS))
    if url.startswith("http"):
        url = f"{url.rpartition('/')[0]}/{quote('ä file+%.csv')}"
    assert read(CsvSource(url, storage_options=place.options)) == ROWS


def test_a_missing_bucket_is_named() -> None:
    error = failure_of(CsvSource("s3://no-such-bucket/r.csv", storage_options=Bucket().options))
    assert isinstance(error, ConnectError)
    assert "s3://no-such-bucket/r.csv: there is no such" in str(error)
    error = failure_of(CsvSource("s3://no-such-bucket/*.csv", storage_options=Bucket().options))
    assert "there is no such bucket" in str(error)


def test_wrong_credentials_are_said_so_and_not_shown() -> None:
    with web_server(status=403) as server:
        options = {**S3_OPTIONS, "endpoint": server.url, "client_options": {"allow_http": True}}
        for url in ("s3://bucket/r.csv", "s3://bucket/*.csv"):
            error = failure_of(CsvSource(url, storage_options=options))
            assert isinstance(error, ConnectError)
            assert "permission denied; check the credentials" in str(error)
            assert_not_shown(error, SECRET_KEY, "AKIAEXAMPLEEXAMPLE")


def test_a_signed_link_that_has_expired_is_said_so_and_its_signature_is_not_shown() -> None:
    with web_server(status=403) as server:
        url = f"{server.url.replace('//', '//me:hunter2@')}/r.csv?X-Amz-Signature=0123abcd"
        error = failure_of(CsvSource(url))
        assert "permission denied" in str(error)
        assert_not_shown(error, "0123abcd", "hunter2")


def test_a_link_that_is_signed_for_reading_only_is_read() -> None:
    with web_server() as server:
        assert read(CsvSource(server.put("/r.csv", csv_of(ROWS)) + "?X-Amz-Signature=0123abcd")) == ROWS
        assert {method for method, _, _ in server.asked} == {"GET"}
        assert all(path.endswith("?X-Amz-Signature=0123abcd") for _, path, _ in server.asked)


def assert_not_shown(error: BaseException | None, *secrets: str) -> None:
    while error is not None:
        text = f"{error!r} {error} {getattr(error, '__notes__', '')}"
        assert not [secret for secret in secrets if secret in text]
        error = error.__cause__


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_a_store_of_runs_keeps_no_secret_and_new_credentials_are_no_change(tmp_path: Path, kind: str) -> None:
    with web_server() as server:
        bucket, old, new = Bucket(), f"old-{SECRET_KEY}", f"new-{SECRET_KEY}"
        url = bucket.put("r.csv", csv_of(ROWS))
        if kind == "http":
            url = server.put("/r.csv", csv_of(ROWS)).replace("//", "//me:{0}@") + "?X-Amz-Signature={0}"
        fails = [True]

        def fail_once(record: dict[str, str]) -> dict[str, str]:
            if fails[0] and record["id"] == "1200":
                raise ValueError("not yet")
            return record

        def load(secret: str) -> Any:
            options = {**bucket.options, "secret_access_key": secret} if kind == "s3" else {}
            pipeline: Any = Pipeline("load").add_stage(CsvSource(url.format(secret), storage_options=options))
            sink = TableSink(f"sqlite:///{tmp_path / 'target.db'}", "rows")
            loaded = pipeline.map(fail_once).add_stage(sink)
            return loaded.run(store=tmp_path / "runs.db", run_id="1", commit_every=500)

        assert not load(old).success
        for file in tmp_path.glob("runs.db*"):
            assert SECRET_KEY.encode() not in file.read_bytes()
        fails[0] = False
        assert load(new).success


def test_credentials_are_found_in_the_environment(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    url = bucket.put("r.csv", csv_of(ROWS))
    values = {
        "ACCESS_KEY_ID": "a",
        "SECRET_ACCESS_KEY": "b",
        "REGION": "us-east-1",
        "ENDPOINT_URL": bucket.options["endpoint"],
    }
    for name, value in values.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    assert "the endpoint is no HTTPS; if that is right, allow it" in str(failure_of(CsvSource(url)))
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    assert read(CsvSource(url)) == ROWS


def test_a_server_that_is_not_ready_is_asked_again() -> None:
    with web_server() as server:
        server.statuses += [503, 503, 503]
        assert read(CsvSource(server.put("/r.csv", csv_of(ROWS)))) == ROWS
        for options, asked in (({}, 5), ({"retry_config": {"max_retries": 1}}, 2)):
            server.asked.clear()
            server.statuses[:] = [503] * 30
            assert isinstance(
                failure_of(CsvSource(server.url + "/r.csv", storage_options=options)), ConnectionLostError
            )
            assert len(server.asked) == asked


def test_google_and_azure_are_opened_by_obstore() -> None:
    """There is no server of theirs to be had here: that the URLs and options are understood is all that is shown."""
    assert Locations("gs://bucket/*.csv", {"skip_signature": True}).name == "gs://bucket/*.csv"
    key = {"account_name": "account", "account_key": "c2VjcmV0LXNlY3JldA=="}
    assert Locations("az://container/r.csv", key).name == "az://container/r.csv"
    with pytest.raises(ConnectError, match="cannot open az://container/"):
        Locations("az://container/r.csv")


def test_a_wrong_option_is_an_error_at_construction() -> None:
    with pytest.raises(ConnectError, match="check storage_options") as caught:
        CsvSource("s3://bucket/r.csv", storage_options={"secret_acces_key": SECRET_KEY})
    assert_not_shown(caught.value, SECRET_KEY)


def test_a_server_that_is_not_there_is_an_error_that_may_pass() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        error = failure_of(
            CsvSource(f"http://127.0.0.1:{port}/r.csv", storage_options={"retry_config": {"max_retries": 1}})
        )
    assert isinstance(error, ConnectionLostError)
    assert f"127.0.0.1:{port}" in str(error)


LONG = [{"id": f"{number:07}", "text": "x" * 90} for number in range(3 * RANGE_BYTES // 99)]


@pytest.mark.anyio
async def test_going_on_asks_for_the_rest_only() -> None:
    with web_server() as server:
        source = CsvSource(server.put("/r.csv", csv_of(LONG)))
        chunks = await read_chunks(source, chunk_size=len(LONG) - 10)
        server.asked.clear()
        assert records_of(await read_chunks(source, start=chunks[0].position)) == LONG[-10:]
        asked = [int(span.partition("=")[2].partition("-")[0]) for _, _, span in server.asked if span]
        assert asked == [0, 0, chunks[0].position["byte"] - 1]  # what it is, its header, and the rest


@pytest.mark.anyio
async def test_of_a_parquet_file_only_the_row_group_and_the_columns_are_asked_for() -> None:
    rows = [{"id": number, "noise": os.urandom(1000)} for number in range(4000)]
    content = BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), content, row_group_size=500, compression="none")
    with web_server() as server:
        source = ParquetSource(server.put("/r.parquet", content.getvalue()))
        assert len(records_of(await read_chunks(source, start={"row": 3500, "record": 3500}))) == 500
        assert asked_bytes(server) < 1_000_000
        server.asked.clear()
        ids = await read_chunks(ParquetSource(server.url + "/r.parquet", columns=["id"]))
        assert records_of(ids) == [{"id": row["id"]} for row in rows]
        assert asked_bytes(server) < 500_000


@pytest.mark.anyio
async def test_the_columns_of_a_row_group_are_asked_for_together() -> None:
    table = pa.table({f"column {number}": [os.urandom(20) for _ in range(800)] for number in range(30)})
    content = BytesIO()
    pq.write_table(table, content, row_group_size=100)
    with web_server() as server:
        url = server.put("/r.parquet", content.getvalue())
        assert len(records_of(await read_chunks(ParquetSource(url)))) == 800
        assert len(server.asked) <= 20  # and not one for each of the 30 columns of 8 row groups


@pytest.mark.anyio
async def test_without_ranges_going_on_reads_what_comes_before() -> None:
    with web_server(ranges=False) as server:
        source = CsvSource(server.put("/r.csv", csv_of(LONG)))
        chunks = await read_chunks(source, chunk_size=len(LONG) - 10)
        assert records_of(await read_chunks(source, start=chunks[0].position)) == LONG[-10:]


def test_without_ranges_a_reader_may_go_back_as_well() -> None:
    content = os.urandom(3_000_000)
    with web_server(ranges=False) as server:
        url = server.put("/r", content)
        store = ObstoreStore(url, {})
        reader = WholeReader(store.content(store.info("")), url)
        for at in (2_500_000, 10, 2_999_999, 0):
            assert reader.seek(at) == at
            assert reader.read(5) == content[at : at + 5]
        assert reader.seek(-4, os.SEEK_END) == 2_999_996
        assert reader.read(9) == content[-4:]
        assert reader.seek(-8, os.SEEK_CUR) == reader.tell() == 2_999_992


@pytest.mark.parametrize("kind", ["parquet", "arrow", "xlsx"])
def test_without_ranges_a_file_that_changes_before_it_was_copied_is_an_error(kind: str) -> None:
    make, content_of = KINDS[kind]
    with web_server(ranges=False) as server:
        url = server.put("/r", content_of(ROWS))
        server.on_request = lambda: len(server.asked) == 3 and server.put("/r", content_of(ROWS[:-1]))
        assert "it was changed while it was read" in str(failure_of(make(url)))


def test_files_in_a_zip_archive_are_read_through_fsspec(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as archive:
        archive.writestr("in/1.csv", csv_of(ROWS[:700]))
        archive.writestr("in/2.csv", csv_of(ROWS[700:]))
    assert read(CsvSource(f"zip://in/1.csv::{tmp_path / 'r.zip'}")) == ROWS[:700]
    assert read(CsvSource(f"zip://in/*.csv::{tmp_path / 'r.zip'}")) == ROWS
    assert "there is no such file" in str(failure_of(CsvSource(f"zip://in/3.csv::{tmp_path / 'r.zip'}")))


def test_a_folder_in_memory_is_no_file() -> None:
    fsspec.filesystem("memory").pipe_file("memory://folder/r.csv", b"id\n")
    assert "memory://folder: it is a folder" in str(failure_of(CsvSource("memory://folder")))
    fsspec.filesystem("memory").store.clear()


def test_a_server_of_fsspecs_that_is_not_there_is_an_error_without_its_password() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionLostError, match="the server cannot be reached") as caught:
            CsvSource(f"ftp://me:hunter2@127.0.0.1:{probe.getsockname()[1]}/r.csv")
    assert_not_shown(caught.value, "hunter2")


def test_a_kind_of_url_whose_package_is_missing_is_said_so() -> None:
    with pytest.raises(ConnectError, match="'sftp' are supported once a package is there"):
        CsvSource("sftp://me:hunter2@host/r.csv")


class ShortContent:
    """A file of which less comes than there should be."""

    size = 10
    has_ranges = True

    def fetch(self, start: int, end: int) -> bytes:
        return bytes(end - start - 1)

    def fetch_all(self) -> Iterator[bytes]:
        yield bytes(9)


@pytest.mark.parametrize("make", [RangeReader, WholeReader])
def test_less_than_there_should_be_is_an_error(make: Any) -> None:
    with pytest.raises(ConnectError, match=r"cannot read r: .*9.* 10.*again"):
        make(ShortContent(), "r").read()


def asked_bytes(server: WebServer) -> int:
    spans = [span.partition("=")[2].split("-") for _, _, span in server.asked if span]
    assert len(spans) == len(server.asked)
    return sum(int(last) - int(first) + 1 for first, last in spans)


@pytest.mark.anyio
@pytest.mark.parametrize("tags", [True, False])
async def test_a_file_that_changes_while_it_is_read_is_an_error(tags: bool) -> None:
    with web_server(e_tags=tags) as server:
        source = CsvSource(server.put("/r.csv", csv_of(LONG)))
        async with aclosing(source.read(PipelineContext(), chunk_size=100)) as chunks:
            await anext(chunks)
            server.put("/r.csv", csv_of([*LONG, *LONG]))
            with pytest.raises(ConnectError, match="it was changed while it was read"):
                async for _ in chunks:
                    pass


@pytest.mark.anyio
async def test_a_file_in_memory_that_changes_while_it_is_read_is_an_error() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("memory://changing/r.csv", csv_of(LONG))
    async with aclosing(CsvSource("memory://changing/r.csv").read(PipelineContext(), chunk_size=100)) as chunks:
        await anext(chunks)
        memory.pipe_file("memory://changing/r.csv", csv_of([*LONG, *LONG]))
        with pytest.raises(ConnectError, match="it was changed while it was read"):
            async for _ in chunks:
                pass
    memory.store.clear()


@pytest.mark.anyio
async def test_a_read_that_waits_is_given_up_at_once_when_the_run_is_cancelled() -> None:
    waiting, go_on = Event(), Event()
    with web_server() as server:
        source = CsvSource(server.put("/r.csv", csv_of(ROWS)))

        def hang() -> None:
            waiting.set()
            go_on.wait(30)

        server.on_request = hang

        async def cancel_when_waiting(scope: anyio.CancelScope) -> None:
            await anyio.to_thread.run_sync(waiting.wait)
            scope.cancel()

        try:
            with anyio.fail_after(10):
                async with anyio.create_task_group() as group:
                    group.start_soon(cancel_when_waiting, group.cancel_scope)
                    await read_chunks(source)
            assert not go_on.is_set()
        finally:
            go_on.set()


@pytest.mark.anyio
async def test_the_loop_goes_on_while_a_server_is_waited_for() -> None:
    go_on = Event()
    with web_server() as server:
        source: SourceStage[Any] = CsvSource(server.put("/r.csv", csv_of(ROWS)))
        server.on_request = lambda: go_on.wait(30)
        found: list[Any] = []

        async def read_all() -> None:
            found.extend(await read_chunks(source))

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                group.start_soon(read_all)
                go_on.set()
        assert records_of(found) == ROWS


def test_damage_on_the_way_is_an_error() -> None:
    with web_server() as server:
        url = server.put("/r.parquet", parquet_of(ROWS)[:-200])
        assert "is it complete" in str(failure_of(ParquetSource(url)))
        url = server.put("/r.csv.gz", gzip.compress(csv_of(ROWS))[:-20])
        assert "gzip data is damaged" in str(failure_of(CsvSource(url)))


@pytest.mark.parametrize("url", ["ftps3://x/y", "nope://me:hunter2@x/y"])
def test_an_unknown_kind_of_url_is_refused_at_construction(url: str) -> None:
    with pytest.raises(ConnectError, match="not supported: there are paths") as caught:
        CsvSource(url)
    assert_not_shown(caught.value, "hunter2")
