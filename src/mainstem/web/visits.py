"""One request to the page, as its handlers see it, and what all of them share."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from anyio.to_thread import run_sync
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mainstem.durable.ledger import RejectLedger
from mainstem.store.model import RunRecord
from mainstem.store.pages import one_run
from mainstem.store.session import Session
from mainstem.store.sql_store import SqlStore
from mainstem.web.access import Role
from mainstem.web.code import PipelineCode, code_of
from mainstem.web.guard import read_body
from mainstem.web.live import Live
from mainstem.web.rendering import render
from mainstem.web.replays import Replays

T = TypeVar("T")
_NUMBER = re.compile(r"[0-9]{1,18}")
_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 5_000
_LONGEST_FILTER = 500


@dataclass(frozen=True, slots=True)
class Site:
    """What the handlers of a page share.

    Attributes:
        store: The store that pages are read from. Replays have one of their own, which may be busy for long.
        codes: The code of pipelines.
        live: Who is told when something happens.
        replays: The replays that were begun here.
        by: Who is said to have decided on a reject.
        secret_fields: Names of fields that are not shown, beside those that record types mark.
    """

    store: SqlStore
    codes: Sequence[PipelineCode]
    live: Live
    replays: Replays
    by: str
    secret_fields: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Visit:
    """A request.

    Attributes:
        site: What all share.
        request: The request.
        role: What its sender may do.
        form: The fields of its body.
    """

    site: Site
    request: Request
    role: Role
    form: Sequence[tuple[str, str]] = field(default=())

    @property
    def may_change(self) -> bool:
        return self.role is Role.FULL

    @property
    def ledger(self) -> RejectLedger:
        return RejectLedger(self.site.store)

    def read(self, query: Callable[..., T], *values: Any) -> T:
        """Ask the store."""

        def ask(session: Session) -> T:
            return query(session, *values)

        return self.site.store.read(ask)

    def query(self, name: str) -> str | None:
        """Return a field of the address, if it says something.

        Raises:
            HTTPException: If it is too long to be meant.
        """
        return _chosen(self.request.query_params.get(name))

    def field(self, name: str) -> str | None:
        """Return a field of the body, if it says something.

        Raises:
            HTTPException: If it is too long to be meant.
        """
        return _chosen(next((value for each, value in self.form if each == name), None))

    @property
    def run(self) -> RunRecord:
        """The run that the address names.

        Raises:
            HTTPException: If there is none.
        """
        return self.run_of(self.request.path_params["run"])

    def run_of(self, number: int) -> RunRecord:
        """Return the run of a number.

        Raises:
            HTTPException: If there is none.
        """
        record = self.read(one_run, number)
        if record is None:
            raise HTTPException(404, f"there is no run of number {number} in this store")
        return record

    def code_of(self, record: RunRecord) -> PipelineCode | None:
        return code_of(record, self.site.codes)

    def page(self, template: str, values: Mapping[str, Any], status: int = 200) -> Response:
        """Render a page."""
        shared = {"may_change": self.may_change, "path": self.request.url.path, "store": self.site.store.url}
        return Response(render(template, {**shared, **values}), status, media_type="text/html")


def endpoint(site: Site, handle: Callable[[Visit], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Make an endpoint of a handler, which may block."""

    @wraps(handle)
    async def answer(request: Request) -> Response:
        form = await _form(request) if request.method == "POST" else []
        return await run_sync(handle, Visit(site, request, request.state.role, form))

    return answer


async def _form(request: Request) -> list[tuple[str, str]]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise HTTPException(415, f"a form is sent as {_FORM}")
    body = await read_body(request.receive)
    try:
        return parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:  # no UTF-8, or too many
        raise HTTPException(400, f"a form has at most {_MOST_FIELDS:,} fields, in UTF-8") from None


def _chosen(text: str | None) -> str | None:
    if text is not None and len(text) > _LONGEST_FILTER:
        raise HTTPException(400, f"a field that chooses something has at most {_LONGEST_FILTER} characters")
    return text or None


def number_of(text: str | None) -> int | None:
    """Read a number that a database can hold.

    Raises:
        HTTPException: If it is none.
    """
    if text is None:
        return None
    if _NUMBER.fullmatch(text) is None:
        raise HTTPException(400, "the number of a run or a reject is one such as 17")
    return int(text)


def address(path: str, **fields: object) -> str:
    """Return an address of this page with some fields; those that are ``None`` are left out."""
    chosen = {name: value for name, value in fields.items() if value is not None}
    return f"{path}?{urlencode(chosen, errors='replace')}" if chosen else path


def go_to(path: str, **fields: object) -> Response:
    """Send to another page, after something was changed."""
    return RedirectResponse(address(path, **fields), 303)
