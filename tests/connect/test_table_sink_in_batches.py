"""``TableSink`` in a durable run: the batch's number is committed with its rows, by the last who claimed the run."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from mainstem import ConnectError, Guarantee, PipelineContext, StageContractError
from mainstem.connect import TableSink, sqlite
from mainstem.endpoints import Claim
from mainstem.errors import ConnectionLostError, LeaseLostError

pytestmark = pytest.mark.anyio


class Target:
    """A database that batches are written to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"

    def rows(self, query: str = "SELECT id, text FROM t ORDER BY rowid") -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query).fetchall()

    def run(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    @property
    def progress(self) -> list[tuple[Any, ...]]:
        return self.rows("SELECT run, epoch, sequence FROM mainstem_progress ORDER BY run")


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(tmp_path / "shop.db")


def records(first: int, count: int) -> list[dict[str, Any]]:
    return [{"id": number, "text": f"of {number}"} for number in range(first, first + count)]


def stored(first: int, count: int) -> list[tuple[Any, ...]]:
    return [(number, f"of {number}") for number in range(first, first + count)]


async def write(
    sink: TableSink[Any], claim: Claim, sequence: int, batch: Sequence[Any], context: PipelineContext | None = None
) -> int:
    """Write and commit a batch; how many records of it were rejected."""
    transaction = await sink.begin_batch(context or PipelineContext(), claim, sequence)
    try:
        rejected = await transaction.write(batch)
        await transaction.commit()
    except BaseException:
        await transaction.abort()
        raise
    return rejected


async def test_a_batch_and_its_number_are_committed_together(target: Target) -> None:
    sink = TableSink[Any](target.url, "t")
    claim = Claim("load/monday", 1)
    assert await sink.claim(claim) == 0
    transaction = await sink.begin_batch(PipelineContext(), claim, 1)
    await transaction.write(records(0, 700))
    assert target.progress == [("load/monday", 1, 0)]
    await transaction.commit()
    assert (target.rows(), target.progress) == (stored(0, 700), [("load/monday", 1, 1)])
    await write(sink, claim, 2, records(700, 5))
    transaction = await sink.begin_batch(PipelineContext(), claim, 3)
    await transaction.write(records(705, 5))
    await transaction.abort()
    assert (target.rows(), target.progress) == (stored(0, 705), [("load/monday", 1, 2)])
    assert await sink.claim(claim) == 2
    assert await sink.claim(Claim("load/monday", 2)) == 2
    assert await sink.claim(Claim("load/tuesday", 1)) == 0
    assert target.progress == [("load/monday", 2, 2), ("load/tuesday", 1, 0)]


async def test_the_time_of_the_last_batch_is_kept(target: Target) -> None:
    sink = TableSink[Any](target.url, "t")
    await sink.claim(Claim("r", 1))
    (claimed,) = target.rows("SELECT updated_at FROM mainstem_progress")
    await write(sink, Claim("r", 1), 1, records(0, 1))
    (written,) = target.rows("SELECT updated_at FROM mainstem_progress")
    assert "2020" < claimed[0] <= written[0] < "9"


async def test_an_empty_batch_is_a_batch(target: Target) -> None:
    sink = TableSink[Any](target.url, "t")
    await sink.claim(Claim("r", 1))
    await write(sink, Claim("r", 1), 1, [])
    await write(sink, Claim("r", 1), 2, records(0, 1))
    assert (target.rows(), target.progress) == (stored(0, 1), [("r", 1, 2)])


# Fencing


async def test_whoever_claims_later_shuts_out_those_before(target: Target) -> None:
    sink = TableSink[Any](target.url, "t")
    await sink.claim(Claim("r", 1))
    await write(sink, Claim("r", 1), 1, records(0, 3))
    assert await sink.claim(Claim("r", 3)) == 1
    for epoch in (1, 2):
        with pytest.raises(LeaseLostError, match=f"taken by attempt 3, and this is attempt {epoch}"):
            await sink.claim(Claim("r", epoch))
        with pytest.raises(LeaseLostError, match="taken by attempt 3"):
            await sink.begin_batch(PipelineContext(), Claim("r", epoch), 2)
    assert target.progress == [("r", 3, 1)]
    await write(sink, Claim("r", 3), 2, records(3, 3))
    assert target.rows() == stored(0, 6)


async def test_a_claim_waits_for_the_batch_that_is_being_written_and_counts_it(target: Target) -> None:
    sink = TableSink[Any](target.url, "t")
    await sink.claim(Claim("r", 1))
    transaction = await sink.begin_batch(PipelineContext(), Claim("r", 1), 1)
    await transaction.write(records(0, 3))
    numbers: list[int] = []

    async def take() -> None:
        numbers.append(await sink.claim(Claim("r", 2)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        assert numbers == []
        await transaction.commit()
    assert numbers == [1]
    with pytest.raises(LeaseLostError):
        await sink.begin_batch(PipelineContext(), Claim("r", 1), 2)


async def test_of_many_claims_at_once_the_last_epoch_stays(target: Target) -> None:
    sink = TableSink[Any](target.url, "t")
    outcomes: list[int] = []

    async def take(epoch: int) -> None:
        try:
            outcomes.append(await sink.claim(Claim("r", epoch)))
        except LeaseLostError:
            outcomes.append(-1)

    async with anyio.create_task_group() as tasks:
        for epoch in range(1, 21):
            tasks.start_soon(take, epoch)
    assert len(outcomes) == 20
    assert set(outcomes) <= {0, -1}
    assert target.progress == [("r", 20, 0)]


async def test_runs_into_one_database_do_not_disturb_one_another(target: Target) -> None:
    first, second = TableSink[Any](target.url, "t"), TableSink[Any](target.url, "u")
    await first.claim(Claim("a", 1))
    await second.claim(Claim("b", 7))
    for sequence in (1, 2, 3):
        await write(first, Claim("a", 1), sequence, records(sequence, 1))
        await write(second, Claim("b", 7), sequence, records(-sequence, 1))
    assert target.progress == [("a", 1, 3), ("b", 7, 3)]
    assert target.rows("SELECT id FROM u") == [(-1,), (-2,), (-3,)]


@pytest.mark.parametrize("sequence", [1, 3])
async def test_a_batch_that_is_not_the_next_is_refused(target: Target, sequence: int) -> None:
    sink = TableSink[Any](target.url, "t")
    await sink.claim(Claim("r", 1))
    await write(sink, Claim("r", 1), 1, records(0, 3))
    with pytest.raises(
        StageContractError, match=f"batch {sequence} was begun by attempt 1, and the last of run 'r' is 1"
    ):
        await sink.begin_batch(PipelineContext(), Claim("r", 1), sequence)
    with pytest.raises(StageContractError, match="claim it first"):
        await sink.begin_batch(PipelineContext(), Claim("r", 2), 2)
    assert target.rows() == stored(0, 3)


@pytest.mark.parametrize("change", ["epoch = 2", "sequence = 5"])
async def test_a_batch_whose_progress_is_changed_from_within_is_not_committed(target: Target, change: str) -> None:
    target.run("CREATE TABLE t (id INTEGER, text TEXT)")
    sink = TableSink[Any](target.url, "t")
    await sink.claim(Claim("r", 1))
    target.run(f"CREATE TRIGGER meddle AFTER INSERT ON t BEGIN UPDATE mainstem_progress SET {change}; END")
    with pytest.raises(LeaseLostError, match="nothing of batch 1 is stored"):
        await write(sink, Claim("r", 1), 1, records(0, 3))
    assert (target.rows(), target.progress) == ([], [("r", 1, 0)])


async def test_a_database_that_was_replaced_is_an_error(target: Target) -> None:
    sink = TableSink[Any](target.url, "t")
    await sink.claim(Claim("r", 1))
    await write(sink, Claim("r", 1), 1, records(0, 3))
    target.run("DELETE FROM mainstem_progress")
    with pytest.raises(ConnectError, match=r"nothing is known here of run 'r'.*was the database replaced\?"):
        await sink.begin_batch(PipelineContext(), Claim("r", 1), 2)
    target.run("DROP TABLE mainstem_progress")
    with pytest.raises(ConnectError, match="nothing is known here of run 'r'"):
        await sink.begin_batch(PipelineContext(), Claim("r", 1), 2)
    target.path.unlink()
    with pytest.raises(ConnectError, match="there is no file"):
        await sink.begin_batch(PipelineContext(), Claim("r", 1), 2)
    assert not target.path.exists()


async def test_a_table_that_was_dropped_is_an_error(target: Target) -> None:
    sink = TableSink[Any](target.url, "t")
    await sink.claim(Claim("r", 1))
    await write(sink, Claim("r", 1), 1, records(0, 3))
    target.run("DROP TABLE t")
    with pytest.raises(ConnectError, match="table 't' is gone, which batches of this run were written to"):
        await sink.begin_batch(PipelineContext(), Claim("r", 1), 2)


async def test_a_table_of_the_name_that_is_none_of_ours_is_an_error(target: Target) -> None:
    target.run("CREATE TABLE mainstem_progress (a)")
    with pytest.raises(ConnectError, match="no such column"):
        await TableSink[Any](target.url, "t").claim(Claim("r", 1))
    with pytest.raises(ValueError, match="holds the progress of durable runs"):
        TableSink(target.url, "Mainstem_Progress")


# The same load, however it is cut


async def test_replace_empties_the_table_in_the_first_batch_only(target: Target) -> None:
    await TableSink[Any](target.url, "t", key="id").process(records(100, 50), PipelineContext())
    sink = TableSink[Any](target.url, "t", mode="replace")
    await sink.claim(Claim("r", 1))
    transaction = await sink.begin_batch(PipelineContext(), Claim("r", 1), 1)
    await transaction.write(records(0, 3))
    await transaction.abort()
    assert target.rows() == stored(100, 50)
    await write(sink, Claim("r", 1), 1, records(0, 3))
    assert target.rows() == stored(0, 3)
    await sink.claim(Claim("r", 2))
    await write(sink, Claim("r", 2), 2, records(3, 3))
    assert target.rows() == stored(0, 6)


async def test_the_first_record_of_the_run_settles_the_columns_of_all_batches(target: Target) -> None:
    target.run("CREATE TABLE t (id INTEGER, text TEXT, note TEXT)")
    sink = TableSink[Any](target.url, "t", continue_on_error=True)
    await sink.claim(Claim("r", 1))
    assert await write(sink, Claim("r", 1), 1, records(0, 3)) == 0
    await sink.claim(Claim("r", 2))
    context = PipelineContext()
    assert await write(sink, Claim("r", 2), 2, [{"id": 3}, *records(4, 3)], context) == 1
    assert [(entry.index, str(entry.error)) for entry in context.errors] == [
        (0, "the record lacks 'text'; the columns are 'id', 'text'")
    ]
    assert target.rows("SELECT id FROM t") == [(0,), (1,), (2,), (4,), (5,), (6,)]


async def test_a_first_batch_of_rejects_settles_nothing(target: Target) -> None:
    sink = TableSink[Any](target.url, "t", continue_on_error=True)
    await sink.claim(Claim("r", 1))
    assert await write(sink, Claim("r", 1), 1, [7, None]) == 2
    assert await write(sink, Claim("r", 1), 2, records(0, 3)) == 0
    assert target.rows() == stored(0, 3)


async def test_columns_that_are_gone_are_an_error(target: Target) -> None:
    sink = TableSink[Any](target.url, "t")
    await sink.claim(Claim("r", 1))
    await write(sink, Claim("r", 1), 1, records(0, 3))
    target.run("ALTER TABLE t DROP COLUMN text")
    with pytest.raises(ConnectError, match="table 't' has no column 'text', which the records have"):
        await sink.begin_batch(PipelineContext(), Claim("r", 1), 2)


async def test_rejects_are_found_and_counted_from_the_whole_input(target: Target) -> None:
    sink = TableSink[Any](target.url, "t", key="id", continue_on_error=True)
    await sink.claim(Claim("r", 1))
    await write(sink, Claim("r", 1), 1, records(0, 10))
    context = PipelineContext()
    context.chunk_start = 10
    batch = [records(3, 1)[0], *records(10, 5), {"id": 15, "text": "a\0b"}]
    assert await write(sink, Claim("r", 1), 2, batch, context) == 2
    assert [(entry.index, entry.record) for entry in context.errors] == [(10, batch[0]), (16, batch[6])]
    assert target.rows() == stored(0, 15)


# Errors


async def test_a_lock_that_is_not_given_back_may_be_waited_for_again(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LOCK_TIMEOUT", 0.05)
    sink = TableSink[Any](target.url, "t")
    await sink.claim(Claim("r", 1))
    with closing(sqlite3.connect(target.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ConnectionLostError, match="database is locked"):
            await sink.begin_batch(PipelineContext(), Claim("r", 1), 1)
        with pytest.raises(ConnectionLostError, match="database is locked"):
            await sink.claim(Claim("r", 2))
        other.execute("COMMIT")
    await write(sink, Claim("r", 1), 1, records(0, 3))


async def test_a_reader_that_does_not_end_makes_the_commit_fail_and_the_batch_can_be_written_again(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = TableSink[Any](target.url, "t")
    await sink.claim(Claim("r", 1))
    await write(sink, Claim("r", 1), 1, records(0, 3))
    monkeypatch.setattr(sqlite, "LOCK_TIMEOUT", 0.05)
    with closing(sqlite3.connect(target.path, isolation_level=None)) as other:
        cursor = other.execute("SELECT id FROM t")
        assert next(cursor) == (0,)
        with pytest.raises(ConnectionLostError, match="database is locked"):
            await write(sink, Claim("r", 1), 2, records(3, 3))
        cursor.close()
    assert await sink.claim(Claim("r", 1)) == 1
    await write(sink, Claim("r", 1), 2, records(3, 3))
    assert target.rows() == stored(0, 6)


def connecting_to_no_more_than(pages: int) -> Callable[..., sqlite3.Connection]:
    connect = sqlite3.connect

    def connect_limited(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    return connect_limited


async def test_a_full_database_names_file_and_cause_and_rows_and_number_agree(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From no room at all to enough, page by page, so that each statement and the COMMIT meets the end once."""
    sink = TableSink[Any](target.url, "t")
    await sink.claim(Claim("r", 1))
    await write(sink, Claim("r", 1), 1, records(0, 3))
    pages = target.rows("PRAGMA page_count")[0][0]
    sequence, failures = 1, list[ConnectError]()
    for room in range(pages, pages + 12):
        with monkeypatch.context() as patch:
            patch.setattr(sqlite3, "connect", connecting_to_no_more_than(room))
            try:
                await write(sink, Claim("r", 1), sequence + 1, [{"id": at, "text": "x" * 2000} for at in range(8)])
                sequence += 1
            except ConnectError as error:
                failures.append(error)
        assert await sink.claim(Claim("r", 1)) == sequence
        assert target.rows("SELECT count(*) FROM t") == [(3 + 8 * (sequence - 1),)]
        assert target.rows("PRAGMA integrity_check") == [("ok",)]
    assert sequence > 1
    assert len(failures) > 1
    for error in failures:
        assert type(error) is ConnectError
        assert str(error).startswith(f"{target.url}: database or disk is full: there is no room left")
        assert getattr(error, "__notes__", []) == []


async def test_a_file_that_may_not_grow_fails_the_commit_with_the_cause(target: Target, tmp_path: Path) -> None:
    sink = TableSink[Any](target.url, "t")
    await sink.claim(Claim("r", 1))
    await write(sink, Claim("r", 1), 1, records(0, 3))
    script = """
import resource, signal, sys, anyio
from mainstem import PipelineContext
from mainstem.connect import TableSink
from mainstem.endpoints import Claim

async def main(url):
    sink = TableSink(url, "t")
    transaction = await sink.begin_batch(PipelineContext(), Claim("r", 1), 2)
    await transaction.write([{"id": 3, "text": "x" * 50_000}])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, 16_384))
    try:
        await transaction.commit()
    except Exception as error:
        print(type(error).__name__, error)
        await transaction.abort()

anyio.run(main, sys.argv[1])
"""
    # Coverage, if it were there, could not write its own file either.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = await anyio.run_process([sys.executable, "-c", script, target.url], env=environment)
    assert done.stderr == b""
    assert done.stdout.decode().startswith(f"ConnectError {target.url}: disk I/O error: its file system failed")
    assert await sink.claim(Claim("r", 2)) == 1
    assert target.rows() == stored(0, 3)


async def test_every_batch_closes_its_connection(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    connect = sqlite3.connect

    class Watched(sqlite3.Connection):
        is_closed = False

        def close(self) -> None:
            super().close()
            self.is_closed = True

    def watch(*arguments: Any, **options: Any) -> sqlite3.Connection:
        opened.append(connect(*arguments, factory=Watched, **options))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", watch)
    sink = TableSink[Any](target.url, "t")
    await sink.claim(Claim("r", 2))
    await write(sink, Claim("r", 2), 1, records(0, 3))
    for epoch, sequence in ((1, 2), (2, 1), (3, 2)):
        with pytest.raises((LeaseLostError, StageContractError)):
            await sink.begin_batch(PipelineContext(), Claim("r", epoch), sequence)
    with pytest.raises(LeaseLostError):
        await sink.claim(Claim("r", 1))
    with anyio.CancelScope() as scope:
        scope.cancel()
        await sink.begin_batch(PipelineContext(), Claim("r", 2), 2)
    assert [each.is_closed for each in opened] == [True] * len(opened)
    assert len(opened) >= 6


# What it says of itself


async def test_it_promises_exactly_once_and_names_the_file_it_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    sink = TableSink[Any]("sqlite:///link/../link/shop.db", "t")
    assert sink.durable_guarantee is Guarantee.EXACTLY_ONCE
    assert sink.guarantee is Guarantee.AT_LEAST_ONCE
    assert sink.locked_file == tmp_path / "real" / "shop.db"
