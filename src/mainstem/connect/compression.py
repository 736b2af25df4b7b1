"""Compressed files, unpacked on the way: several members, damage with its place, and a limit to what comes out."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias

from mainstem.errors import ConnectError, missing_extra
from mainstem.options import check_count

Compression: TypeAlias = Literal["infer", "gzip", "zstd"] | None
"""How a file is compressed; ``"infer"`` sees it from the first bytes, whatever its name, ``None`` takes it as it is."""

ALWAYS_UNPACKED = 256 << 20
"""Bytes that any file may unpack to, where nobody gives another limit."""
LARGEST_RATIO = 250
"""How many times its size a file may unpack to beyond that: text hardly ever does, and a bomb does a thousandfold."""

_AT_ONCE = 128 * 1024
_ZSTD_AT_ONCE = 1024
"""zstandard gives all that a piece unpacks to: at 128 KiB for four bytes, no more than 32 MiB."""
_MAGIC: dict[bytes, Literal["gzip", "zstd"]] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_NOT_READ = {"bzip2": re.compile(b"BZh[1-9]1AY&SY"), "xz": re.compile(b"\xfd7zXZ\0"), "zip": re.compile(b"PK\3\4")}


class _Member(Protocol):
    """What unpacks one member of a gzip file, or one frame of a zstd file."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


def is_compressed(start: bytes) -> bool:
    """Say whether a file that begins so is compressed."""
    return any(start.startswith(magic) for magic in _MAGIC)


def check_compression(compression: object, max_decompressed_bytes: object) -> None:
    """Check the options of a source.

    Raises:
        ValueError: If they are none.
    """
    if compression not in ("infer", "gzip", "zstd", None):
        raise ValueError(f"compression must be 'infer', 'gzip', 'zstd' or None, not {compression!r}")
    if max_decompressed_bytes is not None:
        check_count("max_decompressed_bytes", max_decompressed_bytes)


def unpacked(
    stream: io.BufferedReader, name: str, compression: Compression, max_decompressed_bytes: int | None
) -> io.BufferedReader:
    """Return the content of a file that may be compressed; the stream itself, if it is not.

    Args:
        stream: The file, at its beginning.
        name: The file, as messages show it.
        compression: How it is compressed.
        max_decompressed_bytes: What it may unpack to at most; ``None`` for 250 times what was read of it, or 256 MiB.

    Raises:
        ConnectError: If it is compressed in a way that is not read; where it is read, if it is damaged, ends too soon,
            or unpacks to more than the limit.
        MissingExtraError: If it is zstd and ``mainstem[files]`` is not installed.
    """
    if compression == "infer":
        start = stream.peek(10)[:10]
        unread = next((kind for kind, magic in _NOT_READ.items() if magic.match(start)), None)
        if unread is not None:
            raise ConnectError(
                f"cannot read {name}: it is compressed with {unread}; unpack it first, or use gzip or zstd"
            )
        compression = next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)
    if compression is None:
        return stream
    content = _UnpackedBytes(stream, name, compression, max_decompressed_bytes)
    return io.BufferedReader(content, buffer_size=_AT_ONCE)


class _UnpackedBytes(io.RawIOBase):
    """The content of a compressed file, which may have several members one after another."""

    def __init__(self, stream: io.BufferedReader, name: str, kind: str, limit: int | None) -> None:
        super().__init__()
        self._stream = stream
        self._name = name
        self._kind = kind
        self._limit = limit
        self._damage, self._new_member = _gzip() if kind == "gzip" else _zstd()
        self._at_once = _AT_ONCE if kind == "gzip" else _ZSTD_AT_ONCE
        self._member: Any = None
        self._members = 0
        self._packed = b""
        self._given = memoryview(b"")
        self._read = self._made = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._made - len(self._given)

    def readinto(self, buffer: Any, /) -> int:
        while not self._given:
            packed = self._packed or self._take()
            if self._member is None:
                packed = self._begin_member(packed)
                if not packed:
                    return 0
            elif not packed:
                raise self._damaged("it ends in the middle")
            self._given = memoryview(self._unpack(packed))
            self._made += len(self._given)
            self._check_limit()
        size = min(len(buffer), len(self._given))
        buffer[:size] = self._given[:size]
        self._given = self._given[size:]
        return size

    def _take(self) -> bytes:
        packed = self._stream.read(self._at_once)
        self._read += len(packed)
        return packed

    def _begin_member(self, packed: bytes) -> bytes:
        """Begin with the next member, if there is one; zeros after one of gzip are padding."""
        if self._kind == "gzip" and self._members:
            while packed and not (packed := packed.lstrip(b"\0")):
                packed = self._take()
        if packed:
            self._member = self._new_member()
            self._members += 1
        return packed

    def _unpack(self, packed: bytes) -> bytes:
        member: Any = self._member
        try:
            content: bytes = member.decompress(packed, _AT_ONCE) if self._kind == "gzip" else member.decompress(packed)
        except self._damage as error:
            raise self._damaged(str(error)) from error
        if member.eof:
            self._member, self._packed = None, member.unused_data
        else:
            self._packed = member.unconsumed_tail if self._kind == "gzip" else b""
        return content

    def _check_limit(self) -> None:
        limit = max(ALWAYS_UNPACKED, LARGEST_RATIO * self._read) if self._limit is None else self._limit
        if self._made > limit:
            raise ConnectError(
                f"cannot read {self._name}: its first {self._read:,} bytes of {self._kind} data unpack to more than "
                f"{limit:,} bytes; if that is right, give the source a greater max_decompressed_bytes"
            )

    def _damaged(self, why: str) -> ConnectError:
        return ConnectError(
            f"cannot read {self._name}: its {self._kind} data is damaged before byte {self._read:,} of the file, byte "
            f"{self._made:,} of what it unpacks to ({why}); fetch the file again"
        )


def _gzip() -> tuple[type[Exception], Callable[[], _Member]]:
    return zlib.error, lambda: zlib.decompressobj(wbits=31)


def _zstd() -> tuple[type[Exception], Callable[[], _Member]]:
    try:
        import zstandard
    except ImportError:
        raise missing_extra("Reading a file that is compressed with zstd", "files") from None
    unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    return zstandard.ZstdError, unpacker.decompressobj
