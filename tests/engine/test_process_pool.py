"""Worker processes are gone when the run ends, whichever way: cancelled, closed, interrupted, killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.engine import sendable
from tests.engine.processes import (
    TWO,
    children_of,
    command,
    environment,
    is_alive,
    nothing_left,
    run_program,
    run_with_workers,
    wait_until,
)
from tests.runs import pipeline_of

from mainstem import (
    AggregateStage,
    MapStage,
    StreamClosedError,
    Workers,
)
from mainstem.engine import process_pool
from mainstem.engine.process_pool import ProcessPool
from mainstem.engine.worker import Errand

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.extras,
]


async def test_a_cancelled_run_kills_workers_that_are_busy(anyio_backend: str) -> None:
    with nothing_left():
        pipeline = pipeline_of(MapStage(sendable.hour_at_zero))
        started = time.monotonic()
        with anyio.move_on_after(1.0) as scope:
            await pipeline.execute(range(5), workers=TWO)
        assert scope.cancelled_caught
        assert time.monotonic() - started < 2.0


async def test_a_run_that_is_cancelled_while_workers_start_leaves_nothing(anyio_backend: str) -> None:
    with nothing_left(), anyio.move_on_after(0.05) as scope:
        await pipeline_of(MapStage(sendable.hour_at_zero)).execute(range(5), workers=TWO)
    assert scope.cancelled_caught


async def test_a_stream_that_is_closed_early_kills_workers_that_are_busy(anyio_backend: str) -> None:
    with nothing_left():
        stream = pipeline_of(MapStage(sendable.At(1, sendable.sleep_an_hour))).stream(
            range(5), chunk_size=1, workers=TWO
        )
        async with stream:
            async for chunk in stream:
                assert chunk == [0]
                break
    assert isinstance(stream.result.error, StreamClosedError)


async def test_a_worker_that_is_killed_while_it_sends_a_large_answer_holds_nobody_up(anyio_backend: str) -> None:
    with nothing_left():
        for _ in range(3):
            stream = pipeline_of(MapStage(sendable.large)).stream(range(100), chunk_size=1, workers=TWO)
            async with stream:
                async for _ in stream:
                    break


async def test_a_worker_that_does_not_end_by_itself_is_killed(
    anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_pool, "ENDING_SECONDS", 0.2)
    started = time.monotonic()
    with nothing_left():
        result = await pipeline_of(MapStage(sendable.leave_a_thread)).execute(range(5), workers=TWO)
    assert result.success
    assert time.monotonic() - started < 5


async def test_idle_workers_end_as_programs_do(anyio_backend: str, tmp_path: Path) -> None:
    await pipeline_of(MapStage(sendable.AtExit(tmp_path / "ended"))).execute(range(50), workers=TWO)
    assert (tmp_path / "ended").exists()


SPINNING = """
import sys
from pathlib import Path
from mainstem import MapStage, Pipeline, Workers
from tests.engine import sendable
def main():
    stage = MapStage(sendable.Append(Path(sys.argv[1]), getattr(sendable, sys.argv[2])))
    try:
        Pipeline("p").add_stage(stage).run(range(10**6), workers=Workers(2, always=True))
    except KeyboardInterrupt:
        print("interrupted")
main()
"""


def program(tmp_path: Path, busy: str) -> tuple[Any, Path]:
    """Start a program whose workers are going to be busy; return it, and the file they write to."""
    script, file = tmp_path / "script.py", tmp_path / "lines"
    script.write_text(SPINNING)
    running = subprocess.Popen(
        command(script, str(file), busy), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    return running, file


def started_program(tmp_path: Path, busy: str) -> tuple[Any, Path, set[int]]:
    """Start a program and wait until its workers are busy; return which they are, too."""
    running, file = program(tmp_path, busy)

    def workers() -> set[int]:
        return {int(line) for line in file.read_text().split()} if file.exists() else set()

    wait_until(lambda: len(workers()) == 2, 20)
    return running, file, workers()


@pytest.mark.parametrize("busy", ["work_a_little", "spin", "hold_the_lock"])
def test_workers_end_with_a_program_that_is_killed(tmp_path: Path, busy: str) -> None:
    running, file, workers = started_program(tmp_path, busy)
    running.kill()
    running.wait()
    wait_until(lambda: not any(is_alive(worker) for worker in workers), 2.0)
    lines = file.read_text()
    running.communicate()
    assert file.read_text() == lines


def test_a_worker_ends_with_its_parent_where_the_kernel_sends_no_signal() -> None:
    watch = (
        "import os; from mainstem.engine.worker_main import _watch; parent = os.getppid(); "
        "print('watching', flush=True); _watch(parent)"
    )
    start = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    with subprocess.Popen([sys.executable, "-c", start, watch], env=environment(), stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"watching\n"
        parent.kill()
        parent.communicate(timeout=10)  # until nobody has the output open


@pytest.mark.parametrize("busy", ["work_a_little", "hold_the_lock"])
def test_an_interrupt_ends_the_run_and_its_workers(tmp_path: Path, busy: str) -> None:
    running, _, workers = started_program(tmp_path, busy)
    os.killpg(running.pid, signal.SIGINT)
    output, errors = running.communicate(timeout=5)
    assert output == "interrupted\n"
    assert errors == ""
    assert not any(is_alive(worker) for worker in workers)


def test_an_interrupt_while_workers_start_is_the_programs_alone(tmp_path: Path) -> None:
    running, _ = program(tmp_path, "spin")
    wait_until(lambda: len(children_of(running.pid)) >= 3, 20)  # two helpers, and a worker
    os.killpg(running.pid, signal.SIGINT)
    output, errors = running.communicate(timeout=10)
    assert (output, errors) == ("interrupted\n", "")


def test_a_pool_that_nobody_closes_ends_with_the_program(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import anyio\n"
        "from mainstem import MapStage\n"
        "from mainstem.engine.process_pool import ProcessPool\n"
        "from mainstem.engine.worker import Errand\n"
        "from tests.engine.sendable import hour_at_zero\n"
        "async def main():\n"
        "    pool = ProcessPool(1, Errand([MapStage(hour_at_zero)], ['m'], None, 'id', {}, 'asyncio'))\n"
        "    await pool.start()\n"
        "    await pool.wait([pool.submit([1], 0)])\n"
        "    pool.submit([0], 1)\n"
        "anyio.run(main)\n"
        "print('ended')\n"
    )
    ran = run_program([str(script)])
    assert ran.stdout == "ended\n", ran.stderr
    assert ran.returncode == 0


async def test_a_pool_that_was_started_and_given_nothing_ends(anyio_backend: str) -> None:
    with nothing_left():
        pool = ProcessPool(2, Errand([MapStage(sendable.double)], ["m"], None, "id", {}, anyio_backend))
        await pool.start()
        await pool.close()


def test_a_worker_may_have_workers_of_its_own() -> None:
    result = run_with_workers(MapStage(sendable.run_with_a_worker), data=[3], workers=Workers(1, always=True))
    assert result.data == [[0, 2, 4]], result.error


def test_the_aggregation_alone_may_die() -> None:
    result = run_with_workers(AggregateStage(sendable.DiesAt(3)), data=range(5))
    assert "in 'AggregateStage'" in str(result.error)
