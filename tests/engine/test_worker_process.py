"""Worker processes that die, or raise what is no exception: the run ends, says so, and leaves nothing."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from tests.engine import sendable
from tests.engine.processes import (
    TWO,
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
from mainstem.engine.worker import Errand
from mainstem.engine.worker_process import Piece, WorkerProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")


DEATHS: list[tuple[Callable[[], None], str]] = [
    (sendable.leave, "exit code 3"),
    (sendable.leave_without_a_word, "exit code 0"),
    (sendable.kill_itself, "killed by SIGKILL; the system does that when memory runs out"),
    (sendable.segfault, "killed by SIGSEGV"),
    (sendable.leave_a_child, "exit code 4"),
    (sendable.close_connections, "it had closed its connection, and was killed"),
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
    assert "(exit code 3) while it worked on record 0, in 'MapStage'\nrecord 0 of the stage's" in str(result.error)


def test_a_death_is_seen_while_another_piece_takes_an_hour() -> None:
    stages = MapStage(sendable.hour_at_zero), MapStage(sendable.At(1, sendable.leave))
    started = time.monotonic()
    result = run_with_workers(*stages, data=range(2))
    assert time.monotonic() - started < 5
    assert "while it worked on record 1, in 'MapStage', 'MapStage#2'" in str(result.error)
    assert "records 0 to 1 of the stage's input were under way" in str(result.error)


def test_workers_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    import multiprocessing.popen_spawn_posix as spawning

    def refuse(*_: Any) -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(spawning.util, "spawnv_passfds", refuse)
    result = check_accounts(pipeline_of(MapStage(sendable.double)).run(range(3), workers=TWO))
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


# --- one process by itself


class Late(SimpleQueue[Any]):
    """Gives its first piece when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may_give = threading.Event(), threading.Event()

    def get(self, *_: Any, **__: Any) -> Any:
        self.asked.set()
        assert self.may_give.wait(10)
        return super().get()


@contextmanager
def process(pieces: SimpleQueue[Any]) -> Generator[WorkerProcess]:
    errand = Errand([MapStage(sendable.hour_at_zero)], ["m"], None, "id", {}, "asyncio")
    with nothing_left():
        worker = WorkerProcess(multiprocessing.get_context("spawn"), pickle.dumps(errand), pieces, lambda: None)
        try:
            yield worker
        except BaseException:
            worker.kill()
            raise
        finally:
            worker.release()


def signals_of(process: int, kind: str) -> int:
    (line,) = [line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith(kind)]
    return int(line.split()[1], 16)


def test_a_worker_never_heeds_an_interrupt() -> None:
    interrupt = 1 << (signal.SIGINT - 1)
    with process(SimpleQueue()) as worker:
        (child,) = [each.pid for each in multiprocessing.active_children()]
        assert child is not None
        assert signals_of(child, "SigBlk") & interrupt  # until it ignores it
        wait_until(lambda: worker.ready)
        assert signals_of(child, "SigIgn") & interrupt
        assert not signals_of(child, "SigBlk") & interrupt  # nor would programs that it starts
        worker.close()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_worker_that_is_closed_takes_no_more_pieces() -> None:
    pieces, piece = Late(), Piece(0, 1, pickle.dumps([0]))
    with process(pieces) as worker:
        assert pieces.asked.wait(10)
        pieces.put(piece)  # which is taken when the worker has been told to end
        worker.close()
        pieces.may_give.set()
        wait_until(lambda: worker.ended, 4)
    assert piece.answer is None
    assert worker.died is None
