"""A call of the store in PostgreSQL is done once, whatever becomes of its connection."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.postgres_server import PostgresServer
from tests.store.records import batch, reject, request
from tests.tcp_proxy import CuttingProxy

from mainstem.errors import RunActiveError, StoreError
from mainstem.store import postgres
from mainstem.store.model import (
    RejectQuery,
    RejectState,
    RunStatus,
)
from mainstem.store.owner import this_process
from mainstem.store.postgres import PostgresStore

pytestmark = pytest.mark.extras


def wait_until(connection: psycopg.Connection[Any], condition: str) -> None:
    """Wait for a session of the store to be in a state, which the server has no way to tell by itself."""
    deadline = time.monotonic() + 20
    found = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'mainstem' AND "
    while not connection.execute(found + condition).fetchall():  # type: ignore[call-overload]
        assert time.monotonic() < deadline, condition
        time.sleep(0.01)


@pytest.mark.timeout(120)
def test_every_call_is_done_once_though_connections_are_cut(postgres_server: PostgresServer, postgres_url: str) -> None:
    seed = int(os.environ.get("MAINSTEM_SEED") or random.randrange(2**32))
    proxy = CuttingProxy(postgres_server.port, seed, share=0.3)
    store = PostgresStore(postgres_url.replace(f":{postgres_server.port}/", f":{proxy.port}/"))
    rounds = 0
    while min(proxy.cuts[moment] for moment in ("before COMMIT is sent", "after COMMIT was sent")) < 30:
        rounds += 1
        run_id = f"run {rounds}"
        done = [store.begin(request(run_id)).epoch, store.begin(request(run_id)).epoch]
        lease = store.begin(request(run_id))
        for number in (1, 2, 3):
            store.prepare(lease, batch(number, reject(number)))
            store.renew(lease)
        settled = store.settle(lease, 2)
        query = RejectQuery(run_id=run_id)
        changed = store.change_rejects(query, RejectState.DISCARDED, among=[RejectState.OPEN])
        store.finish(lease, RunStatus.FAILED, error="why")
        (run,) = store.runs(run_id=run_id)
        found = (done, lease.epoch, settled and settled.position, changed, run.status, run.epoch, run.committed)
        expected = ([1, 2], 3, {"byte": 200}, 3, RunStatus.FAILED, 3, 2)
        assert found == expected, f"MAINSTEM_SEED={seed} python -m pytest {__file__} -k cut"
    store.close()
    proxy.close()


def test_an_idle_connection_that_was_cut_is_had_again(
    postgres_store: PostgresStore, postgres_server: PostgresServer
) -> None:
    lease = postgres_store.begin(request())
    assert postgres_server.kill_backends() >= 1
    postgres_store.renew(lease)
    postgres_server.crash()
    postgres_server.start()
    postgres_store.prepare(lease, batch(1, reject(1)))
    assert postgres_store.count_rejects(RejectQuery()) == 1


def test_a_server_that_comes_back_is_waited_for(postgres_store: PostgresStore, postgres_server: PostgresServer) -> None:
    lease = postgres_store.begin(request())
    postgres_server.crash()
    failures: list[Exception] = []

    def renew() -> None:
        try:
            postgres_store.renew(lease)
        except StoreError as error:
            failures.append(error)

    thread = threading.Thread(target=renew)
    thread.start()
    postgres_server.start()
    thread.join()
    assert failures == []


def test_a_server_that_does_not_come_back_is_an_error_after_a_while(
    postgres_store: PostgresStore, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresStore._until_done, "__defaults__", (0.2,))
    lease = postgres_store.begin(request())
    postgres_server.crash()
    try:
        with pytest.raises(StoreError, match="Connection refused"):
            postgres_store.renew(lease)
    finally:
        postgres_server.start()
    postgres_store.renew(lease)


def cut(store: PostgresStore) -> None:
    """Cut the store's connection on its side; the server does not notice while it is at work."""
    assert store._connection is not None
    with socket.socket(fileno=os.dup(store._connection.fileno())) as client:
        client.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def commits_hang(postgres_store: PostgresStore, postgres_url: str, admin: psycopg.Connection[Any]) -> Iterator[None]:
    """Have each commit wait for a standby that is not there; it ends at the end of the test, if not before."""
    admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    admin.execute("SELECT pg_reload_conf()")
    names: Any = None
    while names != "nobody":  # until the server's main process, of which new ones are made, has read it
        with psycopg.connect(postgres_url) as connection:
            names = connection.execute("SHOW synchronous_standby_names").fetchall()[0][0]
    for _ in range(2):  # by then it has told the checkpointer, which tells all others before it makes the second
        admin.execute("CHECKPOINT")
    yield
    let_commits_go_on(admin)


def let_commits_go_on(admin: psycopg.Connection[Any]) -> None:
    admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
    admin.execute("SELECT pg_reload_conf()")


@pytest.mark.usefixtures("commits_hang")
def test_a_commit_that_is_still_under_way_is_waited_for(
    postgres_store: PostgresStore, admin: psycopg.Connection[Any]
) -> None:
    leases: list[Any] = []
    thread = threading.Thread(target=lambda: leases.append(postgres_store.begin(request(owner=this_process()))))
    thread.start()
    wait_until(admin, "wait_event = 'SyncRep'")
    cut(postgres_store)
    wait_until(admin, "query LIKE '%pg_xact_status%'")  # it asks, and is told that nobody knows yet
    assert leases == []
    let_commits_go_on(admin)
    thread.join()
    assert [lease.epoch for lease in leases] == [1]
    with pytest.raises(RunActiveError):
        postgres_store.begin(request(owner=this_process()))


@pytest.mark.usefixtures("commits_hang")
def test_nothing_is_done_again_that_may_have_been_done(
    postgres_store: PostgresStore, admin: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "RECONNECT_SECONDS", 0.2)
    failures: list[str] = []

    def begin() -> None:
        try:
            postgres_store.begin(request())
        except StoreError as error:
            failures.append(str(error))

    thread = threading.Thread(target=begin)
    thread.start()
    wait_until(admin, "wait_event = 'SyncRep'")
    cut(postgres_store)
    thread.join()
    assert len(failures) == 1
    assert "did not say what became of it" in failures[0]
    let_commits_go_on(admin)
    assert postgres_store.begin(request()).epoch == 2
