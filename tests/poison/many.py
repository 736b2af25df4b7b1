"""Many cells in a process of their own, which imports this module, and could not import ``__main__``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.poison.cells import Cell, check
from tests.postgres_server import PostgresServer


def check_all(cells: Sequence[Cell]) -> list[str]:
    """Check some cells with a database server of their own, and say what is wrong in which."""
    server = PostgresServer()
    try:
        url = server.new_database()
        return [f"{cell}: {what}" for cell in cells for what in _wrong_in(cell, url)]
    finally:
        server.remove()


def _wrong_in(cell: Cell, url: str) -> list[str]:
    with TemporaryDirectory() as folder:
        try:
            return check(cell, Path(folder), url)
        except Exception as error:
            return [f"the check failed: {error!r:.300}"]
