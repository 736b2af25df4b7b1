"""The poison matrix: what a target cannot take, wherever among others it comes, whatever the target and the run."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from tests.connect.poison import CSV, JSON_LINES, POSITIONS, POSTGRES, SQLITE, good
from tests.poison.making import KINDS, PoisonMaker

from mainstem import (
    EventBus,
    MapStage,
    Pipeline,
    PipelineContext,
    PipelineResult,
    PipelineStage,
    SinkStage,
    StageResult,
    ValidationError,
    Workers,
)
from mainstem.connect import CsvSink, JsonLinesSink, JsonLinesSource, TableSink
from mainstem.durable.ledger import RejectLedger

TOTAL = 7
"""Records in a cell."""
WAYS = ("memory", "stream", "workers")


@dataclass(frozen=True)
class Target:
    """Where the records of a cell go.

    Attributes:
        make: Makes the sink, given the folder of the cell and the URL of a database of PostgreSQL.
        ids: Reads the ids that are there.
    """

    make: Callable[[Path, str], SinkStage[Any]]
    ids: Callable[[Path, str], list[Any]]


def _into_sqlite(folder: Path, _: str) -> SinkStage[Any]:
    file = folder / "target.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER NOT NULL, text TEXT NOT NULL)")
    return TableSink(f"sqlite:///{file}", "t", continue_on_error=True)


def _in_sqlite(folder: Path, _: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "target.db")) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM t ORDER BY rowid")]


def _into_postgres(_: Path, url: str) -> SinkStage[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS t")
        connection.execute("CREATE TABLE t (id int8 NOT NULL, text text NOT NULL)")
    return TableSink(url, "t", continue_on_error=True)


def _in_postgres(_: Path, url: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM t ORDER BY ctid").fetchall()]


def _in_csv(folder: Path, _: str) -> list[Any]:
    with (folder / "target.csv").open(newline="") as file:
        return [_number(row[0]) for row in list(csv.reader(file))[1:]]


def _number(cell: str) -> Any:
    return int(cell) if cell.isdecimal() else cell


def _in_json_lines(folder: Path, _: str) -> list[Any]:
    lines = (folder / "target.jsonl").read_text("utf-8").split("\n")
    return [json.loads(line).get("id") for line in lines if line]


TARGETS = {
    SQLITE: Target(_into_sqlite, _in_sqlite),
    POSTGRES: Target(_into_postgres, _in_postgres),
    CSV: Target(
        lambda folder, _: CsvSink(folder / "target.csv", columns=("id", "text"), continue_on_error=True), _in_csv
    ),
    JSON_LINES: Target(
        lambda folder, _: JsonLinesSink(folder / "target.jsonl", continue_on_error=True), _in_json_lines
    ),
}


@dataclass(frozen=True)
class Cell:
    """One case.

    Attributes:
        kind: The name of the poison.
        position: Where it is.
        target: Where the records go.
        way: How the pipeline is run.
        durable: Whether with a store, in batches of two records.
    """

    kind: str
    position: str
    target: str
    way: str
    durable: bool

    def __str__(self) -> str:
        manner = "durable, " if self.durable else ""
        return f"{self.kind}, {self.position}, into {self.target}, {manner}{self.way}"


UNSENDABLE = frozenset(
    ("a list 100,000 deep", "an object without a class", "a dict that refuses", "a dict that refuses for a record")
)
"""What a worker process cannot send back, and says so: with workers, it is made after what they do."""


def all_cells() -> Iterator[Cell]:
    """Give every case there is."""
    for values in product(KINDS, POSITIONS, TARGETS, WAYS, (False, True)):
        yield Cell(*values)


def some_cells() -> Iterator[Cell]:
    """Give every kind for every target, each at one position and in one manner; a few of them with workers."""
    positions = list(POSITIONS)
    for (at, kind), (column, target) in product(enumerate(KINDS), enumerate(TARGETS)):
        way = "workers" if (at + 2 * column) % 12 == 0 else WAYS[(at // 2 + column) % 2]
        yield Cell(
            kind, positions[(at + column) % len(positions)], target, way, durable=(at // 12 + at // 3 + column) % 2 == 0
        )


class MadeHere(PipelineStage[Any, Any]):
    """A map that is not sent to workers: it keeps no law."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make

    async def process(self, data: Any, context: PipelineContext) -> StageResult[Any]:
        made = [self._make(number) for number in data]
        return StageResult(data=made, records_processed=len(made))


