"""``SqlSource`` with a key: in its order, and gone on with after any value of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connect.reading import errors_in, failure_of, read, read_chunks, records_of

from mainstem import ConnectError, PipelineContext
from mainstem.connect import SqlSource


def make_table(path: Path, columns: str, rows: Sequence[Sequence[Any]]) -> str:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE t ({columns})")
        for row in rows:
            connection.execute(f"INSERT INTO t VALUES ({', '.join('?' * len(row))})", row)
        connection.commit()
    return f"sqlite:///{path}"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return make_table(tmp_path / "r.db", "id INTEGER PRIMARY KEY, name", [(5, "e"), (3, "c"), (9, "i"), (7, "g")])


def test_rows_come_in_the_order_of_the_key(url: str) -> None:
    found = read(SqlSource(url, "SELECT name, id FROM t ORDER BY name DESC; ", key="id"))
    assert found == [{"name": name, "id": at} for name, at in [("c", 3), ("e", 5), ("g", 7), ("i", 9)]]


NUMBERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
KEYS: dict[str, st.SearchStrategy[Any]] = {
    "INTEGER": st.integers(-(2**63), 2**63 - 1),
    "REAL": st.floats(allow_nan=False, allow_infinity=False),
    "TEXT": st.text(st.characters(codec="utf-8"), max_size=4),
    "TEXT COLLATE NOCASE": st.sampled_from(["a", "A", "b", "B", "Ab", "aB", "", " ", "ß", "\U0001f600"]),
    "BLOB": st.binary(max_size=3),
    "": st.one_of(NUMBERS),
    "NUMERIC": NUMBERS,
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[tuple[Any, ...]]]:
    kinds = draw(st.lists(st.sampled_from(list(KEYS)), min_size=1, max_size=3))
    rows = draw(st.lists(st.tuples(*(KEYS[kind] for kind in kinds)), max_size=9, unique=True))
    return kinds, rows


async def check_every_cut(source: SqlSource[Any], chunk_size: int) -> list[Any]:
    whole = records_of(await read_chunks(source))
    seen = 0
    for chunk in await read_chunks(source, chunk_size=chunk_size):
        seen += len(chunk.records)
        position = json.loads(json.dumps(chunk.position, allow_nan=False))
        assert position["row"] == seen
        rest = await read_chunks(source, start=position, chunk_size=2)
        assert records_of(rest) == whole[seen:]
        assert [each.position["row"] for each in rest] == [*range(seen + 2, len(whole), 2), len(whole)][: len(rest)]
    assert seen == len(whole)
    return whole


@settings(deadline=None)
@given(table=tables(), chunk_size=st.integers(1, 4), named=st.booleans())
def test_it_is_gone_on_with_after_any_value_of_any_key(
    tmp_path_factory: pytest.TempPathFactory,
    table: tuple[list[str], list[tuple[Any, ...]]],
    chunk_size: int,
    named: bool,
) -> None:
    kinds, rows = table
    names = [f"k{at}" for at in range(len(kinds))]
    path = tmp_path_factory.mktemp("keys") / "r.db"
    url = make_table(path, ", ".join(f"{name} {kind}" for name, kind in zip(names, kinds, strict=True)), rows)
    query = f"SELECT *, {':one' if named else '?'} AS one FROM t -- a comment"
    parameters: Any = {"one": 1} if named else [1]
    with closing(sqlite3.connect(path)) as connection:
        stored = connection.execute(f"SELECT {', '.join(names)} FROM t").fetchall()
    if len(set(stored)) < len(stored):  # 1 and 1.0, say
        return
    source = SqlSource(url, query, parameters=parameters, key=names)
    whole = anyio.run(check_every_cut, source, chunk_size)
    assert [tuple(record[name] for name in names) for record in whole] == sorted(stored, key=binary_order)
    assert all(record["one"] == 1 for record in whole)


def binary_order(row: tuple[Any, ...]) -> list[Any]:
    return [value.encode() if isinstance(value, str) else value for value in row]


@pytest.mark.anyio
async def test_what_was_added_behind_is_read_and_what_was_removed_is_not_missed(url: str, tmp_path: Path) -> None:
    source = SqlSource(url, "SELECT id FROM t", key=["id"])
    position = (await read_chunks(source, chunk_size=2))[0].position
    assert position == {"row": 2, "key": [5]}
    with closing(sqlite3.connect(tmp_path / "r.db", isolation_level=None)) as connection:
        connection.execute("DELETE FROM t WHERE id IN (5, 7)")
        connection.execute("INSERT INTO t VALUES (1, ''), (6, '')")
    assert [record["id"] for record in records_of(await read_chunks(source, start=position))] == [6, 9]


@pytest.mark.anyio
async def test_rows_before_the_position_are_not_looked_at(tmp_path: Path) -> None:
    """A hundred thousand rows come before; to pass over them would take as many steps of SQLite's machine, and more."""
    path = tmp_path / "r.db"
    make_table(path, "id INTEGER PRIMARY KEY, name", [(at, "") for at in range(100_000)])
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    connect = sqlite3.connect

    def connect_and_count(*given: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*given, **options)
        connection.set_progress_handler(count, 10)
        return connection

    source = SqlSource(f"sqlite:///{path}", "SELECT id FROM t", key="id")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect_and_count)
        chunks = await read_chunks(source, start={"row": 99_990, "key": [99_989]})
    assert len(records_of(chunks)) == 10
    assert steps < 50


