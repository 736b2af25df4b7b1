"""Folders for the runs of a crash test, with all that their targets need."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from tests.postgres_server import PostgresServer

IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""A kill leaves the memory of the system as it is, so a disk would only make it slow."""
_numbers = count()


@contextmanager
def plain_folder() -> Generator[str]:
    with TemporaryDirectory(dir=IN_MEMORY) as folder:
        yield folder


class PostgresFolders:
    """Folders with the URL of a schema of their own."""

    def __init__(self, server: PostgresServer) -> None:
        self._url = server.new_database()

    @contextmanager
    def __call__(self) -> Generator[str]:
        schema = f"run_{next(_numbers)}"
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {schema}")
        with TemporaryDirectory(dir=IN_MEMORY) as folder:
            Path(folder, "url").write_text(f"{self._url}?options=-csearch_path%3D{schema}")
            yield folder
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA {schema} CASCADE")
