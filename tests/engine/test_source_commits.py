"""Sources that let go of records: told what is committed once it is, and let go of whichever way a run ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from mainstem import ConnectError, LoadReport, Pipeline, SinkStage, SinkTransaction, SourceChunk, SourceStage

COUNT = 100


class Queue(SourceStage[int]):
    """Gives numbers, and writes down what it is told."""

    acknowledges = True
    not_in_shape = frozenset(("log",))

    def __init__(self, log: list[Any], *, holds: int | None = None, deaf: bool = False) -> None:
        self.log, self.holds, self.deaf = log, holds, deaf

    async def read(self, context: Any, *, start: Any = None, chunk_size: int = 10) -> Any:
        given = 0 if start is None else start["n"]
        for number in range(given, COUNT, 10):
            is_full = self.holds is not None and (number + 10) % self.holds == 0
            yield SourceChunk(list(range(number, number + 10)), {"n": number + 10}, wants_commit=is_full)

    async def committed(self, position: Any) -> None:
        if self.deaf:
            raise ConnectError("the broker is gone")
        self.log.append(("committed", position["n"]))

    async def release(self, context: Any) -> None:
        self.log.append(("released",))


class Log(SinkStage[int]):
    not_in_shape = frozenset(("log",))

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    @property
    def target(self) -> str:
        return "log"

    async def begin(self, context: Any) -> SinkTransaction[int]:
        log = self.log

        class Transaction(SinkTransaction[int]):
            async def write(self, records: Any) -> int:
                return 0

            async def commit(self, position: Any = None) -> None:
                log.append(("stored",))

            async def abort(self) -> None:
                log.append(("aborted",))

        return Transaction()


def fail(number: int) -> int:
    if number == 55:
        raise RuntimeError("the power fails")
    return number


def pipeline(source: Queue, *stages: Any) -> Any:
    made: Any = Pipeline[Any, Any]("queue").add_stage(source)
    for stage in stages:
        made = made.map(stage) if callable(stage) else made.add_stage(stage)
    return made


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_run_tells_it_after_its_sink_has_committed(backend: str) -> None:
    log: list[Any] = []
    result = anyio.run(pipeline(Queue(log), Log(log)).execute, backend=backend)
    assert isinstance(result.data, LoadReport)
    assert log == [("stored",), ("committed", COUNT), ("released",)]


def test_a_run_without_a_sink_tells_it_when_it_has_succeeded() -> None:
    log: list[Any] = []
    assert pipeline(Queue(log)).run().success
    assert log == [("committed", COUNT), ("released",)]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_stream_tells_it_at_its_end(backend: str) -> None:
    log: list[Any] = []

    async def main() -> None:
        async for _ in pipeline(Queue(log)).stream(None):
            assert log == []

    anyio.run(main, backend=backend)
    assert log == [("committed", COUNT), ("released",)]


def test_a_stream_that_is_left_tells_it_nothing_but_lets_go() -> None:
    log: list[Any] = []

    async def main() -> None:
        stream = pipeline(Queue(log)).stream(None)
        async for _ in stream:
            break
        await stream.aclose()

    anyio.run(main)
    assert log == [("released",)]


def test_a_run_that_fails_tells_it_nothing_but_lets_go() -> None:
    log: list[Any] = []
    assert not pipeline(Queue(log), fail, Log(log)).run().success
    assert log == [("aborted",), ("released",)]


def test_a_run_that_is_cancelled_lets_go() -> None:
    log: list[Any] = []

    async def wait(number: int) -> int:
        await anyio.sleep_forever()
        return number

    async def main() -> None:
        with anyio.move_on_after(0.05):
            await pipeline(Queue(log), wait, Log(log)).execute()

    anyio.run(main)
    assert log == [("aborted",), ("released",)]


def test_a_durable_run_tells_it_batch_by_batch(tmp_path: Path) -> None:
    log: list[Any] = []
    made = pipeline(Queue(log), fail, Log(log))
    result = made.run(store=f"sqlite:///{tmp_path}/s.db", run_id="a", commit_every=20)
    assert not result.success
    assert log == [("stored",), ("committed", 20), ("stored",), ("committed", 40), ("released",)]


def test_a_source_that_waits_for_a_commit_has_one(tmp_path: Path) -> None:
    log: list[Any] = []
    made = pipeline(Queue(log, holds=50), Log(log))
    assert made.run(store=f"sqlite:///{tmp_path}/s.db", run_id="a", commit_every=1000).success
    assert [each for each in log if each[0] == "committed"][:2] == [("committed", 50), ("committed", 100)]


def test_a_run_that_commits_at_its_end_only_says_that_the_source_waits() -> None:
    log: list[Any] = []
    result = pipeline(Queue(log, holds=50), Log(log)).run()
    assert "has 50 records unacknowledged and gives no more before they are committed" in str(result.error)
    assert log == [("aborted",), ("released",)]


@pytest.mark.parametrize("options", [{}, {"run_id": "a"}])
def test_a_source_that_cannot_be_told_fails_the_run(tmp_path: Path, options: dict[str, Any]) -> None:
    log: list[Any] = []
    store = {"store": f"sqlite:///{tmp_path}/s.db"} if options else {}
    result = pipeline(Queue(log, deaf=True), Log(log)).run(**options, **store)
    assert isinstance(result.error, ConnectError)
    assert ("stored",) in log
    assert log[-1] == ("released",)
