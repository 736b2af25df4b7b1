"""Parquet and Arrow files: columns, row groups, memory, what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.connect.reading import failure_of, read, read_chunks, read_with_errors, records_of

from mainstem import ConnectError, MissingExtraError
from mainstem.connect import CsvSource
from mainstem.connect.arrow_source import ArrowSource
from mainstem.connect.excel_source import ExcelSource
from mainstem.connect.parquet_source import ParquetSource

pytestmark = pytest.mark.extras


def write(path: Path, table: pa.Table, **options: Any) -> None:
    """Write a table as the kind of file that the path's name says."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, **options)
    else:
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)


SOURCES: dict[str, Any] = {"r.parquet": ParquetSource, "r.arrow": ArrowSource}


@pytest.fixture(params=SOURCES)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, Path]:
    return SOURCES[request.param], tmp_path / request.param


def test_columns_are_read_in_the_order_in_which_they_are_named(kind: tuple[Any, Path]) -> None:
    make, path = kind
    write(path, pa.table({"a": [1], "b.c": [2], "b": [{"c": 3}]}))
    assert [list(row.items()) for row in read(make(path, columns=["b.c", "a"]))] == [[("b.c", 2), ("a", 1)]]
    assert read(make(path, columns=["b"])) == [{"b": {"c": 3}}]
    assert f"{path} has no column 'x': it has a, b.c, b" in str(failure_of(make(path, columns=["a", "x"])))
    with pytest.raises(TypeError, match="and not one text, 'ab'"):
        make(path, columns="ab")


def test_no_columns_give_records_without_fields(kind: tuple[Any, Path]) -> None:
    make, path = kind
    write(path, pa.table({"a": [1, 2]}))
    assert read(make(path, columns=[])) == [{}, {}]


@dataclass
class Point:
    x: int
    y: int = 0


def test_rows_are_parsed_and_those_that_do_not_fit_are_rejects(kind: tuple[Any, Path]) -> None:
    make, path = kind
    write(path, pa.table({"x": [1, None, 3], "y": [1, 2, 3]}))
    source = make(path, record_type=Point, continue_on_error=True)
    found, errors = read_with_errors(source)
    assert found == [Point(1, 1), Point(3, 3)]
    assert [(index, record) for index, record, _ in errors] == [(1, {"x": None, "y": 2})]
    assert f"{path}, row 2: " in errors[0][2]
    assert source.read_again({"x": 2, "y": 2}) == Point(2, 2)
    with pytest.raises(ConnectError, match="a row is a mapping of its columns, not str"):
        source.read_again("2,2")


def test_rejects_of_both_kinds_keep_their_numbers(kind: tuple[Any, Path]) -> None:
    make, path = kind
    texts = pa.Array.from_buffers(pa.string(), 4, pa.array([b"a", b"\xff", b"c", b"d"], pa.binary()).buffers())
    write(
        path,
        pa.table({"x": [1, 2, None, 4], "t": texts}),
        **({"write_statistics": False} if make is ParquetSource else {}),
    )
    found, errors = read_with_errors(make(path, record_type=Point, continue_on_error=True))
    assert found == [Point(1), Point(4)]
    assert [(index, record) for index, record, _ in errors] == [(1, {"x": 2, "t": b"\xff"}), (2, {"x": None, "t": "c"})]


@pytest.mark.parametrize("content", [b"", b"id\n1\n", b"PAR1xxxxPAR1", b"ARROW1\0\0xxxxxxxx", os.urandom(500)])
def test_what_is_of_another_format_is_refused(kind: tuple[Any, Path], content: bytes) -> None:
    make, path = kind
    path.write_bytes(content)
    error = failure_of(make(path))
    assert isinstance(error, ConnectError)
    assert f"cannot read {path}" in str(error)
    assert "is it complete, and of that format?" in str(error)


