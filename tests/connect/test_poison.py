"""What cannot be taken is one reject, wherever it comes, and its neighbours are loaded."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.connect.poison import (
    CSV,
    JSON_LINES,
    LINES,
    POSITIONS,
    RECORDS,
    SQLITE,
    PoisonLine,
    PoisonRecord,
    RefusingInt,
    RefusingText,
    Row,
    good,
)
from tests.connect.reading import read_chunks, records_of

from mainstem import ConnectError, PipelineContext, SinkStage, SourceStage, ValidationError
from mainstem.connect import CsvSink, CsvSource, JsonLinesSink, JsonLinesSource, TableSink

POSITION = pytest.mark.parametrize("bad", POSITIONS.values(), ids=POSITIONS)


def table_sink(path: Path) -> SinkStage[Any]:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER NOT NULL, text TEXT NOT NULL)")
    return TableSink(f"sqlite:///{path}", "t", continue_on_error=True)


def ids_in_table(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM t ORDER BY rowid")]


def ids_in_csv(path: Path) -> list[Any]:
    with path.open(newline="") as file:
        return [int(row[0]) if row[0].isdecimal() else row[0] for row in list(csv.reader(file))[1:]]


def ids_in_json_lines(path: Path) -> list[Any]:
    return [json.loads(line).get("id") for line in path.read_text("utf-8").split("\n") if line]


SINKS: dict[str, tuple[Callable[[Path], SinkStage[Any]], Callable[[Path], list[Any]]]] = {
    SQLITE: (table_sink, ids_in_table),
    CSV: (lambda path: CsvSink(path, columns=("id", "text"), continue_on_error=True), ids_in_csv),
    JSON_LINES: (lambda path: JsonLinesSink(path, continue_on_error=True), ids_in_json_lines),
}


@pytest.mark.parametrize("target", SINKS)
@pytest.mark.parametrize("poison", RECORDS, ids=[each.name for each in RECORDS])
@POSITION
def test_a_record_that_a_target_refuses(tmp_path: Path, target: str, poison: PoisonRecord, bad: list[int]) -> None:
    make, ids_in = SINKS[target]
    context = PipelineContext()
    records = [poison.make(number) if number in bad else good(number) for number in range(7)]
    result = anyio.run(make(tmp_path / "out").process, records, context)
    rejected = bad if target in poison.refused_by else []
    assert [entry.index for entry in context.errors] == rejected
    assert all(entry.record is records[entry.index or 0] for entry in context.errors)
    assert {type(entry.error) for entry in context.errors} <= {ValidationError}
    assert all(0 < len(str(entry.error)) < 1000 for entry in context.errors)
    assert (result.records_processed, result.records_failed) == (7 - len(rejected), len(rejected))
    stored = ids_in(tmp_path / "out")
    assert len(stored) == 7 - len(rejected)
    assert [each for each in stored if each in range(7) and each not in bad] == [
        number for number in range(7) if number not in bad
    ]


SOURCES: dict[str, tuple[Callable[..., SourceStage[Any]], bytes, Callable[[int], bytes]]] = {
    CSV: (CsvSource, b"id,text,when\n", lambda number: b"%d,text %d," % (number, number)),
    JSON_LINES: (JsonLinesSource, b"", lambda number: json.dumps(good(number)).encode()),
}


@pytest.mark.parametrize("chunk_size", [2, 100])
@pytest.mark.parametrize("poison", LINES, ids=[f"{each.source}: {each.name}" for each in LINES])
@POSITION
def test_a_line_that_a_source_refuses(tmp_path: Path, poison: PoisonLine, bad: list[int], chunk_size: int) -> None:
    make, header, line = SOURCES[poison.source]
    if poison.source == JSON_LINES and "byte order mark" in poison.name:
        bad = [number for number in bad if number]  # at the beginning of a file it is none
    lines = [poison.content if number in bad else line(number) for number in range(7)]
    path = tmp_path / "in"
    path.write_bytes(header + b"\n".join(lines) + b"\n")
    for record_type in (Row,) if poison.typed_only else (Row, dict):
        source = make(path, record_type=record_type, continue_on_error=True)
        context = PipelineContext()

        async def read(source: SourceStage[Any] = source, context: PipelineContext = context) -> Sequence[Any]:
            return await read_chunks(source, context=context, chunk_size=chunk_size)

        chunks = anyio.run(read)
        assert [entry.index for entry in context.errors] == bad
        assert {type(entry.error) for entry in context.errors} <= {ConnectError, ValidationError}
        assert all(0 < len(str(entry.error)) < 1000 for entry in context.errors)
        found = [int(each.id if record_type is Row else each["id"]) for each in records_of(chunks)]
        assert found == [number for number in range(7) if number not in bad]
        assert chunks[-1].position["record"] == 7


@pytest.mark.parametrize("target", SINKS)
def test_a_text_of_64_megabytes_is_stored(tmp_path: Path, target: str) -> None:
    make, ids_in = SINKS[target]
    context = PipelineContext()
    records = [good(0), {"id": 1, "text": "x" * (64 << 20)}, good(2)]
    anyio.run(make(tmp_path / "out").process, records, context)
    assert context.errors == []
    assert (tmp_path / "out").stat().st_size > 64 << 20
    if target != CSV:  # the csv module, with which the test looks, has its limit
        assert ids_in(tmp_path / "out") == [0, 1, 2]


@pytest.mark.parametrize("target", SINKS)
def test_values_of_classes_that_refuse_are_stored_as_what_they_are(tmp_path: Path, target: str) -> None:
    make, ids_in = SINKS[target]
    context = PipelineContext()
    records = [good(0), {"id": RefusingInt(1), "text": RefusingText("x")}, good(2)]
    anyio.run(make(tmp_path / "out").process, records, context)
    assert context.errors == []
    assert ids_in(tmp_path / "out") == [0, 1, 2]


def test_every_poison_has_a_name_of_its_own() -> None:
    assert len({each.name for each in RECORDS}) == len(RECORDS)
    assert len({(each.source, each.name) for each in LINES}) == len(LINES)
