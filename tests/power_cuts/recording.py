"""A durable run into SQLite, recorded write by write."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

HERE = Path(__file__).parent
ACKNOWLEDGED = "acknowledged"
"""The file to which the run writes the number of each batch that it takes for committed."""
BATCH, BATCHES, REFUSED = 20, 40, 7
"""Records of a batch, how many batches there are, and the record of each batch that is rejected."""
_ENTRY = struct.Struct("<ciqq")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on a file.

    Attributes:
        kind: ``W`` write, ``T`` truncate, ``S`` sync, ``C`` create, ``U`` unlink, ``D`` the folder was synced.
        file: The file's name; empty for ``D``.
        at: Where it was written, or the new length.
        content: What was written.
    """

    kind: str
    file: str
    at: int = 0
    content: bytes = b""


@cache
def recorder() -> Path:
    """Return the library that records, compiled when it is first asked for."""
    library = Path(mkdtemp(prefix="mainstem-recorder-")) / "recorder.so"
    if shutil.which("cc") is None:  # a fresh machine may have none
        subprocess.run(["apt-get", "install", "-y", "-q", "gcc", "libc6-dev"], check=True, capture_output=True)
    command = ["cc", "-shared", "-fPIC", "-O1", "-w", "-o", str(library), str(HERE / "recorder.c"), "-ldl", "-lpthread"]
    subprocess.run(command, check=True)
    return library


def record(kind: str, folder: Path) -> list[Operation]:
    """Run the pipeline of this module in a process of its own, and return all it did to the files of the folder.

    Args:
        kind: ``delete`` or ``wal``, the journal of the target; or how it is broken, for a test of the test:
            ``normal``, ``off`` (what SQLite calls synchronous) or ``apart`` (rows and number in two transactions).
        folder: Where the target and the store are to be.
    """
    log = folder.parent / f"{folder.name}.log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("COV")},
        "LD_PRELOAD": str(recorder()),
        "RECORD_FOLDER": str(folder),
        "RECORD_LOG": str(log),
    }
    command = [sys.executable, "-m", "tests.power_cuts.recorded", kind, str(folder)]
    subprocess.run(command, env=environment, cwd=HERE.parents[1], check=True)
    return list(_operations(log.read_bytes()))


def _operations(log: bytes) -> list[Operation]:
    names: dict[int, str] = {}
    operations: list[Operation] = []
    at = 0
    while at < len(log):
        kind, number, first, second = _ENTRY.unpack_from(log, at)
        at += _ENTRY.size
        letter = kind.decode()
        length = first if letter == "N" else second if letter == "W" else 0
        content = log[at : at + length]
        at += length
        if letter == "N":
            names[number] = content.decode()
        else:
            operations.append(Operation(letter, names.get(number, ""), first, content))
    return operations
