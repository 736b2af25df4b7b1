"""Reading a remote file as if it were a local one: by ranges, or to its end where the server knows no ranges."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Protocol

from mainstem.errors import ConnectError

RANGE_BYTES = 4 << 20
"""Bytes that are asked for at a time: much more than fits into the time that asking takes, and little memory."""


class RemoteContent(Protocol):
    """What gives the bytes of one remote file.

    Attributes:
        size: How many there are.
        has_ranges: Whether any part of it can be asked for.
    """

    size: int
    has_ranges: bool

    def fetch(self, start: int, end: int) -> bytes:
        """Return the bytes from ``start`` up to ``end``, which are there.

        Raises:
            ConnectError: If they cannot be had, or the file is another than it was.
        """
        ...

    def fetch_all(self) -> Iterator[bytes]:
        """Give all bytes in order.

        Raises:
            ConnectError: If they cannot be had.
        """
        ...


class RangeReader(io.RawIOBase):
    """A remote file, to be read anywhere; it holds nothing that must be closed."""

    def __init__(self, content: RemoteContent, name: str) -> None:
        super().__init__()
        self._content = content
        self._name = name
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._content.size}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        end = min(self._at + len(buffer), self._content.size)
        if end <= self._at:
            return 0
        found = self._content.fetch(self._at, end)
        if len(found) != end - self._at:
            raise ConnectError(
                f"cannot read {self._name}: {len(found):,} bytes came in place of {end - self._at:,} at byte "
                f"{self._at:,}; was it changed? Read it again"
            )
        buffer[: len(found)] = found
        self._at = end
        return len(found)


class WholeReader(io.RawIOBase):
    """A remote file of a server that knows no ranges: to go to a place is to read all that comes before."""

    def __init__(self, content: RemoteContent, name: str) -> None:
        super().__init__()
        self._content = content
        self._name = name
        self._pieces = iter(content.fetch_all())
        self._piece = memoryview(b"")
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        wanted = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._content.size}[whence] + offset
        if wanted < self._at:
            self._pieces, self._piece, self._at = iter(self._content.fetch_all()), memoryview(b""), 0
        while self._at < wanted and self._fill():
            self._give(wanted - self._at)
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        if not self._fill():
            return 0
        given = self._give(len(buffer))
        buffer[: len(given)] = given
        return len(given)

    def _fill(self) -> bool:
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                if self._at != self._content.size:
                    raise ConnectError(
                        f"cannot read {self._name}: it ended after {self._at:,} of {self._content.size:,} bytes; "
                        "read it again"
                    )
                return False
            self._piece = memoryview(piece)
        return True

    def _give(self, most: int) -> memoryview:
        given, self._piece = self._piece[:most], self._piece[most:]
        self._at += len(given)
        return given
