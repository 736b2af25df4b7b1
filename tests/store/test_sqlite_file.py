"""The file of a store in SQLite: whose it is, and what is said of one that is none."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import gettempdir
from time import monotonic

import pytest
from tests.store.records import batch, reject, request

from mainstem.errors import MainstemError, StoreError
from mainstem.store.model import RejectQuery, StageSnapshot
from mainstem.store.open import open_store
from mainstem.store.sqlite import SqliteStore

SEED = int(os.environ.get("MAINSTEM_SEED", random.SystemRandom().randrange(2**32)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def fast() -> Iterator[None]:
    """What is wrong with a file is said within seconds."""
    began = monotonic()
    yield
    assert monotonic() - began < 5


def fill(file: Path) -> None:
    """Make a store with an interrupted run in it."""
    store = SqliteStore(file)
    lease = store.begin(request())
    for number in (1, 2, 3):
        snapshot = StageSnapshot(stage="map", payload=f"[{number}]")
        store.prepare(lease, batch(number, reject(number * 10), snapshots=[snapshot]))
    store.close()


def test_only_the_owner_can_read_it_from_the_first_byte(file: Path) -> None:
    before = os.umask(0)
    try:
        store = SqliteStore(file)
        store.begin(request())
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    finally:
        os.umask(before)
    store.close()
    assert modes == {"runs.db": 0o600, "runs.db-wal": 0o600, "runs.db-shm": 0o600}


def test_there_is_one_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_store().close()
    assert Path("mainstem.db").exists()
    monkeypatch.setenv("MAINSTEM_STORE", "sqlite:///elsewhere.db")
    store = open_store()
    assert store.file == tmp_path / "elsewhere.db"
    assert open_store(store) is store
    store.close()


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("", "in memory"),
        (":memory:", "in memory"),
        ("ftp://host/x", "the scheme 'ftp'"),
        ("{folder}", "it is a folder"),
        ("{folder}/none/runs.db", "there is no folder"),
        ("{folder}/text", "file is not a database: name another file"),
        ("{folder}/other", "is another database"),
    ],
)
def test_what_is_no_store_is_refused(tmp_path: Path, place: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAINSTEM_STORE", raising=False)
    (tmp_path / "text").write_text("name,age\n" * 200)
    with closing(sqlite3.connect(tmp_path / "other")) as other:
        other.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StoreError, match=said):
        open_store(place.format(folder=tmp_path))
    assert (tmp_path / "text").read_text() == "name,age\n" * 200
    with closing(sqlite3.connect(tmp_path / "other")) as other:
        assert other.execute("PRAGMA journal_mode").fetchall() == [("delete",)]


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("is_killed", [False, True], ids=["closed", "killed"])
def test_one_of_a_later_version_is_left_as_it_is(tmp_path: Path, file: Path, is_killed: bool) -> None:
    fill(file)
    with closing(sqlite3.connect(file)) as later:
        later.execute("PRAGMA user_version = 99")
        if is_killed:  # the file and its log as they are in the middle of a transaction after that
            later.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            later.execute("UPDATE runs SET committed = 7")
            later.commit()
            shutil.copy(file, tmp_path / "copy.db")
            shutil.copy(f"{file}-wal", tmp_path / "copy.db-wal")
    place = tmp_path / "copy.db" if is_killed else file
    content = place.read_bytes()
    with pytest.raises(StoreError, match=r"its schema is 99, this one knows \d+\): update mainstem"):
        SqliteStore(place)
    assert place.read_bytes() == content


def begin_as_nobody(file: Path) -> str:
    """Begin a run as a user who is not root, who may do anything; return what is said."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # nothing of pytest may go on here
        said = "nothing"
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            SqliteStore(file).begin(request())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as said:
        return said.read()


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """A folder that everybody can get at."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder == Path(gettempdir()):
            break
        folder.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("mode", "said"),
    [(0o444, "needs the right to write the file"), (0o000, "needs the right to read and write the file")],
)
def test_one_that_may_not_be_written_is_refused(public: Path, mode: int, said: str) -> None:
    file = public / "runs.db"
    fill(file)
    file.chmod(mode)
    shown = begin_as_nobody(file)
    assert shown.startswith("StoreError: ")
    assert said in shown


def test_a_folder_that_may_not_be_written_is_refused(public: Path) -> None:
    shown = begin_as_nobody(public / "runs.db")
    assert shown == f"StoreError: cannot keep runs in {public / 'runs.db'}: Permission denied"


def test_a_forked_process_may_not_use_it_and_does_it_no_harm(file: Path) -> None:
    store = SqliteStore(file)
    store.begin(request())
    child = os.fork()
    if child == 0:  # nothing of pytest may go on here
        code = 1
        try:
            store.runs()
        except StoreError as error:
            code = 0 if "open it again" in str(error) else 2
        store.close()
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(store.runs()) == 1
    assert Path(f"{file}-wal").exists()
    store.close()


def test_what_a_killed_process_has_half_written_is_undone(tmp_path: Path, file: Path) -> None:
    fill(file)
    place = tmp_path / "copy.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.execute("UPDATE runs SET run_id = 'x'")
        connection.execute("UPDATE rejects SET record = hex(zeroblob(100000))")
        shutil.copy(file, place)
        shutil.copy(f"{file}-journal", f"{place}-journal")
        connection.execute("ROLLBACK")
    assert place.read_bytes() != file.read_bytes()
    store = SqliteStore(place)
    assert [run.run_id for run in store.runs()] == ["a"]
    store.close()


def test_one_that_was_closed_says_so(file: Path) -> None:
    store = SqliteStore(file)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.runs()


def flip(content: bytearray, random_: random.Random) -> None:
    content[random_.randrange(len(content))] ^= 1 << random_.randrange(8)


def cut(content: bytearray, random_: random.Random) -> None:
    del content[random_.randrange(len(content)) :]


def zero(content: bytearray, random_: random.Random) -> None:
    at = random_.randrange(0, len(content), 512)
    content[at : at + 512] = bytes(512)


@pytest.mark.parametrize("damage", [flip, cut, zero], ids=lambda damage: damage.__name__)
def test_a_damaged_one_gives_what_was_written_or_is_refused(
    tmp_path: Path, file: Path, damage: Callable[[bytearray, random.Random], None]
) -> None:
    fill(file)
    content = file.read_bytes()
    random_ = random.Random(SEED)
    refused = 0
    for number in range(200):
        damaged = bytearray(content)
        damage(damaged, random_)
        place = tmp_path / f"{number}.db"
        place.write_bytes(damaged)
        began = monotonic()
        try:
            store = SqliteStore(place)
            try:
                checkpoint = store.settle(store.begin(request(force=True)), 3)
                store.rejects(RejectQuery())
            finally:
                store.close()
        except MainstemError:
            refused += 1
            continue
        again = (
            f"to repeat it: MAINSTEM_SEED={SEED} python -m pytest tests/store/test_sqlite_file.py -k {damage.__name__}"
        )
        assert monotonic() - began < 5, again
        snapshot = StageSnapshot(stage="map", payload="[3]")
        assert checkpoint == batch(3, rejects=(), snapshots=[snapshot]), again
    assert refused > 0
