"""What batches have written, read as one."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Any, BinaryIO

from mainstem.connect.batch_folder import BatchFolder, part_name
from mainstem.connect.batch_manifest import Part
from mainstem.errors import ConnectError


class JoinedParts(io.RawIOBase):
    """What is committed of some parts, one after the other."""

    def __init__(self, folder: BatchFolder, parts: Sequence[Part]) -> None:
        super().__init__()
        self._folder, self._parts = folder, list(parts)
        self._file: BinaryIO | None = None
        self._left = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._left:
            if not self._parts:
                return 0
            self._open(self._parts.pop(0))
        assert self._file is not None
        content = self._file.read(min(len(buffer), self._left))
        if not content:
            raise ConnectError(f"cannot write {self._folder.target}: {self._folder.path} was cut meanwhile")
        buffer[: len(content)] = content
        self._left -= len(content)
        return len(content)

    def _open(self, part: Part) -> None:
        check_length(self._folder, part)
        if self._file is not None:
            self._file.close()
        self._file = os.fdopen(self._folder.open_part(part_name(part.epoch), os.O_RDONLY), "rb", buffering=0)
        self._left = part.length

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()


def check_length(folder: BatchFolder, part: Part) -> None:
    """Look that a part has all that is committed of it.

    Raises:
        ConnectError: If it has not.
    """
    name = part_name(part.epoch)
    length = folder.length_of(name)
    if length < part.length:
        found = "is missing" if length < 0 else f"has only {length}"
        raise ConnectError(
            f"cannot write {folder.target}: of {folder.path / name} {part.length} bytes are committed, and it {found}; "
            "remove the folder and begin anew"
        )
