"""Where the store in PostgreSQL keeps what, and with what rights and defaults of the database."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
import pytest
from tests.postgres_server import PostgresServer
from tests.store.later_version import LATER
from tests.store.records import batch, reject, request

from mainstem.errors import StoreError
from mainstem.faults import watch_faults
from mainstem.store.model import RejectQuery
from mainstem.store.owner import this_process
from mainstem.store.postgres import PostgresStore
from mainstem.store.schema import SCHEMA

pytestmark = pytest.mark.extras

T = TypeVar("T")


def in_threads(number: int, call: Callable[[], T]) -> list[T]:
    """Make a call in so many threads at once."""
    barrier = threading.Barrier(number)
    answers: list[T] = []

    def make_call() -> None:
        barrier.wait()
        answers.append(call())

    threads = [threading.Thread(target=make_call) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == number
    return answers


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_the_isolation_that_a_database_has_by_default_does_not_matter(
    postgres_url: str, admin: psycopg.Connection[Any], level: str
) -> None:
    admin.execute(f"ALTER DATABASE {name_of(postgres_url)} SET default_transaction_isolation = '{level}'")  # type: ignore[call-overload]
    stores = [PostgresStore(postgres_url) for _ in range(8)]
    waiting = iter(stores)

    def begin() -> str:
        try:
            return str(next(waiting).begin(request(owner=this_process())).epoch)
        except Exception as error:
            return type(error).__name__

    outcomes = in_threads(8, begin)
    for store in stores:
        store.close()
    assert sorted(outcomes) == ["1", *["RunActiveError"] * 7]


@pytest.mark.parametrize(("writes", "level"), [(False, "repeatable read"), (True, "read committed")])
def test_what_is_read_is_of_one_moment_and_what_is_written_follows_the_last(
    postgres_url: str, admin: psycopg.Connection[Any], writes: bool, level: str
) -> None:
    admin.execute(f"ALTER DATABASE {name_of(postgres_url)} SET default_transaction_isolation = 'serializable'")  # type: ignore[call-overload]
    store = PostgresStore(postgres_url)
    with store._transaction(writes=writes) as session:
        assert session.rows("SHOW transaction_isolation") == [(level,)]
    store.close()


def test_of_those_who_open_a_store_at_once_one_makes_the_tables(
    postgres_url: str, admin: psycopg.Connection[Any]
) -> None:
    for store in in_threads(8, lambda: PostgresStore(postgres_url)):
        assert store.runs() == []
        store.close()
    assert admin.execute("SELECT count(*) FROM mainstem.mainstem_version").fetchall() == [(1,)]


def test_what_is_done_is_on_the_disk_whatever_the_default_is(postgres_url: str, admin: psycopg.Connection[Any]) -> None:
    def of_the_session(default: str) -> str:
        admin.execute(f"ALTER DATABASE {name_of(postgres_url)} SET synchronous_commit = {default}")  # type: ignore[call-overload]
        store = PostgresStore(postgres_url)
        assert store._connection is not None
        setting: str = store._connection.execute("SHOW synchronous_commit").fetchall()[0][0]
        store.close()
        return setting

    assert of_the_session("off") == "on"
    assert of_the_session("remote_apply") == "remote_apply"


def schemas(admin: psycopg.Connection[Any]) -> set[str]:
    return {row[0] for row in admin.execute("SELECT schemaname FROM pg_tables WHERE tablename = 'runs'")}


def test_the_tables_are_in_a_schema_of_their_own(postgres_store: PostgresStore, admin: psycopg.Connection[Any]) -> None:
    assert schemas(admin) == {"mainstem"}


def test_the_tables_are_where_the_url_says(postgres_url: str, admin: psycopg.Connection[Any]) -> None:
    elsewhere = f"{postgres_url}?options=-csearch_path%3Dsearch_path"
    with pytest.raises(StoreError, match="there is no such schema: create it"):
        PostgresStore(elsewhere)
    admin.execute("CREATE SCHEMA search_path")
    for _ in range(2):
        PostgresStore(elsewhere).close()
    assert schemas(admin) == {"search_path"}


def test_a_user_who_may_make_no_schema_can_be_given_one(
    postgres_server: PostgresServer, postgres_url: str, admin: psycopg.Connection[Any]
) -> None:
    admin.execute("CREATE ROLE keeper LOGIN")
    try:
        url = postgres_url.replace("postgres@", "keeper@")
        with pytest.raises(StoreError, match="permission denied: grant the right"):
            PostgresStore(url)
        admin.execute("CREATE SCHEMA mainstem AUTHORIZATION keeper")
        store = PostgresStore(url)
        assert store.begin(request()).epoch == 1
        store.close()
    finally:
        admin.execute("DROP OWNED BY keeper")
        admin.execute("DROP ROLE keeper")


class LaterStore(PostgresStore):
    """The store of a version that is yet to come."""

    schema = LATER


def structure(admin: psycopg.Connection[Any]) -> list[Any]:
    """Columns and indexes, and the version they are said to be of."""
    columns = "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
    indexes = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'mainstem' ORDER BY 1"
    return [
        *admin.execute(f"{columns} WHERE table_schema = 'mainstem' ORDER BY 1, 2").fetchall(),
        *admin.execute(indexes).fetchall(),
        *admin.execute("SELECT version FROM mainstem.mainstem_version").fetchall(),
    ]


def test_a_store_of_a_later_version_is_refused(postgres_url: str) -> None:
    LaterStore(postgres_url).close()
    said = rf"later version of mainstem \(its schema is {LATER.version}, .*\): update mainstem"
    with pytest.raises(StoreError, match=said):
        PostgresStore(postgres_url)


def test_tables_are_brought_up_to_date_with_all_that_was_in_them(
    postgres_store: PostgresStore, postgres_url: str, admin: psycopg.Connection[Any]
) -> None:
    postgres_store.prepare(postgres_store.begin(request()), batch(1, reject(1)))
    stores = in_threads(8, lambda: LaterStore(postgres_url))
    lease = stores[0].begin(request())
    assert (lease.epoch, lease.prepared) == (2, batch(1, snapshots=[]))
    assert stores[1].count_rejects(RejectQuery()) == 1
    assert admin.execute("SELECT note FROM mainstem.runs").fetchall() == [("begun before a",)]
    said = rf"another version of mainstem meanwhile \(its schema is {LATER.version} now, and was {SCHEMA.version}\)"
    with pytest.raises(StoreError, match=said):
        postgres_store.runs()
    for each in stores:
        each.close()
    found = structure(admin)
    admin.execute("DROP SCHEMA mainstem CASCADE")
    LaterStore(postgres_url).close()
    assert structure(admin) == found


def test_a_transaction_comes_to_its_end_before_tables_are_brought_up_to_date(
    postgres_store: PostgresStore, postgres_url: str, admin: psycopg.Connection[Any]
) -> None:
    lease = postgres_store.begin(request())
    threads: list[threading.Thread] = []

    def bring_up_to_date(_: str) -> None:
        threads.append(threading.Thread(target=lambda: LaterStore(postgres_url).close()))
        threads[0].start()
        while not admin.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchall():
            assert threads[0].is_alive(), "it did not wait"

    watch_faults(bring_up_to_date)
    try:
        postgres_store.prepare(lease, batch(1, reject(1)))
    finally:
        watch_faults(None)
    threads[0].join()
    assert admin.execute("SELECT sequence FROM mainstem.checkpoints").fetchall() == [(1,)]


@pytest.mark.parametrize("where", ["127.0.0.1:1/x", "127.0.0.1:{port}/nowhere", "127.0.0.1:{port}/x/y@z"])
def test_a_database_that_is_not_there_is_an_error_soon(postgres_server: PostgresServer, where: str) -> None:
    started = time.monotonic()
    with pytest.raises(StoreError) as caught:
        PostgresStore(f"postgresql://postgres:hunter2@{where.format(port=postgres_server.port)}")
    assert time.monotonic() - started < 5
    assert "hunter2" not in str(caught.value)


def test_a_closed_store_says_so(postgres_store: PostgresStore) -> None:
    postgres_store.close()
    with pytest.raises(StoreError, match="was closed: open it again"):
        postgres_store.runs()


def _use_and_close(store: PostgresStore, answers: Any) -> None:
    try:
        store.runs()
    except StoreError as error:
        answers.send(str(error))
    store.close()


def test_a_forked_process_cannot_use_or_end_its_parents_session(
    postgres_store: PostgresStore, admin: psycopg.Connection[Any]
) -> None:
    sessions = "SELECT pid FROM pg_stat_activity WHERE application_name = 'mainstem'"
    before = admin.execute(sessions).fetchall()
    answers, end = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_use_and_close, args=(postgres_store, end))
    process.start()
    assert "opened before this process was forked" in answers.recv()
    process.join()
    assert postgres_store.runs() == []
    assert admin.execute(sessions).fetchall() == before
