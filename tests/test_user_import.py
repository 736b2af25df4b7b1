"""Users come from S3 into PostgreSQL: what is rejected is kept, mended, and let in once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from examples import user_import
from tests.connect.file_servers import Bucket, bucket
from tests.test_examples import FIRST_USERS, SECOND_USERS

from mainstem import RejectLedger

__all__ = ["bucket"]
ROOT = Path(__file__).parent.parent
pytestmark = [pytest.mark.extras, pytest.mark.timeout(60)]


def names_in(database: str) -> list[tuple[str, str]]:
    with psycopg.connect(database) as connection:
        return connection.execute("SELECT email, display_name FROM users ORDER BY birth_year").fetchall()


def test_users_come_from_s3_into_postgres_and_those_who_are_there_stay_as_they_are(
    bucket: Bucket, postgres_url: str
) -> None:
    first = user_import.pipeline(bucket.put("1.csv", FIRST_USERS.encode()), postgres_url, bucket.options).run()
    assert first.unwrap().records_loaded == 1
    assert [str(entry.error) for entry in first.context.errors] == ["not an e-mail address: 'nobody'"]

    second = user_import.pipeline(bucket.put("2.csv", SECOND_USERS.encode()), postgres_url, bucket.options).run()
    assert (second.records_in, second.records_filtered, second.records_failed) == (4, 2, 1)
    assert names_in(postgres_url) == [("ada@example.org", "Ada Lovelace"), ("alan@example.org", "Alan Turing")]


def test_a_rejected_user_is_mended_and_let_in_once(bucket: Bucket, postgres_url: str, tmp_path: Path) -> None:
    users = bucket.put("users.csv", FIRST_USERS.encode())
    store = tmp_path / "runs.db"
    run = user_import.pipeline(users, postgres_url, bucket.options).run(store=store, run_id="march")
    assert run.unwrap().records_loaded == 1
    with RejectLedger(store) as ledger:
        (reject,) = ledger.list(run_id="march")
        ledger.edit_fields(reject.id, {"email": "Grace@example.org"})
        ledger.approve(reject.id)
        report = ledger.run_replay(user_import.pipeline(users, postgres_url, bucket.options), "march")
        assert (report.replayed, report.failed_again) == (1, 0)
        again = ledger.run_replay(user_import.pipeline(users, postgres_url, bucket.options), "march")
        assert (again.replayed, again.failed_again) == (0, 0)
    assert names_in(postgres_url) == [("ada@example.org", "Ada Lovelace"), ("grace@example.org", "No One")]


def test_the_commands_in_its_text_let_a_mended_user_in(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text(FIRST_USERS)
    assert user_import.__doc__ is not None
    commands = [line.split() for line in user_import.__doc__.splitlines() if line.startswith("    mainstem ")]
    assert [command[1:3] for command in commands[1:]] == [
        ["rejects", name] for name in ("list", "edit", "approve", "replay")
    ]
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for command in commands:
        module = [sys.executable, "-W", "error", "-m", *command]
        done = subprocess.run(module, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    with closing(sqlite3.connect(tmp_path / "users.db")) as database:
        emails = database.execute("SELECT email FROM users ORDER BY email").fetchall()
    assert emails == [("ada@example.org",), ("grace@example.org",)]
