"""The page as an ASGI application: its routes, all of them behind the guard."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mainstem.durable.decisions import login_name
from mainstem.errors import MainstemError, RejectError, RunError, StoreError
from mainstem.store.sql_store import SqlStore
from mainstem.web.access import Access
from mainstem.web.addresses import Addresses
from mainstem.web.code import PipelineCode
from mainstem.web.edit_pages import check_edit, edit
from mainstem.web.guard import LOGOUT, BodyError, Guard
from mainstem.web.live import MOST_WATCHERS, Live
from mainstem.web.numbers import register_numbers
from mainstem.web.reject_pages import (
    ask_about_all,
    decide_on_all,
    decide_on_one,
    decide_on_some,
    export,
    list_rejects,
    show_reject,
)
from mainstem.web.rendering import HERE, render
from mainstem.web.replays import Replays
from mainstem.web.run_pages import list_runs, replay, show_run
from mainstem.web.try_pages import try_edit
from mainstem.web.visits import Site, Visit, endpoint, number_of
from mainstem.web.why_pages import ask_why, explain

_FILES = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
_PAGES: Sequence[tuple[str, str, Callable[[Visit], Response]]] = (
    ("GET", "/", list_runs),
    ("GET", "/runs/{run:number}", show_run),
    ("POST", "/runs/{run:number}/replay", replay),
    ("GET", "/runs/{run:number}/why", ask_why),
    ("POST", "/runs/{run:number}/why", explain),
    ("GET", "/rejects", list_rejects),
    ("GET", "/rejects/export", export),
    ("GET", "/rejects/all/{verb}", ask_about_all),
    ("POST", "/rejects/all/{verb}", decide_on_all),
    ("POST", "/rejects/some/{verb}", decide_on_some),
    ("GET", "/rejects/{reject:number}", show_reject),
    ("POST", "/rejects/{reject:number}/check", check_edit),
    ("POST", "/rejects/{reject:number}/edit", edit),
    ("POST", "/rejects/{reject:number}/try", try_edit),
    ("POST", "/rejects/{reject:number}/{verb}", decide_on_one),
)


@dataclass(frozen=True, slots=True)
class PageOptions:
    """What a page is made of, beside its store.

    Attributes:
        access: The tokens.
        addresses: The names under which it is reached.
        codes: The code of pipelines, for replays and ``why``.
        secret_fields: Names of fields that are not shown, beside those that record types mark.
    """

    access: Access
    addresses: Addresses
    codes: Sequence[PipelineCode] = ()
    secret_fields: Collection[str] = ()


class Page:
    """The page: an ASGI application.

    Args:
        open_store: Opens the store: once for all pages, and once for each replay.
        options: What else it is made of.

    Attributes:
        routes: Its routes.
    """

    def __init__(self, open_store: Callable[[], SqlStore], options: PageOptions) -> None:
        register_numbers()
        self._store = open_store()
        secret = [*options.secret_fields]
        self._replays = Replays(open_store, secret)
        self._live = Live(self._store, self._replays)
        self._cookie = options.access.cookie
        site = Site(self._store, options.codes, self._live, self._replays, f"{login_name()} (page)", secret)
        self.routes = [
            *(Route(path, endpoint(site, handle), methods=[method]) for method, path, handle in _PAGES),
            Route("/events", self._events, methods=["GET"]),
            Route(LOGOUT, self._log_out, methods=["POST"]),
            *(Route(f"/static/{name}", _file(name, kind), methods=["GET"]) for name, kind in _FILES.items()),
        ]
        app = Starlette(
            routes=self.routes,
            lifespan=self._lifespan,
            exception_handlers={
                HTTPException: _explain_http,
                MainstemError: _explain_error,
                BodyError: _explain_body,
                500: _explain_nothing,
            },
        )
        app.router.redirect_slashes = False
        self._guarded = Guard(app, options.access, options.addresses)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._guarded(scope, receive, send)

    def let_go(self) -> None:
        """Let all go who look on: a server that is to end waits for them."""
        self._live.close()

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncGenerator[None]:
        async with anyio.create_task_group() as tasks:
            self._live.start(tasks)
            try:
                yield
            finally:
                self.let_go()
                tasks.cancel_scope.cancel()
        await anyio.to_thread.run_sync(self._close)

    def _close(self) -> None:
        self._replays.close()
        self._store.close()

    async def _events(self, request: Request) -> Response:
        run, seen = number_of(request.query_params.get("run")), request.query_params.get("seen")
        if self._live.watchers >= MOST_WATCHERS:
            raise HTTPException(503, "as many look on as can be told when something happens: reload the page")
        return StreamingResponse(self._live.changes(run, seen), media_type="text/event-stream")

    async def _log_out(self, request: Request) -> Response:
        answer = RedirectResponse("/", 303)
        answer.delete_cookie(self._cookie, httponly=True, samesite="strict")
        return answer


def _file(name: str, kind: str) -> Callable[[Request], Response]:
    """Make the endpoint of a file of the package, which is read once."""
    content = (HERE / "static" / name).read_bytes()

    def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    return answer


def _problem(status: int, message: str) -> Response:
    return Response(render("error.html", {"status": status, "message": message}), status, media_type="text/html")


def _explain_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = _problem(error.status_code, error.detail)
    answer.headers.update(error.headers or {})
    return answer


def _explain_error(request: Request, error: Exception) -> Response:
    status = 409 if isinstance(error, (RejectError, RunError)) else 503 if isinstance(error, StoreError) else 500
    return _problem(status, str(error))


def _explain_body(request: Request, error: Exception) -> Response:
    assert isinstance(error, BodyError)
    return _problem(error.status, str(error))


def _explain_nothing(request: Request, error: Exception) -> Response:
    # What it says may be anything, and is in the log.
    return _problem(500, f"this page has failed ({type(error).__name__}); the log of mainstem ui says where")
