"""The address of an HTTP service: what belongs to the same origin, and what of it may be shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mainstem.errors import ConnectError, missing_extra
from mainstem.secrets import SHOWN, redact_url

if TYPE_CHECKING:
    import httpx

_OPEN = frozenset(("accept", "accept-language", "content-type", "user-agent"))
"""Headers whose values are no secrets."""
_PORTS = {"http": 80, "https": 443}
_SHORTEST = 4


def http_address(url: str) -> httpx.URL:
    """Read the URL of an HTTP service.

    Raises:
        ConnectError: If it is none.
        MissingExtraError: If ``mainstem[http]`` is not installed.
    """
    try:
        import httpx
    except ImportError:
        raise missing_extra("HttpSource", "http") from None
    how = "it is https://host/path; in a user and a password, the characters @ : / ? # % are written %40 %3A ..."
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        # Not quoted, and without its cause, which quotes: nobody knows which part of it is the password.
        raise ConnectError(f"that is no URL: {how}") from None
    if address.scheme not in _PORTS or not address.host:
        scheme = f", of the scheme {address.scheme!r}" if address.scheme else ""
        raise ConnectError(f"that is no URL of an HTTP service{scheme}, and only http and https are supported: {how}")
    return address.copy_with(fragment=None)


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Say whether what is meant for one may be sent to the other: the same host and port, or its encrypted form."""
    if one.host != other.host:
        return False
    ports = [each.port or _PORTS.get(each.scheme) for each in (one, other)]
    if one.scheme == other.scheme:
        return ports[0] == ports[1]
    return (one.scheme, other.scheme, ports) == ("http", "https", [80, 443])


class Discretion:
    """Leaves out of texts what was given to reach a service: header values, passwords, parameters that sound secret.

    Args:
        address: Where it is.
        headers: The headers that are sent.
        secrets: More texts that are secret.
    """

    def __init__(self, address: httpx.URL, headers: Mapping[str, str], secrets: Iterable[str] = ()) -> None:
        texts = {address.password, *secrets}
        for name, value in headers.items():
            if name.lower() not in _OPEN:
                texts |= {value, value.rpartition(" ")[2]}  # a token comes after the word "Bearer"
        texts |= {value for name, value in address.params.multi_items() if SHOWN in redact_url(f"x://x?{name}=x")}
        self._texts = sorted((text for text in texts if len(text) >= _SHORTEST), key=len, reverse=True)

    def show(self, text: str) -> str:
        """Return a text without them."""
        for each in self._texts:
            text = text.replace(each, SHOWN)
        return redact_url(text)
