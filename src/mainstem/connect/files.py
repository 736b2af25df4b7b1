"""Local files, read by lines with exact positions."""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

from mainstem.endpoints import Position
from mainstem.errors import ConnectError

FilePath: TypeAlias = str | os.PathLike[str]

_GZIP_MAGIC = b"\x1f\x8b"
_HEAD_BYTES = 4096


def local_path(path: FilePath) -> Path:
    """Return the path of a local file.

    Raises:
        ConnectError: If it is the URL of something else.
    """
    text = os.fspath(path)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", text)
    if scheme:  # the rest may hold a password
        raise ConnectError(
            f"a path is needed, not a URL of the scheme {scheme[1]!r}: only local files are supported here"
        )
    return Path(text)


@contextmanager
def file_errors(path: Path, doing: str) -> Generator[None]:
    """Turn the errors of the operating system and of gzip into a ``ConnectError`` that says what to do.

    Raises:
        ConnectError: In place of them.
    """
    try:
        yield
    except FileNotFoundError as error:
        folder = path.absolute().parent
        missing = "there is no such file" if folder.is_dir() else f"there is no folder {folder}"
        raise ConnectError(f"cannot {doing} {path}: {missing}; check the path") from error
    except IsADirectoryError as error:
        raise ConnectError(f"cannot {doing} {path}: it is a folder; give the path of a file") from error
    except PermissionError as error:
        raise ConnectError(f"cannot {doing} {path}: permission denied; check the rights of {path}") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ConnectError(
            f"cannot {doing} {path}: its gzip data is damaged ({error}); fetch the file again"
        ) from error
    except OSError as error:
        raise ConnectError(f"cannot {doing} {path}: {error.strerror or error}") from error
    except ValueError as error:  # a path with NUL in it
        raise ConnectError(f"cannot {doing} {path!s:.200}: {error}; check the path") from error


@dataclass(frozen=True, slots=True)
class LinePosition:
    """A place between two records of a file of lines.

    Attributes:
        byte: Offset in the file; for a gzip file in what it unpacks to.
        record: Records before it, those that could not be read included.
        line: Lines before it.
    """

    byte: int = 0
    record: int = 0
    line: int = 0

    @classmethod
    def parse(cls, position: Position) -> Self:
        """Read a position that a chunk came with.

        Raises:
            ConnectError: If it is none.
        """
        values = [position.get(name) for name in cls.__slots__]
        numbers = [value for value in values if type(value) is int and value >= 0]
        if len(numbers) != len(values):
            raise ConnectError(f"{position!r} is no position in a file of lines: it needs byte, record and line")
        return cls(*numbers)

    def to_json(self) -> Position:
        """Return the position as plain JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


class LineFile:
    """The lines of a file as bytes, gzip unpacked, byte order mark left out; open while it is used in a ``with`` block.

    Iterating takes lines; those taken are in ``taken`` until ``settle()`` moves ``position`` behind them. What others
    append meanwhile is read as well. A file that another was moved over is read to its end all the same.

    Args:
        path: The file. Whether it is gzip is seen from its content.

    Raises:
        ConnectError: If it cannot be opened; where it ends, if it has become shorter, begins with something else, or
            grows and its last line has no end yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.position = LinePosition()
        self.taken: list[bytes] = []
        self._is_unfinished = False
        """Whether the last line that was settled had no line break."""
        with file_errors(path, "read"):
            self._file = self._stream = path.open("rb")
            try:
                self._status = os.fstat(self._file.fileno())
                self._head = self._file.peek(_HEAD_BYTES)[:_HEAD_BYTES]
                self._open_content()
            except BaseException:
                self._file.close()
                raise

    def _open_content(self) -> None:
        if self._stream.peek(2)[:2] == _GZIP_MAGIC:
            self._stream = io.BufferedReader(gzip.GzipFile(fileobj=self._file, mode="rb"))
        start = self._stream.peek(3)[:3]
        if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise ConnectError(f"{self.path} is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8")
        if start == b"\xef\xbb\xbf":
            self._stream.read(3)
            self.position = LinePosition(byte=3)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        take = self.taken.append
        for line in self._stream:
            take(line)
            yield line
        self._check_unchanged()

    def _check_unchanged(self) -> None:
        """See at the end of the file whether what was read is all of one file.

        Raises:
            ConnectError: If it is not.
        """
        before, now = self._status, os.fstat(self._file.fileno())
        if not stat.S_ISREG(now.st_mode) or (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns):
            return
        if now.st_size < before.st_size:
            raise self._changed(f"it has become shorter, {now.st_size} bytes in place of {before.st_size}")
        if self._first_bytes() != self._head:
            raise self._changed("it begins with something else now")
        if now.st_size > before.st_size and self.taken and not self.taken[-1].endswith(b"\n"):
            raise self._changed("it grows, and its last line has no end yet")

    def _changed(self, how: str) -> ConnectError:
        return ConnectError(
            f"cannot read {self.path}: {how}: somebody writes to it; read it when it is complete, or a copy"
        )

    def _first_bytes(self) -> bytes:
        at = self._file.tell()
        self._file.seek(0)
        try:
            return self._file.read(len(self._head))
        finally:
            self._file.seek(at)

    def settle(self, records: int) -> None:
        """Move ``position`` behind the lines taken, which held that many records.

        Raises:
            ConnectError: If one of them was read before its writer had come to its end.
        """
        at = self.position
        self.position = LinePosition(
            at.byte + sum(map(len, self.taken)), at.record + records, at.line + len(self.taken)
        )
        if self.taken and self.position.byte >= self._status.st_size:
            # At the end that the file had when it was opened, or beyond, a line may have come in two pieces.
            finished = [line.endswith(b"\n") for line in self.taken]
            if self._is_unfinished or not all(finished[:-1]):
                raise self._changed("it grows, and a line was read before it had its end")
            self._is_unfinished = not finished[-1]
        self.taken.clear()

    def seek(self, position: LinePosition) -> None:
        """Go to a position in a file from which nothing but a header was taken.

        Raises:
            ConnectError: If the file ends before it, or it is within a line.
        """
        if position.byte <= self.position.byte:
            return
        with file_errors(self.path, "read"):
            self._stream.seek(position.byte - 1)
            before = self._stream.read(1)
            problem = ""
            if not before:
                problem = "the file is shorter"
            elif before != b"\n" and self._stream.peek(1):
                problem = "that is in the middle of a line"
            if problem:
                raise ConnectError(
                    f"cannot go on reading {self.path} at byte {position.byte}: {problem}; was it replaced?"
                )
        self.position = position
        self._is_unfinished = before != b"\n"
