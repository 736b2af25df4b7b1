"""Databases that tests of SQL sources and sinks run on: real ones, each with a place of its own for every test."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from tests.mariadb_server import shared_mariadb
from tests.postgres_server import shared_server


class Database(ABC):
    """An empty database, with the way to look at it without mainstem."""

    url: str
    has_transactional_ddl = True
    keeps_aware_moments = True
    moment = "TIMESTAMP"
    percent = "%"
    text = "TEXT"

    @abstractmethod
    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Execute statements, and return the rows of the last, if it gives some."""

    def wrong_password(self) -> str | None:
        """Return a URL with a wrong password; ``None`` where there are no passwords."""
        return None

    @abstractmethod
    def absent(self) -> str:
        """Return the URL of a database that is not there."""

    @abstractmethod
    def remove(self) -> None:
        """Remove it."""


class File(Database):
    """A file in the test's folder, which goes with that."""

    def remove(self) -> None:
        pass


class Sqlite(File):
    moment = "TEXT"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "test.db"
        self.url = f"sqlite:///{self.path}"
        self.execute("PRAGMA journal_mode = WAL")

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            rows: list[tuple[Any, ...]] = []
            for statement in statements:
                rows = connection.execute(statement).fetchall()
            connection.commit()
        return rows

    def absent(self) -> str:
        return f"{self.url}.absent"


class Duckdb(File):
    def __init__(self, folder: Path) -> None:
        self.path = folder / "test.duckdb"
        self.url = f"duckdb:///{self.path}"
        self.execute("SELECT 1")

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        with closing(duckdb.connect(str(self.path))) as connection:
            rows: list[tuple[Any, ...]] = []
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        return rows

    def absent(self) -> str:
        return f"{self.url}.absent"


class Postgres(Database):
    def __init__(self, folder: Path) -> None:
        self._server = shared_server()
        self.url = self._server.new_database()

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            rows: list[tuple[Any, ...]] = []
            for statement in statements:
                text: Any = statement
                cursor = connection.execute(text)
                rows = cursor.fetchall() if cursor.description else []
            return rows

    def wrong_password(self) -> str:
        return self.url.replace("postgres@", "with_password:wrong@")

    def absent(self) -> str:
        return f"{self.url}_absent"

    def remove(self) -> None:
        self._server.drop_database(self.url)


class Mariadb(Database):
    has_transactional_ddl = False
    moment = "DATETIME(6)"

    def __init__(self, folder: Path) -> None:
        self.server = shared_mariadb()
        self.url = self.server.new_database()
        self.name = self.url.rpartition("/")[2]

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        return self.server.execute("SET sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')", *statements, database=self.name)

    def wrong_password(self) -> str:
        return self.url.replace("root@", "with_password:wrong@")

    def absent(self) -> str:
        return f"{self.url}_absent"

    def remove(self) -> None:
        self.server.execute(f"DROP DATABASE {self.name}")


class Mysql(Mariadb):
    """The same server by the name of the other dialect."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.url = self.url.replace("mariadb+", "mysql+")


DATABASES: dict[str, type[Any]] = {
    "sqlite": Sqlite,
    "postgres": Postgres,
    "mariadb": Mariadb,
    "mysql": Mysql,
    "duckdb": Duckdb,
}
