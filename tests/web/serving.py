"""A page that is really served, and requests to it as anybody may send them."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from urllib.parse import urlencode

from mainstem.store.open import open_store
from mainstem.store.sql_store import SqlStore
from mainstem.web.access import Access, new_token
from mainstem.web.addresses import Addresses
from mainstem.web.app import Page, PageOptions
from mainstem.web.code import PipelineCode
from mainstem.web.serve import server_of

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def location(self) -> str:
        return self.headers["location"]


@dataclass(frozen=True)
class Served:
    """A page that is served.

    Attributes:
        page: The page.
        port: Its port.
        full: The token for everything.
        read: The token for looking.
    """

    page: Page
    port: int
    full: str
    read: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def send(
        self,
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        host: str | None = None,
    ) -> Answer:
        """Send what is given, and nothing else but a host and a length."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            names = {name.lower() for name, _ in headers}
            if "host" not in names:
                connection.putheader("Host", host if host is not None else f"127.0.0.1:{self.port}")
            for name, value in headers:
                connection.putheader(name, value)
            if body or method not in ("GET", "HEAD"):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            if found.get("content-type", "").startswith("text/event-stream"):
                return Answer(answer.status, found, b"")  # it has no end
            return Answer(answer.status, found, answer.read())

    def get(self, path: str, token: str | None = None) -> Answer:
        return self.send("GET", path, [("Authorization", f"Bearer {token or self.full}")])

    def post(self, path: str, token: str | None = None, **fields: object) -> Answer:
        """Send a form, as a program does that has a token."""
        headers = [("Authorization", f"Bearer {token or self.full}"), ("Content-Type", FORM)]
        return self.send("POST", path, headers, urlencode(fields, doseq=True).encode())

    def cookie(self, token: str | None = None) -> str:
        """Log in as a browser does, and return the cookie."""
        answer = self.send("GET", f"/?token={token or self.full}")
        assert answer.status == 303, answer.text
        return answer.headers["set-cookie"].partition(";")[0]

    def wait_for(self, path: str, pattern: str) -> str:
        """Ask for a page until it says something."""
        deadline = monotonic() + 20
        while True:
            text = self.get(path).text
            if re.search(pattern, text):
                return text
            assert monotonic() < deadline, text
            sleep(0.05)


def opened(place: Path | str) -> SqlStore:
    store = open_store(place)
    assert isinstance(store, SqlStore)
    return store


@contextmanager
def serving(
    store: Path | str, codes: Sequence[PipelineCode] = (), secret_fields: Sequence[str] = (), url: str | None = None
) -> Iterator[Served]:
    """Serve the page of a store; the server has ended when the block is left."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        access = Access(new_token(), new_token(), cookie=f"mainstem-{port}")
        options = PageOptions(access, Addresses.of("127.0.0.1", url), codes, secret_fields)
        page = Page(lambda: opened(store), options)
        server = server_of(page, "127.0.0.1", port)
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            deadline = monotonic() + 20
            while not server.started:
                assert thread.is_alive(), "the server has not started"
                assert monotonic() < deadline
                sleep(0.01)
            yield Served(page, port, access.full, access.read or "")
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive(), "the server has not ended"
