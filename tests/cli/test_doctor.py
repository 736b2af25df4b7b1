"""``mainstem doctor``: whatever is broken is found, and nothing is changed."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest
from tests.cli.conftest import Run, Write, started
from tests.cli.durable_shop import SHOP, write_orders

from mainstem.cli.doctor import extra_finding, has_wal_reset_race, packages_of_extras, sqlite_finding
from mainstem.cli.doctor_store import NETWORK_FILE_SYSTEMS, file_system, folder_findings
from mainstem.store.open import open_store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "mainstem.db"
    open_store(path).close()
    return path


def findings(run: Run, *options: str, code: int = 0) -> dict[str, tuple[str, str]]:
    ran = run("doctor", "--json", *options)
    assert ran.returncode == code, ran.stdout + ran.stderr
    return {each["name"]: (each["level"], each["text"]) for each in json.loads(ran.stdout)["findings"]}


def test_a_sound_store_is_exit_code_0(mainstem_here: Run, store: Path) -> None:
    found = findings(mainstem_here)
    assert [found[name][0] for name in ("Python", "mainstem", "store", "schema", "integrity", "runs")] == ["ok"] * 6
    assert "mode 0600" in found["store"][1]
    assert "broken" not in mainstem_here("doctor").stdout


def test_a_store_that_is_not_there_is_not_made(mainstem_here: Run, tmp_path: Path) -> None:
    assert findings(mainstem_here)["store"][0] == "note"
    assert list(tmp_path.iterdir()) == []
    assert findings(mainstem_here, "--store", "no/runs.db", code=1)["store"][0] == "broken"


def test_a_damaged_store_is_broken(mainstem_here: Run, store: Path) -> None:
    with closing(sqlite3.connect(store)) as connection:
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'rejects'")
        ((size,),) = connection.execute("PRAGMA page_size")
    with store.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(os.urandom(size))
    assert findings(mainstem_here, code=1)["integrity"][0] == "broken"


def test_a_store_whose_pages_do_not_add_up_is_broken(mainstem_here: Run, store: Path) -> None:
    with store.open("r+b") as file:
        file.seek(36)  # where the header has the number of free pages
        file.write((5).to_bytes(4, "big"))
    level, text = findings(mainstem_here, code=1)["integrity"]
    assert (level, "restore the store from a copy" in text) == ("broken", True)


def test_other_files_are_no_stores(mainstem_here: Run, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE other (x)")
    assert findings(mainstem_here, "--store", "other.db", code=1)["schema"][0] == "broken"
    (tmp_path / "notes.db").write_text("milk, bread\n" * 100)
    level, text = findings(mainstem_here, "--store", "notes.db", code=1)["integrity"]
    assert (level, "file is not a database" in text) == ("broken", True)
    (tmp_path / "folder").mkdir()
    assert findings(mainstem_here, "--store", "folder", code=1)["store"][0] == "broken"
    assert findings(mainstem_here, "--store", "mysql://host/runs", code=1)["store"][0] == "broken"


def test_a_store_of_a_later_version_is_broken_and_stays_as_it_is(mainstem_here: Run, store: Path) -> None:
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA user_version = 999")
    before = store.read_bytes()
    assert "update mainstem" in findings(mainstem_here, code=1)["schema"][1]
    assert store.read_bytes() == before


def test_a_store_that_others_can_read_is_warned_of(mainstem_here: Run, store: Path) -> None:
    store.chmod(0o644)
    level, text = findings(mainstem_here)["store"]
    assert (level, "chmod 600" in text) == ("warning", True)


def test_runs_that_nobody_works_on_any_more_are_named(mainstem_here: Run, write: Write, tmp_path: Path) -> None:
    write("shop.py", SHOP)
    write_orders(tmp_path)
    (tmp_path / "hold").touch()
    arguments = ["run", "shop.py:daily", "--run-id", "monday", "--set", "hold=true"]
    with started(tmp_path, *arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        assert "runs: 1 being worked on" in mainstem_here("doctor").stdout
        process.kill()
    assert "1 interrupted, and nobody works on them: monday" in mainstem_here("doctor").stdout


def test_a_server_that_is_not_there_is_broken_and_its_password_is_not_shown(mainstem_here: Run) -> None:
    with closing(socket.socket()) as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"postgresql://me:hunter2@127.0.0.1:{reserved.getsockname()[1]}/runs"
        ran = mainstem_here("doctor", "--store", url)
    assert ran.returncode == 1
    assert "broken   store: ConnectionLostError" in ran.stdout
    assert "hunter2" not in ran.stdout + ran.stderr


def test_a_store_in_postgres_is_looked_at_without_making_one(mainstem_here: Run, postgres_url: str) -> None:
    found = findings(mainstem_here, "--store", postgres_url)
    assert (found["store"][0], found["schema"][0]) == ("ok", "note")
    open_store(postgres_url).close()
    assert findings(mainstem_here, "--store", postgres_url)["runs"] == ("ok", "0 being worked on")


@pytest.mark.parametrize(
    ("number", "has_race"),
    [
        ((3, 40, 1), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((4, 0, 0), False),
    ],
)
def test_releases_of_sqlite_with_the_race_are_known(number: tuple[int, int, int], has_race: bool) -> None:
    assert has_wal_reset_race(number) is has_race
    assert sqlite_finding(number, "x").level == ("warning" if has_race else "ok")


def test_a_release_of_sqlite_that_is_too_old_is_broken() -> None:
    assert sqlite_finding((3, 34, 1), "3.34.1").level == "broken"


def test_extras_that_are_missing_or_cannot_be_imported_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = extra_finding("cli", ("not_installed_anywhere",))
    assert (missing.level, "pip install 'mainstem[cli]'" in missing.text) == ("note", True)
    (tmp_path / "half_installed.py").write_text("raise OSError('libpq.so.5: cannot open shared object file')")
    monkeypatch.syspath_prepend(str(tmp_path))
    broken = extra_finding("postgres", ("half_installed",))
    assert (broken.level, "libpq.so.5" in broken.text) == ("broken", True)


def test_the_extras_are_those_of_the_installed_package(mainstem_here: Run) -> None:
    lines = [
        "anyio>=4.4",
        "cyclopts>=5; extra == 'cli'",
        'pyrate-limiter>=4; extra == "http"',
        "psycopg[binary]>=3.2; python_version < '3.20' and extra == 'postgres'",
        "rich>=13.7; extra == 'cli'",
        "rich>=13.7; extra == 'all'",
    ]
    found = {"cli": ["cyclopts", "rich"], "http": ["pyrate_limiter"], "postgres": ["psycopg"]}
    assert packages_of_extras(lines) == found
    told = findings(mainstem_here)
    assert told["mainstem[cli]"][1] == f"cyclopts {version('cyclopts')}, rich {version('rich')}"
    assert {"mainstem[models]", "mainstem[testing]"} <= {*told}


MOUNTS = """\
/dev/sda1 / ext4 rw,relatime 0 0
server:/data /mnt/shared\\040data nfs4 rw 0 0
me@host: /home/me/remote fuse.sshfs rw 0 0
tmpfs /home/me/remote/fast tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib", "ext4"),
        ("/mnt/shared data/runs", "nfs4"),
        ("/home/me/remote", "fuse.sshfs"),
        ("/home/me/remotely", "ext4"),
        ("/home/me/remote/fast/runs", "tmpfs"),
    ],
)
def test_the_file_system_of_a_folder_is_that_of_its_closest_mount(folder: str, kind: str) -> None:
    assert file_system(Path(folder), MOUNTS) == kind


@pytest.mark.parametrize("kind", sorted(NETWORK_FILE_SYSTEMS))
def test_network_file_systems_are_warned_of(tmp_path: Path, kind: str) -> None:
    found = {each.name: each.level for each in folder_findings(tmp_path, f"x / {kind} rw 0 0\n")}
    assert found["file system"] == "warning"
