"""What stands before every route: host, token, origin, size. What is not allowed here comes to no handler."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

import anyio
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mainstem.web.access import SESSION_SECONDS, Access, Role
from mainstem.web.addresses import Addresses

HEALTH = "/health"
"""The one path that needs no token; it says nothing."""
LOGIN, LOGOUT = "/login", "/logout"
LARGEST_BODY = 12_000_000
BODY_SECONDS = 20.0
"""How long somebody may take to send a body."""
_SAFE = frozenset(("GET", "HEAD"))
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # Not no-referrer: a browser would then say of a form's origin that it is null.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_LOGIN_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>mainstem</title></head>
<body><main><h1>mainstem</h1>
<p>This page needs a token. <code>mainstem ui</code> prints an address with it when it starts.</p>
<form method="post" action="/login"><p><label>Token <input type="password" name="token" required autofocus
autocomplete="current-password"></label> <button>Open</button></p></form></main></body></html>
"""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the guard looks at of a request: what was sent, not what a framework makes of it."""

    method: str
    path: str
    headers: dict[bytes, list[bytes]]
    query: bytes

    @classmethod
    def of(cls, scope: Scope) -> _Asked:
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        return cls(scope.get("method", ""), scope["path"], headers, scope.get("query_string", b""))

    def one(self, name: bytes) -> bytes | None:
        """Return a header that comes once; ``None`` if it is not there, or several are."""
        values = self.headers.get(name, [])
        return values[0] if len(values) == 1 else None


class Guard:
    """Lets through to an application what may come to it.

    Args:
        app: The application. The role is in the scope's ``state``.
        access: The tokens.
        addresses: The names of the page.
    """

    def __init__(self, app: ASGIApp, access: Access, addresses: Addresses) -> None:
        self._app, self._access, self._addresses = app, access, addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, _Sender(send))
        else:  # a websocket: there is none, and nobody is told so before the handshake
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: _Sender) -> None:
        asked = _Asked.of(scope)
        bounded = _Bounded(receive)
        try:
            answer = await self._answer(scope, asked, bounded)
        except BodyError as error:
            answer = PlainTextResponse(f"{error}\n", error.status)
        if answer is None:
            await self._app(scope, bounded, send)
        else:
            await answer(scope, receive, send)

    async def _answer(self, scope: Scope, asked: _Asked, receive: Receive) -> Response | None:
        """Return what is answered to a request that does not come to the application; ``None`` if it does."""
        answer = self._refusal(asked)
        if answer is None and asked.path == HEALTH and scope.get("raw_path", b"") == HEALTH.encode():
            answer = PlainTextResponse("ok\n" if asked.method in _SAFE else "", 200 if asked.method in _SAFE else 405)
        if answer is None and asked.path == LOGIN and asked.method == "POST":
            answer = await self._log_in(asked, receive)
        if answer is None:
            answer = self._with_token(asked)
        if answer is None:
            role = self._access.role_of(*_credentials(asked))
            scope.setdefault("state", {})["role"] = role
            answer = self._denial(asked, role)
        return answer

    def _refusal(self, asked: _Asked) -> Response | None:
        """Refuse what comes under another name: a foreign site that had its name resolve to this machine."""
        host = asked.one(b"host")
        if host is None:
            return PlainTextResponse("a request has one Host header\n", 400)
        if not self._addresses.knows_host(host):
            return PlainTextResponse("this is not the host that was asked for (see mainstem ui --url)\n", 421)
        return None

    def _denial(self, asked: _Asked, role: Role | None) -> Response | None:
        if role is None:
            is_browser = b"text/html" in (asked.one(b"accept") or b"")
            answer = HTMLResponse(_LOGIN_PAGE, 401) if is_browser else PlainTextResponse("a token is needed\n", 401)
            answer.headers["www-authenticate"] = "Bearer"
            return answer
        if asked.method in _SAFE:
            return None
        if not self._is_own(asked, is_bearer=b"authorization" in asked.headers):
            return PlainTextResponse("this came from another site\n", 403)
        if asked.path == LOGOUT or role is Role.FULL:
            return None
        return PlainTextResponse("this token is for looking only\n", 403)

    def _is_own(self, asked: _Asked, *, is_bearer: bool) -> bool:
        """Say whether a request that changes something comes from the page itself, or from no browser."""
        site = asked.one(b"sec-fetch-site")
        if b"sec-fetch-site" in asked.headers and site not in (b"same-origin", b"none"):
            return False
        if b"origin" not in asked.headers:
            return is_bearer  # no browser leaves it out, and none sends a token by itself
        origin, host = asked.one(b"origin"), asked.one(b"host")
        return origin is not None and host is not None and self._addresses.knows_origin(origin, host)

    def _with_token(self, asked: _Asked) -> Response | None:
        """Take the token out of an address, once, and put a cookie in its place."""
        if asked.method != "GET" or b"token=" not in asked.query:
            return None
        fields = parse_qsl(asked.query.decode("latin-1"), keep_blank_values=True, max_num_fields=100)
        tokens = [value for name, value in fields if name == "token"]
        role = self._access.role_of_token(tokens[0]) if len(tokens) == 1 else None
        if role is None:
            return self._denial(asked, None) if tokens else None
        rest = urlencode([each for each in fields if each[0] != "token"])
        # The path begins with one slash, so it is of this page.
        return self._session(role, f"/{asked.path.lstrip('/')}{f'?{rest}' if rest else ''}")

    async def _log_in(self, asked: _Asked, receive: Receive) -> Response:
        if not self._is_own(asked, is_bearer=False):
            return self._denial(asked, None) or PlainTextResponse("", 401)
        body = await read_body(receive)
        fields = parse_qsl(body.decode("utf-8", "replace"), max_num_fields=10)
        role = next((self._access.role_of_token(value.strip()) for name, value in fields if name == "token"), None)
        if role is None:
            return self._denial(asked, None) or PlainTextResponse("", 401)
        return self._session(role, "/")

    def _session(self, role: Role, path: str) -> Response:
        answer = RedirectResponse(path, 303)
        answer.set_cookie(
            self._access.cookie,
            self._access.new_session(role),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=self._addresses.is_secure,
        )
        return answer


class _Sender:
    """Adds the headers that every answer has."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            names = {name.lower() for name, _ in given}
            message = {**message, "headers": [*given, *_missing(names)]}
        await self._send(message)


