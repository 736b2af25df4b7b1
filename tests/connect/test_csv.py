"""``CsvSource``."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tracemalloc
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TypedDict

import anyio
import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connect.reading import errors_in, failure_of, read, read_chunks, read_with_errors, records_of

from mainstem import ConnectError, MapStage, PipelineContext, StageTypeError, ValidationError
from mainstem.connect import CsvSource


def write(folder: Path, content: str | bytes, name: str = "r.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@dataclass
class Person:
    name: str
    age: int
    born: date | None = None
    note: str | None = None


class PersonDict(TypedDict):
    name: str
    age: int


class PersonStruct(msgspec.Struct, rename={"age": "Age"}):
    name: str
    age: int | None = None


class PersonModel(pydantic.BaseModel):
    name: str
    age: Annotated[int | None, pydantic.Field(alias="Age")] = None


# What it reads


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\n1,2\n", [{"a": "1", "b": "2"}]),
        ("a,b\n1,2", [{"a": "1", "b": "2"}]),
        ("a,b\r\n1,2\r\n", [{"a": "1", "b": "2"}]),
        ("\ufeffa,b\n1,2\n", [{"a": "1", "b": "2"}]),
        ('a,b\n"1\n\n1","2 ""x"""\n', [{"a": "1\n\n1", "b": '2 "x"'}]),
        ('a,b\n"1\r\n\r1",2\n', [{"a": "1\r\n\r1", "b": "2"}]),
        ('"a\nb",c\n1,2\n', [{"a\nb": "1", "c": "2"}]),
        ("\n\r\na,b\n\n1,2\n\n\n3,4\n\n", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
        ("a,b\n,\n", [{"a": "", "b": ""}]),
        ('a\n""\n\nx\n', [{"a": ""}, {"a": "x"}]),
        ("a,b\n 1 , 2\n", [{"a": " 1 ", "b": " 2"}]),
        ('a,b\n5" pipe,2\n', [{"a": '5" pipe', "b": "2"}]),
        ("a,b\n\u2028,\x85\x0b\x1c\n", [{"a": "\u2028", "b": "\x85\x0b\x1c"}]),
        ("a,b\n", []),
        ("a,b", []),
        ("", []),
        ("\n\n", []),
    ],
)
def test_what_a_file_holds(tmp_path: Path, content: str, expected: list[dict[str, str]]) -> None:
    assert read(CsvSource(write(tmp_path, content))) == expected


@pytest.mark.anyio
async def test_positions_count_the_byte_order_mark(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeffa,b\n1,2\n3,4\n")
    chunks = await read_chunks(CsvSource(path), chunk_size=1)
    assert [chunk.position["byte"] for chunk in chunks] == [11, 15]
    assert records_of(await read_chunks(CsvSource(path), start=chunks[0].position)) == [{"a": "3", "b": "4"}]


def test_a_byte_order_mark_within_the_file_is_kept(tmp_path: Path) -> None:
    assert read(CsvSource(write(tmp_path, "a\n\ufeffx\n"))) == [{"a": "\ufeffx"}]


def test_other_delimiters_and_encodings(tmp_path: Path) -> None:
    path = write(tmp_path, "a;b\nä,ö;€\n".encode("cp1252"))
    assert read(CsvSource(path, delimiter=";", encoding="cp1252")) == [{"a": "ä,ö", "b": "€"}]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "UTF_8_SIG", "utf-8", "latin-1", "shift_jis", "big5", "gb18030"])
def test_encodings_in_which_line_breaks_are_as_in_ascii_are_taken(tmp_path: Path, encoding: str) -> None:
    assert read(CsvSource(write(tmp_path, "a\nx\n"), encoding=encoding)) == [{"a": "x"}]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "cp037"])
