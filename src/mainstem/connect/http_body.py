"""The body of an HTTP response: unpacked, and never more of it in memory than is allowed."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from mainstem.errors import ConnectError, ConnectionLostError

if TYPE_CHECKING:
    import httpx

ACCEPTED = "gzip"
"""The packing that is asked for: one that can be unpacked up to a limit."""

_ANY_GZIP = zlib.MAX_WBITS | 16


async def read_body(response: httpx.Response, limit: int, *, cut: bool = False) -> bytes:
    """Read and unpack the body of a response.

    Args:
        response: A response that is open and was not read.
        limit: The most bytes that it may have, unpacked.
        cut: Whether to return the beginning of one that has more.

    Raises:
        ConnectError: If it has more than the limit, or is packed in a way that was not asked for.
        ConnectionLostError: If it ends before its end.
        httpx.TransportError: If the connection breaks.
    """
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("gzip", "x-gzip", "identity", ""):
        raise ConnectError(f"the body is packed with {packing!r:.100}, and only gzip was asked for")
    body = bytearray()
    unpacker = _Unpacker() if "gzip" in packing else None
    async for raw in response.aiter_raw():
        room = limit + 1 - len(body)
        body += raw[:room] if unpacker is None else unpacker.unpack(raw, room)
        if len(body) > limit:
            if cut:
                return bytes(body[:limit])
            raise ConnectError(
                f"the body has more than {limit:,} bytes: ask for fewer records in a page, or raise max_page_bytes"
            )
    if unpacker is not None and not unpacker.is_complete:
        raise ConnectionLostError("the gzip body ends before its end")
    return bytes(body)


class _Unpacker:
    """Unpacks gzip, of one or several members, piece by piece."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_ANY_GZIP)
        self.is_complete = True
        """Whether what came so far ends where a member does."""

    def unpack(self, packed: bytes, room: int) -> bytes:
        """Unpack a piece; of a result of more bytes than there is room for, only its beginning."""
        found = bytearray()
        while packed and len(found) < room:
            if self._member.eof:
                self._member = zlib.decompressobj(_ANY_GZIP)
            try:
                found += self._member.decompress(packed, room - len(found))
            except zlib.error as error:
                raise ConnectError(f"the body says that it is gzip, and cannot be unpacked: {error}") from error
            packed = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        self.is_complete = self._member.eof
        return bytes(found)
