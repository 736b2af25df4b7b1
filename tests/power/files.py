"""Batches into a file: after a power cut it can be completed, and then holds the batches that are committed."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.power.recorder import Operation, Recorder
from tests.power.subject import Loader, Subject, check_acknowledged, load_batch
from tests.power.violations import Kind, Violation

from mainstem.connect import CsvSink, JsonLinesSink
from mainstem.endpoints import Claim, SinkStage

BATCHES = 12
_ROWS = 8
_RUN = "power"
_FAILING = (Operation.SYNC, Operation.SYNC_FOLDER, Operation.WRITE, Operation.RENAME)
_LATEST = 20
"""An epoch after those of a recording."""


def batch(number: int) -> list[dict[str, Any]]:
    """The records of a batch, of many sectors or of few."""
    width = 300 if number % 3 == 0 else 20
    return [{"id": number * _ROWS + each, "text": f"{number}" * width} for each in range(_ROWS)]


@cache
def rows_after(number: int) -> list[dict[str, str]]:
    return [{name: str(value) for name, value in row.items()} for each in range(number) for row in batch(each + 1)]


class FileBatches(Subject):
    """A file sink that batches are loaded into by three attempts, and that is completed and then forgets the run.

    Args:
        name: The file's name.
        make: Makes the sink of the file.
        read: Returns the records in a text.
        fails: Whether the disk fails again and again.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[str], SinkStage[Any]],
        read: Callable[[str], list[dict[str, Any]]],
        *,
        fails: bool = False,
    ) -> None:
        self._name, self._make, self._read, self._fails = name, make, read, fails

    async def record(self, recorder: Recorder, attempt: int) -> None:
        loader = Loader(self._make(self._name), _RUN, recorder, _FAILING if self._fails else ())
        for number in range(1, BATCHES + 1):
            if number % 4 == 1:
                await loader.take()
            await loader.load(number, batch(number))
        await loader.sink.complete(loader.claim)
        recorder.mark("completed")
        await loader.sink.forget(loader.claim)

    async def check(self, marks: Sequence[str], *, deep: bool) -> None:
        if "completed" in marks:
            self._check_content(BATCHES, Kind.LOST)
            return
        sink, claim = self._make(self._name), Claim(_RUN, _LATEST)
        number = await sink.claim(claim)
        assert number is not None
        check_acknowledged(number, marks)
        if self._is_there() and number < BATCHES:
            raise Violation(Kind.INCONSISTENT, f"{self._name} is there, and only {number} batches are")
        if number < BATCHES and not deep:
            await load_batch(sink, claim, number + 1, batch(number + 1))
            number += 1
        await sink.complete(claim)
        self._check_content(number, Kind.INCONSISTENT)

    def _is_there(self) -> bool:
        return Path(self._name).exists()

    def _check_content(self, number: int, kind: Kind) -> None:
        try:
            content = Path(self._name).read_bytes()
        except FileNotFoundError:
            raise Violation(kind, f"{self._name} is not there") from None
        if self._name.endswith(".gz"):
            content = gzip.decompress(content)
        found = [{name: str(value) for name, value in row.items()} for row in self._read(content.decode())]
        if found != rows_after(number):
            raise Violation(kind, f"{self._name} has {len(found)} rows, and not those of {number} batches")


def read_csv(text: str) -> list[dict[str, Any]]:
    return list(csv.DictReader(text.splitlines()))


def read_json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def csv_file(name: str = "out.csv", *, fails: bool = False) -> FileBatches:
    return FileBatches(name, CsvSink, read_csv, fails=fails)


def json_lines_file() -> FileBatches:
    return FileBatches("out.jsonl", JsonLinesSink, read_json_lines)
