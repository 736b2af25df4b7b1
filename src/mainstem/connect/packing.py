"""Compressing what is written, as the name of the file says."""

from __future__ import annotations

import zlib
from pathlib import PurePosixPath
from typing import Any, Protocol

from mainstem.errors import missing_extra


class Packer(Protocol):
    """What compresses a file, or one batch of it, piece by piece."""

    def compress(self, content: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def is_packed(name: str) -> bool:
    """Say whether a file of this name is compressed."""
    return PurePosixPath(name).suffix in (".gz", ".zst")


def packer_for(name: str) -> Packer | None:
    """Return what compresses a file of this name: gzip for ``.gz``, zstd for ``.zst``, for others nothing.

    What several of them give, one after the other, unpacks to all that they were given.

    Raises:
        MissingExtraError: If it is zstd and ``mainstem[files]`` is not installed.
    """
    if not is_packed(name):
        return None
    if name.endswith(".gz"):
        return zlib.compressobj(wbits=31)  # 31 means gzip, without a name or a time: the same bytes at any time
    try:
        import zstandard
    except ImportError:
        raise missing_extra("Writing a file that is compressed with zstd", "files") from None
    compressor: Any = zstandard.ZstdCompressor(write_checksum=True)
    packer: Packer = compressor.compressobj()
    return packer


def packed(name: str, content: bytes) -> bytes:
    """Return all of a file's content as it is to be stored."""
    packer = packer_for(name)
    return content if packer is None else packer.compress(content) + packer.flush()
