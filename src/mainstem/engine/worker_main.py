"""The life of a worker process: it is sent stages, then pieces, one at a time, until its connection is closed.

It ends with the process that started it, whichever way that ends, and leaves Ctrl-C to that.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from contextlib import closing, suppress
from dataclasses import replace
from multiprocessing import connection
from typing import Any

from mainstem.engine.sendable import problem_with
from mainstem.engine.sent_error import ErrorPacker
from mainstem.engine.worker import Done, Worker
from mainstem.errors import WorkerFunctionError, describe_error

UNREADABLE = b"unreadable"
"""In the place of what became of a piece that cannot be unpickled here; the reason follows."""

PR_SET_PDEATHSIG = 1


def serve(parent: connection.Connection[Any, Any]) -> None:
    """Do what comes over the connection."""
    _begin_life()
    serve_pieces(parent)


def serve_pieces(parent: connection.Connection[Any, Any]) -> None:
    """Load the stages that come first, and say whether that went well; then take pieces until the end."""
    with suppress(EOFError, ConnectionError):  # the run is over
        _serve(parent)


def _serve(parent: connection.Connection[Any, Any]) -> None:
    errand = parent.recv_bytes()
    try:
        worker = Worker(pickle.loads(errand))
    except Exception as error:
        parent.send_bytes(describe_error(error).encode(errors="backslashreplace"))
        return
    with closing(worker):
        parent.send_bytes(b"")
        while True:
            piece = parent.recv_bytes()
            try:
                records = pickle.loads(piece)
            except Exception as error:
                answer = UNREADABLE, describe_error(error).encode(errors="backslashreplace")
            else:
                answer = pack(*worker.work(records))
            for part in answer:
                parent.send_bytes(part)


def _begin_life() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # it was blocked until it is ignored
    _die_with_parent()


def _die_with_parent() -> None:
    """End with the parent: by the kernel's signal on Linux, and by watching it anywhere, as far as Python code runs."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return  # called in the process of the run itself, by a test
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):  # a C library without prctl
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent.pid:
            os._exit(1)  # it ended before it was asked for
    threading.Thread(target=_watch, args=(parent.sentinel,), name="mainstem-watch-parent", daemon=True).start()


def _watch(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def pack(output: Any, done: Done) -> tuple[bytes, bytes]:
    """Pickle what became of a piece; what cannot be pickled makes the stage fail that gave it."""
    try:
        packed = pickle.dumps(output, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        packed, done = pickle.dumps(None), _unsendable(output, error, done)
    try:
        return pickle.dumps(done, pickle.HIGHEST_PROTOCOL), packed
    except Exception:  # it was a rejected record, then: a report of it is better than none
        entries = [replace(entry, record=_sendable_record(entry.record)) for entry in done.entries]
        return pickle.dumps(replace(done, entries=entries), pickle.HIGHEST_PROTOCOL), packed


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
