"""What several objects of a store hold, read as one."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

from mainstem.connect.remote_file import RemoteStore


def pieces_of(store: RemoteStore, paths: Iterable[str]) -> Iterator[bytes]:
    """Give the content of objects, one after the other, piece by piece.

    Raises:
        ConnectError: If one is missing, or changes meanwhile.
    """
    for path in paths:
        yield from store.content(store.info(path)).fetch_all()


class PiecesReader(io.RawIOBase):
    """Pieces of bytes, read as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size
