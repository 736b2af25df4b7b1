"""One read of an HTTP service: page after page, each with the positions in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

from anyio.to_thread import run_sync

from mainstem.connect.http_client import Answer, ServiceClient, ServiceOptions
from mainstem.connect.http_pages import Page, Pages, PageToken
from mainstem.connect.http_retry import RequestRetries
from mainstem.connect.strict_json import decode_json, kind_of
from mainstem.endpoints import Position
from mainstem.errors import ConnectError

if TYPE_CHECKING:
    import httpx

_DECODED_AT_ONCE = 1 << 20
"""Bytes that are decoded on the event loop; more would hold everybody up."""


@dataclass(frozen=True, slots=True)
class PagePosition:
    """A place between two records.

    Attributes:
        page: What names the page.
        page_record: Records before it in the page, those that could not be read included.
        record: Records before it in all.
    """

    page: PageToken
    page_record: int = 0
    record: int = 0

    @classmethod
    def parse(cls, position: Position, pages: Pages) -> PagePosition:
        """Read a position that a chunk came with.

        Raises:
            ConnectError: If it is none of these pages'.
        """
        numbers = [position.get("page_record"), position.get("record")]
        if "page" not in position or not all(type(number) is int and number >= 0 for number in numbers):
            raise ConnectError(
                f"{position!r:.200} is no position in an HTTP service: it needs page, page_record and record"
            )
        pages.check(position["page"])
        return cls(position["page"], *cast("list[int]", numbers))

    def to_json(self) -> Position:
        """Return the position as plain JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class PageRead:
    """A page that has come.

    Attributes:
        items: What is in its list.
        has_flaws: Whether something of it is none of JSON.
        next: What names the next page; ``None`` if this is the last.
        where: What it is called in messages.
    """

    items: list[Any]
    has_flaws: bool
    next: PageToken
    where: str

    def after(self, at: PagePosition, count: int) -> PagePosition:
        """Return the position behind some of its records; behind the last one, it is the next page's beginning."""
        page_record, record = at.page_record + count, at.record + count
        if page_record >= len(self.items) and self.next is not None:
            return PagePosition(self.next, 0, record)
        return PagePosition(at.page, page_record, record)


class PageReader:
    """Reads pages, and sees to it that they come to an end.

    Args:
        client: Asks the service.
        retries: Asks again.
        pages: How to get from page to page.
        find: Finds the list of records in a page; ``None`` if the page is the list.
        service: The service.
    """

    def __init__(
        self,
        client: ServiceClient,
        retries: RequestRetries,
        pages: Pages,
        find: Callable[[Any], Any] | None,
        service: ServiceOptions,
    ) -> None:
        self._client, self._retries, self._pages, self._find = client, retries, pages, find
        self._address, self._show = service.address, service.discretion.show
        self._marked: PageToken = None
        self._passed: int = 0
        self._until: int = 1
        self._last_body = b""

    async def read(self, at: PagePosition) -> PageRead:
        """Read the page of a position.

        Raises:
            ConnectionLostError: If the same may succeed later.
            ConnectError: If the page is not what it is to be.
        """
        url = self._url_of(at.page)
        where = self._where(at.page)
        try:
            answer = await self._retries.call(lambda: self._client.ask(url))
        except ConnectError as error:
            if at.page != self._pages.first:
                error.add_note(f"while reading {where}")
            raise
        try:
            content, has_flaws = await _decoded(answer.body)
            items = self._items_of(content)
            page = Page(content, len(items), at.page, answer.next_link)
            following = self._next_of(page, answer)
        except (ConnectError, ValueError) as error:
            said = self._show(str(error))
            began = "" if isinstance(error, ConnectError) else f"; it begins with {self._beginning(answer.body)}"
            raise ConnectError(f"{where}: {said}{began}") from error
        if at.page_record > len(items):
            raise ConnectError(
                f"{where}: cannot go on at record {at.page_record} of the page: it now has {len(items)}; was the data "
                "replaced?"
            )
        return PageRead(items, has_flaws, following, where)

    def _url_of(self, token: PageToken) -> httpx.URL:
        if self._pages.links and token is not None:
            return self._address.join(str(token))
        return self._address.copy_merge_params(dict(self._pages.parameters(token)))

    def _where(self, token: PageToken) -> str:
        shown = self._show(str(self._address.copy_with(username=None, password=None)))
        return shown if token is None else f"{shown}, page {self._show(repr(token)):.200}"

    def _items_of(self, content: Any) -> list[Any]:
        if self._find is None:
            if isinstance(content, list):
                return cast("list[Any]", content)  # type: ignore[redundant-cast]
            fields = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
            hint = (
                f" It has {', '.join(map(repr, fields)):.300}: say with records= where the list is." if fields else ""
            )
            raise ConnectError(f"the page is {kind_of(content)} where a list of records is expected.{hint}")
        try:
            found = self._find(content)
        except ConnectError:
            raise
        except Exception as error:  # of a function of the user's
            raise ConnectError(f"records= raised {type(error).__name__}: {error}") from error
        if not isinstance(found, (list, tuple)):
            raise ConnectError(f"the records are {kind_of(found)} where a list is expected: check records=")
        return list(cast("list[Any]", found))

    def _next_of(self, page: Page, answer: Answer) -> PageToken:
        following = self._pages.next(page)
        if self._pages.numbered and not self._pages.equal_pages and page.records:
            body = sha256(answer.body).digest()
            if body == self._last_body:
                raise ConnectError(
                    "the page is the same as the one before: check that the service knows the parameter of pages=, or "
                    "allow it with equal_pages=True"
                )
            self._last_body = body
        if self._pages.links and following is not None:
            following = _absolute(answer.url, following)
        if following is not None:
            self._check_is_new(page.token, following)
        return following

    def _check_is_new(self, token: PageToken, following: PageToken) -> None:
        """Find out whether the pages go round, in constant memory.

        Source: Richard P. Brent, "An improved Monte Carlo factorization algorithm" (1980): a page is compared with one
        that is marked, and the mark moves on after twice as many pages as before.
        """
        if self._passed == 0:
            self._marked = token
        self._passed += 1
        if following in (token, self._marked):
            raise ConnectError(
                f"the next page after {token!r:.200} is {following!r:.200}, which was there before: it would go round "
                "for ever; check pages="
            )
        if self._passed == self._until:
            self._passed = 0
            self._until *= 2

    def _beginning(self, body: bytes) -> str:
        return self._show(repr(body[:100].decode("utf-8", "replace")))


def _absolute(url: httpx.URL, link: PageToken) -> str:
    import httpx

    try:
        return str(url.join(str(link)).copy_with(fragment=None))
    except httpx.InvalidURL as error:
        raise ConnectError(f"the link to the next page, {link!r:.200}, is no URL: {error}") from error


async def _decoded(body: bytes) -> tuple[Any, bool]:
    return decode_json(body) if len(body) <= _DECODED_AT_ONCE else await run_sync(decode_json, body)
