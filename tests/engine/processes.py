"""What the tests of worker processes share: the facts about a run, and a look at what it left."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from itertools import chain
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import anyio
from tests.runs import check_accounts, pipeline_of

from mainstem import CompositeResult, Pipeline, PipelineResult, PipelineStage, StageResult, Workers

TWO = Workers(2, always=True)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@contextmanager
def nothing_left() -> Generator[None]:
    """Check that no process, thread or open file is left."""
    resource_tracker.ensure_running()  # Python's own helper process, which stays
    import_module("loky.backend.resource_tracker").ensure_running()  # and loky's
    threads, files = set(threading.enumerate()), open_files()
    yield
    assert multiprocessing.active_children() == []
    wait_until(lambda: not [each for each in set(threading.enumerate()) - threads if is_of_workers(each)])
    assert open_files() <= files


def is_of_workers(thread: threading.Thread) -> bool:
    """Whether a thread is one of loky's: not one that anyio keeps for the next call, until its event loop ends."""
    return thread.name.startswith(("ExecutorManager", "QueueFeeder", "mainstem"))


def is_alive(process: int) -> bool:
    """Whether a process exists that is not only waiting to be taken notice of."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def children_of(process: int) -> list[int]:
    """Return the processes that a process has started."""
    found: list[int] = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if int(file.read_text().rpartition(")")[2].split()[1]) == process:
                found.append(int(file.parent.name))
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that another process does, of which nothing tells."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)


def shape_of(result: StageResult[Any]) -> Any:
    """Return what must not depend on where a result was made: all but times, notes and data."""
    shape: list[Any] = [
        result.success,
        None if result.error is None else (type(result.error), str(result.error)),
        result.records_in,
        result.records_passed,
        result.records_filtered,
        result.records_failed,
    ]
    if isinstance(result, CompositeResult):
        shape.append([(name, shape_of(part)) for name, part in result.stage_results.items()])
    return shape


def notes_of(error: BaseException | None) -> list[str]:
    """Return an error's notes without the traceback that a worker adds."""
    return [note for note in getattr(error, "__notes__", []) if not note.startswith("raised in a worker")]


def facts(result: PipelineResult[Any]) -> Any:
    """Return what must be the same with workers and without.

    Errors are in order within each stage; how those of several stages follow one another depends on where data was cut.
    """
    check_accounts(result)
    context = result.context
    errors = sorted(context.errors, key=lambda entry: entry.stage)
    return (
        result.data,
        shape_of(result),
        notes_of(result.error),
        context.completed_stages,
        [(each.stage, each.index, each.record, type(each.error), str(each.error)) for each in errors],
        [notes_of(each.error) for each in errors],
    )


def run_with_workers(*stages: PipelineStage[Any, Any], data: Any, workers: Any = TWO, **options: Any) -> Any:
    """Run with workers, and check the accounts and what is left."""
    with nothing_left():
        result = pipeline_of(*stages).run(data, workers=workers, **options)
    return check_accounts(result)


async def stream_all(pipeline: Pipeline[Any, Any, Any], data: Any, **options: Any) -> tuple[list[Any], Any]:
    """Take a stream to its end, and return its chunks and its result."""
    chunks: list[Any] = []
    stream = pipeline.stream(data, **options)
    async with stream:
        with suppress(Exception):  # which the result has as well
            async for chunk in stream:
                chunks.append(chunk)
    return chunks, check_accounts(stream.result)


def stream_with_workers(*stages: PipelineStage[Any, Any], data: Any, **options: Any) -> tuple[list[Any], Any]:
    options.setdefault("workers", TWO)
    with nothing_left():
        return anyio.run(lambda: stream_all(pipeline_of(*stages), data, **options))


def joined(chunks: list[Any]) -> list[Any]:
    return list(chain.from_iterable(chunks))


SCRIPT_FOLDER = Path(__file__).parent.parent.parent


def environment() -> dict[str, str]:
    """Return the environment of a program that can import the package and the tests."""
    paths = [str(SCRIPT_FOLDER / "src"), str(SCRIPT_FOLDER)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": "error"}  # in workers as well


def command(script: Path, *arguments: str) -> Sequence[str]:
    return [sys.executable, "-W", "error", str(script), *arguments]


def run_program(arguments: list[str], **options: Any) -> Any:
    started = time.monotonic()
    finished = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=20,
        check=False,
        **options,
    )
    assert time.monotonic() - started < 10
    return finished
