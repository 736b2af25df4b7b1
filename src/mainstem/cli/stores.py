"""Opening the store that a command is to look into, or to write."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mainstem.cli.usage import UsageError
from mainstem.errors import MissingExtraError, StoreError

if TYPE_CHECKING:
    from mainstem.durable.options import Place
    from mainstem.store.store import Store


def open_store_of(place: Place | None) -> Store:
    """Open a store; one in a file that is not there is made.

    Raises:
        UsageError: If it is in PostgreSQL, and the extra for that is not installed.
        StoreError: If it cannot be opened.
    """
    from mainstem.store.open import open_store  # late: most runs have none

    try:
        return open_store(place)
    except MissingExtraError as error:
        raise UsageError(str(error)) from None


@contextmanager
def existing_store(place: str | None) -> Generator[Store]:
    """Open a store whose file must be there: whoever asks what it holds wants no new one.

    In a database of PostgreSQL its tables are made, if they are not there.

    Raises:
        UsageError: If it is in PostgreSQL, and the extra for that is not installed.
        StoreError: If there is none, or it cannot be opened.
    """
    file = store_file(place)
    if file is not None and not file.exists():
        raise StoreError(
            f"there is no store {str(file)!r}: no durable run was started here, or its store is elsewhere "
            "(--store or MAINSTEM_STORE)"
        )
    store = open_store_of(place)
    try:
        yield store
    finally:
        store.close()


def store_place(place: str | None) -> str:
    """Return where a store is that was given, or was not."""
    from mainstem.store.open import DEFAULT

    return place if place is not None else os.environ.get("MAINSTEM_STORE") or DEFAULT


def store_file(place: str | None) -> Path | None:
    """Return the file of a store, ``None`` if it is none."""
    text = store_place(place)
    scheme, separator, rest = text.partition("://")
    if not separator:
        return Path(text)
    return Path(rest.removeprefix("/")) if scheme == "sqlite" else None
