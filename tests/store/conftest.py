"""The stores that the conformance suite is run with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import psycopg

    from mainstem.store.postgres import PostgresStore


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.extras)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new store may be, in each kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'runs.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[PostgresStore]:
    from mainstem.store.postgres import PostgresStore

    opened = PostgresStore(postgres_url)
    yield opened
    opened.close()


@pytest.fixture
def admin(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the same database, past the store."""
    import psycopg

    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection
