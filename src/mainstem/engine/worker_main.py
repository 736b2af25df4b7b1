"""The life of a worker process: it is told its errand when it begins, and then given pieces, one at a time.

It ends with the process that started it, whichever way that ends, and leaves Ctrl-C to that.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from mainstem.engine.packing import pack
from mainstem.engine.sendable import describe_range, problem_with
from mainstem.engine.sent_error import ErrorPacker
from mainstem.engine.worker import Done, Errand, Worker
from mainstem.errors import NotSendableError, WorkerFunctionError, describe_error

PR_SET_PDEATHSIG = 1

LOOK_SECONDS = 1.0
"""How often to look for the parent, where the kernel sends no signal."""

_errand = b""
_worker: Worker | None = None


def begin(errand: bytes, parent: int) -> None:
    """Begin the life of a worker process.

    Args:
        errand: What it is to do, packed; it is read with the first piece, so that what is wrong can be told.
        parent: The process that it ends with.
    """
    global _errand
    _errand = errand
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # it was blocked until it is ignored
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):  # a C library without prctl
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch, args=(parent,), name="mainstem-watch-parent", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os._exit(1)


def load() -> None:
    """Load the stages.

    Raises:
        NotSendableError: If that cannot be done here.
    """
    global _worker
    if _worker is not None:
        return
    _worker = load_worker(_errand)
    atexit.register(_worker.close)


def load_worker(packed: bytes) -> Worker:
    """Return a worker for an errand.

    Args:
        packed: The errand, packed.

    Raises:
        NotSendableError: If it cannot be read here.
    """
    try:
        errand: Errand = pickle.loads(packed)
        return Worker(errand)
    except Exception as error:
        raise NotSendableError(
            f"a worker process cannot load the stages: {describe_error(error)}\n"
            "Workers import the modules that functions are defined in: put them in a module that can be imported"
        ) from None


def work(records: bytes, first: int, count: int) -> tuple[bytes, bytes]:
    """Do a piece, and return what became of it, packed, and what came out, packed by itself.

    Args:
        records: The records, packed.
        first: The position of the first of them in the section's input.
        count: How many they are.

    Raises:
        NotSendableError: If the stages or the records cannot be read here.
    """
    load()
    assert _worker is not None
    return work_with(_worker, records, first, count)


def work_with(worker: Worker, records: bytes, first: int, count: int) -> tuple[bytes, bytes]:
    """Do a piece with a worker that has loaded the stages: see ``work``."""
    try:
        piece: list[Any] = pickle.loads(records)
    except Exception as error:
        raise NotSendableError(
            f"{'' if count == 1 else 'one of '}{describe_range(first, count)} cannot be read in a worker process: "
            f"{describe_error(error)}\nGive records that are plain data, or run without workers"
        ) from None
    return pack_answer(*worker.work(piece))


def pack_answer(output: Any, done: Done) -> tuple[bytes, bytes]:
    """Pack what became of a piece; what cannot be packed makes the stage fail that gave it."""
    try:
        packed = pack(output)
    except Exception as error:
        packed, done = pack(None), _unsendable(output, error, done)
    try:
        return pack(done), packed
    except Exception:  # it was a rejected record, then: a report of it is better than none
        entries = [replace(entry, record=_sendable_record(entry.record)) for entry in done.entries]
        return pack(replace(done, entries=entries)), packed


def _unsendable(output: Any, error: Exception, done: Done) -> Done:
    found = "the accumulator"
    if done.counts[-1] is None:
        record = next((each for each in output if problem_with(each) is not None), None)
        found = f"a record, {type(record).__name__},"
    packer = ErrorPacker()
    packer.add(
        WorkerFunctionError(
            f"{found} that the stage gave cannot be sent back from a worker process: {describe_error(error)}\n"
            "Give records that are plain data, or run without workers"
        )
    )
    failed = len(done.counts) - 1 - (done.counts[-1] is None)
    return replace(done, failed=failed, error=len(done.errors), errors=[*done.errors, *packer.sent()])


def _sendable_record(record: Any) -> Any:
    if problem_with(record) is None:
        return record
    try:
        return f"{record!r} (as text: the record itself cannot be sent from a worker process)"
    except Exception as error:
        return f"a {type(record).__name__}, which has no text ({describe_error(error)}) and cannot be sent"
