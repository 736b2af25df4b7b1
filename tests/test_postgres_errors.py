"""What errors of PostgreSQL mean, by their code and as a real server gives them; and what is said of them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from mainstem.errors import ConnectError, ConnectionLostError
from mainstem.postgres import Fault, fault_of, open_connection, postgres_errors

pytestmark = pytest.mark.extras

SECRET = "hunter2"


@pytest.fixture
def connection(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with open_connection(postgres_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def other(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with open_connection(postgres_url, autocommit=True) as opened:
        yield opened


OF_THE_DATA = """
    22001 22003 22007 22012 22021 22023 22P02 22P05 23000 23502 23503 23505 23514 23P01 27000 38000 42804 44000 54000
    54001 P0001 P0002 P0004
"""
OF_THE_CONNECTION = """
    08000 08003 08006 08007 25006 25P03 25P04 40001 40003 40P01 53000 53200 53300 55P03 57014 57P01 57P02 57P03 57P05
    58030 XX000
"""
OF_THE_REQUEST = """
    0A000 21000 25001 28000 28P01 3D000 3F000 42501 42601 42703 42P01 42P07 428C9 53100 53400 54011 55006 57P04 F0000
"""


def error_of(state: str) -> psycopg.Error:
    kind: type[psycopg.Error] = type("Raised", (psycopg.DatabaseError,), {"sqlstate": state})
    return kind()


@pytest.mark.parametrize(
    ("states", "fault"),
    [
        (OF_THE_DATA, Fault.DATA),
        (OF_THE_CONNECTION, Fault.CONNECTION),
        (OF_THE_REQUEST, Fault.REQUEST),
        ("U0001 MY123 99999", Fault.DATA),  # codes that only a user's trigger can have made up
    ],
    ids=["data", "connection", "request", "made up"],
)
def test_a_code_tells_whose_fault_an_error_is(states: str, fault: Fault) -> None:
    found = {
        state: fault_of(type("Raised", (psycopg.DatabaseError,), {"sqlstate": state})()) for state in states.split()
    }
    assert found == dict.fromkeys(found, fault)


def test_every_code_that_the_driver_knows_is_of_a_class_that_is_known() -> None:
    kinds = [
        each for each in vars(psycopg.errors).values() if isinstance(each, type) and issubclass(each, psycopg.Error)
    ]
    codes = {kind.sqlstate for kind in kinds if kind.sqlstate}
    assert len(codes) > 200
    of_the_data = {code[:2] for code in codes if fault_of(error_of(code)) is Fault.DATA}
    assert of_the_data == {"09", "22", "23", "27", "38", "42", "44", "54", "P0"}


def test_an_error_without_a_code_is_of_the_connection() -> None:
    assert fault_of(psycopg.OperationalError("the connection is closed")) is Fault.CONNECTION
    assert fault_of(psycopg.ProgrammingError("no result")) is Fault.REQUEST


TABLE = """
    CREATE TABLE t (id int PRIMARY KEY, small smallint NOT NULL DEFAULT 1 CHECK (small <> 13), data jsonb);
    INSERT INTO t (id) VALUES (1);
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF new.small = 7 THEN RAISE EXCEPTION 'seven' USING ERRCODE = 'U0007'; END IF;
            IF new.small = 8 THEN RAISE EXCEPTION 'eight'; END IF;
            RETURN new;
        END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse();
