"""Import users: validate, transform, leave out those who are there already, insert the rest in one transaction.

Bad records do not block the import: they are collected, with their reason, for a person to look at; run it with

    mainstem run examples/user_import.py:pipeline --set users=users.csv --set database=users.db
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from mainstem import DedupeStage, JoinStage, LoadReport, MapStage, Pipeline, ValidateRecordsStage
from mainstem.connect import CsvSource, SqlSource, TableSink


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


def existing_users(url: str, database: Path) -> SqlSource[dict[str, Any]] | list[dict[str, Any]]:
    """Return those who are there already; nobody, before the first import."""
    return SqlSource(url, "SELECT email FROM users") if database.exists() else []


def pipeline(
    users: Path = Path("users.csv"), database: Path = Path("users.db")
) -> Pipeline[None, LoadReport, LoadReport]:
    """Make the pipeline.

    Args:
        users: A CSV file with the columns email, name and born.
        database: The file of the SQLite database.
    """
    url = f"sqlite:///{database}"
    known = JoinStage(existing_users(url, database), key=address_of, reference_key=address_in, how="anti")
    return (
        Pipeline[None, LoadReport]("user_import")
        .add_stage(CsvSource(users, record_type=Row, continue_on_error=True))
        .add_stage(ValidateRecordsStage(has_an_address, continue_on_error=True))
        .add_stage(MapStage(to_user))
        .add_stage(DedupeStage(address_of))
        .add_stage(known)
        .add_stage(TableSink(url, "users", key="email", record_type=User))
    )