def _missing(names: set[bytes]) -> Iterable[tuple[bytes, bytes]]:
    yield from (each for each in HEADERS if each[0] not in names)
    if b"cache-control" not in names:
        yield b"cache-control", b"no-store"


class _Bounded:
    """Receives a body that is not too large, and does not take too long."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._size = 0
        self._is_read = False

    async def __call__(self) -> Message:
        if self._is_read:
            return await self._receive()  # which says when the client goes
        try:
            with anyio.fail_after(BODY_SECONDS):
                message = await self._receive()
        except TimeoutError:
            raise BodyError("the body of the request did not come in time", 408) from None
        self._size += len(message.get("body", b""))
        if self._size > LARGEST_BODY:
            raise BodyError(f"the body of a request has at most {LARGEST_BODY:,} bytes", 413)
        self._is_read = not message.get("more_body", False)
        return message


class BodyError(Exception):
    """The body of a request is too large, or too slow.

    Attributes:
        status: What is answered.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


async def read_body(receive: Receive) -> bytes:
    """Return the body of a request.

    Raises:
        BodyError: If it is too large, or too slow.
    """
    parts: list[bytes] = []
    while True:
        message: Any = await receive()
        if message["type"] != "http.request":
            return b""
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _credentials(asked: _Asked) -> tuple[str | None, str]:
    authorization = asked.one(b"authorization")
    if b"authorization" in asked.headers and authorization is None:
        authorization = b""  # several: none of them counts
    cookies = b"; ".join(asked.headers.get(b"cookie", []))
    return None if authorization is None else authorization.decode("latin-1"), cookies.decode("latin-1")
