"""A version of mainstem that is yet to come, for tests: its schema has a column and an index more."""

from __future__ import annotations

from mainstem.store.schema import SCHEMA, Schema
from mainstem.store.sqlite import SqliteStore

NOTE = "note TEXT NOT NULL DEFAULT ''"
INDEX = "CREATE INDEX runs_by_note ON runs (note)"

LATER = Schema(
    tables=(*(table.replace("committed BIGINT", f"{NOTE}, committed BIGINT") for table in SCHEMA.tables), INDEX),
    migrations=(
        *SCHEMA.migrations,
        (f"ALTER TABLE runs ADD COLUMN {NOTE}", "UPDATE runs SET note = 'begun before ' || run_id", INDEX),
    ),
)


class LaterStore(SqliteStore):
    """The store of that version."""

    schema = LATER
