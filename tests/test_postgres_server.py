"""The server of the tests does not outlive the process that started it, and keeps what was committed in a crash."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.extras

_START_ONE = """
import sys
from tests.postgres_server import PostgresServer
server = PostgresServer()
print(server.url("postgres"), flush=True)
sys.stdin.read()
"""


def test_a_server_ends_with_the_process_that_started_it_even_if_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _START_ONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with psycopg.connect(url) as connection:
            ((text,),) = connection.execute("SHOW data_directory").fetchall()
        data = Path(text)
        server = os.pidfd_open(int((data / "postmaster.pid").read_text().splitlines()[0]))
        process.send_signal(signal.SIGKILL)
        ended, _, _ = select.select([server], [], [], 20)
        os.close(server)
        assert ended
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    shutil.rmtree(data.parent)


def test_what_was_committed_is_there_after_a_crash(postgres_server: PostgresServer, postgres_url: str) -> None:
    connection = psycopg.connect(postgres_url)
    connection.execute("CREATE TABLE t AS SELECT 1 AS id")
    connection.commit()
    connection.execute("INSERT INTO t VALUES (2)")
    postgres_server.crash()
    connection.close()
    postgres_server.start()
    with psycopg.connect(postgres_url) as again:
        assert again.execute("SELECT id FROM t").fetchall() == [(1,)]
