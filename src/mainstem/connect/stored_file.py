"""A file that is read, wherever it is kept, and local files."""

from __future__ import annotations

import io
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, cast

from mainstem.connect.files import file_errors
from mainstem.connect.fingerprints import file_fingerprint
from mainstem.errors import ConnectError

_HEAD_BYTES = 4096


class FileWatch:
    """Sees whether what was read of an open local file is all of one file, which others may write to.

    Args:
        name: The file, as it is shown.
        file: The file, before anything was read.

    Attributes:
        size: Bytes that it had when it was opened.
    """

    def __init__(self, name: str, file: io.BufferedReader) -> None:
        self._name = name
        self._file = file
        self._status = os.fstat(file.fileno())
        self._head = file.peek(_HEAD_BYTES)[:_HEAD_BYTES]
        self.size = self._status.st_size

    def check(self, *, ends_within_line: bool) -> None:
        """See at the end of the file whether it has changed.

        Raises:
            ConnectError: If it has become shorter, begins with something else, or has grown after half a line.
        """
        before, now = self._status, os.fstat(self._file.fileno())
        if not stat.S_ISREG(now.st_mode) or (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns):
            return
        if now.st_size < before.st_size:
            raise self.changed(f"it has become shorter, {now.st_size} bytes in place of {before.st_size}")
        if self._first_bytes() != self._head:
            raise self.changed("it begins with something else now")
        if now.st_size > before.st_size and ends_within_line:
            raise self.changed("it grows, and its last line has no end yet")

    def changed(self, how: str) -> ConnectError:
        """Make the error for a file that changed while it was read."""
        return ConnectError(
            f"cannot read {self._name}: {how}: somebody writes to it; read it when it is complete, or a copy"
        )

    def _first_bytes(self) -> bytes:
        at = self._file.tell()
        self._file.seek(0)
        try:
            return self._file.read(len(self._head))
        finally:
            self._file.seek(at)


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that is open.

    Attributes:
        stream: Its bytes, as they are stored, from the beginning.
        watch: Sees whether it changes; ``None`` where whoever keeps it says so by himself.
    """

    stream: io.BufferedReader
    watch: FileWatch | None = None


class StoredFile(ABC):
    """A file that is read.

    Attributes:
        is_local: Whether it can be read without waiting.
        name: The file, as messages show it, without secrets.
        key: What tells it from the others that are read with it, in positions and fingerprints; it has no secrets.
        partitions: Fields that its records have because of the folders that it is in.
        columns: The names of its columns, once they were read.
    """

    is_local: ClassVar[bool]
    name: str
    key: str
    partitions: Mapping[str, str | None]
    columns: Sequence[str] | None = None

    @abstractmethod
    def open(self) -> OpenedFile:
        """Open it, to be read from its beginning on; going to another place is quick where that can be.

        Raises:
            ConnectError: If it cannot be opened.
        """

    @abstractmethod
    def open_anywhere(self) -> BinaryIO:
        """Open it, to be read here and there.

        Raises:
            ConnectError: If it cannot be opened.
        """

    @abstractmethod
    def size(self) -> int:
        """Return its size in bytes, having seen that it may be read; 0 of a pipe or device.

        Raises:
            ConnectError: If it is not there, or may not be read.
        """

    @abstractmethod
    def fingerprint(self) -> Mapping[str, Any] | None:
        """Return plain JSON values that are others if the file is another; ``None`` if that cannot be told.

        Raises:
            ConnectError: If it cannot be read.
        """

    @abstractmethod
    def errors(self, doing: str) -> AbstractContextManager[None]:
        """Turn the errors of reading it into a ``ConnectError`` that says what to do.

        Raises:
            ConnectError: In place of them.
        """


class LocalFile(StoredFile):
    """A file of this machine.

    Args:
        path: The file.
        partitions: Fields that its records have because of the folders that it is in.
    """

    is_local = True

    def __init__(self, path: Path, partitions: Mapping[str, str | None] | None = None) -> None:
        self.path = path
        self.name = self.key = str(path)
        self.partitions = partitions or {}

    def open(self) -> OpenedFile:
        with self.errors("read"):
            stream = self.path.open("rb")
            try:
                return OpenedFile(stream, FileWatch(self.name, stream))
            except BaseException:
                stream.close()
                raise

    def open_anywhere(self) -> BinaryIO:
        with self.errors("read"):
            return cast("BinaryIO", self.path.open("rb"))

    def size(self) -> int:
        with self.errors("read"):
            status = self.path.stat()
            if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
                return 0  # a pipe is not opened: that would wait for who writes to it
            with self.path.open("rb"):
                return status.st_size

    def fingerprint(self) -> Mapping[str, Any] | None:
        return file_fingerprint(self.path)

    def errors(self, doing: str) -> AbstractContextManager[None]:
        return file_errors(self.path, doing)
