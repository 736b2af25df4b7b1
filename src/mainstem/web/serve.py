"""Serving the page until the process is told to end."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from mainstem.web.app import Page

HEADER_SECONDS = 10.0
"""How long somebody may take to send the head of a request."""
_LARGEST_HEAD = 16 * 1024
_MOST_CONNECTIONS = 2_000
_SECONDS_TO_END = 5


class ImpatientProtocol(H11Protocol):
    """HTTP, where a connection on which no request comes is closed: each costs a file handle."""

    _deadline: asyncio.TimerHandle | None = None

    @property
    def _is_idle(self) -> bool:
        cycle: Any = self.cycle  # None before the first request, whatever its annotation says
        return cycle is None or bool(cycle.response_complete)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_idle:
            self._wait()
        else:
            self._be_calm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._be_calm()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self._close)

    def _be_calm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self) -> None:
        self._deadline = None
        if self._is_idle:
            self.transport.close()


class PageServer(Server):
    """A server of a page, which lets go of those who look on before it waits for all to leave."""

    def __init__(self, config: Config, page: Page) -> None:
        super().__init__(config)
        self._page = page

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._page.let_go()
        await super().shutdown(sockets)


def allow_connections() -> None:
    """Let the process have as many connections as a page takes, as far as the system lets it."""
    try:
        import resource
    except ImportError:  # no POSIX system
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _MOST_CONNECTIONS
    if 0 <= soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard < 0 else min(wanted, hard), hard))


def server_of(page: Page, host: str, port: int) -> PageServer:
    """Make the server of a page; ``run`` serves it until the process is told to end."""
    allow_connections()
    config = Config(
        page,
        host=host.strip("[]"),
        port=port,
        http=ImpatientProtocol,
        loop="asyncio",
        ws="none",
        lifespan="on",
        interface="asgi3",
        access_log=False,  # an address may have a token in it
        server_header=False,
        proxy_headers=False,
        log_level="warning",
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=int(HEADER_SECONDS),
        timeout_graceful_shutdown=_SECONDS_TO_END,
        h11_max_incomplete_event_size=_LARGEST_HEAD,
    )
    return PageServer(config, page)
