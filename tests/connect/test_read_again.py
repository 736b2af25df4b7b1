"""Rejected rows that somebody mended are read as the rows of the source are, and fingerprints tell sources apart."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.connect.reading import read_with_errors

from mainstem import ConnectError, SourceStage, ValidationError
from mainstem.connect import CsvSource, JsonLinesSource, SqlSource
from mainstem.connect.csv_rows import CarefulReader, CsvFormat


@dataclass
class Item:
    id: int
    name: str


# Rows of CSV files


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    path = tmp_path / "r.csv"
    path.write_bytes(b'\xef\xbb\xbfid,name\n1,2,3\n2,\xff\nx,axe\n4,"two\nlines",5\n')
    return path


def test_what_a_csv_source_kept_is_refused_as_it_was(csv_file: Path) -> None:
    source = CsvSource(csv_file, record_type=Item, continue_on_error=True)
    _, errors = read_with_errors(source)
    assert [record for _, record, _ in errors] == ["1,2,3", b"2,\xff", {"id": "x", "name": "axe"}, '4,"two\nlines",5']
    for _, record, text in errors:
        with pytest.raises((ConnectError, ValidationError)) as caught:
            source.read_again(record)
        assert text.endswith(str(caught.value))


@pytest.mark.parametrize(
    ("mended", "item"),
    [
        ("1,nail", Item(1, "nail")),
        ("1,nail\r\n", Item(1, "nail")),
        (b"1,nail", Item(1, "nail")),
        ('1,"a, ""b""\nc"', Item(1, 'a, "b"\nc')),
        ("1,\u20ac", Item(1, "\u20ac")),
        ({"id": "1", "name": "nail"}, Item(1, "nail")),
        ({"id": 1, "name": "nail"}, Item(1, "nail")),
    ],
)
def test_a_mended_csv_row_is_read(csv_file: Path, mended: Any, item: Item) -> None:
    assert CsvSource(csv_file, record_type=Item, encoding="ascii").read_again(mended) == item


def test_a_mended_csv_row_is_read_in_the_encoding_and_with_the_delimiter_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_bytes(b"id;name\n")
    source = CsvSource(tmp_path / "r.csv", delimiter=";", encoding="latin-1")
    for mended in (b"1;\xfc", "1;\xfc", {"id": "1", "name": "\xfc"}):
        assert source.read_again(mended) == {"id": "1", "name": "\xfc"}


@pytest.mark.parametrize(
    ("mended", "problem"),
    [
        ("1", "the row has 1 cells and the header 2 (id, name)"),
        ("", "the row is blank"),
        ("\n", "the row is blank"),
        ("1,a\n2,b", "there are 2 rows in it, and one is expected"),
        ('1,"a', "a quote of this row is never closed"),
        ("1,a\0", "NUL"),
        ("1,\ud800", "half a surrogate pair"),
        (b"1,\xff", "byte 0xff is not valid utf-8"),
        ({"id": "1"}, "a row has a text for each column of"),
        ({"id": "1", "name": "x", "more": "y"}, "a row has a text for each column of"),
        ({"id": 1, "name": "x"}, "a row has a text for each column of"),
        (7, "a row is a text, bytes or a mapping of texts, not int"),
        (None, "not NoneType"),
    ],
)
def test_a_csv_row_that_is_still_wrong_is_refused(csv_file: Path, mended: Any, problem: str) -> None:
    with pytest.raises(ConnectError) as caught:
        CsvSource(csv_file).read_again(mended)
    assert problem in str(caught.value)


def test_a_csv_row_needs_the_header_of_its_file(csv_file: Path) -> None:
    source = CsvSource(csv_file, record_type=Item)
    csv_file.unlink()
    assert source.read_again({"id": "1", "name": "x"}) == Item(1, "x")
    with pytest.raises(ConnectError, match="there is no such file"):
        source.read_again("1,x")


# Lines of JSON


def test_what_a_json_lines_source_kept_is_refused_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"id": 1\n\xff\n[]\n{"id": "x", "name": ""}\n{"id": 1, "id": 2}\n{"id": NaN}\n')
    source = JsonLinesSource(path, record_type=Item, continue_on_error=True)
    _, errors = read_with_errors(source)
    assert len(errors) == 6
    for _, record, text in errors:
        with pytest.raises((ConnectError, ValidationError)) as caught:
            source.read_again(record)
        assert text.endswith(str(caught.value))


@pytest.mark.parametrize(
    "mended",
    [
        '{"id": 1, "name": "\xfc"}',
        b' {"id": 1, "name": "\xc3\xbc"}\n',
        {"id": 1, "name": "\xfc"},
        '{"id": 1,\n"name": "\xfc"}',
    ],
)
def test_a_mended_line_of_json_is_read(tmp_path: Path, mended: Any) -> None:
    path = tmp_path / "gone.jsonl"
    assert JsonLinesSource(path, record_type=Item).read_again(mended) == Item(1, "\xfc")
    assert JsonLinesSource(path).read_again(mended) == {"id": 1, "name": "\xfc"}


@pytest.mark.parametrize(
    ("mended", "problem"),
    [
        ("", "this is not JSON"),
        ("{} {}", "this is not JSON"),
        ("[{}]", "a JSON array where an object is expected"),
        ('{"a": "\ud800"}', "half a surrogate pair"),
        (b"\xff", "byte 0xff is not valid UTF-8"),
        ("[" * 100_000, "it is nested too deep"),
        (7, "a line is a text, bytes or a mapping, not int"),
    ],
)
def test_a_line_of_json_that_is_still_wrong_is_refused(tmp_path: Path, mended: Any, problem: str) -> None:
    with pytest.raises(ConnectError) as caught:
        JsonLinesSource(tmp_path / "gone.jsonl").read_again(mended)
    assert problem in str(caught.value)


# Rows of a query


def test_a_row_of_a_query_is_read_again() -> None:
    source = SqlSource("sqlite://", "SELECT 'x' AS id, CAST(x'ff' AS TEXT) AS name", continue_on_error=True)
    _, errors = read_with_errors(source)
    assert [(record, type(record["name"])) for _, record, _ in errors] == [({"id": "x", "name": b"\xff"}, bytes)]
    assert source.read_again({"id": 1, "name": "x"}) == {"id": 1, "name": "x"}
    typed = SqlSource("sqlite://", "SELECT 1", record_type=Item)
    assert typed.read_again({"id": 1, "name": "x"}) == Item(1, "x")
    with pytest.raises(ValidationError, match="not a Item"):
        typed.read_again(errors[0][1])
    with pytest.raises(ConnectError, match="a row is a mapping with a value for each column, not str"):
        source.read_again("1,x")


# Fingerprints


@pytest.mark.anyio
@pytest.mark.parametrize("make", [CsvSource, JsonLinesSource])
async def test_a_file_has_another_fingerprint_after_any_change(make: Any, tmp_path: Path) -> None:
    path = tmp_path / "r"
    content = b"id\n" + b"1\n" * 100_000
    seen: list[Any] = []

    async def fingerprint(path: Path) -> Any:
        source: SourceStage[Any] = make(path)
        found = await source.fingerprint()
        assert json.loads(json.dumps(found)) == found
        return found

    for changed in (
        content,
        b"x" + content[1:],
        content[:-2] + b"2\n",
        content + b"1\n",
        content[:-2],
        b"",
        content[:9],
    ):
        path.write_bytes(changed)
        os.utime(path, ns=(5, 5))
        seen.append(await fingerprint(path))
        assert await fingerprint(path) == seen[-1]
    os.utime(path, ns=(6, 6))
    seen.append(await fingerprint(path))
    path.rename(tmp_path / "s")
    seen.append(await fingerprint(tmp_path / "s"))
    assert all(before != after for at, after in enumerate(seen) for before in seen[:at])


@pytest.mark.anyio
async def test_a_fingerprint_does_not_depend_on_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "r.csv").write_bytes(gzip.compress(b"id\n"))
    monkeypatch.chdir(tmp_path)
    assert await CsvSource("r.csv").fingerprint() == await CsvSource(tmp_path / "r.csv").fingerprint()
    assert (await SqlSource("sqlite:///r.db", "SELECT 1").fingerprint())["database"] == str(tmp_path / "r.db")


@pytest.mark.anyio
async def test_a_file_that_is_missing_has_no_fingerprint(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(ConnectError, match="cannot read"):
            await CsvSource(path).fingerprint()


@pytest.mark.anyio
async def test_the_fingerprint_of_a_query_is_what_is_asked_and_where() -> None:
    found = await SqlSource("sqlite://", "SELECT ?, ?", parameters=[1, b"x"], key="id").fingerprint()
    assert found == {"database": ":memory:", "query": "SELECT ?, ?", "parameters": [1, "bytes b'x'"], "key": ["id"]}
    named = SqlSource("sqlite:////x.db", "SELECT :a", parameters={"a": float("inf")})
    assert (await named.fingerprint())["parameters"] == {"a": "float inf"}


@pytest.mark.anyio
async def test_the_content_of_a_database_may_change(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "r.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (a)")
        source = SqlSource(f"sqlite:///{tmp_path / 'r.db'}", "SELECT a FROM t")
        before = await source.fingerprint()
        connection.execute("INSERT INTO t VALUES (1)")
    assert await source.fingerprint() == before


def test_line_numbers_are_right_behind_a_cell_that_is_too_long(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    long = "\n".join(["y" * 100] * 3000)
    path.write_text(f'a,b\n1,"{long}"\n2\n3,x\n')
    found, errors = read_with_errors(CsvSource(path, continue_on_error=True))
    assert found == [{"a": "3", "b": "x"}]
    assert [(index, text.partition(":")[0]) for index, _, text in errors] == [
        (0, f"{path}, line 2"),
        (1, f"{path}, line 3002"),
    ]
    lines = [b"a\n", *[b'"' + b"y" * 100 + b"\n"], *[b"y" * 100 + b"\n"] * 3000, b'"\n', b"b\n"]
    rows = CarefulReader(CsvFormat(",", "utf-8")).read(lines, iter(()), 1, lambda: None)
    assert [(row.line, row.cells) for row in rows] == [(1, ["a"]), (2, []), (3004, ["b"])]
