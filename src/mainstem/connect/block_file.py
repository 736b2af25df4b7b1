"""A file of lines that is read in blocks."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from io import BytesIO

from mainstem.connect.line_file import LineFile, LinePosition


class BlockFile(LineFile):
    """A file whose lines are taken many at a time, or one by one.

    Args: Those of ``LineFile``.
    """

    _put_back: deque[bytes] | None = None
    """Lines that were taken and are to be read again."""

    def take_block(self, size: int, *, quotes: bool = True) -> bytes:
        """Take about so many bytes, up to the end of a line; nothing at the end.

        Args:
            size: How many.
            quotes: Whether a line may end within quotes, and is not to. One that does not match is looked for no
                further than a cell may be long.
        """
        if self._put_back:
            block, self._put_back = b"".join(self._put_back), None
            return block
        block = self._stream.read(size)
        if not block:
            line = next(super().__iter__(), b"")  # which sees whether the file was changed, or has grown
            self.taken.clear()
            block = line
        if not block.endswith(b"\n"):
            block += self._stream.readline()
        more: list[bytes] = []
        open_quotes = block.count(b'"') % 2 if quotes and b'"' in block else 0
        left = csv.field_size_limit()
        while open_quotes and left > 0 and (line := self._stream.readline()):
            more.append(line)
            open_quotes ^= line.count(b'"') % 2
            left -= len(line)
        return block + b"".join(more) if more else block

    def settle_block(self, block: bytes, records: int) -> None:
        """Move ``position`` behind a block, which held that many records.

        Raises:
            ConnectError: If one of its lines was read before its writer had come to its end.
        """
        at = self.position
        byte = at.byte + len(block)
        if self._watch is not None and byte >= self._watch.size:
            self.taken += _lines_of(block)  # the last lines, at which it is to be looked
            self.settle(records)
        else:
            lines = block.count(b"\n") + (not block.endswith(b"\n"))
            self.position = LinePosition(byte, at.record + records, at.line + lines)

    def put_back(self, block: bytes) -> None:
        """Let the lines of a block be taken again, one by one."""
        self._put_back = deque(_lines_of(block))

    def __iter__(self) -> Iterator[bytes]:
        while self._put_back:
            line = self._put_back.popleft()
            self.taken.append(line)
            yield line
        yield from super().__iter__()


def _lines_of(block: bytes) -> list[bytes]:
    return BytesIO(block).readlines()
