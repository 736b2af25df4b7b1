"""The tables of a store. ``{key}`` is how a database numbers rows by itself."""

from __future__ import annotations

VERSION = 1
"""Of the tables; it changes with them, and with a migration."""

TABLES = (
    """CREATE TABLE runs (
        run {key}, pipeline TEXT NOT NULL, run_id TEXT NOT NULL, status TEXT NOT NULL, epoch BIGINT NOT NULL,
        lease DOUBLE PRECISION NOT NULL, owner TEXT NOT NULL, started_at DOUBLE PRECISION NOT NULL,
        beat_at DOUBLE PRECISION NOT NULL, ended_at DOUBLE PRECISION, shape TEXT NOT NULL, source TEXT, target TEXT,
        guarantee TEXT, error TEXT, committed BIGINT NOT NULL, UNIQUE (pipeline, run_id))""",
    """CREATE TABLE checkpoints (
        run BIGINT NOT NULL REFERENCES runs (run), sequence BIGINT NOT NULL, position TEXT, counts TEXT NOT NULL,
        is_last INTEGER NOT NULL, PRIMARY KEY (run, sequence))""",
    """CREATE TABLE snapshots (
        run BIGINT NOT NULL REFERENCES runs (run), stage TEXT NOT NULL, sequence BIGINT NOT NULL,
        is_change INTEGER NOT NULL, payload TEXT NOT NULL, PRIMARY KEY (run, stage, sequence))""",
    """CREATE TABLE rejects (
        id {key}, run BIGINT NOT NULL REFERENCES runs (run), stage TEXT NOT NULL, place BIGINT NOT NULL,
        occurrence BIGINT NOT NULL, origin BIGINT, error_type TEXT NOT NULL, message TEXT NOT NULL, code TEXT NOT NULL,
        record TEXT NOT NULL, is_exact INTEGER NOT NULL, is_redacted INTEGER NOT NULL, attempts INTEGER NOT NULL,
        at DOUBLE PRECISION NOT NULL, sequence BIGINT, state TEXT NOT NULL DEFAULT 'open', edited TEXT,
        replays BIGINT NOT NULL DEFAULT 0, changed_at DOUBLE PRECISION, changed_by TEXT, replay_run BIGINT,
        replay_sequence BIGINT, before_replay TEXT, UNIQUE (run, stage, place, occurrence))""",
    "CREATE INDEX rejects_unsettled ON rejects (run) WHERE sequence IS NULL",
    "CREATE INDEX rejects_replayed ON rejects (replay_run, replay_sequence) WHERE replay_run IS NOT NULL",
)
