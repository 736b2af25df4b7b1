"""A real MariaDB for tests, from Debian's package: one server for each process that asks, on loopback."""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pymysql
import pytest
from tests.debian_packages import require

_USER = "mysql" if os.geteuid() == 0 else None
_PR_SET_PDEATHSIG = 1
_START_SECONDS = 30.0
WITH_PASSWORD = "with_password"
"""A user who is asked for a password: ``right``."""


class MariadbServer:
    """A server of its own data, without password for root."""

    def __init__(self) -> None:
        require("mariadbd", "mariadb-server")
        self._folder = Path(tempfile.mkdtemp(prefix="mainstem-mariadb-"))
        if _USER is not None:
            shutil.chown(self._folder, _USER, _USER)
        self._data = self._folder / "data"
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count()
        self._run(
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={self._data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            f"--tmpdir={self._folder}",  # for two of them would be in one another's way
        )
        self.start()
        self.execute(
            f"CREATE USER {WITH_PASSWORD}@'127.0.0.1' IDENTIFIED BY 'right'",
            f"GRANT ALL ON *.* TO {WITH_PASSWORD}@'127.0.0.1'",
        )

    def _run(self, program: str, *options: str) -> None:
        done = subprocess.run([program, *options], capture_output=True, text=True, check=False, **self._identity())
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}\n{done.stdout}{done.stderr}")

    def _identity(self) -> dict[str, Any]:
        return {"cwd": self._folder, **({} if _USER is None else {"user": _USER, "group": _USER})}

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        command = [
            "mariadbd",
            "--no-defaults",
            f"--datadir={self._data}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self._folder / 'socket'}",
            f"--pid-file={self._folder / 'pid'}",
            f"--tmpdir={self._folder}",
            "--skip-log-bin",
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=16M",
            "--performance-schema=OFF",
            "--character-set-server=utf8mb4",
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen[bytes](
                command,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
                start_new_session=True,
                **self._identity(),
            )
        deadline = monotonic() + _START_SECONDS
        while True:
            try:
                self.execute("SELECT 1")
            except pymysql.OperationalError:
                if self._process.poll() is not None or monotonic() > deadline:
                    raise RuntimeError((self._folder / "log").read_text()) from None
                sleep(0.02)
            else:
                return

    def crash(self) -> None:
        """Kill it, and wait for that; what was committed is there when it is started again."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def remove(self) -> None:
        """Stop it for good, and remove its data."""
        self.crash()
        shutil.rmtree(self._folder, ignore_errors=True)

    def execute(self, *statements: str, database: str | None = None) -> list[Any]:
        """Execute statements, and return the rows of the last."""
        connection = pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", database=database, autocommit=True, charset="utf8mb4"
        )
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def url(self, database: str, user: str = "root") -> str:
        return f"mariadb+pymysql://{user}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database, and return its URL."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
        return self.url(name)

    def kill_connections(self) -> int:
        """Cut all connections but one's own, and return how many there were."""
        mine = "SELECT id FROM information_schema.processlist WHERE user = 'root' AND id <> CONNECTION_ID()"
        found = [row[0] for row in self.execute(mine)]
        for each in found:
            with suppress(pymysql.OperationalError):  # it has ended by itself meanwhile
                self.execute(f"KILL {each}")
        return len(found)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@cache
def shared_mariadb() -> MariadbServer:
    """Return the server of this process, started when it is first asked for."""
    server = MariadbServer()
    atexit.register(server.remove)
    return server


@pytest.fixture(scope="session")
def mariadb_server() -> MariadbServer:
    """A server that tests share; who stops it starts it again."""
    return shared_mariadb()


@pytest.fixture
def mariadb_url(mariadb_server: MariadbServer) -> Any:
    """The URL of an empty database, which is removed afterwards."""
    url = mariadb_server.new_database()
    yield url
    mariadb_server.execute(f"DROP DATABASE {url.rpartition('/')[2]}")