@pytest.mark.parametrize(
    ("column", "values", "problem"),
    [
        ("TEXT", ["a", None], "'k', which is to be the key, is NULL in a row from row 0 on"),
        ("", [1, "a"], "is of more than one type (number and text)"),
        ("", ["a", b"a"], "is of more than one type (bytes and text)"),
        ("REAL", [1.0, float("inf")], "is infinite"),
        ("INTEGER", [1, 2, 2, 3], "more than one row has the key (2,) in 'k'"),
        ("TEXT", ["a", "a"], "more than one row has the key ('a',) in 'k'"),
    ],
)
@pytest.mark.parametrize("chunk_size", [1, 2, 10])
@pytest.mark.anyio
async def test_a_key_that_cannot_say_where_to_go_on_is_an_error(
    tmp_path: Path, column: str, values: list[Any], problem: str, chunk_size: int
) -> None:
    url = make_table(tmp_path / "r.db", f"k {column}", [(value,) for value in values])
    with pytest.raises(ConnectError) as caught:
        await read_chunks(SqlSource(url, "SELECT k FROM t", key="k"), chunk_size=chunk_size)
    assert str(caught.value).startswith(f"{url}: ")
    assert problem in str(caught.value)


@pytest.mark.anyio
async def test_a_row_with_the_same_key_as_the_last_is_not_left_out_by_going_on(tmp_path: Path) -> None:
    url = make_table(tmp_path / "r.db", "a, b", [(1, 1), (1, 2), (2, 2), (2, 2)])
    source = SqlSource(url, "SELECT a, b FROM t", key=["a", "b"])
    rest = await read_chunks(SqlSource(url, "SELECT a, b FROM t WHERE rowid < 4", key=["a", "b"]), chunk_size=3)
    with pytest.raises(ConnectError, match=r"more than one row has the key \(2, 2\) in 'a', 'b'"):
        await read_chunks(source, start=rest[-1].position)


