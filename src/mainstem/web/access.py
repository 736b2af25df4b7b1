"""Who may do what: tokens, and the cookie that stands for one in a browser."""

from __future__ import annotations

import hmac
import re
import secrets
import time
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256

SHORTEST_TOKEN = 22
"""Characters of a token: as many as 128 random bits have in base 64."""
SESSION_SECONDS = 12 * 3600
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{22,512}")
_COOKIE = re.compile(r"(read|full)\.(\d{1,12})\.([0-9a-f]{64})")


class Role(str, Enum):
    """What somebody may do."""

    READ = "read"
    """Look."""
    FULL = "full"
    """Edit, decide and replay as well."""


def new_token() -> str:
    """Return a token of 256 random bits."""
    return secrets.token_urlsafe(32)


def checked_token(token: str, where: str) -> str:
    """Return a token that is long enough.

    Raises:
        ValueError: If it could be guessed, or has characters that do not go into a header.
    """
    if _TOKEN.fullmatch(token) is None:
        raise ValueError(
            f"the token {where} must be {SHORTEST_TOKEN} to 512 letters, digits and -._~+/=, as "
            "python -c 'import secrets; print(secrets.token_urlsafe(32))' makes one"
        )
    return token


@dataclass(frozen=True, slots=True)
class Access:
    """The tokens of a page.

    Args:
        full: The token of those who may do everything.
        read: That of those who may look.
        cookie: The name of the cookie: pages at other ports of the same host have others.
    """

    full: str = field(repr=False)
    read: str | None = field(default=None, repr=False)
    cookie: str = "mainstem"
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def role_of_token(self, token: str) -> Role | None:
        """Return what the holder of a token may do; ``None`` if it is none. Takes as long for any wrong one."""
        given = sha256(token.encode("utf-8", "surrogateescape")).digest()
        is_full = hmac.compare_digest(given, sha256(self.full.encode()).digest())
        is_read = hmac.compare_digest(given, sha256((self.read or "").encode()).digest()) and self.read is not None
        return Role.FULL if is_full else Role.READ if is_read else None

    def new_session(self, role: Role) -> str:
        """Return the cookie of somebody who has shown a token; it ends with the process, or after half a day."""
        ends = f"{role.value}.{int(time.time()) + SESSION_SECONDS}"
        return f"{ends}.{self._signature(ends)}"

    def role_of_session(self, cookie: str) -> Role | None:
        """Return what the holder of a cookie may do; ``None`` if it is none, or is too old."""
        parts = _COOKIE.fullmatch(cookie)
        if parts is None or not hmac.compare_digest(parts[3], self._signature(f"{parts[1]}.{parts[2]}")):
            return None
        return Role(parts[1]) if int(parts[2]) > time.time() else None

    def _signature(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), sha256).hexdigest()

    def role_of(self, authorization: str | None, cookies: str) -> Role | None:
        """Return what may be done with the headers of a request; a wrong token is not made good by a cookie."""
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            return self.role_of_token(token.strip()) if scheme.lower() == "bearer" else None
        for each in cookies.split(";"):
            name, _, value = each.strip().partition("=")
            if name == self.cookie:
                return self.role_of_session(value)
        return None
