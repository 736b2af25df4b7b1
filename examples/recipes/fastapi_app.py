"""Run imports from a FastAPI application: as ``starlette_app``, with less to write.

uvicorn --app-dir examples/recipes fastapi_app:app
"""
# FastAPI is in an environment of its own, requirements/recipe-fastapi.txt, which type checkers do not look into.
# mypy: ignore-errors
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import anyio
from fastapi import FastAPI, HTTPException, Request
from imports import Imports

FOLDER = Path(os.environ.get("PRICES", "."))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    async with anyio.create_task_group() as tasks:
        app.state.imports = Imports(FOLDER, tasks)
        yield
        tasks.cancel_scope.cancel()


app = FastAPI(lifespan=lifespan)


@app.post("/imports/{day}", status_code=202)
async def begin(day: date, request: Request) -> dict[str, str]:
    request.app.state.imports.begin(day)
    return {"status": "begun"}


@app.get("/imports/{day}")
def show(day: date, request: Request) -> dict[str, Any]:
    found = request.app.state.imports.look(day)  # it blocks: FastAPI calls what is not async in a thread
    if found is None:
        raise HTTPException(404, "it was never asked for")
    return found