def test_encodings_with_line_breaks_of_their_own_are_refused(encoding: str) -> None:
    with pytest.raises(ValueError, match="convert the file to UTF-8"):
        CsvSource("r.csv", encoding=encoding)


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(LookupError):
        CsvSource("r.csv", encoding="klingon")


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n", "\r", "é"])
def test_a_wrong_delimiter_is_refused(delimiter: str) -> None:
    with pytest.raises((TypeError, ValueError), match="delimiter"):
        CsvSource("r.csv", delimiter=delimiter)


def test_utf_16_is_named(tmp_path: Path) -> None:
    assert "iconv" in str(failure_of(CsvSource(write(tmp_path, "a,b\n1,2\n".encode("utf-16")))))


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    assert read(CsvSource(write(tmp_path, gzip.compress(b"a\n1\n"), "packed.csv"))) == [{"a": "1"}]
    assert read(CsvSource(write(tmp_path, b"a\n1\n", "unpacked.csv.gz"))) == [{"a": "1"}]
    assert read(CsvSource(write(tmp_path, gzip.compress(b"a\n1\n") + gzip.compress(b"2\n")))) == [
        {"a": "1"},
        {"a": "2"},
    ]


@pytest.mark.parametrize("cut", [5, 30, -4])
def test_a_damaged_gzip_file_is_named(tmp_path: Path, cut: int) -> None:
    content = gzip.compress("".join(f"{number},x\n" for number in range(5000)).encode())
    path = write(tmp_path, content[:cut], "r.csv.gz")
    assert f"{path}: its gzip data is damaged" in str(failure_of(CsvSource(path)))


def test_a_device_can_be_read_from(tmp_path: Path) -> None:
    assert read(CsvSource("/dev/null")) == []


def test_a_path_with_nul_is_an_error_of_the_run(tmp_path: Path) -> None:
    assert isinstance(failure_of(CsvSource(f"{tmp_path}/a\0b")), ConnectError)


# What it refuses


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a,,c\n", "line 1: column 2 of the header has no name"),
        ("a,b,a,b\n", "line 1: the header names column 'a' more than once"),
        ("\n\na,a\n", "line 3: the header"),
        (b"a,\xff\n", "line 1: byte 0xff is not valid utf-8"),
        ("a,b\0\n", "line 1: the row has a NUL"),
        ('a,"b\n1,2\n', "line 1: a quote of this row is never closed, and the rest of the file (2 lines)"),
    ],
)
def test_a_wrong_header_fails_even_where_rejects_go_on(tmp_path: Path, content: str | bytes, problem: str) -> None:
    path = write(tmp_path, content)
    error = failure_of(CsvSource(path, continue_on_error=True))
    assert isinstance(error, ConnectError)
    assert f"{path}, {problem}" in str(error)


ROWS = [
    ("1,2,3\n", "1,2,3", "the row has 3 cells and the header 2 (a, b)"),
    ("1\n", "1", "the row has 1 cells and the header 2"),
    ("  \n", "  ", "the row has 1 cells"),
    (b"\xe9,2\n", b"\xe9,2", "byte 0xe9 is not valid utf-8"),
    (b'1,"x\ny\xe9"\n', b'1,"x\ny\xe9"', "byte 0xe9 is not valid utf-8"),
    (b'1,"x\xe9\ny"\n', b'1,"x\xe9\ny"', "byte 0xe9 is not valid utf-8"),
    ("1,\0\n", "1,\0", "NUL"),
    ('"1"2,3\n', '"1"2,3', "its quotes do not match"),
    ('"5" pipe",2\n', '"5" pipe",2', "its quotes do not match"),
    ("1,2\r3,4\n", "1,2\r3,4", "a carriage return stands alone"),
]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(("bad", "record", "problem"), ROWS, ids=[problem for _, _, problem in ROWS])
def test_a_bad_row_is_rejected_with_its_line_and_the_rest_is_read(
    tmp_path: Path, bad: str | bytes, record: str | bytes, problem: str, end: str
) -> None:
    row = bad if isinstance(bad, bytes) else bad.encode()
    row = row[:-1] + end.encode()
    path = write(tmp_path, b'a,b\n"1\n1",2\n\n' + row + b"3,4\n" + row)
    found, errors = read_with_errors(CsvSource(path, continue_on_error=True))
    assert found == [{"a": "1\n1", "b": "2"}, {"a": "3", "b": "4"}]
    assert [(index, raw) for index, raw, _ in errors] == [(1, record), (3, record)]
    second = 6 + row.count(b"\n")
    assert errors[0][2].startswith(f"{path}, line 5: ")
    assert errors[1][2].startswith(f"{path}, line {second}: ")
    assert problem in errors[0][2]
    error = failure_of(CsvSource(path))
    assert isinstance(error, ConnectError)
    assert str(error) == errors[0][2]


