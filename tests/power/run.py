"""A durable run, killed and resumed while it is recorded: after a power cut the store and the target agree."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from tests.power.recorder import Recorder
from tests.power.subject import Subject, check_acknowledged
from tests.power.violations import Kind, Violation, check_integrity

from mainstem import DedupeStage, LoadReport, Pipeline, PipelineContext, RunCompletedError, ValidateRecordsStage
from mainstem.connect import CsvSink, TableSink
from mainstem.endpoints import Claim, Position, SinkStage, SinkTransaction
from mainstem.faults import kill_at
from mainstem.store.model import Checkpoint, RejectQuery, RunRequest
from mainstem.store.owner import this_process
from mainstem.store.sqlite import SqliteStore

STORE = Path("store.db")
RECORDS = [
    {"id": number % 250, "text": f"{number} " * (400 if number % 31 == 3 else 8) + "\0" * (number % 41 == 9)}
    for number in range(300)
]
COMMIT_EVERY = 20
KILLS = {
    "table": (("target commits", 4), ("batch prepared", 4), ("batch committed", 3)),
    "csv": (("batch written", 4), ("batch prepared", 4), ("batch committed", 3)),
}
"""Where the attempts that do not get to the end are killed, and the how manyth time."""
_PIPELINE, _RUN_ID = "numbers", "power"


def is_wanted(record: dict[str, Any]) -> bool | str:
    return record["id"] % 31 != 3 or "unlucky"


def identity(record: dict[str, Any]) -> int:
    return int(record["id"])


@cache
def expected_after(records: int) -> tuple[list[tuple[int, str]], list[tuple[str, int]]]:
    """The rows, and the stage and index of each reject, of so many records of the input."""
    rows: list[tuple[int, str]] = []
    rejects: list[tuple[str, int]] = []
    seen: set[int] = set()
    for index, record in enumerate(RECORDS[:records]):
        if is_wanted(record) is not True:
            rejects.append(("validate", index))
        elif record["id"] not in seen:
            if "\0" in str(record["text"]):
                rejects.append(("load", len(seen)))
            else:
                rows.append((int(str(record["id"])), str(record["text"])))
            seen.add(int(str(record["id"])))
    return rows, sorted(rejects)


class Run(Subject):
    """A pipeline into a sink, with a store.

    Args:
        kind: ``"table"`` or ``"csv"``.
        records: How many records are loaded.
    """

    attempts = 4
    depth = 40

    def __init__(self, kind: str, records: int = len(RECORDS)) -> None:
        self.kind = kind
        self.records = RECORDS[:records]
        self.options: dict[str, Any] = {"store": STORE, "run_id": _RUN_ID, "commit_every": COMMIT_EVERY}

    async def record(self, recorder: Recorder, attempt: int) -> None:
        sink = self.sink()
        if attempt < len(KILLS[self.kind]):
            kill_at(*KILLS[self.kind][attempt])
        with mark_batches(type(sink), recorder):
            result = await self._go_on(sink)
        assert result.success, result.error
        recorder.mark("completed")

    async def check(self, marks: Sequence[str], *, deep: bool) -> None:
        sink = self.sink()
        if deep:
            await self._resume(sink)
            return
        number = await self._resume_by_hand(sink)
        if number is None:
            self._check_rows(len(self.records))
            return
        check_acknowledged(number, marks)
        if "completed" in marks:
            raise Violation(Kind.LOST, "the run had completed, and is to be resumed")

    async def _resume(self, sink: SinkStage[Any]) -> None:
        """Go on to the end as a user does."""
        try:
            result = await self._go_on(sink)
        except RunCompletedError:
            pass
        else:
            if not result.success:
                raise Violation(Kind.INCONSISTENT, f"it cannot be gone on with: {result.error}")
        self.check_end()

    def check_end(self) -> None:
        """Check that all is there, and nothing twice.

        Raises:
            Violation: If not.
        """
        self._check_rows(len(self.records))
        store = SqliteStore(STORE)
        try:
            _check_rejects(store, len(self.records))
        finally:
            store.close()

    async def _resume_by_hand(self, sink: SinkStage[Any]) -> int | None:
        """Take the run in the store and in the target, and return the last batch; ``None`` if it has completed."""
        store = SqliteStore(STORE)
        try:
            with closing(sqlite3.connect(STORE)) as connection:
                check_integrity(connection)
            try:
                lease = store.begin(_request())
            except RunCompletedError:
                return None
            number = await sink.claim(Claim(f"{_PIPELINE}/{_RUN_ID}", lease.epoch))
            assert number is not None
            self._check_checkpoint(store, number, store.settle(lease, number))
        finally:
            store.close()
        return number

    def _check_checkpoint(self, store: SqliteStore, number: int, checkpoint: Checkpoint | None) -> None:
        records = 0
        if checkpoint is not None:
            records = checkpoint.counts["validate"].records_in
            is_of_batch = checkpoint.is_last or checkpoint.position == {"record": records}
            if checkpoint.sequence != number or not is_of_batch:
                raise Violation(Kind.INCONSISTENT, f"batch {number} has the checkpoint {checkpoint}")
        if self.kind == "table":
            self._check_rows(records)
        _check_rejects(store, records)

    def _check_rows(self, records: int) -> None:
        found = self.rows()
        if found != expected_after(records)[0]:
            raise Violation(Kind.INCONSISTENT, f"there are {len(found)} rows, and not those of {records} records")

    def rows(self) -> list[tuple[int, str]]:
        if self.kind == "csv":
            with Path("out.csv").open(newline="") as file:
                return [(int(number), text) for number, text in list(csv.reader(file))[1:]]
        with closing(sqlite3.connect("target.db")) as connection:
            check_integrity(connection)
            if not connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'numbers'").fetchone()[0]:
                return []
            return connection.execute("SELECT id, text FROM numbers ORDER BY rowid").fetchall()

    def sink(self) -> SinkStage[Any]:
        if self.kind == "csv":
            return CsvSink("out.csv", continue_on_error=True, name="load")
        return TableSink("sqlite:///target.db", "numbers", continue_on_error=True, name="load")

    def pipeline(self, sink: SinkStage[Any]) -> Pipeline[Any, Any, Any]:
        return (
            Pipeline[list[dict[str, Any]], LoadReport](_PIPELINE)
            .add_stage(ValidateRecordsStage(is_wanted, continue_on_error=True, name="validate"))
            .add_stage(DedupeStage(identity))
            .add_stage(sink)
        )

    async def _go_on(self, sink: SinkStage[Any]) -> Any:
        return await self.pipeline(sink).execute(self.records, **self.options)


def _check_rejects(store: SqliteStore, records: int) -> None:
    rejects = store.rejects(RejectQuery(run_id=_RUN_ID))
    settled = sorted((each.stage, each.index or 0) for each in rejects if each.is_settled)
    if settled != expected_after(records)[1]:
        raise Violation(Kind.INCONSISTENT, f"the rejects {settled} are not those of {records} records")


def _request() -> RunRequest:
    return RunRequest(pipeline=_PIPELINE, run_id=_RUN_ID, shape=[], owner=this_process(), lease_seconds=0.0, force=True)


class TakesMarks(Protocol):
    """A recorder, or what stands for one."""

    def mark(self, text: str) -> None: ...


@contextmanager
def mark_batches(kind: Any, marks: TakesMarks) -> Generator[None]:
    """Have each batch marked when a sink of this kind says that it is committed.

    This is done to the class, because what an object has belongs to the shape of the pipeline.
    """
    begin_batch = kind.begin_batch

    async def begin_marked(
        sink: SinkStage[Any], context: PipelineContext, claim: Claim, sequence: int
    ) -> SinkTransaction[Any]:
        return _Marked(await begin_batch(sink, context, claim, sequence), f"batch {sequence}", marks)

    kind.begin_batch = begin_marked
    try:
        yield
    finally:
        kind.begin_batch = begin_batch


class _Marked(SinkTransaction[Any]):
    def __init__(self, transaction: SinkTransaction[Any], mark: str, marks: TakesMarks) -> None:
        self._transaction, self._mark, self._marks = transaction, mark, marks

    async def write(self, records: Sequence[Any]) -> int:
        return await self._transaction.write(records)

    async def commit(self, position: Position | None = None) -> None:
        await self._transaction.commit(position)
        self._marks.mark(self._mark)

    async def abort(self) -> None:
        await self._transaction.abort()