def check(cell: Cell, folder: Path, url: str) -> list[str]:
    """Run a case in an empty folder, and say what is wrong with the outcome.

    Args:
        cell: The case.
        folder: The folder.
        url: The URL of a database of PostgreSQL, whose table ``t`` is made anew.
    """
    target = TARGETS[cell.target]
    result = _run(cell, folder, target.make(folder, url))
    if not result.success:
        return [f"the run failed: {result.error!r:.500}"]
    found = target.ids(folder, url)
    return [*_wrong_rejects(cell, result), *_wrong_records(cell, result, found), *_wrong_ledger(cell, result, folder)]


def _run(cell: Cell, folder: Path, sink: SinkStage[Any]) -> PipelineResult[Any]:
    pipeline: Any = Pipeline[Any, Any]("poison", event_bus=EventBus())
    numbers: Any = [{"number": number} for number in range(TOTAL)]
    if cell.way == "stream":
        file = folder / "numbers.jsonl"
        file.write_text("".join(json.dumps(each) + "\n" for each in numbers))
        numbers = None
        pipeline.add_stage(JsonLinesSource(file))
    options: dict[str, Any] = {"workers": Workers(2, always=True)} if cell.way == "workers" else {}
    if cell.durable:
        options |= {"store": folder / "store.db", "run_id": uuid4().hex, "commit_every": 2}
    make = PoisonMaker(cell.kind, cell.position)
    if cell.way == "workers" and cell.kind in UNSENDABLE:
        pipeline.add_stage(MapStage(dict)).add_stage(MadeHere(make))
    else:
        pipeline.add_stage(MapStage(make))
    pipeline.add_stage(sink)
    result: PipelineResult[Any] = pipeline.run(numbers, **options)
    return result


def _wrong_rejects(cell: Cell, result: PipelineResult[Any]) -> Iterator[str]:
    bad, errors = POSITIONS[cell.position], result.context.errors
    rejected = [entry.index for entry in errors]
    expected = bad if cell.target in KINDS[cell.kind].refused_by else []
    if rejected != expected:
        yield f"rejected are {rejected}, and not {expected}"
    for entry in errors:
        # One that cannot be searched for secrets is kept as a text about it.
        record: Any = "" if cell.kind == "a mapping that refuses" else KINDS[cell.kind].make(entry.index or 0)
        if type(entry.record) is not type(record):
            yield f"the record of reject {entry.index} is a {type(entry.record).__name__}"
        if type(entry.error) is not ValidationError or not 0 < len(str(entry.error)) < 1000:
            yield f"reject {entry.index} is a {type(entry.error).__name__}: {entry.error!s:.300}"


def _wrong_records(cell: Cell, result: PipelineResult[Any], found: list[Any]) -> Iterator[str]:
    bad = POSITIONS[cell.position]
    neighbours = [each for each in found if type(each) is int and each in range(TOTAL) and each not in bad]
    if neighbours != [number for number in range(TOTAL) if number not in bad]:
        yield f"of the neighbours, {neighbours} are there"
    loaded = TOTAL - len(result.context.errors)
    accounting = result.accounting
    accounting.check()
    assert result.data is not None
    counts = len(found), result.data.records_loaded, accounting.loaded
    if counts != (loaded,) * 3:
        yield f"{counts} are there, by the target, the report and the accounts, and not {loaded}"


def _wrong_ledger(cell: Cell, result: PipelineResult[Any], folder: Path) -> Iterator[str]:
    if not cell.durable:
        return
    with RejectLedger(folder / "store.db") as ledger:
        kept = [(each.index, each.stage, each.is_settled) for each in ledger.each()]
        exact = [each for each in ledger.each() if each.is_exact]
        expected = [(entry.index, entry.stage, True) for entry in result.context.errors]
        if kept != expected:
            yield f"the ledger holds {kept}"
        for each in exact:
            with suppress(Exception):  # of a comparison by an object that refuses
                if json.loads(each.record) == good(each.index or 0):
                    yield f"the ledger holds reject {each.index} as a good record"
