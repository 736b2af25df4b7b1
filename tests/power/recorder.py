"""The recorder of file operations: made from ``recorder.c``, and loaded before everything else in a child process."""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path

SOURCE = Path(__file__).with_name("recorder.c")
_COMPILERS = ("cc", "gcc", "clang")
_SECONDS = 120


class Operation(IntEnum):
    """What is recorded, by the numbers that it has in ``recorder.c``."""

    CREATE = 1
    WRITE = 2
    TRUNCATE = 3
    SYNC = 4
    UNLINK = 5
    RENAME = 6
    MKDIR = 7
    RMDIR = 8
    MARK = 9
    OTHER = 10
    SYNC_FOLDER = 11
    """Only to make it fail: recorded as SYNC."""


def _compiler() -> str | None:
    """Return a C compiler; of a Debian that has none, and where this is the superuser, after it was installed."""
    found = next(filter(shutil.which, _COMPILERS), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["update"], ["install", "--no-install-recommends", "-y", "gcc", "libc6-dev"]):
            subprocess.run(["apt-get", "-q", *command], check=True, capture_output=True)
        found = shutil.which("gcc")
    return found


def compile_recorder(folder: Path) -> Path:
    """Compile the recorder into a folder.

    Raises:
        RuntimeError: If there is no C compiler.
    """
    command = os.environ.get("CC") or _compiler()
    if command is None:
        raise RuntimeError(
            f"recording file operations needs a C compiler, and none of {', '.join(_COMPILERS)} is there: "
            "install one (apt-get install gcc libc6-dev), or name it in the variable CC"
        )
    library = folder / "recorder.so"
    arguments = ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-o", str(library), str(SOURCE), "-lpthread"]
    subprocess.run([*shlex.split(command), *arguments], check=True)
    return library


def run_recorded(library: Path, root: Path, log: Path | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m ...`` in ``root`` with the recorder, and return it when it has ended, however it did."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", *arguments],
        cwd=root,
        env=recorded_environment(library, root, log),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


def recorded_environment(library: Path, root: Path, log: Path | None) -> Mapping[str, str]:
    here = SOURCE.parents[2]
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("COV")},
        "LD_PRELOAD": str(library),
        "RECORDER_ROOT": str(root.resolve()),
        "PYTHONPATH": os.pathsep.join([str(here / "src"), str(here)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        **({} if log is None else {"RECORDER_LOG": str(log)}),
    }


class Recorder:
    """The recorder, as seen by the child process that it was loaded into."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.recorder_room.argtypes = [ctypes.c_longlong]
        self._library.recorder_failed.restype = ctypes.c_long

    def mark(self, text: str) -> None:
        """Put a text into the log."""
        self._library.recorder_mark(text.encode())

    def fail(self, operation: Operation, call: int, error: int, *, lasts: bool = False) -> None:
        """Make the n-th call of an operation fail from now on, and those after it if ``lasts``."""
        self._library.recorder_fail(int(operation), ctypes.c_long(call), error, int(lasts))

    def repair(self) -> None:
        """Make nothing fail any more, and give all the room that is wanted."""
        self._library.recorder_fail(0, ctypes.c_long(0), 0, 0)
        self._library.recorder_room(-1)

    def leave_room(self, size: int) -> None:
        """Let the files grow by so many bytes and no more."""
        self._library.recorder_room(size)

    @property
    def failed(self) -> int:
        """How many calls were made to fail."""
        return int(self._library.recorder_failed())
