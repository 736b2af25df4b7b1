"""Reading from a position gives exactly what reading on would have given: records, rejects, positions."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connect.reading import read_chunks, records_of

from mainstem import PipelineContext, Position, SourceChunk, SourceStage
from mainstem.connect import CsvSource, JsonLinesSource

Found = tuple[int, Any, str]
"""Position, record and error of a reject."""


@dataclass
class Row:
    a: int
    b: str


CELLS = st.one_of(
    st.sampled_from(["1", "", "x", '"two\nlines"', '"two\r\nlines"', '"a, b"', '"""quoted"""', "ü", "7"]),
    st.integers(0, 99).map(str),
)
GOOD_ROW = st.tuples(st.integers(0, 99).map(str), CELLS).map(",".join)
BAD_ROW = st.sampled_from(["1", "1,2,3", "x,1", '1,"open" x', "1,\0", "1,\udcff", '5,"two\nlines",6', "1,a\rb"])
CSV_LINES = st.lists(st.one_of(GOOD_ROW, GOOD_ROW, BAD_ROW, st.just("")), max_size=12)


def json_line(a: int, b: str) -> str:
    return json.dumps({"a": a, "b": b}, ensure_ascii=False)


GOOD_LINE = st.builds(json_line, st.integers(0, 99), st.sampled_from(["", "ü", "x y"]))
BAD_LINE = st.sampled_from(["7", "{", '{"a": 1, "a": 2}', '{"a": NaN}', "\udcff", '{"a": "x", "b": 1}', "[]"])
JSON_LINES = st.lists(st.one_of(GOOD_LINE, GOOD_LINE, BAD_LINE, st.sampled_from(["", "  ", "\t"])), max_size=12)


@st.composite
def files(draw: st.DrawFn, header: str, lines: st.SearchStrategy[list[str]]) -> bytes:
    end = draw(st.sampled_from(["\n", "\r\n"]))
    text = end.join([*([header] if header else []), *draw(lines)])
    if draw(st.booleans()):
        text += end
    content = text.encode("utf-8", "surrogateescape")
    if draw(st.booleans()):
        content = b"\xef\xbb\xbf" + content
    return gzip.compress(content, mtime=0) if draw(st.booleans()) else content


async def read_from(source: SourceStage[Any], start: Position | None, chunk_size: int) -> tuple[list[Any], list[Found]]:
    """Read as a resumed run does: its context counts the records before."""
    context = PipelineContext()
    context.chunk_start = 0 if start is None else start["record"]
    chunks = await read_chunks(source, context=context, start=start, chunk_size=chunk_size)
    assert_positions_count_up(chunks, start)
    found = [(entry.index or 0, entry.record, str(entry.error)) for entry in context.errors]
    return records_of(chunks), found


def assert_positions_count_up(chunks: list[SourceChunk[Any]], start: Position | None) -> None:
    record = 0 if start is None else start["record"]
    for chunk in chunks:
        record += len(chunk.records) + chunk.records_failed
        assert chunk.position["record"] == record


async def check_every_cut(source: SourceStage[Any], chunk_size: int) -> None:
    records, rejects = await read_from(source, None, chunk_size)
    seen = 0
    for chunk in await read_chunks(source, chunk_size=chunk_size):
        seen += len(chunk.records)
        position = json.loads(json.dumps(chunk.position))
        for again in (1, 3, 100):
            rest = await read_from(source, position, again)
            assert rest == (records[seen:], [each for each in rejects if each[0] >= position["record"]])
    assert seen == len(records)


@settings(deadline=None)
@given(content=files("a,b", CSV_LINES), chunk_size=st.integers(1, 5), typed=st.booleans())
def test_a_csv_file_can_be_gone_on_with_at_every_cut(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, chunk_size: int, typed: bool
) -> None:
    path = tmp_path_factory.mktemp("cuts") / "r.csv"
    path.write_bytes(content)
    kind: type[Any] = Row if typed else dict
    anyio.run(check_every_cut, CsvSource(path, record_type=kind, continue_on_error=True), chunk_size)


@settings(deadline=None)
@given(content=files("", JSON_LINES), chunk_size=st.integers(1, 5), typed=st.booleans())
def test_a_json_lines_file_can_be_gone_on_with_at_every_cut(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, chunk_size: int, typed: bool
) -> None:
    path = tmp_path_factory.mktemp("cuts") / "r.jsonl"
    path.write_bytes(content)
    kind: type[Any] = Row if typed else dict
    anyio.run(check_every_cut, JsonLinesSource(path, record_type=kind, continue_on_error=True), chunk_size)


@settings(deadline=None)
@given(content=files("a,b", CSV_LINES), chunk_size=st.integers(1, 5))
def test_how_a_csv_file_is_cut_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, chunk_size: int
) -> None:
    path = tmp_path_factory.mktemp("cuts") / "r.csv"
    path.write_bytes(content)
    source = CsvSource(path, record_type=Row, continue_on_error=True)
    assert anyio.run(read_from, source, None, chunk_size) == anyio.run(read_from, source, None, 1000)


def test_a_file_of_a_header_only_has_no_position_to_go_on_from(tmp_path: Path) -> None:
    for content in (b"", b"a,b", b"a,b\n\n\n", b"\xef\xbb\xbfa,b\r\n"):
        (tmp_path / "r.csv").write_bytes(content)
        assert anyio.run(read_chunks, CsvSource(tmp_path / "r.csv")) == []


HOLE = 1 << 36
"""64 GiB that take no room on the disk, and minutes to read."""


@pytest.mark.anyio
async def test_a_csv_file_is_gone_on_with_at_once_however_much_comes_before(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(b"a,b\n")
    with path.open("r+b") as file:
        file.seek(HOLE)
        file.write(b"\n1,x\n2,y\n")
    start = {"byte": HOLE + 1, "record": 10_000_000, "line": 10_000_001}
    chunks = await read_chunks(CsvSource(path), start=start)
    assert records_of(chunks) == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]
    assert chunks[-1].position == {"byte": HOLE + 9, "record": 10_000_002, "line": 10_000_003}


@pytest.mark.anyio
async def test_a_json_lines_file_is_gone_on_with_at_once_however_much_comes_before(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with path.open("wb") as file:
        file.seek(HOLE)
        file.write(b'\n{"a": 1}\n')
    chunks = await read_chunks(
        JsonLinesSource(path), start={"byte": HOLE + 1, "record": 10_000_000, "line": 10_000_000}
    )
    assert records_of(chunks) == [{"a": 1}]
