"""Durable runs on a disk that is full, or fails, at every point: ``python -m tests.power.failing KIND TROUBLE``.

This is run with the recorder. It runs a pipeline again and again, each time in a folder of its own with the trouble at
a later point, until there is none any more; looks at what is there; takes the trouble away, and goes on to the end.
It prints a line of JSON for each run.
"""

from __future__ import annotations

import errno
import json
import multiprocessing
import resource
import sqlite3
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import chdir, closing, contextmanager, nullcontext
from functools import partial
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

from tests.power import run
from tests.power.breakages import BREAKAGES
from tests.power.recorder import Operation, Recorder
from tests.power.run import COMMIT_EVERY, STORE, Run, expected_after, mark_batches
from tests.power.violations import Violation, judged

from mainstem.connect import sqlite_table
from mainstem.errors import RunCompletedError, describe_error
from mainstem.store.sqlite import SqliteStore

RECORDS = 60
_MORE = {"full target": len(run.RECORDS), "full store": len(run.RECORDS)}
"""How many records are loaded where the fewest would fit in the pages that are there from the beginning."""
_WRITES_AT_ONCE = 3
"""Of so many writes one is made to fail: there are hundreds."""
_NEEDED = ("anyio._backends._asyncio", "mainstem.durable.run", "mainstem.engine.batch_load", "mainstem.pipeline_run")
"""Imported before this process is copied, so that no copy need do it."""
Trouble = Callable[[int], Any]


class Marks:
    """Takes marks, as a recorder does."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def mark(self, text: str) -> None:
        self.taken.append(text)


def troubles(recorder: Recorder) -> dict[str, Trouble]:
    """What may be wrong, by name; each is given a number, with which it gets to a later point."""

    @contextmanager
    def failing(operation: Operation, number: int, *, lasts: bool) -> Generator[Callable[[], bool]]:
        step = _WRITES_AT_ONCE if operation is Operation.WRITE else 1
        recorder.fail(operation, 1 + (number - 1) * step, errno.EIO, lasts=lasts)
        try:
            yield lambda: recorder.failed > 0
        finally:
            recorder.repair()

    @contextmanager
    def full(number: int) -> Generator[Callable[[], bool]]:
        recorder.leave_room(number * 8000)
        try:
            yield lambda: recorder.failed > 0
        finally:
            recorder.repair()

    operations = {
        "write": Operation.WRITE,
        "sync": Operation.SYNC,
        "create": Operation.CREATE,
        "rename": Operation.RENAME,
        "unlink": Operation.UNLINK,
    }
    return {
        **{name: partial(failing, each, lasts=False) for name, each in operations.items()},
        **{f"{name} for good": partial(failing, each, lasts=True) for name, each in operations.items()},
        "full disk": full,
        "file size limit": _limited,
        "full target": lambda number: _few_pages(number, of_target=True),
        "full store": lambda number: _few_pages(number, of_target=False),
    }


@contextmanager
def _limited(number: int) -> Generator[Callable[[], bool]]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = number * 8000
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield lambda: any(path.stat().st_size >= size - 4096 for path in Path().rglob("*") if path.is_file())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextmanager
def _few_pages(number: int, *, of_target: bool) -> Generator[Callable[[], bool]]:
    """Let a database have so many pages and no more: SQLite says then what it says of a full disk."""
    module: Any = sqlite_table if of_target else SqliteStore
    name = "open_database" if of_target else "__init__"
    before = getattr(module, name)

    def limited(*arguments: Any, **options: Any) -> Any:
        answer = before(*arguments, **options)
        connection = answer if of_target else arguments[0]._connection
        connection.execute(f"PRAGMA max_page_count = {number}")
        return answer

    setattr(module, name, limited)
    try:
        yield lambda: (_pages("target.db") if of_target else _pages(STORE)) >= number
    finally:
        setattr(module, name, before)


def _pages(path: str | Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA page_count").fetchone()[0])


def run_with(subject: Run, trouble: Any) -> dict[str, Any]:
    """Run in the current folder with a trouble, look at what is there, and go on without it.

    Both are done in processes of their own: a run whose end the store could not take note of belongs to its process.
    """
    report: dict[str, Any] = _in_a_process(_try, subject, trouble)
    report["problem"] = ""
    try:
        with judged():
            _check_partial(subject, report["marks"])
            ended = _in_a_process(_try, subject, nullcontext(bool))
            assert ended["success"], f"without the trouble it cannot be gone on with: {ended['error']}"
            subject.check_end()
    except Violation as violation:
        report["problem"] = str(violation)
    return report


def _in_a_process(work: Callable[..., Any], *arguments: Any) -> Any:
    fork = multiprocessing.get_context("fork")
    answers, sent = fork.Pipe(duplex=False)
    process = fork.Process(target=lambda: sent.send(work(*arguments)))
    process.start()
    sent.close()
    answer = answers.recv()
    process.join()
    answers.close()
    return answer


def _try(subject: Run, trouble: Any) -> dict[str, Any]:
    marks = Marks()
    with mark_batches(type(subject.sink()), marks), trouble as happened:
        success, error = _attempt(subject)
        return {"success": success, "error": error, "happened": happened(), "marks": marks.taken}


def _attempt(subject: Run) -> tuple[bool, str]:
    try:
        result = subject.pipeline(subject.sink()).run(subject.records, **subject.options)
    except RunCompletedError:
        return True, ""
    except Exception as raised:
        return False, _text_of(raised)
    return result.success, "" if result.error is None else _text_of(result.error)


def _text_of(error: BaseException) -> str:
    return " ".join([describe_error(error), *getattr(error, "__notes__", [])])


def _check_partial(subject: Run, marks: Sequence[str]) -> None:
    """Check that the rows are those of whole batches, of all that were acknowledged."""
    if subject.kind != "table" or not Path("target.db").exists():
        return
    rows = subject.rows()
    acknowledged = min(len(marks) * COMMIT_EVERY, len(subject.records))
    possible = [min(acknowledged + more, len(subject.records)) for more in (0, COMMIT_EVERY)]
    if rows not in [expected_after(records)[0] for records in possible]:
        raise AssertionError(f"{len(marks)} batches were acknowledged, and there are {len(rows)} rows")
    with closing(sqlite3.connect("target.db")) as connection:
        known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'mainstem_progress'").fetchone()
        found = connection.execute("SELECT sequence FROM mainstem_progress").fetchone() if known else None
    number = 0 if found is None else found[0]
    if rows != expected_after(min(number * COMMIT_EVERY, len(subject.records)))[0]:
        raise AssertionError(f"batch {number} is the last, and there are {len(rows)} rows")


def main(kind: str, name: str, breakage: str = "") -> None:
    if breakage:
        BREAKAGES[breakage]()
    for module in _NEEDED:
        import_module(module)
    trouble = troubles(Recorder())[name]
    for number in count(1):
        folder = Path(f"{number}")
        folder.mkdir()
        with chdir(folder):
            report = run_with(Run(kind, _MORE.get(name, RECORDS)), trouble(number))
        print(json.dumps({"number": number, **report}))
        if report["success"] and not report["happened"]:
            break


if __name__ == "__main__":
    main(*sys.argv[1:])
