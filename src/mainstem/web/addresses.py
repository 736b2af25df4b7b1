"""By which names the page may be reached: all others are refused, so that no foreign site can pose as it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

_LOOPBACK = frozenset(("localhost", "127.0.0.1", "[::1]"))
_HOST = re.compile(rb"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::(\d{1,5}))?")


def is_loopback(host: str) -> bool:
    """Say whether what listens at a host can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Addresses:
    """The names of the page.

    Attributes:
        hosts: Host names, at whatever port: a tunnel has one of its own.
        url: The address at which people reach it, if it is behind a proxy: ``https://pipelines.example.org``.
    """

    hosts: frozenset[str]
    url: str | None = None

    @classmethod
    def of(cls, host: str, url: str | None = None, others: Iterable[str] = ()) -> Addresses:
        """Make the names of a page that listens at a host.

        Raises:
            ValueError: If the address at which people reach it is none of ``http`` or ``https``, or has a path.
        """
        names = {*_LOOPBACK, *map(str.lower, others)}
        if not is_unspecified(host):
            names.add(f"[{host}]" if ":" in host.strip("[]") else host.lower())
        if url is None:
            return cls(frozenset(names))
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError(f"the address of the page is one such as https://pipelines.example.org, not {url!r}")
        names.add(f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname)
        return cls(frozenset(names), f"{parts.scheme}://{parts.netloc.lower()}")

    @property
    def is_secure(self) -> bool:
        """Whether it is reached by TLS."""
        return self.url is not None and self.url.startswith("https:")

    def knows_host(self, header: bytes) -> bool:
        """Say whether a ``Host`` header is one of the page."""
        found = _HOST.fullmatch(header)
        return found is not None and found[1].decode("ascii").lower() in self.hosts

    def knows_origin(self, origin: bytes, host: bytes) -> bool:
        """Say whether an ``Origin`` header is the page's own, which was asked under some ``Host``."""
        text = origin.decode("latin-1").lower()
        return text == self.url or text == f"http://{host.decode('latin-1').lower()}"


def is_unspecified(host: str) -> bool:
    """Say whether a host stands for all addresses of the machine."""
    try:
        return ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False
