"""Connections to PostgreSQL: how they are opened, and what is said if they are not, without a password in it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import psycopg
import pytest
from tests.postgres_server import WITH_PASSWORD, PostgresServer

from mainstem.errors import ConnectError, ConnectionLostError
from mainstem.postgres import open_connection

pytestmark = pytest.mark.extras

SECRET = "hunter2"


@pytest.fixture
def password_url(postgres_server: PostgresServer, postgres_url: str) -> Iterator[str]:
    """The URL of a user who has a password."""
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {WITH_PASSWORD} LOGIN PASSWORD '{SECRET}'")
        yield postgres_url.replace("postgres@", f"{WITH_PASSWORD}:{SECRET}@")
        admin.execute(f"DROP ROLE {WITH_PASSWORD}")


def test_a_connection_is_opened_with_a_password(password_url: str) -> None:
    with open_connection(password_url) as opened:
        assert opened.execute("SELECT current_user").fetchall() == [(WITH_PASSWORD,)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda url: url.replace(SECRET, "hunter3"),
            "password authentication failed .*: check the user and the password",
        ),
        (lambda url: url.replace(f":{SECRET}", ""), "no password supplied: check the user and the password"),
        (
            lambda url: url.replace(f"{WITH_PASSWORD}:{SECRET}", "nobody"),
            'role "nobody" does not exist: check the user',
        ),
        (lambda url: url.replace(f"{WITH_PASSWORD}:{SECRET}", "pg_monitor"), "not permitted to log in: check the user"),
        (lambda url: f"{url}x", "there is no such database"),
        (lambda url: f"{url}?sslmode=require", "check sslmode"),
        (lambda url: f"{url}?options=-cnonsense%3D1", "check the URL"),
        (lambda url: f"{url}?sslmode=nonsense", "check the URL"),
    ],
)
def test_a_server_that_refuses_is_not_asked_again(password_url: str, change: Callable[[str], str], words: str) -> None:
    with pytest.raises(ConnectError, match=words) as caught:
        open_connection(change(password_url))
    assert type(caught.value) is ConnectError
    assert "hunter" not in str(caught.value)


def test_a_user_without_the_right_to_connect_is_told_so(postgres_server: PostgresServer, password_url: str) -> None:
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as admin:
        admin.execute(f"REVOKE CONNECT ON DATABASE {password_url.rpartition('/')[2]} FROM public")
    with pytest.raises(ConnectError, match=r"permission denied for database .*: grant the right") as caught:
        open_connection(password_url)
    assert type(caught.value) is ConnectError


def test_a_server_with_too_many_connections_may_take_one_later(
    postgres_server: PostgresServer, password_url: str
) -> None:
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as admin:
        admin.execute(f"ALTER ROLE {WITH_PASSWORD} CONNECTION LIMIT 0")
    with pytest.raises(ConnectionLostError, match="too many connections"):
        open_connection(password_url)


def test_a_server_that_is_not_there_may_come_back() -> None:
    with pytest.raises(ConnectionLostError, match="Connection refused"):
        open_connection(f"postgresql://me:{SECRET}@127.0.0.1:1/shop")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2/x@127.0.0.1:1/shop",
        "postgresql://me:12/hunter2@127.0.0.1:1/shop",
        "postgresql://me:hunter2#x@127.0.0.1:1/shop",
        "postgresql://me:x#hunter2@127.0.0.1:1/shop",
        "postgresql://me:x@hunter2@127.0.0.1:1/shop",
        "postgresql://me:hunter2?x@127.0.0.1:1/shop",
        "postgresql://me:x?hunter2=x@127.0.0.1:1/shop",
        "postgresql://me:hunter2%zz@127.0.0.1:1/shop",
        "postgresql://me:hunter2 x@127.0.0.1:1/shop",
        "postgresql://me:hunter2[@127.0.0.1:x/shop",
        "host=127.0.0.1 port=1 password=hunter2",
        "mysql://me:hunter2@127.0.0.1/shop",
    ],
)
def test_a_url_that_cannot_be_read_is_not_quoted(url: str) -> None:
    with pytest.raises(ConnectError, match=r"user:password@host:port/database; .* are written %40") as caught:
        open_connection(url)
    shown: BaseException | None = caught.value
    while shown is not None and not shown.__suppress_context__:
        assert SECRET not in str(shown)
        shown = shown.__cause__
    assert shown is None or SECRET not in str(shown)


def test_a_wrong_name_after_the_address_is_quoted() -> None:
    with pytest.raises(ConnectError, match='invalid URI query parameter: "nonsense"'):
        open_connection(f"postgresql://me:{SECRET}@127.0.0.1:1/shop?nonsense=1")


def test_a_server_that_goes_away_without_a_word_is_noticed(postgres_url: str) -> None:
    with open_connection(postgres_url) as opened, socket.socket(fileno=opened.fileno()) as client:
        kept = [
            client.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
        ]
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        client.detach()
    assert kept == [10, 5, 3, 25_000]


def test_what_the_url_says_counts(postgres_url: str) -> None:
    url = f"{postgres_url}?application_name=mine&keepalives_idle=77"
    with open_connection(url) as opened, socket.socket(fileno=opened.fileno()) as client:
        assert opened.execute("SHOW application_name").fetchall() == [("mine",)]
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 77
        client.detach()
    with open_connection(postgres_url) as opened:
        assert opened.execute("SHOW application_name").fetchall() == [("mainstem",)]
