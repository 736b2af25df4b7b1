"""``HttpSource``: the records that an HTTP service gives as JSON, page by page."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast, overload

from typing_extensions import TypeVar

from mainstem.connect.http_address import http_address
from mainstem.connect.http_client import NO_HEAD, Auth, ServiceClient, service_options
from mainstem.connect.http_limit import RateLimit, RequestLimit
from mainstem.connect.http_pages import Pages, SinglePage
from mainstem.connect.http_reading import PagePosition, PageRead, PageReader
from mainstem.connect.http_retry import RequestRetries
from mainstem.connect.json_paths import JsonPath
from mainstem.connect.json_records import JsonRecords, kept, located
from mainstem.connect.record_type import model_of
from mainstem.connect.rejects import Reject, settle_rejects
from mainstem.context import PipelineContext
from mainstem.datasets import Dataset, web_dataset
from mainstem.endpoints import CHUNK_SIZE, Position, SourceChunk, SourceStage
from mainstem.errors import ConnectionLostError
from mainstem.options import check_count, check_seconds
from mainstem.retry import RetryPolicy, check_retry
from mainstem.type_hints import list_of

T = TypeVar("T")
R = TypeVar("R")

RecordsOf: TypeAlias = str | Callable[[Any], Sequence[Any]] | None
"""Where the records are in a page: names with dots between, or a function of it; ``None`` if it is the list."""

RETRY = RetryPolicy(attempts=5, on=ConnectionLostError)
"""What is done, if nobody says otherwise, when a request fails for a reason that may pass."""

MAX_PAGE_BYTES = 64 << 20


class HttpSource(SourceStage[T]):
    """Read the records of an HTTP service that gives JSON, in order, page by page.

    A position is a page and the number of records in it, and reading starts with that page. A page is parsed when it
    has come as a whole, so one that breaks off is asked for again, and no record comes twice.

    Errors that may pass (429, 5xx, a connection that breaks or is not had, an answer that takes too long) are tried
    again; what ``Retry-After`` says, in seconds or as a date, is obeyed. Any other answer but success is an error that
    shows how its body begins. Redirects and links are followed within the origin of ``url``.

    A record that is no object, has a key twice or a value that JSON does not have (``NaN``), or that the record type
    refuses, fails the run. With ``continue_on_error`` it is recorded in ``context.errors``, and the rest is read;
    ``read_again`` takes such a record, mended, as a dict or as JSON.

    Args:
        url: The first page, or what all pages have in common.
        records: Where the records are in a page: names with dots between, such as ``"data.items"``, or a function of
            the parsed page that returns a list; ``None`` if the page is the list.
        pages: How to get from page to page: ``CursorPages``, ``LinkHeaderPages``, ``NextLinkPages``, ``OffsetPages``,
            ``PageNumberPages``, or a ``Pages`` of your own; ``None`` if there is one page only.
        params: Query parameters of each page; a link is followed as it is. Credentials do better in ``headers`` or
            ``auth``: servers, proxies and httpx log URLs.
        headers: Headers to send; their values are not shown.
        auth: User and password, or an ``httpx.Auth``.
        rate_limit: How often requests are made at most, second attempts and redirects included: ``"10/s"``, or a
            ``Rate`` or ``Limiter`` of pyrate-limiter. All reads of this source share it; a ``Limiter`` is shared by all
            that were given it.
        rate_limit_file: A file that keeps count for all processes of the machine that name it, with the same rate.
        retry: How often a request is made at most, and how long to wait where the server does not say; its ``on`` is
            asked about errors that may pass only. ``None`` makes each request once.
        max_retry_after: Seconds; if the server asks for a longer wait, it is an error.
        timeout: Seconds that an answer may take in all.
        max_page_bytes: Bytes that a page may have, unpacked.
        other_origins: Whether redirects and links may lead elsewhere; no other origin is sent the headers or the auth.
        record_type: What the records are: ``dict``, or a dataclass, ``TypedDict``, msgspec ``Struct`` or pydantic
            model, into which the objects are parsed.
        continue_on_error: Whether to record records that cannot be read and go on.
        name: The stage's name in reports.

    Raises:
        ConnectError: If ``url`` is no URL of an HTTP service.
        MissingExtraError: If ``mainstem[http]`` is not installed, or ``mainstem[retry]``, or ``mainstem[models]`` for
            a record type that needs it.
        TypeError: If ``record_type`` is none, or ``pages`` is none.
        ValueError: If another option cannot be one.

    Source: the paginators of dlt's ``rest_api``; RFC 9110 for ``Retry-After``, RFC 8288 for links.

    Example:
        >>> from http.server import HTTPServer, SimpleHTTPRequestHandler
        >>> from threading import Thread
        >>> from mainstem import Pipeline
        >>> from mainstem.connect.http_pages import CursorPages
        >>> class People(SimpleHTTPRequestHandler):
        ...     def do_GET(self):
        ...         self.send_response(200)
        ...         self.end_headers()
        ...         is_last = "cursor=c2" in self.path
        ...         self.wfile.write(b'{"items": [{"id": 2}]}' if is_last else b'{"items": [{"id": 1}], "next": "c2"}')
        ...     def log_message(self, *_): ...
        >>> with HTTPServer(("127.0.0.1", 0), People) as server:
        ...     Thread(target=server.serve_forever).start()
        ...     url = f"http://127.0.0.1:{server.server_port}/people"
        ...     source = HttpSource(url, records="items", pages=CursorPages("next"))
        ...     Pipeline[None, list[dict[str, object]]]("people").add_stage(source).run().data
        ...     server.shutdown()
        [{'id': 1}, {'id': 2}]
    """

    # The address is in the fingerprint; the rest holds credentials, or may be mended between two attempts.
    not_in_shape = frozenset(("service", "max_retry_after", "find", "json"))

    @overload
    def __init__(
        self: HttpSource[dict[str, Any]],
        url: str,
        *,
        records: RecordsOf = None,
        pages: Pages | None = None,
        params: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: Auth | None = None,
        rate_limit: RateLimit | None = None,
        rate_limit_file: str | os.PathLike[str] | None = None,
        retry: RetryPolicy | None = RETRY,
        max_retry_after: float = 600.0,
        timeout: float = 30.0,
        max_page_bytes: int = MAX_PAGE_BYTES,
        other_origins: bool = False,
        record_type: type[dict[Any, Any]] = ...,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: HttpSource[R],
        url: str,
        *,
        records: RecordsOf = None,
        pages: Pages | None = None,
        params: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: Auth | None = None,
        rate_limit: RateLimit | None = None,
        rate_limit_file: str | os.PathLike[str] | None = None,
        retry: RetryPolicy | None = RETRY,
        max_retry_after: float = 600.0,
        timeout: float = 30.0,
        max_page_bytes: int = MAX_PAGE_BYTES,
        other_origins: bool = False,
        record_type: type[R],
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    def __init__(
        self,
        url: str,
        *,
        records: RecordsOf = None,
        pages: Pages | None = None,
        params: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: Auth | None = None,
        rate_limit: RateLimit | None = None,
        rate_limit_file: str | os.PathLike[str] | None = None,
        retry: RetryPolicy | None = RETRY,
        max_retry_after: float = 600.0,
        timeout: float = 30.0,
        max_page_bytes: int = MAX_PAGE_BYTES,
        other_origins: bool = False,
        record_type: type[Any] = dict,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None:
        check_seconds("timeout of HttpSource", timeout)
        check_seconds("max_retry_after of HttpSource", max_retry_after, zero=True)
        check_count("max_page_bytes of HttpSource", max_page_bytes)
        check_retry(retry)
        if rate_limit_file is not None and rate_limit is None:
            raise ValueError("rate_limit_file keeps count for a rate_limit, and there is none")
        address = http_address(url)
        limit = None if rate_limit is None else RequestLimit(rate_limit, rate_limit_file)
        self._service = service_options(
            address, params, headers, auth, timeout, max_page_bytes, other_origins=other_origins, limit=limit
        )
        self._retry, self._max_retry_after = retry, max_retry_after
        self._pages = _checked_pages(pages)
        self._records = records
        self._find = JsonPath(records).get if isinstance(records, str) else records
        self._model = model_of(record_type, "HttpSource")
        self._json = JsonRecords(self._model)
        self._continue_on_error = continue_on_error
        if name is not None:
            self.name = name

    def _hints(self) -> tuple[Any, Any]:
        return None, list_of(dict[str, Any] if self._model is None else self._model)

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        return (web_dataset(self._service.discretion.show(str(self._service.address))),)

    async def fingerprint(self) -> Mapping[str, Any]:
        records: Any = self._records
        return {
            "url": self._service.discretion.show(str(self._service.address)),
            "records": getattr(records, "__qualname__", records),
            "pages": repr(self._pages),
        }

    async def check_access(self) -> str | None:
        client = ServiceClient(self._service)
        try:
            status = await client.ask_for_head(self._service.address)
        finally:
            await client.close()
        where = self._service.discretion.show(str(self._service.address))
        if status in NO_HEAD:
            return f"{where} answers; it takes no HEAD request, so whether it takes the credentials shows by reading"
        return f"{where} takes the request"

    def read_again(self, record: Any) -> T:
        return cast("T", self._json.read_again(record))

    async def read(
        self, context: PipelineContext, *, start: Position | None = None, chunk_size: int = CHUNK_SIZE
    ) -> AsyncGenerator[SourceChunk[T], None]:
        check_count("chunk_size", chunk_size)
        at = PagePosition(self._pages.first) if start is None else PagePosition.parse(start, self._pages)
        client = ServiceClient(self._service)
        retries = RequestRetries(self._retry, self._max_retry_after, self.name)
        reader = PageReader(client, retries, self._pages, self._find, self._service)
        try:
            while True:
                page = await reader.read(at)
                context.add_time(retry_ms=retries.take_ms(), throttle_ms=client.take_throttled_ms())
                for items in batched(page.items[at.page_record :], chunk_size):
                    records, rejects = self._parse(items, page, at)
                    at = page.after(at, len(items))
                    failed = settle_rejects(
                        rejects, context, self.name, go_on=self._continue_on_error, first=context.chunk_start
                    )
                    yield SourceChunk(cast("list[T]", records), at.to_json(), failed)
                if page.next is None:
                    return
                at = PagePosition(page.next, 0, at.record)
        finally:
            await client.close()

    def _parse(self, items: list[Any], page: PageRead, at: PagePosition) -> tuple[list[Any], list[Reject]]:
        records, failures = self._json.read_all(items, has_flaws=page.has_flaws)
        rejects = [
            Reject(
                at.record + number,
                kept(items[number]),
                located(error, f"{page.where}, record {at.page_record + number + 1} of the page"),
            )
            for number, error in failures
        ]
        return records, rejects


def batched(items: list[Any], size: int) -> Iterator[list[Any]]:
    """Give the items in lists of a size, the last of which may be shorter."""
    return (items[first : first + size] for first in range(0, len(items), size))


def _checked_pages(pages: Pages | None) -> Pages:
    given: Any = SinglePage() if pages is None else pages
    if not isinstance(given, Pages):
        raise TypeError(f"pages must be CursorPages(...), LinkHeaderPages() or the like, not {given!r:.100}")
    return given
