"""How often an HTTP service may be asked: a rate limit of one process, or of all processes that name a file."""

from __future__ import annotations

import os
import re
from inspect import isawaitable
from pathlib import Path
from sqlite3 import Error as SqliteError
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
from anyio.to_thread import run_sync

from mainstem import clock
from mainstem.errors import ConnectError, missing_extra

if TYPE_CHECKING:
    from pyrate_limiter import AbstractBucket, Limiter, Rate

RateLimit: TypeAlias = "str | Rate | Limiter"
"""A limit: ``"10/s"``, or a ``Rate`` or ``Limiter`` of pyrate-limiter."""

_SECONDS = {"s": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}
_TEXT = re.compile(r"\s*(\d+)\s*/\s*(\d*)\s*([a-z]+?)s?\s*", re.IGNORECASE)
_NAME = "request"


def rate_of(text: str) -> Rate:
    """Read a rate, such as ``"10/s"``, ``"100/min"``, ``"5000/hour"`` or ``"1/10s"``.

    Raises:
        ValueError: If it is none.
    """
    from pyrate_limiter import Rate

    match = _TEXT.fullmatch(text)
    unit = "" if match is None else match[3].lower()
    if match is None or unit not in _SECONDS or int(match[1]) == 0 or int(match[2] or 1) == 0:
        raise ValueError(f"a rate is written 10/s, 100/min, 5000/hour, 1000/day or 1/10s, not {text!r:.100}")
    return Rate(int(match[1]), int(match[2] or 1) * _SECONDS[unit] * 1000)


class RequestLimit:
    """Lets requests through at a rate; all reads of a source share it.

    Args:
        limit: The rate.
        file: A file that keeps count, for all processes of the machine that name it, with the same rate.

    Raises:
        ValueError: If the rate is none, or a ``Limiter``, which keeps count itself, comes with a file.
        MissingExtraError: If ``mainstem[http]`` is not installed.
    """

    def __init__(self, limit: RateLimit, file: str | os.PathLike[str] | None) -> None:
        try:
            from pyrate_limiter import InMemoryBucket, Limiter, Rate
        except ImportError:
            raise missing_extra("A rate limit", "http") from None
        if file is not None:
            _check_file_lock()
        given: object = limit
        self._limiter: Limiter | None = None
        self._bucket: AbstractBucket | None = None
        self._file = None if file is None else Path(file)
        if isinstance(limit, Limiter):
            if file is not None:
                raise ValueError("rate_limit is a Limiter, which keeps count itself: leave rate_limit_file out")
            self._limiter = limit
            return
        if not isinstance(given, (str, Rate)):
            raise ValueError(f"rate_limit must be a text such as '10/s', a Rate or a Limiter, not {given!r:.100}")
        self._rate = rate_of(limit) if isinstance(limit, str) else limit
        if self._file is None:
            self._bucket = InMemoryBucket([self._rate])

    async def pass_one(self) -> float:
        """Wait until another request may be made, and count it.

        Returns:
            How many seconds it was held up.

        Raises:
            ConnectError: If the file cannot be used.
        """
        started = clock.perf_counter()
        waited = False
        while (wait := await self._try()) > 0:
            waited = True
            await anyio.sleep(wait)
        return clock.perf_counter() - started if waited else 0.0

    async def _try(self) -> float:
        """Count a request if it may be made now, and return 0; else return the seconds after which to ask again."""
        if self._file is not None:
            return await run_sync(self._try_in_file, self._file)
        if self._limiter is not None:
            return await _try_limiter(self._limiter)
        assert self._bucket is not None
        return _try_bucket(self._bucket, clock.monotonic_ns() // 1_000_000)

    def _try_in_file(self, file: Path) -> float:
        from pyrate_limiter import SQLiteBucket

        try:
            # Opened for each request, and closed: the file stays usable whatever becomes of a process, and no
            # connection outlives a read.
            bucket = SQLiteBucket.init_from_file([self._rate], db_path=str(file), use_file_lock=True)
            try:
                now: Any = bucket.now  # which has no annotations, as little as close() has
                return _try_bucket(bucket, now())
            finally:
                close: Any = bucket.close
                close()
        except (OSError, SqliteError) as error:
            raise ConnectError(f"the rate limit cannot be kept in {file}: {error}; check rate_limit_file") from error


def _try_bucket(bucket: AbstractBucket, now: int) -> float:
    from pyrate_limiter import RateItem

    bucket.leak(now)
    item = RateItem(_NAME, now)
    if bucket.put(item):
        return 0.0
    return _seconds(bucket.waiting(item))


async def _try_limiter(limiter: Limiter) -> float:
    """Ask somebody else's limiter; not with its own ``try_acquire_async``, which waits on asyncio only."""
    item = await _settled(limiter.bucket_factory.wrap_item(_NAME, 1))
    bucket = await _settled(limiter.bucket_factory.get(item))
    if await _settled(bucket.put(item)):
        return 0.0
    return _seconds(await _settled(bucket.waiting(item)))


def _seconds(milliseconds: Any) -> float:
    if milliseconds < 0:
        raise ConnectError("the rate limit lets no request through at all")
    return max(float(milliseconds), 1.0) / 1000


async def _settled(value: Any) -> Any:
    """Await what a bucket that lives elsewhere gives; others give it at once."""
    return await value if isawaitable(value) else value


def _check_file_lock() -> None:
    try:
        import filelock  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        raise missing_extra("A rate limit that processes share", "http") from None
