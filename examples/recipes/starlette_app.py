"""Run imports from a Starlette application: asked for by a request, at work in its lifespan.

    uvicorn --app-dir examples/recipes starlette_app:app
    curl -X POST localhost:8000/imports/2026-03-01
    curl localhost:8000/imports/2026-03-01

A run is a task of the application's, not of the request's: the answer comes at once, and the client may go. When the
application stops, the runs are cancelled, which ends them at their last batch; asked for again, they go on there.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

import anyio
from anyio.to_thread import run_sync
from imports import Imports
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

FOLDER = Path(os.environ.get("PRICES", "."))


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[None, None]:
    async with anyio.create_task_group() as tasks:
        app.state.imports = Imports(FOLDER, tasks)
        yield
        tasks.cancel_scope.cancel()


def day_of(request: Request) -> date:
    try:
        return date.fromisoformat(request.path_params["day"])
    except ValueError as error:
        raise HTTPException(404, f"no day: {error}") from None


async def begin(request: Request) -> JSONResponse:
    imports: Imports = request.app.state.imports
    day = day_of(request)
    imports.begin(day)
    return JSONResponse({"status": "begun"}, status_code=202, headers={"location": f"/imports/{day}"})


async def show(request: Request) -> JSONResponse:
    imports: Imports = request.app.state.imports
    found = await run_sync(imports.look, day_of(request))
    if found is None:
        raise HTTPException(404, "it was never asked for")
    return JSONResponse(found)


app = Starlette(
    routes=[Route("/imports/{day}", begin, methods=["POST"]), Route("/imports/{day}", show)],
    lifespan=lifespan,
)
