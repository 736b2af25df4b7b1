"""What every source and every sink keeps to."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
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
from tests.connect.workbooks import ErrorCell, workbook
from tests.runs import run

from mainstem import (
    ConnectError,
    Guarantee,
    LoadReport,
    PipelineContext,
    Position,
    SinkStage,
    SinkTransaction,
    SourceStage,
)
from mainstem.connect import ArrowSink, CsvSink, CsvSource, JsonLinesSink, JsonLinesSource, SqlSource, TableSink
from mainstem.connect.arrow_source import ArrowSource
from mainstem.connect.excel_source import ExcelSource
from mainstem.connect.parquet_sink import ParquetSink
from mainstem.connect.parquet_source import ParquetSource

POISON = None
"""Stands for a record that cannot be read."""


def records(count: int) -> list[dict[str, str]]:
    return [{"id": str(number), "text": f"line one\nline two of {number}, “quoted”"} for number in range(count)]


@dataclass(frozen=True)
class Source:
    """A kind of source, with the way to put records where it reads them."""

    file: str
    write: Callable[[Path, Sequence[dict[str, str] | None]], None]
    make: Callable[..., SourceStage[Any]]
    wrong_address: str


def csv_content(rows: Sequence[dict[str, str] | None]) -> bytes:
    lines = ["id,text\n"]
    lines += ["1,2,3,poison\n" if row is POISON else f'{row["id"]},"{row["text"]}"\n' for row in rows]
    return "".join(lines).encode()


def json_content(rows: Sequence[dict[str, str] | None]) -> bytes:
    return "".join("[poison\n" if row is POISON else json.dumps(row) + "\n" for row in rows).encode()


def write_table(path: Path, rows: Sequence[dict[str, str] | None]) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE records (id TEXT, text TEXT)")
        for row in rows:
            if row is POISON:
                connection.execute("INSERT INTO records VALUES ('poison', CAST(x'ff' AS TEXT))")
            else:
                connection.execute("INSERT INTO records VALUES (?, ?)", (row["id"], row["text"]))
        connection.commit()


def sql_source(path: Path, **options: Any) -> SourceStage[Any]:
    url = path if "://" in str(path) else f"sqlite:///{path}"
    return SqlSource(str(url), "SELECT id, text FROM records ORDER BY rowid", **options)


def arrow_batches(rows: Sequence[dict[str, str] | None]) -> Any:
    """A table of these rows; a poisoned one has a text that is no UTF-8."""
    ids = pa.array(["poison" if row is POISON else row["id"] for row in rows], pa.string())
    texts = [b"\xff" if row is POISON else row["text"].encode() for row in rows]
    content = pa.array(texts, pa.binary())
    return pa.table({"id": ids, "text": pa.Array.from_buffers(pa.string(), len(rows), content.buffers())})


def write_parquet(path: Path, rows: Sequence[dict[str, str] | None]) -> None:
    pq.write_table(arrow_batches(rows), path, row_group_size=4, write_statistics=False)


def write_arrow(path: Path, rows: Sequence[dict[str, str] | None], *, make: Any = pa.ipc.new_file) -> None:
    table = arrow_batches(rows)
    with make(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=4)


def write_arrow_stream(path: Path, rows: Sequence[dict[str, str] | None]) -> None:
    write_arrow(path, rows, make=pa.ipc.new_stream)


def write_workbook(path: Path, rows: Sequence[dict[str, str] | None]) -> None:
    cells = [["poison", ErrorCell("#N/A")] if row is POISON else [row["id"], row["text"]] for row in rows]
    path.write_bytes(workbook({"records": [["id", "text"], *cells]}))


SOURCES = {
    "csv": Source(
        "r.csv",
        lambda path, rows: void(path.write_bytes(csv_content(rows))),
        CsvSource,
        "nope://me:secret@bucket/r.csv",
    ),
    "csv.gz": Source(
        "r.csv.gz",
        lambda path, rows: void(path.write_bytes(gzip.compress(csv_content(rows)))),
        CsvSource,
        "sqlite:///r",
    ),
    "json lines": Source(
        "r.jsonl",
        lambda path, rows: void(path.write_bytes(json_content(rows))),
        JsonLinesSource,
        "postgresql://me:secret@host/r.jsonl",
    ),
    "json lines.gz": Source(
        "r.jsonl.gz",
        lambda path, rows: void(path.write_bytes(gzip.compress(json_content(rows)))),
        JsonLinesSource,
        "mysql://r",
    ),
    "csv.zst": Source(
        "r.csv.zst",
        lambda path, rows: void(path.write_bytes(zstandard.compress(csv_content(rows)))),
        CsvSource,
        "nope://r",
    ),
    "parquet": Source("r.parquet", write_parquet, ParquetSource, "nope://me:secret@host/r"),
    "arrow": Source("r.arrow", write_arrow, ArrowSource, "nope://me:secret@host/r"),
    "arrow stream": Source("r.arrows", write_arrow_stream, ArrowSource, "nope://me:secret@host/r"),
    "excel": Source("r.xlsx", write_workbook, ExcelSource, "nope://me:secret@host/r"),
    "sql": Source("r.db", write_table, sql_source, "mysql://root:secret@host/db"),
}


def void(_: object) -> None:
    return None


@pytest.fixture(params=SOURCES)
def kind(request: pytest.FixtureRequest) -> Source:
    return SOURCES[request.param]


@pytest.mark.parametrize("count", [0, 1, 2, 7, 1001])
def test_a_source_gives_every_record_in_order(kind: Source, tmp_path: Path, count: int) -> None:
    kind.write(tmp_path / kind.file, records(count))
    assert read(kind.make(tmp_path / kind.file)) == records(count)


@pytest.mark.anyio
@pytest.mark.parametrize("chunk_size", [1, 2, 3, 100])
async def test_reading_from_each_position_gives_exactly_the_rest(kind: Source, tmp_path: Path, chunk_size: int) -> None:
    kind.write(tmp_path / kind.file, records(11))
    source = kind.make(tmp_path / kind.file)
    chunks = await read_chunks(source, chunk_size=chunk_size)
    seen = 0
    for chunk in chunks:
        seen += len(chunk.records)
        assert len(chunk.records) <= chunk_size
        position = json.loads(json.dumps(chunk.position))
        assert records_of(await read_chunks(source, start=position, chunk_size=4)) == records(11)[seen:]
    assert seen == 11


@pytest.mark.anyio
@pytest.mark.parametrize("chunk_size", [1, 2, 3, 100])
@pytest.mark.parametrize("poisoned", [(0,), (5,), (10,), (0, 1, 5, 10)])
async def test_positions_are_right_among_rejects(
    kind: Source, tmp_path: Path, chunk_size: int, poisoned: tuple[int, ...]
) -> None:
    rows = [POISON if at in poisoned else record for at, record in enumerate(records(11))]
    kind.write(tmp_path / kind.file, rows)
    source = kind.make(tmp_path / kind.file, continue_on_error=True)
    seen = 0
    for chunk in await read_chunks(source, chunk_size=chunk_size):
        assert [row for row in rows[seen : seen + len(chunk.records) + chunk.records_failed] if row] == chunk.records
        seen += len(chunk.records) + chunk.records_failed
        context = PipelineContext()
        rest = await read_chunks(source, start=chunk.position, chunk_size=4, context=context)
        assert records_of(rest) == [row for row in rows[seen:] if row is not POISON]
        assert [entry.index for entry in context.errors] == [at for at in poisoned if at >= seen]
    assert seen == 11


@pytest.mark.parametrize("at", [0, 5, 10])
def test_a_record_that_cannot_be_read_fails_the_run(kind: Source, tmp_path: Path, at: int) -> None:
    kind.write(tmp_path / kind.file, [POISON if number == at else row for number, row in enumerate(records(11))])
    error = failure_of(kind.make(tmp_path / kind.file))
    assert isinstance(error, ConnectError)
    assert str(tmp_path / kind.file) in str(error)


@pytest.mark.parametrize("at", [0, 5, 10])
def test_a_record_that_cannot_be_read_is_recorded_and_the_rest_is_read(kind: Source, tmp_path: Path, at: int) -> None:
    rows = [POISON if number == at else row for number, row in enumerate(records(11))]
    kind.write(tmp_path / kind.file, rows)
    found, errors = read_with_errors(kind.make(tmp_path / kind.file, continue_on_error=True))
    assert found == [row for row in rows if row is not POISON]
    assert [(index, "poison" in str(record)) for index, record, _ in errors] == [(at, True)]


@pytest.mark.anyio
async def test_process_by_hand_gives_the_same_as_a_run(kind: Source, tmp_path: Path) -> None:
    kind.write(tmp_path / kind.file, [*records(1200), POISON, *records(3)])
    context = PipelineContext()
    result = await kind.make(tmp_path / kind.file, continue_on_error=True).process(None, context)
    assert result.data == [*records(1200), *records(3)]
    assert (result.records_processed, result.records_failed) == (1203, 1)
    assert [entry.index for entry in context.errors] == [1200]


def test_a_missing_file_is_named(kind: Source, tmp_path: Path) -> None:
    error = failure_of(kind.make(tmp_path / "absent"))
    assert isinstance(error, ConnectError)
    assert str(tmp_path / "absent") in str(error)
    assert not (tmp_path / "absent").exists()


def test_a_missing_folder_is_named(kind: Source, tmp_path: Path) -> None:
    error = failure_of(kind.make(tmp_path / "no" / "such"))
    assert isinstance(error, ConnectError)
    assert f"no folder {tmp_path / 'no'}" in str(error)


def test_a_folder_is_no_source(kind: Source, tmp_path: Path) -> None:
    error = failure_of(kind.make(tmp_path))
    assert isinstance(error, ConnectError)
    assert "folder" in str(error)


def test_a_wrong_address_is_refused_at_construction(kind: Source) -> None:
    with pytest.raises(ConnectError, match="supported") as caught:
        kind.make(kind.wrong_address)
    assert "secret" not in str(caught.value)


@pytest.mark.anyio
async def test_runs_of_one_source_may_overlap(kind: Source, tmp_path: Path) -> None:
    kind.write(tmp_path / kind.file, records(20))
    source = kind.make(tmp_path / kind.file)
    async with (
        aclosing(source.read(PipelineContext(), chunk_size=3)) as first,
        aclosing(source.read(PipelineContext(), chunk_size=5)) as second,
    ):
        found: tuple[list[Any], list[Any]] = ([], [])
        for _ in range(7):
            for chunks, into in zip((first, second), found, strict=True):
                chunk = await anext(chunks, None)
                into.extend(chunk.records if chunk else [])
    assert found == (records(20), records(20))


@pytest.mark.anyio
async def test_a_source_may_be_left_early(kind: Source, tmp_path: Path) -> None:
    kind.write(tmp_path / kind.file, records(20))
    async with aclosing(kind.make(tmp_path / kind.file).read(PipelineContext(), chunk_size=2)) as chunks:
        assert (await anext(chunks)).records == records(2)
    (tmp_path / kind.file).unlink()


@pytest.mark.anyio
@pytest.mark.parametrize("chunk_size", [0, -1, 1.5, True])
async def test_a_wrong_chunk_size_is_refused(kind: Source, tmp_path: Path, chunk_size: Any) -> None:
    kind.write(tmp_path / kind.file, records(1))
    with pytest.raises(ValueError, match="chunk_size"):
        await read_chunks(kind.make(tmp_path / kind.file), chunk_size=chunk_size)


@pytest.mark.anyio
@pytest.mark.parametrize("start", [{}, {"byte": "0", "record": 0, "line": 0, "row": -1}, {"byte": 1.0, "row": True}])
async def test_what_is_no_position_is_refused(kind: Source, tmp_path: Path, start: Position) -> None:
    kind.write(tmp_path / kind.file, records(1))
    with pytest.raises(ConnectError, match="is no position"):
        await read_chunks(kind.make(tmp_path / kind.file), start=start)


@pytest.mark.anyio
async def test_the_position_of_the_beginning_is_the_beginning(kind: Source, tmp_path: Path) -> None:
    kind.write(tmp_path / kind.file, records(3))
    start = {"byte": 0, "record": 0, "line": 0, "row": 0}
    assert records_of(await read_chunks(kind.make(tmp_path / kind.file), start=start)) == records(3)


@pytest.mark.anyio
async def test_a_position_behind_the_end_is_refused(kind: Source, tmp_path: Path) -> None:
    kind.write(tmp_path / kind.file, records(20))
    last = (await read_chunks(kind.make(tmp_path / kind.file)))[-1].position
    (tmp_path / kind.file).unlink()
    kind.write(tmp_path / kind.file, records(2))
    with pytest.raises(ConnectError, match="replaced"):
        await read_chunks(kind.make(tmp_path / kind.file), start=last)


@dataclass(frozen=True)
class Sink:
    """A kind of sink, with the way to see what is stored; ``None`` if there is nothing at all."""

    file: str
    make: Callable[..., SinkStage[Any]]
    stored: Callable[[Path], list[dict[str, str]] | None]


def table_sink(path: Path | str, **options: Any) -> SinkStage[Any]:
    return TableSink(str(path) if "://" in str(path) else f"sqlite:///{path}", "records", **options)


def stored_as_csv(path: Path) -> list[dict[str, str]] | None:
    if not path.exists():
        return None
    return list(csv.DictReader(io.StringIO(content_of(path), newline="")))


def stored_as_json(path: Path) -> list[dict[str, str]] | None:
    return [json.loads(line) for line in content_of(path).split("\n") if line] if path.exists() else None


def content_of(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".zst":
        with zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True) as reader:
            return reader.read().decode()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode()


def stored_in_table(path: Path) -> list[dict[str, str]] | None:
    if not path.exists():
        return None
    with closing(sqlite3.connect(path)) as connection:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            return None
        rows = connection.execute("SELECT id, text FROM records ORDER BY rowid").fetchall()
    return [{"id": id_, "text": text} for id_, text in rows]


def parquet_sink(path: Path | str, **options: Any) -> SinkStage[Any]:
    return ParquetSink(path, schema={"id": pl.String, "text": pl.String}, **options)


def stored_as_parquet(path: Path) -> list[dict[str, str]] | None:
    return pl.read_parquet(path).to_dicts() if path.exists() else None


def arrow_sink(path: Path | str, **options: Any) -> SinkStage[Any]:
    return ArrowSink(path, schema={"id": pl.String, "text": pl.String}, **options)


def stored_as_arrow(path: Path) -> list[dict[str, str]] | None:
    return pl.read_ipc(path.read_bytes()).to_dicts() if path.exists() else None


SINKS = {
    "csv": Sink("w.csv", CsvSink, stored_as_csv),
    "csv.gz": Sink("w.csv.gz", CsvSink, stored_as_csv),
    "json lines": Sink("w.jsonl", JsonLinesSink, stored_as_json),
    "json lines.gz": Sink("w.jsonl.gz", JsonLinesSink, stored_as_json),
    "csv.zst": Sink("w.csv.zst", CsvSink, stored_as_csv),
    "parquet": Sink("w.parquet", parquet_sink, stored_as_parquet),
    "arrow": Sink("w.arrow", arrow_sink, stored_as_arrow),
    "table": Sink("w.db", table_sink, stored_in_table),
}
BAD_RECORDS: list[Any] = [{"id": "x", "text": {"a set"}}, {"id": "\ud800", "text": ""}, 7, {1: "key is no text"}]


@pytest.fixture(params=SINKS)
def sink_kind(request: pytest.FixtureRequest) -> Sink:
    return SINKS[request.param]


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("count", [1, 2, 501, 1001, 5001])
def test_a_sink_stores_every_record_in_order(sink_kind: Sink, tmp_path: Path, count: int) -> None:
    target = tmp_path / sink_kind.file
    report = load(sink_kind.make(target), records(count))
    assert sink_kind.stored(target) == records(count)
    assert files_in(tmp_path) == [sink_kind.file]
    assert report.guarantee is Guarantee.AT_LEAST_ONCE
    assert str(target) in report.target


def test_a_load_of_nothing_succeeds(sink_kind: Sink, tmp_path: Path) -> None:
    load(sink_kind.make(tmp_path / sink_kind.file), [])
    assert not sink_kind.stored(tmp_path / sink_kind.file)


def test_a_missing_folder_is_an_error_that_names_it(sink_kind: Sink, tmp_path: Path) -> None:
    result = refusal_of(sink_kind.make(tmp_path / "no" / "such"), records(1))
    assert isinstance(result.error, ConnectError)
    assert f"no folder {tmp_path / 'no'}" in str(result.error)


def test_a_folder_is_no_target(sink_kind: Sink, tmp_path: Path) -> None:
    result = refusal_of(sink_kind.make(tmp_path), records(1))
    assert isinstance(result.error, ConnectError)
    assert "folder" in str(result.error)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("address", ["nope://me:secret@bucket/file", "mysql://user:secret@host/db"])
def test_a_wrong_target_is_refused_at_construction(sink_kind: Sink, address: str) -> None:
    with pytest.raises(ConnectError, match="supported") as caught:
        sink_kind.make(address)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("at", [0, 3, 1200])
@pytest.mark.parametrize("bad", BAD_RECORDS, ids=repr)
def test_a_record_that_is_not_taken_fails_the_load_and_nothing_is_stored(
    sink_kind: Sink, tmp_path: Path, at: int, bad: Any
) -> None:
    target = tmp_path / sink_kind.file
    rows = [*records(at), bad, *records(2)]
    result: Any = refusal_of(sink_kind.make(target), rows)
    assert sink_kind.stored(target) is None
    assert [(entry.index, entry.record) for entry in result.context.errors] == [(at, bad)]
    assert result.context.errors[0].error is result.error


@pytest.mark.parametrize("at", [0, 3, 1200])
def test_a_failed_load_leaves_what_was_there(sink_kind: Sink, tmp_path: Path, at: int) -> None:
    target = tmp_path / sink_kind.file
    load(sink_kind.make(target), records(5))
    refusal_of(sink_kind.make(target), [*records(at), *BAD_RECORDS])
    assert sink_kind.stored(target) == records(5)
    assert files_in(tmp_path) == [sink_kind.file]


@pytest.mark.parametrize("at", [0, 3, 1200])
@pytest.mark.parametrize("bad", BAD_RECORDS, ids=repr)
def test_a_record_that_is_not_taken_is_recorded_and_the_others_are_stored(
    sink_kind: Sink, tmp_path: Path, at: int, bad: Any
) -> None:
    target = tmp_path / sink_kind.file
    rows = [*records(at), bad, *records(2), bad]
    report, errors = load_with_errors(sink_kind.make(target, continue_on_error=True), rows)
    assert sink_kind.stored(target) == [*records(at), *records(2)]
    assert [(index, record) for index, record, _ in errors] == [(at, bad), (at + 3, bad)]
    assert report.records_rejected == 2


def test_records_that_are_all_bad_are_all_recorded(sink_kind: Sink, tmp_path: Path) -> None:
    report, errors = load_with_errors(sink_kind.make(tmp_path / sink_kind.file, continue_on_error=True), [7, None, "a"])
    assert (report.records_loaded, [index for index, _, _ in errors]) == (0, [0, 1, 2])


@pytest.mark.anyio
async def test_nothing_is_seen_before_commit(sink_kind: Sink, tmp_path: Path) -> None:
    target = tmp_path / sink_kind.file
    transaction = await sink_kind.make(target).begin(PipelineContext())
    assert await transaction.write(records(700)) == 0
    assert sink_kind.stored(target) is None
    await transaction.commit()
    assert sink_kind.stored(target) == records(700)


@pytest.mark.anyio
async def test_abort_leaves_nothing(sink_kind: Sink, tmp_path: Path) -> None:
    target = tmp_path / sink_kind.file
    transaction = await sink_kind.make(target).begin(PipelineContext())
    await transaction.write(records(700))
    await transaction.abort()
    assert sink_kind.stored(target) is None
    assert set(files_in(tmp_path)) <= {"w.db"}


@pytest.mark.anyio
async def test_abort_may_follow_anything(sink_kind: Sink, tmp_path: Path) -> None:
    target = tmp_path / sink_kind.file
    transaction = await sink_kind.make(target).begin(PipelineContext())
    await transaction.write(records(3))
    await transaction.commit()
    await transaction.abort()
    await transaction.abort()
    assert sink_kind.stored(target) == records(3)


@pytest.mark.anyio
async def test_runs_of_one_sink_may_overlap(sink_kind: Sink, tmp_path: Path) -> None:
    target = tmp_path / sink_kind.file
    sink = sink_kind.make(target)
    reports: list[LoadReport] = []

    async def store(count: int) -> None:
        result = await sink.process(records(count), PipelineContext())
        reports.append(result.unwrap())

    async with anyio.create_task_group() as tasks:
        for count in (700, 900):
            tasks.start_soon(store, count)
    assert sorted(report.records_loaded for report in reports) == [700, 900]
    stored = sink_kind.stored(target)
    if "db" in sink_kind.file:
        assert stored in ([*records(700), *records(900)], [*records(900), *records(700)])
    else:
        assert stored in (records(700), records(900))


class CancelsAfterWriting(SinkTransaction[Any]):
    def __init__(self, inner: SinkTransaction[Any], scope: anyio.CancelScope) -> None:
        self.inner = inner
        self.scope = scope

    async def write(self, records: Sequence[Any]) -> int:
        rejected = await self.inner.write(records)
        self.scope.cancel()
        return rejected

    async def commit(self, position: Position | None = None) -> None:
        raise AssertionError("committed although it was cancelled")

    async def abort(self) -> None:
        await self.inner.abort()


@pytest.mark.anyio
async def test_cancellation_aborts(sink_kind: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / sink_kind.file
    sink = sink_kind.make(target)
    begin = sink.begin
    with anyio.CancelScope() as scope:

        async def begin_and_cancel(context: PipelineContext) -> SinkTransaction[Any]:
            return CancelsAfterWriting(await begin(context), scope)

        monkeypatch.setattr(sink, "begin", begin_and_cancel)
        await sink.process(records(3), PipelineContext())
    assert scope.cancelled_caught
    assert sink_kind.stored(target) is None
    await sink_kind.make(target).process(records(2), PipelineContext())  # nothing is still open or locked
    assert sink_kind.stored(target) == records(2)


@pytest.mark.anyio
async def test_positions_of_rejects_count_from_the_whole_input(sink_kind: Sink, tmp_path: Path) -> None:
    context = PipelineContext()
    transaction = await sink_kind.make(tmp_path / sink_kind.file, continue_on_error=True).begin(context)
    context.chunk_start = 100
    assert await transaction.write([*records(2), 7]) == 1
    await transaction.abort()
    assert [index for index, _, _ in errors_in(context)] == [102]


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_joins_every_sink(sink_kind: Sink, source: str, tmp_path: Path) -> None:
    kind = SOURCES[source]
    kind.write(tmp_path / kind.file, records(1100))
    result = run(kind.make(tmp_path / kind.file), sink_kind.make(tmp_path / sink_kind.file), data=None, entered=1100)
    assert result.success, result.error
    assert sink_kind.stored(tmp_path / sink_kind.file) == records(1100)
