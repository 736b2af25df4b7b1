"""``TableSink`` on PostgreSQL in a durable run: a batch and its number are committed, by the last who claimed it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import anyio
import psycopg
import pytest

from mainstem import ConnectError, PipelineContext, StageContractError
from mainstem.connect import TableSink
from mainstem.endpoints import Claim, SinkTransaction
from mainstem.errors import ConnectionLostError, LeaseLostError

pytestmark = [pytest.mark.extras, pytest.mark.anyio]


@pytest.fixture
def connection(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_url, autocommit=True) as opened:
        yield opened


def ids(connection: psycopg.Connection[Any]) -> list[int]:
    return [row[0] for row in connection.execute("SELECT id FROM t ORDER BY 1")]


async def begun(sink: TableSink[Any], claim: Claim, sequence: int, numbers: Sequence[int]) -> SinkTransaction[Any]:
    transaction = await sink.begin_batch(PipelineContext(), claim, sequence)
    await transaction.write([{"id": number} for number in numbers])
    return transaction


async def write(sink: TableSink[Any], claim: Claim, sequence: int, numbers: Sequence[int]) -> None:
    await (await begun(sink, claim, sequence, numbers)).commit()


async def test_the_number_of_a_batch_is_committed_with_its_rows(
    postgres_url: str, connection: psycopg.Connection[Any]
) -> None:
    sink, claim = TableSink[Any](postgres_url, "t", key="id"), Claim("run", 1)
    assert await sink.claim(claim) == 0
    await write(sink, claim, 1, [1, 2])
    unfinished = await begun(sink, claim, 2, [3])
    await unfinished.abort()
    assert await sink.claim(Claim("run", 2)) == 1
    await write(sink, Claim("run", 2), 2, [3])
    assert await sink.claim(Claim("run", 2)) == 2
    assert await sink.claim(Claim("another", 1)) == 0
    assert ids(connection) == [1, 2, 3]


@pytest.mark.parametrize("epoch", [1, 2])
async def test_a_session_that_still_holds_locks_is_ended(
    postgres_url: str, connection: psycopg.Connection[Any], epoch: int
) -> None:
    sink, former, claim = TableSink[Any](postgres_url, "t", key="id"), Claim("run", 1), Claim("run", epoch)
    await sink.claim(former)
    await write(sink, former, 1, [1])
    stopped = await begun(sink, former, 2, [2])  # nobody is there to commit it, and the server has not noticed
    started = time.monotonic()
    assert await sink.claim(claim) == 1
    await write(sink, claim, 2, [2])
    assert time.monotonic() - started < 5
    with pytest.raises(ConnectionLostError):
        await stopped.commit()
    await stopped.abort()
    assert ids(connection) == [1, 2]


async def test_other_sessions_are_left_alone(postgres_url: str, connection: psycopg.Connection[Any]) -> None:
    sink = TableSink[Any](postgres_url, "t")
    for run in ("one", "two"):
        await sink.claim(Claim(run, 1))
    await write(sink, Claim("one", 1), 1, [1])
    other = await begun(sink, Claim("two", 1), 1, [2])
    await sink.claim(Claim("one", 2))
    await other.commit()
    assert ids(connection) == [1, 2]


async def test_who_was_followed_commits_nothing(postgres_url: str, connection: psycopg.Connection[Any]) -> None:
    sink, former = TableSink[Any](postgres_url, "t"), Claim("run", 1)
    await sink.claim(former)
    await write(sink, former, 1, [1])
    left = await begun(sink, former, 2, [2])
    connection.execute("UPDATE mainstem_progress SET epoch = 2")  # as a claim does, but for ending the session
    with pytest.raises(LeaseLostError):
        await left.commit()
    await left.abort()
    with pytest.raises(LeaseLostError, match="attempt 2"):
        await sink.claim(former)
    with pytest.raises(LeaseLostError, match="attempt 2"):
        await sink.begin_batch(PipelineContext(), former, 2)
    assert ids(connection) == [1]


@pytest.mark.parametrize(("epoch", "sequence"), [(1, 1), (1, 3), (2, 2)])
async def test_a_batch_that_is_not_the_next_is_refused(postgres_url: str, epoch: int, sequence: int) -> None:
    sink = TableSink[Any](postgres_url, "t")
    await sink.claim(Claim("run", 1))
    await write(sink, Claim("run", 1), 1, [1])
    with pytest.raises(StageContractError, match="leave no batch out"):
        await sink.begin_batch(PipelineContext(), Claim("run", epoch), sequence)


async def test_a_database_that_was_replaced_is_noticed(postgres_url: str, connection: psycopg.Connection[Any]) -> None:
    sink, claim = TableSink[Any](postgres_url, "t"), Claim("run", 1)
    await sink.claim(claim)
    await write(sink, claim, 1, [1])
    connection.execute("DROP TABLE t")
    with pytest.raises(ConnectError, match="'t' is gone"):
        await sink.begin_batch(PipelineContext(), claim, 2)
    connection.execute("DROP TABLE mainstem_progress")
    with pytest.raises(ConnectError, match="nothing is known here"):
        await sink.begin_batch(PipelineContext(), claim, 2)


async def test_only_the_first_batch_replaces(postgres_url: str, connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TABLE t (id int8)")
    connection.execute("INSERT INTO t VALUES (99)")
    sink = TableSink[Any](postgres_url, "t", mode="replace")
    await sink.claim(Claim("run", 1))
    await write(sink, Claim("run", 1), 1, [1])
    await sink.claim(Claim("run", 2))
    await write(sink, Claim("run", 2), 2, [2])
    assert ids(connection) == [1, 2]


async def test_runs_that_begin_at_once_do_not_fail_each_other(
    postgres_url: str, connection: psycopg.Connection[Any]
) -> None:
    together, answers = threading.Barrier(12), list[Any]()

    def claim(number: int) -> None:
        sink = TableSink[Any](postgres_url, "t")
        together.wait()
        try:
            answers.append(anyio.run(sink.claim, Claim(f"run {number}", 1)))
        except Exception as error:
            answers.append(error)

    for _ in range(5):
        threads = [threading.Thread(target=claim, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await anyio.to_thread.run_sync(thread.join)
        assert answers == [0] * 12
        answers.clear()
        connection.execute("DROP TABLE mainstem_progress")
