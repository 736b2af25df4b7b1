"""Looking at a table of PostgreSQL without the right to change it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mainstem.connect import postgres_columns
from mainstem.connect.postgres_columns import Column
from mainstem.connect.postgres_values import PostgresValues
from mainstem.connect.table_columns import quoted
from mainstem.connect.table_plan import TablePlan
from mainstem.connect.table_reader import TableReader

if TYPE_CHECKING:
    import psycopg

_UNIQUE = """
    SELECT array_agg(a.attname::text ORDER BY k.at)
    FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (number, at)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
    WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
      AND k.at <= i.indnkeyatts
    GROUP BY i.indexrelid, i.indisprimary ORDER BY i.indisprimary DESC, i.indexrelid
"""
_CHECKED = """
    SELECT count(*) FILTER (WHERE contype = 'c'), count(*) FILTER (WHERE contype = 'f'),
           count(*) FILTER (WHERE contype = 'x'),
           (SELECT count(*) FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal),
           (SELECT count(*) FROM pg_index WHERE indrelid = to_regclass(%s) AND indisunique
              AND (indpred IS NOT NULL OR indexprs IS NOT NULL))
    FROM pg_constraint WHERE conrelid = to_regclass(%s)
"""
_WHAT = ("CHECK constraints", "foreign keys", "EXCLUDE constraints", "triggers", "partial or computed unique indexes")
_NEEDED = {"insert": ("INSERT",), "upsert": ("INSERT", "UPDATE", "SELECT"), "replace": ("INSERT", "DELETE")}


class PostgresReader(TableReader[Column]):
    """A connection to PostgreSQL in a transaction that is READ ONLY.

    Args:
        connection: An open connection in autocommit mode.
        plan: What is to be done with the table.
    """

    mark = "%s"
    converts_first = False

    def __init__(self, connection: psycopg.Connection[Any], plan: TablePlan) -> None:
        super().__init__(connection, postgres_columns, plan)
        connection.execute("BEGIN READ ONLY")

    def values(self, column: Column) -> PostgresValues:
        return PostgresValues(column)

    def unique_keys(self) -> list[tuple[str, ...]]:
        rows = self.connection.execute(_UNIQUE, (quoted(self.plan.table),)).fetchall()
        return list(dict.fromkeys(tuple(names) for (names,) in rows))

    def not_tried(self) -> list[str]:
        counts = self.connection.execute(_CHECKED, (quoted(self.plan.table),) * 3).fetchone()
        return [f"{count} {what}" for count, what in zip(counts or (), _WHAT, strict=False) if count]

    def refusal(self, *, is_new: bool) -> str:
        one = self.connection.execute
        (user,) = one("SELECT current_user").fetchone()
        if is_new:
            found = one(
                "SELECT current_schema(), has_schema_privilege(current_schema(), 'CREATE')",
            ).fetchone()
            if found[0] is None:
                return "none of the schemas of search_path is there: create one"
            return "" if found[1] else f"user {user!r} may not make tables in schema {found[0]!r}: grant CREATE on it"
        missing = [right for right in _NEEDED[self.plan.mode] if not self._may(right)]
        return f"user {user!r} lacks the right to {', '.join(missing)}: grant it" if missing else ""

    def _may(self, right: str) -> bool:
        """Whether the user has a right to the table, or to columns of it: which are written shows only later."""
        table = quoted(self.plan.table)
        one = self.connection.execute
        if one("SELECT has_table_privilege(to_regclass(%s), %s)", (table, right)).fetchone()[0]:
            return True
        any_column = "SELECT has_any_column_privilege(to_regclass(%s), %s)"
        return right != "DELETE" and bool(one(any_column, (table, right)).fetchone()[0])