"""


@pytest.mark.parametrize(
    "values",
    [
        *["1, 1, NULL", "2, NULL, NULL", "2, 13, NULL", "2, 99999, NULL", "2, 7, NULL", "2, 8, NULL", "2, 1, 'x'"],
        *["2, 1, '\"\\u0000\"'", f"2, 1, '{'[' * 100_000}'"],
    ],
    ids=lambda values: values[:20],
)
def test_what_a_record_is_refused_for_is_left_as_it_is(connection: Any, postgres_url: str, values: str) -> None:
    connection.execute(TABLE)
    with pytest.raises(psycopg.Error) as caught, postgres_errors(postgres_url):
        connection.execute(f"INSERT INTO t VALUES ({values})")
    assert fault_of(caught.value) is Fault.DATA


def wait_too_long(connection: Any, other: Any) -> None:
    connection.execute("SET statement_timeout = '20ms'")
    connection.execute("SELECT pg_sleep(20)")


def wait_for_a_lock(connection: Any, other: Any) -> None:
    other.execute("BEGIN; LOCK TABLE t")
    connection.execute("SET lock_timeout = '20ms'")
    connection.execute("SELECT * FROM t")


def write_where_only_reading_is_allowed(connection: Any, other: Any) -> None:
    connection.execute("SET default_transaction_read_only = on")
    connection.execute("INSERT INTO t VALUES (2)")


def have_the_session_ended(connection: Any, other: Any) -> None:
    other.execute("SELECT pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))
    connection.execute("SELECT 1")


def be_cut(connection: Any, other: Any) -> None:
    with socket.socket(fileno=connection.fileno()) as client:
        client.shutdown(socket.SHUT_RDWR)
        client.detach()
    connection.execute("SELECT 1")


def idle_within_a_transaction(connection: Any, other: Any) -> None:
    connection.execute("SET idle_in_transaction_session_timeout = '20ms'")
    connection.execute("BEGIN")
    other.execute("SELECT pg_sleep(0.5)")
    connection.execute("SELECT 1")


def use_a_closed_connection(connection: Any, other: Any) -> None:
    connection.close()
    connection.execute("SELECT 1")


def run_into_one_another(connection: Any, other: Any) -> None:
    connection.execute("INSERT INTO t VALUES (2)")
    for each in (connection, other):
        each.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        each.execute("SELECT * FROM t")
    other.execute("UPDATE t SET small = 3")
    other.execute("COMMIT")
    connection.execute("UPDATE t SET small = 4")


def wait_for_one_another(connection: Any, other: Any) -> None:
    connection.execute("INSERT INTO t VALUES (2)")
    errors: list[psycopg.Error] = []

    def update(each: Any, number: int) -> None:
        try:
            each.execute("UPDATE t SET small = 5 WHERE id = %s", (number,))
        except psycopg.Error as error:
            errors.append(error)
        each.execute("ROLLBACK")

    for each, own in ((connection, 1), (other, 2)):
        each.execute("BEGIN")
        each.execute("UPDATE t SET small = 4 WHERE id = %s", (own,))
    threads = [threading.Thread(target=update, args=each) for each in ((connection, 2), (other, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (error,) = errors  # of one of them, and the other went on
    raise error


@pytest.mark.parametrize(
    ("deed", "code"),
    [
        (wait_too_long, "57014"),
        (wait_for_a_lock, "55P03"),
        (write_where_only_reading_is_allowed, "25006"),
        (have_the_session_ended, "57P01"),
        (be_cut, None),
        (idle_within_a_transaction, "25P03"),
        (use_a_closed_connection, None),
        (run_into_one_another, "40001"),
        (wait_for_one_another, "40P01"),
    ],
    ids=lambda each: getattr(each, "__name__", str(each)),
)
def test_what_may_succeed_later_is_a_lost_connection(
    connection: Any, other: Any, postgres_url: str, deed: Callable[[Any, Any], None], code: str | None
) -> None:
    connection.execute(TABLE)
    with pytest.raises(ConnectionLostError, match="postgresql://") as caught, postgres_errors(postgres_url):
        deed(connection, other)
    assert isinstance(caught.value.__cause__, psycopg.Error)
    assert caught.value.__cause__.sqlstate == code


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("SELECT * FROM nowhere", 'relation "nowhere" does not exist'),
        ("SELEKT", "syntax error"),
        ("CREATE TABLE nowhere.t (id int)", "there is no such schema: create it"),
        ("SET ROLE pg_monitor; CREATE SCHEMA mine", "grant the right to the user"),
    ],
)
def test_what_cannot_be_done_says_so(connection: Any, postgres_url: str, statement: str, words: str) -> None:
    with pytest.raises(ConnectError, match=words) as caught, postgres_errors(postgres_url):
        connection.execute(statement)
    assert type(caught.value) is ConnectError
