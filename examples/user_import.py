"""Import users: validate, transform, leave out those who are there already, insert the rest.

The CSV file may be a path or a URL such as ``s3://bucket/users.csv``, the database SQLite or PostgreSQL. Bad records do
not block the import: they are kept, with their reason, for a person to look at, to mend and to let in after all:

    mainstem run examples/user_import.py:pipeline --set users=users.csv --set database=sqlite:///users.db --run-id march
    mainstem rejects list --run march
    mainstem rejects edit 1 --set email=grace@example.org --target examples/user_import.py:pipeline
    mainstem rejects approve 1
    mainstem rejects replay --run march
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Any

from mainstem import DedupeStage, JoinStage, LoadReport, MapStage, Pipeline, ValidateRecordsStage
from mainstem.connect import CsvSource, SqlSource, TableSink

TABLE = (
    "CREATE TABLE IF NOT EXISTS users (email text PRIMARY KEY, display_name text NOT NULL, birth_year bigint NOT NULL)"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the file."""

    email: str
    name: str
    born: date


@dataclass(frozen=True, slots=True)
class User:
    """A user as the database has them."""

    email: str
    display_name: str
    birth_year: int


def has_an_address(row: Row) -> bool | str:
    name, _, host = row.email.partition("@")
    return bool(name and "." in host) or f"not an e-mail address: {row.email!r}"


def to_user(row: Row) -> User:
    return User(row.email.strip().lower(), row.name.strip().title(), row.born.year)


def address_of(user: User) -> str:
    return user.email


def address_in(row: dict[str, Any]) -> str:
    return str(row["email"])


def make_table(database: str) -> None:
    """Make the table, if it is not there: the query for those who are in it asks before the first is loaded."""
    if database.startswith("sqlite:///"):
        with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as file:
            file.execute(TABLE)
        return
    import psycopg

    with psycopg.connect(database) as server:
        server.execute(TABLE)


def pipeline(
    users: str = "users.csv",
    database: str = "sqlite:///users.db",
    storage_options: Mapping[str, Any] | None = None,
) -> Pipeline[None, LoadReport, LoadReport]:
    """Make the pipeline.

    Args:
        users: A CSV file with the columns email, name and born: a path or a URL.
        database: The URL of the database.
        storage_options: How a URL is opened, such as ``{"region": "eu-west-1"}``.
    """
    make_table(database)
    existing = SqlSource(database, "SELECT email FROM users")
    known = JoinStage(existing, key=address_of, reference_key=address_in, how="anti")
    return (
        Pipeline[None, LoadReport]("user_import")
        .add_stage(CsvSource(users, record_type=Row, continue_on_error=True, storage_options=storage_options))
        .add_stage(ValidateRecordsStage(has_an_address, continue_on_error=True))
        .add_stage(MapStage(to_user))
        .add_stage(DedupeStage(address_of))
        .add_stage(known)
        .add_stage(TableSink(database, "users", key="email", record_type=User))
    )