@pytest.mark.anyio
async def test_damaged_rows_have_their_place_in_the_order(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    url = make_table(path, "k, b", [(at, "x") for at in range(8)])
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE t SET b = CAST(x'ff' AS TEXT) WHERE k IN (0, 3, 4, 7)")
    source = SqlSource(url, "SELECT k, b FROM t", key="k", continue_on_error=True)
    for chunk_size in (1, 2, 3, 100):
        context = PipelineContext()
        chunks = await read_chunks(source, chunk_size=chunk_size, context=context)
        assert [record["k"] for record in records_of(chunks)] == [1, 2, 5, 6]
        assert [(index, record) for index, record, _ in errors_in(context)] == [
            (at, {"k": at, "b": b"\xff"}) for at in (0, 3, 4, 7)
        ]
        for chunk in chunks:
            rest = PipelineContext()
            found = records_of(await read_chunks(source, start=chunk.position, context=rest))
            assert [record["k"] for record in found] == [at for at in (1, 2, 5, 6) if at >= chunk.position["row"]]
            assert [entry.index for entry in rest.errors] == [at for at in (0, 3, 4, 7) if at >= chunk.position["row"]]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE t SET k = CAST(x'ff' AS TEXT) WHERE k = 7")
    with pytest.raises(ConnectError, match="'k', which is to be the key, is a text that is not in the database's enc"):
        await read_chunks(source)


@pytest.mark.anyio
async def test_values_of_the_key_are_bound_and_never_part_of_the_statement(tmp_path: Path) -> None:
    url = make_table(tmp_path / "r.db", "k TEXT", [("a",), ("'); DROP TABLE t; --",), ("z",)])
    source = SqlSource(url, "SELECT k FROM t WHERE k <> :mainstem_key0", parameters={"mainstem_key0": "z"}, key="k")
    first = (await read_chunks(source, chunk_size=1))[0]
    assert first.records == [{"k": "'); DROP TABLE t; --"}]
    assert records_of(await read_chunks(source, start=first.position)) == [{"k": "a"}]


@pytest.mark.parametrize("name", ['a"b', "select", "ü", "a b", "'", "x;--"])
def test_any_column_can_be_the_key(tmp_path: Path, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    url = make_table(tmp_path / "r.db", quoted, [(2,), (1,)])
    source = SqlSource(url, f"SELECT {quoted} FROM t", key=name)
    assert anyio.run(check_every_cut, source, 1) == [{name: 1}, {name: 2}]


@pytest.mark.parametrize(
    ("query", "key", "problem"),
    [
        ("SELECT id, name AS ID FROM t", "id", "names column 'ID' more than once: rename one with AS"),
        ("SELECT id FROM t", "absent", "no such column: query.absent"),
        ("SELECT id FROM t", "ID", "the query has no column 'ID', which is to be its key; its columns are 'id'"),
        ("PRAGMA table_info(t)", "id", "syntax error"),
        ("SELECT id, id FROM t", "id", "names column 'id' more than once: rename one with AS"),
        ("DELETE FROM t RETURNING id", "id", "syntax error"),
    ],
)
def test_a_query_that_the_key_does_not_fit_is_an_error(url: str, query: str, key: str, problem: str) -> None:
    error = failure_of(SqlSource(url, query, key=key))
    assert isinstance(error, ConnectError)
    assert problem in str(error)


@pytest.mark.parametrize("key", ["", ["a", ""], "a\0", ["a", "a"], [5]])
def test_what_can_be_no_key_is_refused_at_construction(key: Any) -> None:
    with pytest.raises(ValueError, match="key"):
        SqlSource("sqlite://", "SELECT 1 AS a", key=key)


NO_POSITIONS: list[Any] = [
    {"row": 5},
    {"row": 1, "key": 5},
    {"row": 1, "key": [1, 2]},
    {"row": 1, "key": [{}]},
    {"row": 1, "key": [{"bytes": "x"}]},
    {"key": [1]},
]


@pytest.mark.anyio
@pytest.mark.parametrize("start", NO_POSITIONS)
async def test_what_is_no_position_is_refused(url: str, start: Any) -> None:
    with pytest.raises(ConnectError, match="no position"):
        await read_chunks(SqlSource(url, "SELECT id FROM t", key="id"), start=start)


@pytest.mark.anyio
async def test_a_position_of_a_key_is_none_without_it(url: str) -> None:
    position = (await read_chunks(SqlSource(url, "SELECT id FROM t", key="id"), chunk_size=1))[0].position
    with pytest.raises(ConnectError, match="give key="):
        await read_chunks(SqlSource(url, "SELECT id FROM t"), start=position)
    beginning = {"row": 0}
    assert len(records_of(await read_chunks(SqlSource(url, "SELECT id FROM t", key="id"), start=beginning))) == 4
