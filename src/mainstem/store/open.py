"""Opening a store by a path or URL."""

from __future__ import annotations

import os
from pathlib import Path

from mainstem.errors import StoreError
from mainstem.store.store import Store

DEFAULT = "mainstem.db"


def open_store(place: str | os.PathLike[str] | Store | None = None) -> Store:
    """Open the store at a place.

    Args:
        place: A path, ``sqlite:///path`` or ``postgresql://...``; ``None`` for what the environment variable
            ``MAINSTEM_STORE`` says, or else ``mainstem.db`` in the working folder. A store is handed back as it is.

    Raises:
        StoreError: If there is no store and none can be made.
        MissingExtraError: If it is in PostgreSQL and ``mainstem[postgres]`` is not installed.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from mainstem import Pipeline
        >>> with TemporaryDirectory() as folder:
        ...     place = Path(folder, "runs.db")
        ...     result = Pipeline[list[str], list[int]]("digits").map(int, continue_on_error=True).run(
        ...         ["1", "x"], store=place, run_id="today"
        ...     )
        ...     store = open_store(place)
        ...     [(run.run_id, run.status.value) for run in store.runs()]
        ...     store.close()
        [('today', 'completed')]
    """
    if isinstance(place, Store):
        return place
    text = os.fspath(os.environ.get("MAINSTEM_STORE") or DEFAULT if place is None else place)
    scheme, separator, rest = text.partition("://")
    if not separator:
        path = text
    elif scheme == "sqlite":
        path = rest.removeprefix("/")
    elif scheme in ("postgresql", "postgres"):
        from mainstem.store.postgres import PostgresStore

        return PostgresStore(text)
    else:
        raise StoreError(
            f"a store is a file, sqlite:///file.db or postgresql://...; the scheme {scheme!r} is none of these"
        )
    if not path or path == ":memory:":
        raise StoreError("a store in memory is gone when the process ends: name a file")
    from mainstem.store.sqlite import SqliteStore

    return SqliteStore(Path(path))