def test_damage_within_is_an_error_that_says_after_which_row(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    table = pa.table({"x": [os.urandom(100) for _ in range(1000)]})
    write(path, table, row_group_size=100, compression="none", use_dictionary=False, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert f"cannot read {path} after row " in str(failure_of(ParquetSource(path)))


def test_what_polars_writes_is_read(tmp_path: Path) -> None:
    frame = polars.DataFrame({"a": [1, None], "b": ["x", "y"], "c": [[1], []], "d": [{"e": 1.5}, {"e": None}]})
    frame = frame.with_columns(polars.col("b").cast(polars.Categorical).alias("f"))
    frame.write_parquet(tmp_path / "r.parquet")
    frame.write_ipc(tmp_path / "r.arrow", compression="zstd")
    frame.write_ipc_stream(tmp_path / "r.arrows", compression="lz4")
    for source in (
        ParquetSource(tmp_path / "r.parquet"),
        ArrowSource(tmp_path / "r.arrow"),
        ArrowSource(tmp_path / "r.arrows"),
    ):
        assert read(source) == frame.to_dicts()


@pytest.mark.anyio
async def test_going_on_reads_nothing_of_the_row_groups_before(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    write(path, pa.table({"x": list(range(1000)), "noise": [os.urandom(100) for _ in range(1000)]}), row_group_size=100)
    groups = pq.ParquetFile(path).metadata
    start, end = groups.row_group(0).column(0).data_page_offset, groups.row_group(8).column(1).data_page_offset
    content = bytearray(path.read_bytes())
    content[start:end] = bytes(end - start)
    path.write_bytes(content)
    chunks = await read_chunks(ParquetSource(path), start={"row": 950, "record": 950})
    assert [record["x"] for record in records_of(chunks)] == list(range(950, 1000))


def test_a_large_file_takes_the_memory_of_a_row_group(tmp_path: Path) -> None:
    """Four times as many row groups of 4 MB take no more memory: 400 MB, and 100 MB."""
    script = """
import asyncio, resource, sys
from mainstem import PipelineContext
from mainstem.connect.parquet_source import ParquetSource
async def read():
    count = 0
    async for chunk in ParquetSource(sys.argv[1]).read(PipelineContext(), chunk_size=100):
        count += len(chunk.records)
    assert count == int(sys.argv[2]), count
asyncio.run(read())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
    peaks: list[int] = []
    schema = pa.schema([("x", pa.binary())])
    for groups in (25, 100):
        path = tmp_path / f"{groups}.parquet"
        with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
            for _ in range(groups):
                writer.write_table(pa.table({"x": [os.urandom(100_000) for _ in range(40)]}, schema=schema))
        command = [sys.executable, "-c", script, str(path), str(40 * groups)]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
        path.unlink()
    assert peaks[1] < peaks[0] + 60, peaks


MISSING = [
    (lambda: ParquetSource("r"), "pyarrow", "frames"),
    (lambda: ArrowSource("r"), "pyarrow", "frames"),
    (lambda: ExcelSource("r"), "python_calamine", "excel"),
    (lambda: CsvSource("s3://b/r"), "obstore", "files"),
    (lambda: CsvSource("memory://b/r"), "fsspec.core", "files"),
]


@pytest.mark.parametrize(("make", "package", "extra"), MISSING)
def test_an_extra_that_is_missing_is_named(
    make: Any, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'mainstem\[{extra}\]'"):
        make()


def test_zstd_without_its_package_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    (tmp_path / "r").write_bytes(b"\x28\xb5\x2f\xfd")
    error = failure_of(CsvSource(tmp_path / "r"))
    assert isinstance(error, MissingExtraError)
    assert "Reading a file that is compressed with zstd needs" in str(error)


def test_importing_the_sources_loads_no_extra() -> None:
    script = """
import sys
import mainstem.connect.parquet_source, mainstem.connect.arrow_source, mainstem.connect.excel_source
from mainstem.connect import CsvSource
CsvSource("r.csv")
found = {"pyarrow", "polars", "obstore", "fsspec", "zstandard", "python_calamine"} & set(sys.modules)
assert not found, found
"""
    subprocess.run([sys.executable, "-c", script], check=True)