def test_an_unclosed_quote_takes_the_rest_of_the_file_into_one_reject(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,b\n1,2\n"3,4\n5,6\n7,8')
    found, errors = read_with_errors(CsvSource(path, continue_on_error=True))
    assert found == [{"a": "1", "b": "2"}]
    assert [(index, raw) for index, raw, _ in errors] == [(1, '"3,4\n5,6\n7,8')]
    assert "line 3: a quote of this row is never closed, and the rest of the file (3 lines)" in errors[0][2]


@pytest.mark.parametrize("text", ["x" * 131_073, "long\nlines\n" * 20_000])
def test_a_cell_over_the_limit_is_rejected_whole(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, f'a,b\n1,2\n"{text}",3\n4,"5"\n"{text}"" quoted ""{text}",7\n8,9\n')
    found, errors = read_with_errors(CsvSource(path, continue_on_error=True))
    assert found == [{"a": "1", "b": "2"}, {"a": "4", "b": "5"}, {"a": "8", "b": "9"}]
    assert [index for index, _, _ in errors] == [1, 3]
    lines = text.count("\n") + 1
    assert f"line 3: a cell of this row ({lines} lines) is longer than {csv.field_size_limit()}" in errors[0][2]
    assert f"line {4 + lines}: a cell of this row ({2 * lines - 1} lines)" in errors[1][2]


def test_an_unclosed_quote_in_a_large_file_is_no_matter_of_memory(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,b\n"1,2\n' + "3,4\n" * 100_000)
    _, errors = read_with_errors(CsvSource(path, continue_on_error=True))
    ((index, raw, problem),) = errors
    assert index == 0
    assert len(raw) < csv.field_size_limit() + 10
    assert "(100001 lines)" in problem
    assert "its quote is never closed" in problem


def test_an_overlong_cell_is_not_kept_in_memory(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,b\n"1,2\n' + "3,4\n" * 300_000)
    tracemalloc.start()
    try:
        _, errors = read_with_errors(CsvSource(path, continue_on_error=True))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(errors) == 1
    assert peak < 8_000_000  # the lines up to the limit; all of them would take three times that


@pytest.mark.anyio
async def test_positions_go_on_behind_a_cell_over_the_limit(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,b\n"' + "line\n" * 50_000 + '",3\n4,5\n6,7\n')
    source = CsvSource(path, continue_on_error=True)
    chunks = await read_chunks(source, chunk_size=1)
    assert [(len(chunk.records), chunk.records_failed) for chunk in chunks] == [(0, 1), (1, 0), (1, 0)]
    assert records_of(await read_chunks(source, start=chunks[0].position)) == [
        {"a": "4", "b": "5"},
        {"a": "6", "b": "7"},
    ]
    assert chunks[0].position["line"] == 50_002


def test_the_limit_may_be_raised(tmp_path: Path) -> None:
    path = write(tmp_path, f"a\n{'x' * 200_000}\n")
    before = csv.field_size_limit(300_000)
    try:
        assert read(CsvSource(path)) == [{"a": "x" * 200_000}]
    finally:
        csv.field_size_limit(before)


@pytest.mark.anyio
async def test_line_numbers_and_indexes_are_right_after_a_resume(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,b\n"1\n1",2\n3,4\n5\n')
    chunks = await read_chunks(CsvSource(path, continue_on_error=True), chunk_size=1)
    context = PipelineContext()
    await read_chunks(CsvSource(path, continue_on_error=True), start=chunks[1].position, context=context)
    ((index, raw, problem),) = errors_in(context)
    assert (index, raw) == (2, "5")
    assert "line 5:" in problem


# Typed records


def test_cells_are_parsed_into_a_dataclass(tmp_path: Path) -> None:
    path = write(tmp_path, "name,age,born,note\nAda,36,1815-12-10,\nBob,7,,x\n")
    assert read(CsvSource(path, record_type=Person)) == [
        Person("Ada", 36, date(1815, 12, 10), ""),
        Person("Bob", 7, None, "x"),
    ]


def test_cells_are_parsed_into_a_typed_dict(tmp_path: Path) -> None:
    assert read(CsvSource(write(tmp_path, "name,age\nAda,36\n"), record_type=PersonDict)) == [
        {"name": "Ada", "age": 36}
    ]


@pytest.mark.parametrize("kind", [PersonStruct, PersonModel])
def test_an_empty_cell_is_none_under_the_name_that_the_file_has(tmp_path: Path, kind: type[Any]) -> None:
    path = write(tmp_path, "name,Age,more\nAda,36,x\nNull,,y\n")
    found = read(CsvSource(path, record_type=kind))
    assert [(person.name, person.age) for person in found] == [("Ada", 36), ("Null", None)]


@dataclass
class Every:
    flag: bool
    number: float
    price: Decimal
    at: datetime
    maybe: bool | None


def test_bool_float_decimal_and_datetime_are_parsed(tmp_path: Path) -> None:
    path = write(tmp_path, "flag,number,price,at,maybe\ntrue,1e3,1.10,2024-05-01T12:00:00+02:00,\n")
    (every,) = read(CsvSource(path, record_type=Every))
    assert (every.flag, every.number, str(every.price), every.maybe) == (True, 1000.0, "1.10", None)
    assert every.at == datetime.fromisoformat("2024-05-01T12:00:00+02:00")


def test_cells_that_do_not_parse_are_rejected_as_records_with_their_line(tmp_path: Path) -> None:
    path = write(tmp_path, 'name,age,born,note\nAda,36,,"two\nlines"\n\nBob,x,,\nEve,1,,\nDan,,,\n')
    found, errors = read_with_errors(CsvSource(path, record_type=Person, continue_on_error=True))
    assert [person.name for person in found] == ["Ada", "Eve"]
    assert [(index, record["name"]) for index, record, _ in errors] == [(1, "Bob"), (3, "Dan")]
    assert f"{path}, line 5: not a Person: " in errors[0][2]
    assert f"{path}, line 7: " in errors[1][2]
    error = failure_of(CsvSource(path, record_type=Person))
    assert isinstance(error, ValidationError)
    assert str(error) == errors[0][2]


def test_rows_and_cells_that_are_bad_come_in_order(tmp_path: Path) -> None:
    path = write(tmp_path, "name,age\nAda,x\n1,2,3\nBob,7\nEve,y\n")
    found, errors = read_with_errors(CsvSource(path, record_type=PersonDict, continue_on_error=True))
    assert found == [{"name": "Bob", "age": 7}]
    assert [(index, record) for index, record, _ in errors] == [
        (0, {"name": "Ada", "age": "x"}),
        (1, "1,2,3"),
        (3, {"name": "Eve", "age": "y"}),
    ]
    assert [problem.split(": ")[0].rsplit(" ", 1)[1] for _, _, problem in errors] == ["2", "3", "5"]


def test_other_texts_may_stand_for_none(tmp_path: Path) -> None:
    path = write(tmp_path, "name,age,born,note\nNA,36,NA,NA\nBob,7,-,-\n")
    assert read(CsvSource(path, record_type=Person, null_values=("NA", "-"))) == [
        Person("NA", 36, None, "NA"),
        Person("Bob", 7, None, "-"),
    ]
    found, errors = read_with_errors(CsvSource(path, record_type=Person, null_values=["NA"], continue_on_error=True))
    assert (len(found), [index for index, _, _ in errors]) == (1, [1])


def test_one_text_is_no_collection_of_texts() -> None:
    with pytest.raises(TypeError, match="null_values must be a collection of texts, such as \\('NA',\\)"):
        CsvSource("r.csv", record_type=Person, null_values="NA")


@pytest.mark.parametrize("kind", [int, list, object, "Person"])
def test_a_record_type_that_is_none_is_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match="record_type of CsvSource"):
        CsvSource("r.csv", record_type=kind)


def test_the_record_type_is_known_when_stages_join(tmp_path: Path) -> None:
    def age_of(person: Person) -> int:
        return person.age

    def length(text: str) -> int:
        return len(text)

    path = write(tmp_path, "name,age\nAda,36\n")
    assert read(CsvSource(path, record_type=Person) >> MapStage(age_of)) == [36]  # type: ignore[arg-type]
    with pytest.raises(StageTypeError, match="Person"):
        CsvSource(path, record_type=Person) >> MapStage(length)
    with pytest.raises(StageTypeError, match="dict"):
        CsvSource(path) >> MapStage(length)


def test_its_name_can_be_given() -> None:
    assert (CsvSource("r.csv").name, CsvSource("r.csv", name="people").name) == ("CsvSource", "people")


# As the csv module has it


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


@settings(deadline=None)  # files and databases take what time they take
@given(rows=st.lists(st.lists(cells, min_size=2, max_size=2), max_size=12), end=st.sampled_from(["\n", "\r\n"]))
def test_it_reads_what_the_csv_module_writes_from_every_position(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], end: str
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *rows])
    path = write(tmp_path_factory.mktemp("csv"), text.getvalue())
    expected = [dict(zip("ab", row, strict=True)) for row in rows]

    async def check() -> None:
        for chunk_size in (1, 3, 500):
            chunks = await read_chunks(CsvSource(path), chunk_size=chunk_size)
            assert records_of(chunks) == expected
            for at, chunk in enumerate(chunks):
                rest = await read_chunks(CsvSource(path), start=json.loads(json.dumps(chunk.position)))
                assert records_of(rest) == records_of(chunks[at + 1 :])
            assert not chunks or chunks[-1].position["byte"] == path.stat().st_size

    anyio.run(check)


pieces = [b"1,2\n", b'"', b"\n", b",", b"\xff", b"\0", b"x", b"\r", b'"3\n3",4\n']


@settings(deadline=None)  # files and databases take what time they take
@given(content=st.lists(st.sampled_from(pieces)).map(b"".join), chunk_size=st.integers(1, 4))
def test_any_bytes_are_read_to_the_end_and_the_same_in_any_chunks(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, chunk_size: int
) -> None:
    path = write(tmp_path_factory.mktemp("csv"), b"a,b\n" + content)
    source = CsvSource(path, continue_on_error=True)
    whole, parts = PipelineContext(), PipelineContext()

    async def check() -> None:
        at_once = await read_chunks(source, context=whole)
        in_parts = await read_chunks(source, context=parts, chunk_size=chunk_size)
        assert records_of(at_once) == records_of(in_parts)
        assert errors_in(whole) == errors_in(parts)
        assert all(len(chunk.records) + chunk.records_failed <= chunk_size for chunk in in_parts)
        if at_once:
            assert at_once[-1].position["record"] == len(records_of(at_once)) + len(whole.errors)
            rejected = [raw.encode() if isinstance(raw, str) else raw for _, raw, _ in errors_in(whole)]
            kept = sum(len(cell) for record in records_of(at_once) for cell in record.values())
            assert kept + sum(map(len, rejected)) <= len(content)

    anyio.run(check)
