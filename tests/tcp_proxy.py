"""A proxy that cuts connections to PostgreSQL: at random, or just before or just after COMMIT has gone through."""

from __future__ import annotations

import random
import socket
import threading
from collections import Counter
from contextlib import suppress
from typing import Literal, TypeAlias

Moment: TypeAlias = Literal["while rows are sent", "before COMMIT is sent", "after COMMIT was sent"]

_CHUNK = 65536


class CuttingProxy:
    """Hands on what is said between clients and a server, until it cuts a connection.

    Args:
        port: The server's port on loopback.
        seed: What the cuts are drawn with.
        share: Which share of the moments at which a connection could be cut it is.

    Attributes:
        cuts: How often connections were cut, by the moment.
    """

    def __init__(self, port: int, seed: int, share: float = 0.2) -> None:
        self._server = port
        self._random = random.Random(seed)
        self._share = share
        self.cuts = Counter[Moment]()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._closed = False
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        thread.start()
        self._threads.append(thread)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server))
            self._open |= {client, server}
            self._start(self._hand_on, client, server)
            self._start(self._answer, server, client)

    def _hand_on(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while content := client.recv(_CHUNK):
                moment = self._moment(content)
                if moment != "after COMMIT was sent" and moment is not None:
                    break
                server.sendall(content)
                if moment is not None:
                    # The server has it all, and commits; the answer does not arrive.
                    server.shutdown(socket.SHUT_WR)
                    client.close()
                    while server.recv(_CHUNK):
                        pass
                    break
        except OSError:
            pass
        finally:
            _close(client, server)

    def _moment(self, content: bytes) -> Moment | None:
        """Return at which moment the connection is to be cut now; ``None`` if it is not."""
        if self._closed or self._random.random() >= self._share:
            return None
        if b"COMMIT\0" in content:
            moment: Moment = self._random.choice(["before COMMIT is sent", "after COMMIT was sent"])
        elif content[:1] == b"d":
            moment = "while rows are sent"
        else:
            return None
        self.cuts[moment] += 1
        return moment

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        try:
            while content := server.recv(_CHUNK):
                client.sendall(content)
        except OSError:
            pass
        finally:
            _close(client, server)

    def close(self) -> None:
        """Cut everything, and end."""
        self._closed = True
        _close(self._listener, *self._open)  # shut down first, for a thread that waits in accept() does not see a close
        for thread in self._threads:
            thread.join(10)


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
