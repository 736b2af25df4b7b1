"""The paginators of ``HttpSource``: how a service gives its records page by page, as dlt's ``rest_api`` has them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from mainstem.connect.json_paths import JsonPath
from mainstem.errors import ConnectError
from mainstem.options import check_count

PageToken: TypeAlias = str | int | None
"""What names a page: a cursor, a link, a number; ``None`` for the first, where it has no name."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page that was read.

    Attributes:
        content: What it holds, parsed.
        records: How many records are in it.
        token: What names it.
        next_link: The link that the response's ``Link`` header calls ``next``, if there is one.
    """

    content: Any
    records: int
    token: PageToken
    next_link: str | None = None


class Pages(ABC):
    """How pages are asked for, and how one tells which is the next. Subclass it for a service that does it otherwise.

    Attributes:
        links: Whether a token is the URL of a page, rather than a value of a parameter.
        numbered: Whether a token is a number that the service is free to pass over: two pages that are the same then
            mean that it does.
        equal_pages: Whether two pages may hold the same all the same.
    """

    links: ClassVar[bool] = False
    numbered: ClassVar[bool] = False
    equal_pages: bool = False

    @property
    def first(self) -> PageToken:
        """What names the first page."""
        return None

    @abstractmethod
    def parameters(self, token: PageToken) -> Mapping[str, str]:
        """Return the query parameters that ask for a page."""

    @abstractmethod
    def next(self, page: Page) -> PageToken:
        """Return what names the page after one; ``None`` if that was the last.

        Raises:
            ConnectError: If that cannot be told.
        """

    def check(self, token: PageToken) -> None:
        """Check that a token, out of a position, is one of these pages'.

        Raises:
            ConnectError: If it is not.
        """
        expected = int if self.numbered else str if self.links else (str, int)
        fits = isinstance(token, expected) and not isinstance(token, bool)
        if not fits and token is not self.first:
            raise ConnectError(f"{token!r:.200} is no page of {type(self).__name__}: was pages= changed?")


class SinglePage(Pages):
    """All records are in one page."""

    def parameters(self, token: PageToken) -> Mapping[str, str]:
        return {}

    def next(self, page: Page) -> PageToken:
        return None

    def check(self, token: PageToken) -> None:
        if token is not None:
            raise ConnectError(f"{token!r:.200} is no page where there is only one: was pages= changed?")


@dataclass(frozen=True)
class CursorPages(Pages):
    """Each page holds the cursor of the next, which is asked for with a parameter.

    The last page has none: the field is not there, is null, or an empty text.

    Args:
        cursor: Where in the page the cursor is, as names with dots between.
        parameter: The query parameter that takes it.
        has_more: Where in the page it says ``true`` or ``false`` to whether there is another, if it does. It is an
            error if it says so and there is no cursor.

    Example:
        >>> pages = CursorPages("meta.next", "cursor")
        >>> pages.parameters(pages.next(Page({"meta": {"next": "c2"}, "items": []}, 0, None)))
        {'cursor': 'c2'}
    """

    cursor: str
    parameter: str = "cursor"
    has_more: str | None = None

    def __post_init__(self) -> None:
        JsonPath(self.cursor)
        _check_parameter(self.parameter)
        if self.has_more is not None:
            JsonPath(self.has_more)

    def parameters(self, token: PageToken) -> Mapping[str, str]:
        return {} if token is None else {self.parameter: str(token)}

    def next(self, page: Page) -> PageToken:
        if self.has_more is not None and not _flag(page.content, self.has_more):
            return None
        cursor = _token(page.content, self.cursor)
        if cursor is None and self.has_more is not None:
            raise ConnectError(f"{self.has_more!r} says that there are more pages, and {self.cursor!r} names none")
        return cursor


@dataclass(frozen=True)
class LinkHeaderPages(Pages):
    """Each response names the URL of the next page in its ``Link`` header, with ``rel="next"`` (RFC 8288).

    Positions hold such a URL: give credentials as ``auth`` or ``headers``, not in the query, where servers repeat them.
    """

    links: ClassVar[bool] = True

    def parameters(self, token: PageToken) -> Mapping[str, str]:
        return {}

    def next(self, page: Page) -> PageToken:
        return page.next_link


@dataclass(frozen=True)
class NextLinkPages(LinkHeaderPages):
    """Each page holds the URL of the next; the last has none.

    Args:
        link: Where in the page the URL is, as names with dots between.

    Example:
        >>> NextLinkPages("links.next").next(Page({"links": {"next": "/people?page=2"}}, 0, None))
        '/people?page=2'
    """

    link: str = "next"

    def __post_init__(self) -> None:
        JsonPath(self.link)

    def next(self, page: Page) -> PageToken:
        link = _token(page.content, self.link)
        if isinstance(link, int):
            raise ConnectError(f"{self.link!r} is a number where the URL of the next page is expected")
        return link


@dataclass(frozen=True)
class OffsetPages(Pages):
    """A page is asked for by the number of records before it, and how many it may hold.

    The last page is an empty one, or the one with which the total is reached: a short page is not taken for the last,
    since a service may give fewer records than it was asked for.

    Args:
        limit: Records in a page.
        offset_parameter: The query parameter that takes the number of records before it.
        limit_parameter: The one that takes the limit; ``None`` if there is none.
        total: Where in the page the number of all records is, as names with dots between, if it is there.
        equal_pages: Whether two pages may hold the same. Otherwise two that do, one after the other, are an error: the
            service does not know the parameter, and gives the same for ever.

    Example:
        >>> pages = OffsetPages(50, total="total")
        >>> pages.parameters(pages.next(Page({"total": 99}, records=50, token=0)))
        {'offset': '50', 'limit': '50'}
    """

    limit: int = 100
    offset_parameter: str = "offset"
    limit_parameter: str | None = "limit"
    total: str | None = None
    equal_pages: bool = False
    numbered: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_count("limit of OffsetPages", self.limit)
        _check_parameter(self.offset_parameter)
        if self.limit_parameter is not None:
            _check_parameter(self.limit_parameter)
        if self.total is not None:
            JsonPath(self.total)

    @property
    def first(self) -> PageToken:
        return 0

    def parameters(self, token: PageToken) -> Mapping[str, str]:
        limit = {} if self.limit_parameter is None else {self.limit_parameter: str(self.limit)}
        return {self.offset_parameter: str(token), **limit}

    def next(self, page: Page) -> PageToken:
        after = _number(page.token) + page.records
        if self.total is None:
            return after if page.records else None
        total = _count(page.content, self.total)
        if not page.records and after < total:
            raise ConnectError(f"{self.total!r} says {total} records, and after {after} the page is empty")
        return after if after < total else None


@dataclass(frozen=True)
class PageNumberPages(Pages):
    """A page is asked for by its number; the last is an empty one, or the one that has the number of pages.

    Args:
        parameter: The query parameter that takes the number.
        first_number: The number of the first page.
        total_pages: Where in the page the number of all pages is, as names with dots between, if it is there.
        equal_pages: Whether two pages may hold the same. Otherwise two that do, one after the other, are an error: the
            service does not know the parameter, and gives the same for ever.

    Example:
        >>> pages = PageNumberPages("page", total_pages="pages")
        >>> pages.next(Page({"pages": 2}, records=10, token=1)), pages.next(Page({"pages": 2}, records=3, token=2))
        (2, None)
    """

    parameter: str = "page"
    first_number: int = 1
    total_pages: str | None = None
    equal_pages: bool = False
    numbered: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_count("first_number of PageNumberPages", self.first_number, least=0)
        _check_parameter(self.parameter)
        if self.total_pages is not None:
            JsonPath(self.total_pages)

    @property
    def first(self) -> PageToken:
        return self.first_number

    def parameters(self, token: PageToken) -> Mapping[str, str]:
        return {self.parameter: str(token)}

    def next(self, page: Page) -> PageToken:
        after = _number(page.token) + 1
        if self.total_pages is None:
            return after if page.records else None
        last = self.first_number + _count(page.content, self.total_pages) - 1
        return after if after <= last else None


def _number(token: PageToken) -> int:
    assert isinstance(token, int), "checked when it came out of a position"
    return token


def _token(content: Any, path: str) -> PageToken:
    value = JsonPath(path).find(content)
    if value is None or value == "":
        return None
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return value
    raise ConnectError(f"{path!r} is to name the next page, with a text or a number, and is {value!r:.100}")


def _flag(content: Any, path: str) -> bool:
    value = JsonPath(path).find(content)
    if isinstance(value, bool):
        return value
    raise ConnectError(f"{path!r} is to say true or false to whether there are more pages, and is {value!r:.100}")


def _count(content: Any, path: str) -> int:
    value = JsonPath(path).find(content)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ConnectError(f"{path!r} is to say how many there are, and is {value!r:.100}")


def _check_parameter(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise ValueError(f"the name of a query parameter must be a text, not {name!r}")
