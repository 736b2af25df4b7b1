"""Patterns, lists, and folders that are named after fields: on disk, in memory and in S3."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pytest
from tests.connect.file_servers import Bucket, web_server
from tests.connect.reading import failure_of, read, read_chunks, read_with_errors, records_of
from tests.connect.test_remote_files import KINDS
from tests.runs import run

from mainstem import ConnectError, LoadReport, Pipeline, PipelineContext, SourceChangedError
from mainstem.connect import CsvSource, JsonLinesSource, TableSink
from mainstem.connect.arrow_source import ArrowSource
from mainstem.connect.excel_source import ExcelSource
from mainstem.connect.locations import Locations
from mainstem.connect.parquet_source import ParquetSource
from mainstem.connect.partitions import partitions_of

pytestmark = pytest.mark.extras


@dataclass
class Folder:
    """A folder, wherever it is."""

    url: str
    put: Callable[[str, bytes], object]
    remove: Callable[[str], object]
    options: dict[str, Any]


@pytest.fixture(params=["local", "s3", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Folder]:
    if request.param == "s3":
        bucket = Bucket()
        yield Folder(
            f"{bucket.url}/in",
            lambda key, data: bucket.put(f"in/{key}", data),
            lambda key: bucket.remove(f"in/{key}"),
            bucket.options,
        )
    elif request.param == "memory":
        memory, url = fsspec.filesystem("memory"), f"memory://{tmp_path.name}-{os.getpid()}"
        yield Folder(
            url, lambda key, data: memory.pipe_file(f"{url}/{key}", data), lambda key: memory.rm(f"{url}/{key}"), {}
        )
        memory.store.clear()
    else:

        def put(key: str, data: bytes) -> None:
            (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / key).write_bytes(data)

        yield Folder(str(tmp_path), put, lambda key: (tmp_path / key).unlink(), {})


def fill(folder: Folder, *keys: str) -> None:
    for key in keys:
        folder.put(key, f"id\n{key}\n".encode())


def ids(source: CsvSource[dict[str, str]]) -> list[str]:
    return [record["id"] for record in read(source)]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.csv", ["a.csv", "b.csv"]),
        ("?.csv", ["a.csv", "b.csv"]),
        ("[b-c].csv", ["b.csv"]),
        ("*/*.csv", ["x/a.csv"]),
        ("x/*.csv", ["x/a.csv"]),
        ("**/*.csv", ["a.csv", "b.csv", "x/a.csv", "x/y/a.csv"]),
        ("**/y/*", ["x/y/a.csv"]),
        ("*", ["a.csv", "b.csv", "c.txt"]),
    ],
)
def test_a_pattern_gives_the_files_that_fit_by_name(folder: Folder, pattern: str, found: list[str]) -> None:
    fill(folder, "b.csv", "a.csv", "c.txt", "x/y/a.csv", "x/a.csv", ".hidden.csv", ".hidden/a.csv")
    assert ids(CsvSource(f"{folder.url}/{pattern}", storage_options=folder.options)) == found


def test_a_list_gives_the_files_in_its_own_order(folder: Folder) -> None:
    fill(folder, "a.csv", "b.csv", "x/1.csv", "x/2.csv")
    paths = [f"{folder.url}/{name}" for name in ("b.csv", "x/*.csv", "a.csv")]
    assert ids(CsvSource(paths, storage_options=folder.options)) == ["b.csv", "x/1.csv", "x/2.csv", "a.csv"]


def test_a_file_that_is_given_twice_is_refused(folder: Folder) -> None:
    fill(folder, "a.csv")
    error = failure_of(CsvSource([f"{folder.url}/a.csv", f"{folder.url}/*.csv"], storage_options=folder.options))
    assert "a.csv is among the files twice" in str(error)


def test_a_pattern_that_nothing_fits_is_an_error(folder: Folder) -> None:
    fill(folder, "a.csv")
    error = failure_of(CsvSource(f"{folder.url}/*.tsv", storage_options=folder.options))
    assert isinstance(error, ConnectError)
    assert f"there is no file that fits {folder.url}/*.tsv" in str(error)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk_size", [3, 100])
async def test_several_files_are_gone_on_with_at_every_position(folder: Folder, kind: str, chunk_size: int) -> None:
    make, content_of = KINDS[kind]
    rows = [{"id": str(number), "text": f"text {number}"} for number in range(20)]
    for name, part in (("1", rows[:7]), ("2", rows[7:8]), ("3", rows[8:])):
        folder.put(f"{name}.{kind}", content_of(part))
    source = make(f"{folder.url}/*.{kind}", storage_options=folder.options)
    chunks = await read_chunks(source, chunk_size=chunk_size)
    assert records_of(chunks) == rows
    seen = 0
    for chunk in chunks:
        seen += len(chunk.records)
        position = json.loads(json.dumps(chunk.position))
        assert position["record"] == seen
        assert records_of(await read_chunks(source, start=position)) == rows[seen:]


@pytest.mark.anyio
async def test_rejects_count_through_all_files(folder: Folder) -> None:
    folder.put("1.csv", b"id\n1\n2,x\n3\n")
    folder.put("2.csv", b"id\n4\n5\n6,x\n")
    source = CsvSource(f"{folder.url}/*.csv", storage_options=folder.options, continue_on_error=True)
    context = PipelineContext()
    chunks = await read_chunks(source, context=context, chunk_size=2)
    assert [entry.index for entry in context.errors] == [1, 5]
    again = PipelineContext()
    again.chunk_start = chunks[1].position["record"]
    await read_chunks(source, context=again, start=chunks[1].position)
    assert [entry.index for entry in again.errors] == [5]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "start", [{"byte": 0, "record": 0, "line": 0}, {"file": 1, "record": 0}, {"file": "a", "record": -1}]
)
async def test_what_is_no_position_among_files_is_refused(folder: Folder, start: Any) -> None:
    fill(folder, "a.csv")
    with pytest.raises(ConnectError, match="is no position among several files"):
        await read_chunks(CsvSource(f"{folder.url}/*.csv", storage_options=folder.options), start=start)


@pytest.mark.anyio
async def test_a_position_in_a_file_that_is_gone_is_refused(folder: Folder) -> None:
    fill(folder, "a.csv", "b.csv")
    source = CsvSource(f"{folder.url}/*.csv", storage_options=folder.options)
    position = (await read_chunks(source))[0].position
    folder.remove("a.csv")
    with pytest.raises(ConnectError, match=r"a\.csv: it is not among the files any more"):
        await read_chunks(source, start=position)


def test_files_of_other_columns_are_refused(folder: Folder) -> None:
    folder.put("1.csv", b"id,text\n1,a\n")
    folder.put("2.csv", b"text,id\nb,2\n")
    folder.put("3.csv", b"")
    error = failure_of(CsvSource(f"{folder.url}/*.csv", storage_options=folder.options))
    assert "2.csv has the columns text, id and " in str(error)
    assert "sources of their own" in str(error)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow", "xlsx"])
async def test_files_of_other_columns_are_refused_when_one_goes_on_with_them(folder: Folder, kind: str) -> None:
    make, content_of = KINDS[kind]
    folder.put(f"1.{kind}", content_of([{"id": "1", "text": "a"}]))
    folder.put(f"2.{kind}", content_of([{"id": "2", "text": "b"}]).replace(b"text", b"tex_"))
    if kind == "xlsx":
        from tests.connect.workbooks import workbook

        folder.put("2.xlsx", workbook({"rows": [["id", "tex_"], ["2", "b"]]}))
    name = f"{folder.url}/2.{kind}" if "://" in folder.url else str(Path(folder.url, f"2.{kind}"))
    source = make(f"{folder.url}/*.{kind}", storage_options=folder.options)
    start = {"file": name, "record": 1, "row": 0, "byte": 0, "line": 0}
    with pytest.raises(ConnectError, match="has the columns id, tex_ and"):
        await read_chunks(source, start=start)


@pytest.mark.parametrize("change", ["added", "removed", "changed"])
def test_a_run_is_resumed_only_with_the_same_files(
    folder: Folder, tmp_path_factory: pytest.TempPathFactory, change: str
) -> None:
    fill(folder, "a.csv", "b.csv")
    place = tmp_path_factory.mktemp("store")
    fails = [True]

    def fail_once(record: dict[str, str]) -> dict[str, str]:
        if fails[0] and record["id"] == "b.csv":
            raise ValueError("not yet")
        return record

    pipeline = (
        Pipeline[None, LoadReport]("files")
        .add_stage(CsvSource(f"{folder.url}/*.csv", storage_options=folder.options))
        .map(fail_once)
        .add_stage(TableSink(f"sqlite:///{place / 'target.db'}", "rows"))
    )
    assert not pipeline.run(store=place / "runs.db", run_id="1", commit_every=1).success
    content = {"added": ("c.csv", b"id\n"), "changed": ("b.csv", b"id\nb.csv\nmore\n")}
    if change == "removed":
        folder.remove("b.csv")
    else:
        folder.put(*content[change])
    fails[0] = False
    with pytest.raises(SourceChangedError):
        pipeline.run(store=place / "runs.db", run_id="1")
    assert pipeline.run(store=place / "runs.db", run_id="1", force=True).success


# Folders that stand for fields


@dataclass
class Sale:
    id: int
    year: int
    shop: str | None


SALES = {
    "year=2023/shop=A/1.csv": b"id\n1\n",
    "year=2024/shop=New%20York/1.csv": b"id\n2\n",
    "year=2024/shop=__HIVE_DEFAULT_PARTITION__/2.csv": b"id\n3\n",
}


def test_folders_stand_for_fields(folder: Folder) -> None:
    for key, content in SALES.items():
        folder.put(key, content)
    for key in ("_SUCCESS", "year=2024/_temporary/1.csv", ".x/2.csv"):
        folder.put(key, b"not,read\n\n1")
    expected = [
        {"id": "1", "year": "2023", "shop": "A"},
        {"id": "2", "year": "2024", "shop": "New York"},
        {"id": "3", "year": "2024", "shop": ""},
    ]
    order = sorted(SALES)
    expected = [expected[list(SALES).index(key)] for key in order]
    for path in (folder.url, f"{folder.url}/**/*=*/*.csv"):
        assert read(CsvSource(path, storage_options=folder.options, partitions=True)) == expected
    typed = CsvSource(folder.url, storage_options=folder.options, partitions=True, record_type=Sale, null_values=("",))
    assert {(sale.id, sale.year) for sale in read(typed)} == {(1, 2023), (2, 2024), (3, 2024)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_has_partitions(folder: Folder, kind: str) -> None:
    make, content_of = KINDS[kind]
    for year in ("2023", "2024"):
        folder.put(f"year={year}/r.{kind}", content_of([{"id": year, "text": "x"}]))
    source = make(folder.url, storage_options=folder.options, partitions=True)
    assert read(source) == [{"id": year, "text": "x", "year": year} for year in ("2023", "2024")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_with_the_name_of_a_partition_is_refused(folder: Folder, kind: str) -> None:
    make, content_of = KINDS[kind]
    folder.put(f"id=1/r.{kind}", content_of([{"id": "1", "text": "x"}]))
    error = failure_of(make(folder.url, storage_options=folder.options, partitions=True))
    assert isinstance(error, ConnectError)
    assert "'id', and a folder of that name stands for a field" in str(error)


def test_files_in_folders_of_other_fields_are_refused(folder: Folder) -> None:
    fill(folder, "year=2023/1.csv", "month=1/2.csv")
    error = failure_of(CsvSource(folder.url, storage_options=folder.options, partitions=True))
    assert "all files must be in folders of the same fields" in str(error)


def test_a_row_of_a_partition_is_read_again_as_a_dict_only(folder: Folder) -> None:
    folder.put("year=2024/1.csv", b"id\nx,y\n")
    source = CsvSource(folder.url, storage_options=folder.options, partitions=True, continue_on_error=True)
    found, errors = read_with_errors(source)
    assert (found, errors[0][1]) == ([], "x,y")
    with pytest.raises(ConnectError, match="does not say in which folder it was"):
        source.read_again("x")
    assert source.read_again({"id": "x", "year": "2024"}) == {"id": "x", "year": "2024"}
    lines: JsonLinesSource[Any] = JsonLinesSource(folder.url, storage_options=folder.options, partitions=True)
    with pytest.raises(ConnectError, match="does not say in which folder it was"):
        lines.read_again("{}")


def test_two_folders_of_one_field_are_refused() -> None:
    with pytest.raises(ConnectError, match="two folders of year=1/year=2/r stand for 'year'"):
        partitions_of("year=1/year=2/r")


# What a path names


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "a[1].csv").write_text("id\n1\n")
    (tmp_path / "a1.csv").write_text("id\n2\n")
    assert read(CsvSource(tmp_path / "a[1].csv")) == [{"id": "1"}]
    (tmp_path / "a[1].csv").unlink()
    assert read(CsvSource(tmp_path / "a[1].csv")) == [{"id": "2"}]


def test_a_relative_pattern_is_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("year=1").mkdir()
    Path("year=1/a.csv").write_text("id\n1\n")
    assert read(CsvSource("*/*.csv", partitions=True)) == [{"id": "1", "year": "1"}]
    assert read(CsvSource(".", partitions=True)) == [{"id": "1", "year": "1"}]


def test_a_web_server_is_not_asked_for_a_list() -> None:
    with web_server() as server:
        for source in (CsvSource(server.url + "/*.csv"), CsvSource(server.url + "/", partitions=True)):
            assert "give each URL" in str(failure_of(source))
        urls = [server.put(f"/year={year}/r.csv", f"id\n{year}\n".encode()) for year in (2, 1)]
        assert read(CsvSource(urls, partitions=True)) == [{"id": "2", "year": "2"}, {"id": "1", "year": "1"}]


@pytest.mark.parametrize("url", ["file://host/r.csv", "file://r.csv"])
def test_a_file_url_of_another_machine_is_refused(url: str) -> None:
    with pytest.raises(ConnectError, match="three slashes"):
        CsvSource(url)


def test_no_paths_are_refused() -> None:
    with pytest.raises(ValueError, match="there must be a path"):
        Locations([])


@pytest.mark.parametrize("path", [b"r.csv", [b"r.csv"]])
def test_bytes_are_no_path(path: Any) -> None:
    with pytest.raises(TypeError, match="must be a text or a Path"):
        Locations([path] if isinstance(path, bytes) else path)


def test_the_fingerprint_of_very_many_files_is_short(tmp_path: Path) -> None:
    for number in range(1001):
        (tmp_path / f"{number:04}").write_text("id\n")
    locations = Locations(str(tmp_path / "*"))
    first: Any = locations.fingerprint()
    assert len(json.dumps(first)) < 200
    (tmp_path / "0500").write_text("id\n1\n")
    assert locations.fingerprint() != first


def test_every_source_takes_several_files(tmp_path: Path) -> None:
    for make in (CsvSource, JsonLinesSource, ParquetSource, ArrowSource, ExcelSource):
        result = run(make([tmp_path / "absent", tmp_path / "b"]), data=None)
        assert str(tmp_path / "absent") in str(result.error)
