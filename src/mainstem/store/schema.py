"""The tables of a store, and how those of an earlier version become them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

KEY_MARK = "{key}"
"""In a statement: how a database numbers rows by itself."""


@dataclass(frozen=True, slots=True)
class Schema:
    """Tables, and the steps that lead to them from each earlier version.

    The statements of a step, and the stamp that says which version the tables are of, belong into one transaction.

    Attributes:
        tables: The statements that make the tables as they are now.
        migrations: Of each step the statements: the first leads from version 1 to 2, and so on.
    """

    tables: Sequence[str]
    migrations: Sequence[Sequence[str]] = ()

    @property
    def version(self) -> int:
        return len(self.migrations) + 1

    def statements(self, version: int, key: str) -> Iterator[str]:
        """Give the statements that lead to the tables as they are now.

        Args:
            version: That of the tables which are there; 0 if there are none.
            key: How the database numbers rows by itself.
        """
        steps = self.migrations[version - 1 :] if version else (self.tables,)
        for step in steps:
            for statement in step:
                yield statement.replace(KEY_MARK, key)


_PROGRESS = """CREATE TABLE progress (
            run BIGINT NOT NULL REFERENCES runs (run), sequence BIGINT NOT NULL, at DOUBLE PRECISION NOT NULL,
            records BIGINT NOT NULL, rejected BIGINT NOT NULL, PRIMARY KEY (run, sequence))"""

SCHEMA = Schema(
    tables=(
        """CREATE TABLE runs (
            run {key}, pipeline TEXT NOT NULL, run_id TEXT NOT NULL, status TEXT NOT NULL, epoch BIGINT NOT NULL,
            lease DOUBLE PRECISION NOT NULL, owner TEXT NOT NULL, started_at DOUBLE PRECISION NOT NULL,
            beat_at DOUBLE PRECISION NOT NULL, ended_at DOUBLE PRECISION, shape TEXT NOT NULL, source TEXT,
            target TEXT, guarantee TEXT, error TEXT, committed BIGINT NOT NULL, UNIQUE (pipeline, run_id))""",
        """CREATE TABLE checkpoints (
            run BIGINT NOT NULL REFERENCES runs (run), sequence BIGINT NOT NULL, position TEXT, counts TEXT NOT NULL,
            is_last INTEGER NOT NULL, states TEXT NOT NULL, checksum BIGINT NOT NULL, PRIMARY KEY (run, sequence))""",
        """CREATE TABLE snapshots (
            run BIGINT NOT NULL REFERENCES runs (run), stage TEXT NOT NULL, sequence BIGINT NOT NULL,
            is_change INTEGER NOT NULL, payload TEXT NOT NULL, PRIMARY KEY (run, stage, sequence))""",
        """CREATE TABLE rejects (
            id {key}, run BIGINT NOT NULL REFERENCES runs (run), stage TEXT NOT NULL, place BIGINT NOT NULL,
            occurrence BIGINT NOT NULL, origin BIGINT, error_type TEXT NOT NULL, message TEXT NOT NULL,
            code TEXT NOT NULL, record TEXT NOT NULL, is_exact INTEGER NOT NULL, is_redacted INTEGER NOT NULL,
            attempts INTEGER NOT NULL, at DOUBLE PRECISION NOT NULL, sequence BIGINT,
            state TEXT NOT NULL DEFAULT 'open', edited TEXT, replays BIGINT NOT NULL DEFAULT 0,
            changed_at DOUBLE PRECISION, changed_by TEXT, replay_run BIGINT, replay_sequence BIGINT,
            before_replay TEXT, UNIQUE (run, stage, place, occurrence))""",
        "CREATE INDEX rejects_by_number ON rejects (run, id)",
        "CREATE INDEX rejects_by_state ON rejects (run, state, id)",
        "CREATE INDEX rejects_unsettled ON rejects (run) WHERE sequence IS NULL",
        "CREATE INDEX rejects_replayed ON rejects (replay_run, replay_sequence) WHERE replay_run IS NOT NULL",
        _PROGRESS,
    ),
    migrations=((_PROGRESS,),),
)
VERSION = SCHEMA.version
