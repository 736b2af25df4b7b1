"""One connection to a broker: opened in time, with errors that say where, and closed by whoever opened it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

from mainstem.brokers.address import BrokerAddress
from mainstem.engine.background import in_trio
from mainstem.errors import ConnectError, ConnectionLostError, describe_error
from mainstem.secrets import redact_url


class BrokerConnection:
    """A connection to a broker.

    Args:
        address: The broker.
        broker: FastStream's object for it, made from the URL or given.
        seconds: How long opening it may take.
    """

    def __init__(self, address: BrokerAddress, broker: Any, seconds: float) -> None:
        self.address, self.broker = address, broker
        self._seconds = seconds
        self._opened = False

    async def open(self) -> Any:
        """Connect, and return what FastStream gives as the connection: the client beneath it.

        Raises:
            ConnectError: If there is none to be had, or the broker refuses.
        """
        refuse_trio(self.address.shown)
        try:
            async with asyncio.timeout(self._seconds):
                self._opened = True
                return await self.connect()
        except TimeoutError as error:
            raise ConnectError(
                f"{self.address.shown} cannot be reached: no answer in {self._seconds:g} s; is it there, and its port?"
            ) from error
        except Exception as error:
            raise ConnectError(f"{self.address.shown} cannot be reached: {said(error)}") from error

    async def connect(self) -> Any:
        """Have FastStream connect.

        Raises:
            Exception: Whatever the client raises.
        """
        return await self.broker.connect()

    async def close(self) -> None:
        """Close it, if it is not one that somebody gave; that may be in use, and is closed by its owner."""
        if self._opened and self.address.broker is None:
            self._opened = False
            await apart(self.broker.stop())

    @asynccontextmanager
    async def errors(self, doing: str) -> AsyncGenerator[None, None]:
        """Turn errors of the client into ones that say where, and what was tried.

        Raises:
            ConnectionLostError: If the client failed.
        """
        try:
            yield
        except ConnectError:
            raise
        except Exception as error:
            raise ConnectionLostError(f"{self.address.shown}: {doing} failed: {said(error)}") from error


async def apart(work: Awaitable[object]) -> None:
    """Wait for work that is done in a task of its own: clients that cancel theirs may cancel whoever waits for them.

    Raises:
        Exception: What the work raised.
    """
    task = asyncio.ensure_future(work)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def refuse_trio(shown: str) -> None:
    """Refuse trio, which FastStream and the clients beneath it do not run on.

    Raises:
        ConnectError: If this is trio's event loop.
    """
    if in_trio():
        raise ConnectError(f"{shown}: FastStream needs asyncio, and this is trio: run this pipeline with asyncio")


def said(error: BaseException) -> str:
    """Say what an error is, without passwords, and the errors of a group with it."""
    inner: Any = getattr(error, "exceptions", ())
    return "; ".join(map(said, inner)) if inner else redact_url(describe_error(error))
