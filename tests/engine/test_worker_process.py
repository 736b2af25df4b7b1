"""Worker processes that die, or raise what is no exception: the run ends, says so, and leaves nothing."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tests.engine import sendable
from tests.engine.processes import (
    TWO,
    is_alive,
    nothing_left,
    run_with_workers,
    wait_until,
)
from tests.runs import check_accounts, pipeline_of
from tests.streams import Collect, Numbers

from mainstem import (
    MapStage,
    WorkerDiedError,
    WorkerFunctionError,
)
from mainstem.engine.process_pool import ProcessPool
from mainstem.engine.worker import Errand

pytestmark = [
    pytest.mark.extras,
]


DEATHS: list[tuple[Callable[[], None], str]] = [
    (sendable.leave, "exit code 3"),
    (sendable.leave_without_a_word, "exit code 0"),
    (sendable.kill_itself, "killed by SIGKILL; the system does that when memory runs out"),
    (sendable.segfault, "killed by SIGSEGV"),
    (sendable.leave_a_child, "exit code 4"),
    (sendable.close_connections, "it let go of its connection, and was killed"),
]


@pytest.mark.parametrize(("deed", "how"), DEATHS, ids=lambda each: getattr(each, "__name__", ""))
def test_a_worker_that_dies_ends_the_run(deed: Callable[[], None], how: str) -> None:
    sink = Collect()
    started = time.monotonic()
    result = run_with_workers(Numbers(600), MapStage(sendable.At(401, deed)), sink, data=None)
    assert time.monotonic() - started < 8
    assert isinstance(result.error, WorkerDiedError)
    text = str(result.error)
    assert text.startswith("a worker process ended in the middle of its work (")
    assert how in text
    assert sink.ends == ["aborted"]
    assert any(note.startswith(f"in stage 'MapStage', made at {__file__}:") for note in result.error.__notes__)
    first, last = (int(number) for number in text.rpartition("\nrecords ")[2].split()[0:3:2])
    assert first <= 401 <= last
    assert text.endswith(f"records {first} to {last} of the stage's input were under way and do not count as done")
    assert result.stage_results["MapStage"].records_in == first


def test_a_worker_that_dies_at_the_first_record() -> None:
    result = run_with_workers(MapStage(sendable.At(0, sendable.leave)), data=range(1), workers=TWO)
    assert "(exit code 3), in 'MapStage'\nrecord 0 of the stage's" in str(result.error)


def test_a_death_is_seen_while_another_piece_takes_an_hour() -> None:
    stages = MapStage(sendable.hour_at_zero), MapStage(sendable.At(1, sendable.leave))
    started = time.monotonic()
    result = run_with_workers(*stages, data=range(2))
    assert time.monotonic() - started < 5
    assert "(exit code 3), in 'MapStage', 'MapStage#2'" in str(result.error)
    assert "records 0 to 1 of the stage's input were under way" in str(result.error)


def test_workers_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    spawning = import_module("loky.backend.fork_exec")
    started: list[Any] = []

    def refuse(*arguments: Any, **options: Any) -> Any:
        if started:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        started.append(fork_exec(*arguments, **options))
        return started[0]

    fork_exec = spawning.fork_exec
    monkeypatch.setattr(spawning, "fork_exec", refuse)
    result = check_accounts(pipeline_of(MapStage(sendable.double)).run(range(3), workers=TWO))
    assert len(started) == 1
    assert multiprocessing.active_children() == []
    assert not is_alive(started[0])
    assert isinstance(result.error, WorkerDiedError)
    assert str(result.error).startswith("worker processes cannot be started: BlockingIOError: [Errno 11]")


# --- what is no Exception


@pytest.mark.parametrize(
    ("deed", "kind"),
    [
        (sendable.raise_system_exit, SystemExit),
        (sendable.raise_interrupt, KeyboardInterrupt),
        (sendable.raise_abort, sendable.Abort),
    ],
)
def test_what_is_no_exception_passes_through(deed: Callable[[], None], kind: type[BaseException]) -> None:
    sink = Collect()
    with nothing_left(), pytest.raises(kind) as caught:
        pipeline_of(Numbers(600), MapStage(sendable.At(401, deed), continue_on_error=True), sink).run(workers=TWO)
    assert type(caught.value) is kind
    assert sink.ends == ["aborted"]
    if kind is SystemExit:
        assert caught.value.code == 7


def test_what_is_no_exception_and_cannot_be_sent_fails_the_run() -> None:
    stage = MapStage(sendable.At(1, sendable.raise_unsendable_abort), continue_on_error=True)
    result = run_with_workers(stage, data=range(5))
    assert isinstance(result.error, WorkerFunctionError)
    assert str(result.error) == "UnsendableAbort: a b"


# --- beside loky


def signals_of(process: int, kind: str) -> int:
    (line,) = [line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith(kind)]
    return int(line.split()[1], 16)


@pytest.mark.anyio
async def test_a_worker_never_heeds_an_interrupt(anyio_backend: str) -> None:
    interrupt = 1 << (signal.SIGINT - 1)
    errand = Errand([MapStage(sendable.double)], ["m"], None, "id", {}, anyio_backend)
    with nothing_left():
        pool = ProcessPool(1, errand)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pool.start)
            while not (children := [each.pid for each in multiprocessing.active_children()]):
                await anyio.lowlevel.checkpoint()
            (child,) = children
            assert child is not None
            assert signals_of(child, "SigBlk") & interrupt  # until it ignores it
        assert signals_of(child, "SigIgn") & interrupt
        assert not signals_of(child, "SigBlk") & interrupt  # nor would programs that it starts
        await pool.close()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.anyio
@pytest.mark.parametrize("count", [1, 2])
async def test_a_worker_that_is_killed_in_the_middle_of_an_answer_is_missed(anyio_backend: str, count: int) -> None:
    """Where loky by itself reads for ever what was left half written, and its ``shutdown`` waits for that."""
    errand = Errand([MapStage(sendable.Half())], ["m"], None, "id", {}, anyio_backend)
    with nothing_left():
        pool = ProcessPool(count, errand)
        await pool.start()
        piece = pool.submit([1], 0)
        with anyio.fail_after(10):
            assert await pool.wait([piece]) is piece
            with pytest.raises(WorkerDiedError, match="killed by SIGKILL"):
                pool.take(piece)
            await pool.close()


@pytest.mark.anyio
async def test_a_pool_whose_worker_was_killed_in_the_middle_of_an_answer_can_be_closed(anyio_backend: str) -> None:
    errand = Errand([MapStage(sendable.Half())], ["m"], None, "id", {}, anyio_backend)
    with nothing_left():
        pool = ProcessPool(2, errand)
        await pool.start()
        pool.submit([1], 0)
        wait_until(lambda: any(each.exitcode is not None for each in pool._processes))
        with anyio.fail_after(10):
            await pool.close()


@pytest.mark.anyio
async def test_large_pieces_that_nobody_reads_hold_nobody_up(anyio_backend: str) -> None:
    errand = Errand([MapStage(sendable.sleep_at_once)], ["m"], None, "id", {}, anyio_backend)
    with nothing_left():
        pool = ProcessPool(2, errand)
        await pool.start()
        for at in range(6):
            pool.submit([bytes(10_000_000)], at)
        with anyio.fail_after(10):
            await pool.close()


@pytest.mark.anyio
@pytest.mark.slow
async def test_twenty_closes_in_the_middle_of_large_answers(anyio_backend: str) -> None:
    with nothing_left():
        for at in range(20):
            pool = ProcessPool(2, Errand([MapStage(sendable.rather_large)], ["m"], None, "id", {}, anyio_backend))
            await pool.start()
            pieces = [pool.submit([number], number) for number in range(8)]
            with anyio.fail_after(10):
                await pool.wait(pieces)
                await anyio.sleep(0.01 * (at % 5))  # somewhere within the next answer
                await pool.close()
