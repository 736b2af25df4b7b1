"""Import users: validate, transform, leave out those who are there already, insert the rest in one transaction.

Bad records do not block the import: they are collected, with their reason, for a person to look at; run it with

    mainstem run examples/user_import.py:pipeline --set users=users.csv --set database=users.db
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import anyio

from mainstem import (
    LoadReport,
    MapStage,
    Pipeline,
    PipelineContext,
    RecordsStage,
    StageResult,
    ValidateRecordsStage,
)
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


async def existing_addresses(database: Path) -> set[str]:
    if not await anyio.Path(database).exists():
        return set()
    users = SqlSource(f"sqlite:///{database}", "SELECT email FROM users")
    known = await Pipeline[None, list[dict[str, Any]]]("existing_users").add_stage(users).execute()
    return {row["email"] for row in known.unwrap()}


class LeaveOutExisting(RecordsStage[User, User]):
    """Keep users whose address is new: neither in the database nor earlier in this import."""

    def __init__(self, database: Path) -> None:
        self._database = database

    async def process(self, data: Iterable[User], context: PipelineContext) -> StageResult[list[User]]:
        users = list(data)
        seen = await existing_addresses(self._database)
        new: list[User] = []
        for user in users:
            if user.email not in seen:
                seen.add(user.email)
                new.append(user)
        return StageResult(data=new, records_processed=len(users), records_filtered=len(users) - len(new))


def pipeline(
    users: Path = Path("users.csv"), database: Path = Path("users.db")
) -> Pipeline[None, LoadReport, LoadReport]:
    """Make the pipeline.

    Args:
        users: A CSV file with the columns email, name and born.
        database: The file of the SQLite database.
    """
    return (
        Pipeline[None, LoadReport]("user_import")
        .add_stage(CsvSource(users, record_type=Row, continue_on_error=True))
        .add_stage(ValidateRecordsStage(has_an_address, continue_on_error=True))
        .add_stage(MapStage(to_user))
        .add_stage(LeaveOutExisting(database))
        .add_stage(TableSink(f"sqlite:///{database}", "users", key="email", record_type=User))
    )
