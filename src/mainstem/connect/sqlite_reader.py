"""Looking at a table of SQLite without the right to change it."""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path
from typing import Any

from mainstem.connect import sqlite_columns
from mainstem.connect.sqlite import open_database
from mainstem.connect.sqlite_columns import Column
from mainstem.connect.sqlite_values import SqliteValues
from mainstem.connect.table_plan import TablePlan
from mainstem.connect.table_reader import TableReader
from mainstem.errors import ConnectError

_UNIQUE = """
    SELECT l.name, i.name FROM pragma_index_list(?) AS l JOIN pragma_index_info(l.name) AS i
    WHERE l."unique" AND NOT l.partial ORDER BY l.seq, i.seqno
"""
_PRIMARY = "SELECT name FROM pragma_table_info(?) WHERE pk ORDER BY pk"
_MADE_AS = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE"
_COUNT_TRIGGERS = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE"
_COUNT_REFERENCES = "SELECT count(DISTINCT id) FROM pragma_foreign_key_list(?)"
_WAIT_MS = 5000


class SqliteReader(TableReader[Column]):
    """A connection to a database of SQLite; to an empty one in memory, where there is no file yet.

    Args:
        url: The database.
        path: Its file.
        plan: What is to be done with the table.

    Raises:
        ConnectError: If the file cannot be opened, or has no folder.
    """

    def __init__(self, url: str, path: Path, plan: TablePlan) -> None:
        self._path = path.absolute()
        if self._path.exists() or not self._path.parent.is_dir():
            connection = open_database(url, create=False)
        else:
            connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        super().__init__(connection, sqlite_columns, plan)
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.execute(f"PRAGMA busy_timeout = {_WAIT_MS}")
            connection.execute("BEGIN")
        except BaseException:
            connection.close()
            raise

    def values(self, column: Column) -> SqliteValues:
        return SqliteValues(column)

    def problem_with(self, column: Column, value: Any) -> str:
        return "the column is NOT NULL" if value is None and not column.nullable else ""

    def unique_keys(self) -> list[tuple[str, ...]]:
        table = (self.plan.table,)
        found: dict[str, list[str | None]] = {}
        for index, column in self.connection.execute(_UNIQUE, table):
            found.setdefault(index, []).append(column)
        primary = [name for (name,) in self.connection.execute(_PRIMARY, table)]
        # An index of an expression has no column there; whether two rows share it, only SQLite can tell.
        keys = [tuple(each for each in names if each) for names in found.values() if None not in names]
        return list(dict.fromkeys([*([tuple(primary)] if primary else []), *keys]))

    def not_tried(self) -> list[str]:
        table = (self.plan.table,)
        one = self.connection.execute
        found: list[str] = []
        made = one(_MADE_AS, table).fetchone()
        if made is not None and re.search(r"\bCHECK\b", made[0], re.IGNORECASE):
            found.append("CHECK constraints")
        for statement, what in ((_COUNT_REFERENCES, "foreign keys"), (_COUNT_TRIGGERS, "triggers")):
            count = one(statement, table).fetchone()[0]
            found += [f"{count} {what}"] if count else []
        return found

    def refusal(self, *, is_new: bool) -> str:
        folder = self._path.parent
        if not os.access(folder, os.W_OK):
            return f"the folder {folder} cannot be written, where SQLite keeps its journal: check its rights"
        if self._path.exists() and not os.access(self._path, os.W_OK):
            return f"the file {self._path} cannot be written: check its rights"
        return ""


def reader_of(url: str, path: Path, plan: TablePlan) -> SqliteReader:
    """Open a database for looking at a table.

    Raises:
        ConnectError: If it cannot be opened.
    """
    if path.is_dir():
        raise ConnectError(f"cannot open {url}: {path} is a folder; give the path of a file")
    return SqliteReader(url, path, plan)
