"""The lines of a file, with exact positions, unpacked where the file is compressed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from mainstem.connect.compression import Compression, unpacked
from mainstem.connect.stored_file import LocalFile, StoredFile
from mainstem.endpoints import Position
from mainstem.errors import ConnectError

_SKIPPED_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class LinePosition:
    """A place between two records of a file of lines.

    Attributes:
        byte: Offset in the file; for a compressed file in what it unpacks to.
        record: Records before it, those that could not be read and those of the files before included.
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
    """The lines of a file as bytes, unpacked, byte order mark left out; open while it is used in a ``with`` block.

    Iterating takes lines; those taken are in ``taken`` until ``settle()`` moves ``position`` behind them. What others
    append to a local file meanwhile is read as well, and one that another was moved over is read to its end all the
    same.

    Args:
        file: The file, or the path of a local one.
        compression: How it is compressed; ``"infer"`` sees that from its first bytes.
        max_decompressed_bytes: What it may unpack to at most.
        record: Records before it, in other files.

    Raises:
        ConnectError: If it cannot be opened; where it ends, if it has become shorter, begins with something else, or
            grows and its last line has no end yet.
    """

    def __init__(
        self,
        file: StoredFile | Path,
        compression: Compression = "infer",
        max_decompressed_bytes: int | None = None,
        record: int = 0,
    ) -> None:
        self.file = file if isinstance(file, StoredFile) else LocalFile(file)
        self.position = LinePosition(record=record)
        self.taken: list[bytes] = []
        self._is_unfinished = False
        """Whether the last line that was settled had no line break."""
        opened = self.file.open()
        self._file = self._stream = opened.stream
        self._watch = opened.watch
        try:
            with self.file.errors("read"):
                self._stream = unpacked(self._file, self.name, compression, max_decompressed_bytes)
                self._is_packed = self._stream is not self._file
                self._pass_over_mark()
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """The file, as messages show it."""
        return self.file.name

    def _pass_over_mark(self) -> None:
        start = self._stream.peek(3)[:3]
        if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise ConnectError(f"{self.name} is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8")
        if start == b"\xef\xbb\xbf":
            self._stream.read(3)
            self.position = LinePosition(byte=3, record=self.position.record)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        take = self.taken.append
        try:
            for line in self._stream:
                take(line)
                yield line
        except ConnectError as error:
            if self._is_packed:
                error.add_note(f"after line {self.position.line + len(self.taken)} of what it unpacks to")
            raise
        if self._watch is not None:
            self._watch.check(ends_within_line=bool(self.taken) and not self.taken[-1].endswith(b"\n"))

    def settle(self, records: int) -> None:
        """Move ``position`` behind the lines taken, which held that many records.

        Raises:
            ConnectError: If one of them was read before its writer had come to its end.
        """
        at = self.position
        self.position = LinePosition(
            at.byte + sum(map(len, self.taken)), at.record + records, at.line + len(self.taken)
        )
        if self._watch is not None and self.taken and self.position.byte >= self._watch.size:
            # At the end that the file had when it was opened, or beyond, a line may have come in two pieces.
            finished = [line.endswith(b"\n") for line in self.taken]
            if self._is_unfinished or not all(finished[:-1]):
                raise self._watch.changed("it grows, and a line was read before it had its end")
            self._is_unfinished = not finished[-1]
        self.taken.clear()

    def seek(self, position: LinePosition) -> None:
        """Go to a position in a file from which nothing but a header was taken.

        Raises:
            ConnectError: If the file ends before it, or it is within a line.
        """
        if position.byte <= self.position.byte:
            return
        with self.file.errors("read"):
            if self._is_packed:
                self._read_up_to(position.byte - 1)
            else:
                self._stream.seek(position.byte - 1)
            before = self._stream.read(1)
            problem = ""
            if not before:
                problem = "the file is shorter"
            elif before != b"\n" and self._stream.peek(1):
                problem = "that is in the middle of a line"
            if problem:
                raise ConnectError(
                    f"cannot go on reading {self.name} at byte {position.byte}: {problem}; was it replaced?"
                )
        self.position = position
        self._is_unfinished = before != b"\n"

    def _read_up_to(self, byte: int) -> None:
        """Unpack what comes before a place; to go there at once takes an index that compressed files do not have."""
        left = byte - self._stream.tell()
        while left > 0 and (skipped := self._stream.read(min(left, _SKIPPED_AT_ONCE))):
            left -= len(skipped)
