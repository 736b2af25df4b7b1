"""Reads what the recorder has written."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tests.power.recorder import Operation

_HEADER = struct.Struct("<IIQQIIII")
ROOT = "root "
"""What the mark begins with that names the folder."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation.

    Attributes:
        operation: Which.
        error: The error that it failed with, 0 if it did not.
        inode: The number of the file.
        offset: Where was written, or the new length.
        path: The file's path below the root; the text of a mark.
        other: The new path.
        content: What was written.
    """

    operation: Operation
    error: int = 0
    inode: int = 0
    offset: int = 0
    path: str = ""
    other: str = ""
    content: bytes = b""


def read_recording(log: Path) -> list[Entry]:
    """Read a log, whose first mark names the folder that was recorded.

    Raises:
        ValueError: If there is something in it that a replay could not do justice to.
    """
    return list(_entries(log.read_bytes()))


def _entries(content: bytes) -> Iterator[Entry]:
    at, root = 0, ""
    while at < len(content):
        operation, error, inode, offset, *lengths, _ = _HEADER.unpack_from(content, at)
        at += _HEADER.size
        parts: list[bytes] = []
        for length in lengths:
            parts.append(content[at : at + length])
            at += length
        kind = Operation(operation)
        path, other = (part.decode() for part in parts[:2])
        if kind is Operation.OTHER:
            raise ValueError(f"the recorder does not understand what was done: {path} {other} (inode {inode})")
        if kind is Operation.MARK and path.startswith(ROOT):
            root = path.removeprefix(ROOT)
            continue
        if kind is not Operation.MARK:
            path, other = _below(root, path), _below(root, other)
        yield Entry(kind, error, inode, offset, path, other, parts[2])


def _below(root: str, path: str) -> str:
    return str(PurePosixPath(path).relative_to(root)) if path else ""
