"""Values of Arrow come to Python unchanged, or are refused."""

from __future__ import annotations

import json
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connect.reading import failure_of, read, read_chunks, read_with_errors, records_of

from mainstem import ConnectError
from mainstem.connect.arrow_source import ArrowSource
from mainstem.connect.arrow_values import RowMaker, python_type
from mainstem.connect.parquet_source import ParquetSource

pytestmark = pytest.mark.extras

DAYS = st.dates()
MOMENTS = st.datetimes()
UTC_MOMENTS = st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)).map(
    lambda moment: moment.replace(tzinfo=timezone.utc)
)
SPANS = st.timedeltas(min_value=timedelta(days=-100_000_000), max_value=timedelta(days=100_000_000))
DIGITS = st.decimals(min_value=-(10**20), max_value=10**20, places=6, allow_nan=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def whole(unit: timedelta, values: st.SearchStrategy[Any], origin: Any) -> st.SearchStrategy[Any]:
    return values.map(lambda value: origin + (value - origin) // unit * unit)


BERLIN = ZoneInfo("Europe/Berlin")
PLAIN: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    *[(getattr(pa, f"int{bits}")(), st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)) for bits in (8, 16, 32, 64)],
    *[(getattr(pa, f"uint{bits}")(), st.integers(0, 2**bits - 1)) for bits in (8, 16, 32, 64)],
    (pa.float16(), st.floats(width=16, allow_nan=False)),
    (pa.float32(), st.floats(width=32, allow_nan=False)),
    (pa.float64(), st.floats(allow_nan=False)),
    (pa.decimal128(38, 6), DIGITS),
    (pa.decimal256(60, 6), DIGITS),
    *[(kind, TEXTS) for kind in (pa.string(), pa.large_string(), pa.string_view())],
    *[(kind, st.binary()) for kind in (pa.binary(), pa.large_binary(), pa.binary_view())],
    (pa.binary(4), st.binary(min_size=4, max_size=4)),
    (pa.date32(), DAYS),
    (pa.date64(), DAYS),
    (pa.time32("s"), st.times().map(lambda value: value.replace(microsecond=0))),
    (pa.time32("ms"), st.times().map(lambda value: value.replace(microsecond=value.microsecond // 1000 * 1000))),
    (pa.time64("us"), st.times()),
    (pa.time64("ns"), st.times()),
    (pa.timestamp("s"), MOMENTS.map(lambda value: value.replace(microsecond=0))),
    (pa.timestamp("us"), MOMENTS),
    (pa.timestamp("ns"), st.datetimes(min_value=datetime(1678, 1, 1), max_value=datetime(2262, 1, 1))),
    (pa.timestamp("us", tz="UTC"), UTC_MOMENTS),
    (pa.timestamp("us", tz="Europe/Berlin"), UTC_MOMENTS.map(lambda moment: moment.astimezone(BERLIN))),
    (pa.timestamp("us", tz="+05:30"), UTC_MOMENTS),
    (pa.duration("us"), SPANS),
    (pa.duration("s"), SPANS.map(lambda value: timedelta(seconds=value // timedelta(seconds=1)))),
    (pa.duration("ns"), st.timedeltas(min_value=timedelta(days=-100_000), max_value=timedelta(days=100_000))),
    (pa.uuid(), st.uuids()),
    (pa.dictionary(pa.int32(), pa.string()), TEXTS),
    (pa.null(), st.none()),
]


@st.composite
def columns(draw: st.DrawFn, depth: int = 2) -> tuple[pa.DataType, st.SearchStrategy[Any]]:
    kind, values = draw(st.sampled_from(PLAIN))
    form = draw(st.sampled_from(["plain", "list", "large list", "struct", "map"])) if depth else "plain"
    if form == "plain" or isinstance(kind, (pa.ExtensionType, pa.UuidType)):
        return kind, values
    inner, values = draw(columns(depth - 1))
    if isinstance(inner, (pa.UuidType, pa.DictionaryType)):
        return inner, values
    values = st.none() | values
    if form == "struct":
        return pa.struct([("a", inner), ("b", pa.int8())]), st.fixed_dictionaries({"a": values, "b": st.just(1)})
    if form == "map":
        return pa.map_(pa.string(), inner), st.lists(st.tuples(st.text("ab", max_size=2), values), max_size=3)
    return (pa.list_ if form == "list" else pa.large_list)(inner), st.lists(values, max_size=3)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_values_come_back_as_they_were(data: st.DataObject) -> None:
    kind, values = data.draw(columns())
    given_values = data.draw(st.lists(st.none() | values, min_size=1, max_size=5))
    array = pa.array(given_values, kind)
    batch = pa.RecordBatch.from_arrays([array], ["x"])
    rows, failures = RowMaker(batch.schema, "r").rows(batch)
    assert failures == []
    assert [row["x"] for row in rows] == given_values
    assert [shape(row["x"]) for row in rows] == [shape(value) for value in given_values]


def shape(value: Any) -> Any:
    """What ``==`` does not look at: the types, the digits of a decimal, the moment where a clock is set back."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [shape(each) for each in value]
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.timestamp()
    return type(value), str(value) if isinstance(value, (Decimal, float)) else None


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_an_hour_that_comes_twice_is_told_apart(unit: str) -> None:
    moments = [datetime(2023, 10, 29, 0, 30, tzinfo=timezone.utc), datetime(2023, 10, 29, 1, 30, tzinfo=timezone.utc)]
    batch = pa.record_batch({"t": pa.array(moments, pa.timestamp(unit, tz="Europe/Berlin"))})
    rows, _ = RowMaker(batch.schema, "r").rows(batch)
    assert [(row["t"].hour, row["t"].fold, row["t"].timestamp()) for row in rows] == [
        (2, 0, moments[0].timestamp()),
        (2, 1, moments[1].timestamp()),
    ]
    assert all(row["t"].tzinfo.key == "Europe/Berlin" for row in rows)


def raw(kind: pa.DataType, *values: int) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [None, pa.array(values, pa.int64()).buffers()[1]])


REFUSED: list[tuple[str, pa.Array, Any]] = [
    ("nanoseconds", raw(pa.timestamp("ns"), 1000, 1001), datetime(1970, 1, 1, microsecond=1)),
    ("nanoseconds in a zone", raw(pa.timestamp("ns", tz="UTC"), 0, 1), datetime(1970, 1, 1, tzinfo=timezone.utc)),
    ("nanoseconds of a day", raw(pa.time64("ns"), 0, 1), time()),
    ("nanoseconds of a duration", raw(pa.duration("ns"), 0, 1), timedelta()),
    ("a date64 that is not midnight", raw(pa.date64(), 86_400_000, 1), date(1970, 1, 2)),
    ("the year 10000", raw(pa.timestamp("s"), 253402300799, 253402300800), datetime(9999, 12, 31, 23, 59, 59)),
    ("a year before 1", raw(pa.timestamp("s"), -62135596800, -62135596801), datetime(1, 1, 1)),
    ("a year before 1 in its zone", raw(pa.timestamp("s", tz="America/New_York"), 0, -62135596800), None),
    ("a duration that is too long", raw(pa.duration("s"), 0, 2**62), timedelta()),
    ("nanoseconds in a list", pa.array([[1000], [None, 1001]], pa.list_(pa.timestamp("ns"))), None),
    ("nanoseconds in a struct", pa.array([{"a": 1000}, {"a": 1001}], pa.struct([("a", pa.timestamp("ns"))])), None),
    ("nanoseconds in a map", pa.array([[("k", 0)], [("k", 1)]], pa.map_(pa.string(), pa.timestamp("ns"))), None),
    ("nanoseconds in a dictionary", raw(pa.timestamp("ns"), 0, 1).dictionary_encode(), datetime(1970, 1, 1)),
]


@pytest.mark.parametrize(("array", "first"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_value_that_python_has_not_is_one_reject(tmp_path: Path, array: pa.Array, first: Any) -> None:
    table = pa.table({"id": pa.array([1, 2, 3]), "t": pa.concat_arrays([array, array.slice(0, 1)])})
    with pa.ipc.new_file(str(tmp_path / "r"), table.schema) as writer:
        writer.write_table(table)
    source = ArrowSource(tmp_path / "r", continue_on_error=True)
    found, errors = read_with_errors(source)
    assert [row["id"] for row in found] == [1, 3]
    if first is not None:
        assert [row["t"] for row in found] == [first, first]
    [(index, record, text)] = errors
    assert (index, record["id"]) == (1, 2)
    assert isinstance(record["t"], str)
    assert f"{tmp_path / 'r'}, row 2: column 't' has no equal in Python" in text
    assert "row 2: column 't'" in str(failure_of(ArrowSource(tmp_path / "r")))
    assert source.read_again({"id": 2, "t": None}) == {"id": 2, "t": None}


@pytest.mark.parametrize("kind", [pa.timestamp("ns"), pa.timestamp("ns", tz="UTC"), pa.time64("ns"), pa.duration("ns")])
def test_nanoseconds_are_cast_whatever_else_is_installed(kind: pa.DataType) -> None:
    """Where pandas is there, pyarrow would give values of its classes, which hold them."""
    for outer in (kind, pa.list_(kind), pa.struct([("a", kind)]), pa.map_(kind, kind), pa.dictionary(pa.int8(), kind)):
        assert "[ns" in str(outer)
        assert "[ns" not in str(python_type(pa, outer))


NO_EQUALS: list[tuple[str, pa.Array]] = [
    ("interval", pa.array([(1, 2, 3)], pa.month_day_nano_interval())),
    ("union", pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])),
    ("run-end encoded", pa.RunEndEncodedArray.from_arrays([1], ["a"])),
    ("a name twice", pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])),
    ("unknown zone", raw(pa.timestamp("s", tz="Nowhere/At_All"), 0)),
    ("inside a list", pa.array([[(1, 2, 3)]], pa.list_(pa.month_day_nano_interval()))),
    ("extension", pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1], pa.int8()))),
]


@pytest.mark.parametrize("array", [case[1] for case in NO_EQUALS], ids=[case[0] for case in NO_EQUALS])
def test_a_column_that_python_has_not_is_refused_unless_it_is_left_out(tmp_path: Path, array: pa.Array) -> None:
    table = pa.table({"id": pa.array([1]), "x": array})
    with pa.ipc.new_stream(str(tmp_path / "r"), table.schema) as writer:
        writer.write_table(table)
    error = failure_of(ArrowSource(tmp_path / "r"))
    assert isinstance(error, ConnectError)
    assert "the column 'x' is of the type" in str(error)
    assert "leave it out with columns" in str(error)
    assert read(ArrowSource(tmp_path / "r", columns=["id"])) == [{"id": 1}]


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    with pa.ipc.new_file(str(tmp_path / "r"), table.schema) as writer:
        writer.write_table(table)
    assert "more than one column 'a'" in str(failure_of(ArrowSource(tmp_path / "r")))


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {"a": st.none() | st.integers(-9, 9), "b": st.none() | TEXTS, "c": st.none() | UTC_MOMENTS}
        ),
        max_size=30,
    ),
    group=st.integers(1, 7),
    chunk_size=st.integers(1, 9),
)
def test_files_come_back_as_they_were_and_are_gone_on_with_at_every_cut(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], group: int, chunk_size: int
) -> None:
    folder = tmp_path_factory.mktemp("cuts")
    schema = pa.schema([("a", pa.int64()), ("b", pa.string()), ("c", pa.timestamp("us", tz="UTC"))])
    table = pa.Table.from_pylist(rows, schema=schema)
    pq.write_table(table, folder / "r.parquet", row_group_size=group)
    for name, make in (("r.arrow", pa.ipc.new_file), ("r.arrows", pa.ipc.new_stream)):
        with make(str(folder / name), schema) as writer:
            writer.write_table(table, max_chunksize=group)
    for source in (
        ParquetSource(folder / "r.parquet"),
        ArrowSource(folder / "r.arrow"),
        ArrowSource(folder / "r.arrows"),
    ):
        anyio.run(check_cuts, source, rows, chunk_size)


async def check_cuts(source: Any, rows: list[dict[str, Any]], chunk_size: int) -> None:
    seen = 0
    for chunk in await read_chunks(source, chunk_size=chunk_size):
        assert chunk.records == rows[seen : seen + chunk_size]
        seen += len(chunk.records)
        position = json.loads(json.dumps(chunk.position))
        assert records_of(await read_chunks(source, start=position, chunk_size=2)) == rows[seen:]
    assert seen == len(rows)


def test_uuids_and_json_in_a_file(tmp_path: Path) -> None:
    number = uuid.uuid4()
    table = pa.table({"u": pa.array([number.bytes], pa.uuid()), "j": pa.array(["{}"], pa.json_())})
    pq.write_table(table, tmp_path / "r.parquet", store_schema=True)
    assert read(ParquetSource(tmp_path / "r.parquet")) == [{"u": number, "j": "{}"}]
