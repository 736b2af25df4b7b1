"""Asks the FastAPI application for imports, by HTTP. Run by scripts/test_recipes.sh."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from web_app import check_web_app

with TemporaryDirectory() as place:
    check_web_app("fastapi_app", Path(place))
