"""bytewax: a dataflow of one worker in this process, 1,000 lines to a batch, and a sink that copies each batch."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.by_hand.flight_rows import FlightRow, copy_rows, key_of, to_row

operators: Any = import_module("bytewax.operators")
dataflow: Any = import_module("bytewax.dataflow")
inputs: Any = import_module("bytewax.inputs")
outputs: Any = import_module("bytewax.outputs")
run: Any = import_module("bytewax.testing").run_main
psycopg: Any = import_module("psycopg")
NAME, PACKAGE, TABLE = "bytewax, psycopg COPY", "bytewax", "flights"


class Lines(inputs.StatelessSourcePartition):  # type: ignore[misc]
    def __init__(self, flights: Path) -> None:
        self._file = flights.open(newline="")
        self._lines = csv.DictReader(self._file)

    def next_batch(self) -> list[dict[str, str]]:
        batch = list(islice(self._lines, 1000))
        if not batch:
            raise StopIteration
        return batch

    def close(self) -> None:
        self._file.close()


class Flights(inputs.DynamicSource):  # type: ignore[misc]
    def __init__(self, flights: Path) -> None:
        self._flights = flights

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Lines:
        return Lines(self._flights)


class CopyPartition(outputs.StatelessSinkPartition):  # type: ignore[misc]
    def __init__(self, database: str) -> None:
        self._connection = psycopg.connect(database)
        self._connection.execute("TRUNCATE flights")

    def write_batch(self, items: list[FlightRow]) -> None:
        copy_rows(self._connection, items)

    def close(self) -> None:
        self._connection.commit()
        self._connection.close()


class RejectsPartition(outputs.StatelessSinkPartition):  # type: ignore[misc]
    def __init__(self, rejects: Path) -> None:
        self._file = rejects.open("w")

    def write_batch(self, items: list[Any]) -> None:
        self._file.writelines(json.dumps(item) + "\n" for item in items)

    def close(self) -> None:
        self._file.close()


class Sink(outputs.DynamicSink):  # type: ignore[misc]
    def __init__(self, partition: Any, target: object) -> None:
        self._partition, self._target = partition, target

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Any:
        return self._partition(self._target)


def checked(lines: Iterable[dict[str, str]]) -> Iterator[tuple[bool, Any]]:
    for line in lines:
        try:
            yield True, to_row(line)
        except ValueError as error:
            yield False, [str(error), line]


def is_row(pair: tuple[bool, Any]) -> bool:
    return pair[0]


def take_second(pair: tuple[bool, Any]) -> Any:
    return pair[1]


def load(flights: Path, database: str, folder: Path) -> int:
    seen: set[Any] = set()

    def new(rows: list[tuple[bool, FlightRow]]) -> Iterator[FlightRow]:
        for _, row in rows:
            key = key_of(row)
            if key not in seen:
                seen.add(key)
                yield row

    flow = dataflow.Dataflow("flights")
    lines = operators.input("lines", flow, Flights(flights))
    judged = operators.flat_map_batch("checked", lines, checked)
    parted = operators.branch("parted", judged, is_row)
    rows = operators.flat_map_batch("new", parted.trues, new)
    operators.output("copied", rows, Sink(CopyPartition, database))
    rejects = folder / "rejects.jsonl"
    failed = operators.map("failed", parted.falses, take_second)
    operators.output("rejects", failed, Sink(RejectsPartition, rejects))
    run(flow)
    with rejects.open() as file:
        return sum(1 for _ in file)
