"""One connection to an HTTP service: asks for a page, and says what came of it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import anyio

from mainstem.connect.http_address import Discretion, same_origin
from mainstem.connect.http_body import ACCEPTED, read_body
from mainstem.connect.http_limit import RequestLimit
from mainstem.connect.http_retry import ServerBusyError, seconds_of
from mainstem.errors import ConnectError, ConnectionLostError

if TYPE_CHECKING:
    import httpx

Auth: TypeAlias = "tuple[str, str] | httpx.Auth"
"""User and password, or one of httpx's ways to authenticate."""

NO_HEAD = frozenset((405, 501))
"""What services answer that take no ``HEAD``."""
_MOST_REDIRECTS = 10
_SHOWN_BYTES = 2048
_ADVICE = {
    400: "check the URL and params",
    401: "check the credentials: auth, or headers",
    403: "the credentials do not allow this: check auth or headers, and the rights that they have",
    404: "there is no such thing: check the URL",
    407: "the proxy wants credentials: check HTTP_PROXY and HTTPS_PROXY",
    410: "it is gone: check the URL, or begin anew if it is a page of a list that has changed",
    422: "check params",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered.

    Attributes:
        url: From where, after redirects.
        body: The body, unpacked.
        next_link: What its ``Link`` header calls ``next``.
    """

    url: httpx.URL
    body: bytes
    next_link: str | None


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """How to speak to a service.

    Attributes:
        address: Where it is; what is meant for it is sent to no other origin.
        headers: Headers to send.
        auth: How to authenticate.
        timeout: Seconds that an answer may take in all.
        max_bytes: The most bytes of a body, unpacked.
        other_origins: Whether redirects and links may lead to other origins, which are sent no headers and no auth.
        limit: How often requests may be made.
        discretion: Leaves secrets out of messages.
    """

    address: httpx.URL
    headers: Mapping[str, str]
    auth: Auth | None
    timeout: float
    max_bytes: int
    other_origins: bool
    limit: RequestLimit | None
    discretion: Discretion


def service_options(
    address: httpx.URL,
    params: Mapping[str, object] | None,
    headers: Mapping[str, str] | None,
    auth: Auth | None,
    timeout: float,
    max_bytes: int,
    *,
    other_origins: bool,
    limit: RequestLimit | None,
) -> ServiceOptions:
    """Check the options, and put them together; a user and password in the URL are taken out of it.

    Raises:
        ValueError: If one cannot be one.
    """
    import httpx

    given: Any = auth
    if auth is None and address.username:
        auth = (address.username, address.password)
    elif not (given is None or isinstance(given, httpx.Auth) or _is_pair(given)):
        raise ValueError("auth must be a user and a password, or an httpx.Auth")
    checked = {name: _checked_header(name, value) for name, value in (headers or {}).items()}
    plain = address.copy_with(username=None, password=None)
    plain = plain.copy_merge_params({name: _text_of(name, value) for name, value in (params or {}).items()})
    secrets = list(auth) if isinstance(auth, tuple) else []
    discretion = Discretion(plain, checked, secrets[1:])
    return ServiceOptions(plain, checked, auth, timeout, max_bytes, other_origins, limit, discretion)


def _is_pair(auth: Any) -> bool:
    if not isinstance(auth, tuple):
        return False
    kinds: list[Any] = [type(each) for each in cast("tuple[Any, ...]", auth)]  # type: ignore[redundant-cast]
    return kinds == [str, str]


def _checked_header(name: object, value: object) -> str:
    """Check a header here: the errors of the libraries underneath quote its value."""
    if not isinstance(name, str) or not name.isascii() or not name:
        raise ValueError(f"the name of a header must be an ASCII text, not {name!r:.100}")
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or value != value.strip():
        raise ValueError(f"the value of the header {name!r} must be a text of printable ASCII without spaces around it")
    return value


def _text_of(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ValueError(f"the parameter {name!r} must be a text, a number or a truth value, not {type(value).__name__}")


class ServiceClient:
    """Asks a service for pages; to be closed."""

    def __init__(self, options: ServiceOptions) -> None:
        import httpx

        self._options = options
        # The time limit is of a whole answer, and is ours; httpx's are of each byte.
        self._client = httpx.AsyncClient(timeout=None, follow_redirects=False, verify=_certificates())
        self._throttled_ms = 0.0

    def take_throttled_ms(self) -> float:
        """Return the time, since it was asked last, for which the rate limit held requests up."""
        throttled, self._throttled_ms = self._throttled_ms, 0.0
        return throttled

    async def close(self) -> None:
        """Close its connections, whatever is cancelled."""
        with anyio.CancelScope(shield=True):
            await self._client.aclose()

    async def ask(self, url: httpx.URL) -> Answer:
        """Ask for a page.

        Raises:
            ConnectionLostError: If the same may succeed later.
            ConnectError: If it will not.
        """
        for _ in range(_MOST_REDIRECTS + 1):
            self._check_origin(url, "the service")
            if self._options.limit is not None:
                self._throttled_ms += await self._options.limit.pass_one() * 1000
            answer = await self._ask_once(url)
            if isinstance(answer, Answer):
                return answer
            assert not isinstance(answer, int)
            url = answer
        raise ConnectError(f"{self._shown(url)}: more than {_MOST_REDIRECTS} redirects, one after the other")

    async def ask_for_head(self, url: httpx.URL) -> int:
        """Ask what the answer would be, without its body.

        Returns:
            The status of the answer: of a success, of a redirect, or one of ``NO_HEAD``.

        Raises:
            ConnectionLostError: If the same may succeed later.
            ConnectError: If the service refuses.
        """
        if self._options.limit is not None:
            await self._options.limit.pass_one()
        answer = await self._ask_once(url, "HEAD")
        return answer if isinstance(answer, int) else 200

    def _check_origin(self, url: httpx.URL, who: str) -> None:
        if url.scheme not in ("http", "https") or not url.host:
            raise ConnectError(f"{who} names {self._shown(url)} as the next URL, which is none of an HTTP service")
        if not self._options.other_origins and not same_origin(self._options.address, url):
            raise ConnectError(
                f"{who} leads from {self._shown(self._options.address)} to another origin, {self._shown(url)}: give "
                "that URL, or allow it with other_origins=True (it is sent neither headers nor auth)"
            )

    async def _ask_once(self, url: httpx.URL, method: str = "GET") -> Answer | httpx.URL | int:
        """Return the answer, or where it is to be had; of another method than ``GET`` the status alone."""
        import httpx

        options = self._options
        try:
            with anyio.fail_after(options.timeout):
                return await self._exchange(url, method)
        except TimeoutError as error:
            raise ConnectionLostError(
                f"{self._shown(url)}: no complete answer within {options.timeout:g} s; raise timeout, or ask for fewer "
                "records in a page"
            ) from error
        except httpx.TransportError as error:
            raise self._connect_error(url, error) from error
        except ConnectError as error:  # of the body
            raise _like(error, f"{self._shown(url)}: {options.discretion.show(str(error))}") from error

    async def _exchange(self, url: httpx.URL, method: str) -> Answer | httpx.URL | int:
        options = self._options
        is_home = same_origin(options.address, url)
        headers = {"accept": "application/json", **({name.lower(): value for name, value in options.headers.items()})}
        if not is_home:
            headers = {"accept": headers["accept"]}
        headers["accept-encoding"] = ACCEPTED
        request = self._client.build_request(method, url, headers=headers)
        response = await self._client.send(request, stream=True, auth=options.auth if is_home else None)
        try:
            if method == "HEAD" and (response.has_redirect_location or response.status_code in NO_HEAD):
                return response.status_code
            if response.next_request is not None:
                return self._redirected(response, response.next_request.url)
            if not response.is_success:
                raise await self._refusal(response)
            return Answer(url, await read_body(response, options.max_bytes), _next_link(response))
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()

    def _redirected(self, response: httpx.Response, url: httpx.URL) -> httpx.URL:
        self._check_origin(url, f"the answer {response.status_code} of the service")
        return url.copy_with(fragment=None)

    async def _refusal(self, response: httpx.Response) -> ConnectError:
        import httpx

        status = f"{response.status_code} {response.reason_phrase}".strip()
        try:
            body = (await read_body(response, _SHOWN_BYTES, cut=True)).decode("utf-8", "replace")
        except (httpx.TransportError, ConnectError):
            body = "(its body cannot be read)"
        said = " ".join(body.split())
        text = f"the server answered {status}" + (f": {said:.300}" if said else "")
        code = response.status_code
        if code == 429 or code >= 500:
            busy = ServerBusyError(text)
            busy.retry_after = seconds_of(response.headers.get("retry-after"))
            if busy.retry_after is not None:
                busy.add_note(f"it asks to come again after {busy.retry_after:g} s")
            return busy
        return ConnectError(f"{text}; {_ADVICE.get(code, 'check the URL, params and headers')}")

    def _connect_error(self, url: httpx.URL, error: httpx.TransportError) -> ConnectError:
        import httpx

        problem = self._options.discretion.show(str(error)) or type(error).__name__
        where = self._shown(url)
        causes = _causes(error)
        if any(isinstance(each, ssl.SSLCertVerificationError) for each in causes):
            return ConnectError(f"{where}: {problem}; check the certificate, and SSL_CERT_FILE for one of your own")
        if isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError)):
            return ConnectError(f"{where}: {problem}; check the URL and headers")
        if isinstance(error, httpx.ConnectError):
            return ConnectionLostError(f"{where}: cannot connect: {problem}; check the host, the port and the network")
        return ConnectionLostError(f"{where}: the connection broke: {problem}")

    def _shown(self, url: httpx.URL) -> str:
        return self._options.discretion.show(str(url.copy_with(username=None, password=None)))[:500]


@cache
def _certificates() -> ssl.SSLContext:
    """Load whom to trust once: it takes longer than a request."""
    import httpx

    return httpx.create_ssl_context()


def _like(error: ConnectError, text: str) -> ConnectError:
    made = type(error)(text)
    if isinstance(error, ServerBusyError) and isinstance(made, ServerBusyError):
        made.retry_after = error.retry_after
    for note in getattr(error, "__notes__", ()):
        made.add_note(note)
    return made


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    each: Any = error
    while each is not None and each not in found:
        found.append(each)
        each = each.__cause__ or each.__context__
    return found


def _next_link(response: httpx.Response) -> str | None:
    for link in response.links.values():
        if "next" in link.get("rel", "").lower().split():
            return link.get("url")
    return None
