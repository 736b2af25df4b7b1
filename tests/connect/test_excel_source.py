"""Excel workbooks: what cells hold, where the table is, and what is refused."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connect.reading import failure_of, read, read_with_errors
from tests.connect.workbooks import ErrorCell, Formula, workbook

from mainstem import ConnectError
from mainstem.connect.excel_source import ExcelSource

pytestmark = pytest.mark.extras


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "r.xlsx"


def test_cells_are_what_excel_shows(path: Path) -> None:
    values = [
        1.0, -0.1, 2**53 + 0.0, 1e300, True, False, "text", " spaces ", "ä\n“b”", date(2024, 2, 29), date(1900, 3, 1),
        datetime(2024, 1, 2, 3, 4, 5, 678000), time(3, 4, 5), timedelta(hours=30), None,
    ]  # fmt: skip
    path.write_bytes(workbook({"S": [["name", "value"], *([str(at), value] for at, value in enumerate(values))]}))
    found = [row["value"] for row in read(ExcelSource(path))]
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


def test_of_a_formula_its_value_is_read(path: Path) -> None:
    path.write_bytes(workbook({"S": [["a", "b", "c"], [Formula("1+1", 2), Formula('"x"', "x"), Formula("1=1", True)]]}))
    assert read(ExcelSource(path)) == [{"a": 2.0, "b": "x", "c": True}]


@pytest.mark.parametrize("text", ["#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"])
@pytest.mark.parametrize("formula", [True, False])
def test_an_error_is_a_reject_and_never_an_empty_cell(path: Path, text: str, formula: bool) -> None:
    cell: Any = Formula("1/0", ErrorCell(text)) if formula else ErrorCell(text)
    path.write_bytes(workbook({"S": [["a", "b"], [1, "x"], [], [2, cell], [3, text]]}))
    source = ExcelSource(path, continue_on_error=True)
    found, errors = read_with_errors(source)
    assert found == [{"a": 1.0, "b": "x"}, {"a": 3.0, "b": text}]
    assert errors == [
        (1, {"a": 2.0, "b": text}, f"{path}, row 4: the cell in column B is an error, {text}: mend its formula")
    ]
    assert source.read_again({"a": 2.0, "b": "y"}) == {"a": 2.0, "b": "y"}
    assert "row 4" in str(failure_of(ExcelSource(path)))


def test_a_row_with_nothing_but_an_error_is_no_blank_row(path: Path) -> None:
    path.write_bytes(workbook({"S": [["a"], [ErrorCell("#N/A")], [None], [1]]}))
    found, errors = read_with_errors(ExcelSource(path, continue_on_error=True))
    assert (found, [index for index, _, _ in errors]) == ([{"a": 1.0}], [0])


def test_the_header_may_be_further_down_and_the_table_further_right(path: Path) -> None:
    rows: list[list[Any]] = [
        [None, "Report of 2024"],
        [],
        [None, None, "id", None, 2024],
        [None, None, 1, None, "x"],
        [],
        [None, None, 2],
    ]
    path.write_bytes(workbook({"S": rows}, first_row=3))
    assert read(ExcelSource(path, header=5)) == [{"id": 1.0, "2024": "x"}, {"id": 2.0, "2024": None}]


def test_without_header_columns_are_called_by_their_letters(path: Path) -> None:
    path.write_bytes(workbook({"S": [[None, "x"] + [None] * 25 + [1]]}))
    [row] = read(ExcelSource(path, header=None))
    assert (list(row)[:2], row["B"], row["AB"], row["A"], len(row)) == (["A", "B"], "x", 1.0, None, 28)


def test_a_value_beside_the_columns_is_a_reject(path: Path) -> None:
    path.write_bytes(workbook({"S": [["a", None, "c"], [1, None, 3], [1, 2, 3], [1, None, 3, 4]]}))
    found, errors = read_with_errors(ExcelSource(path, continue_on_error=True))
    assert found == [{"a": 1.0, "c": 3.0}]
    assert [(index, record) for index, record, _ in errors] == [
        (1, {"a": 1.0, "c": 3.0, "B": 2.0}),
        (2, {"a": 1.0, "c": 3.0, "D": 4.0}),
    ]
    assert "there is a value in column B, which has no name" in errors[0][2]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([["a", "a"], [1, 2]], "row 1: two columns are called 'a'"),
        ([[], [1, 2]], "row 1: no column has a name; say with header"),
        ([["a", ErrorCell("#REF!")], [1, 2]], "row 1: the name of column B is an error, #REF!"),
    ],
)
def test_a_header_that_cannot_be_is_an_error(path: Path, rows: Any, problem: str) -> None:
    path.write_bytes(workbook({"S": rows}))
    assert f"{path}, {problem}" in str(failure_of(ExcelSource(path, continue_on_error=True)))


@pytest.mark.parametrize("rows", [[], [["a", "b"]], [["a"], [], [None]]])
def test_a_sheet_without_rows_has_no_records(path: Path, rows: Any) -> None:
    path.write_bytes(workbook({"S": rows}))
    assert read(ExcelSource(path)) == []


def test_a_sheet_is_found_by_name_and_by_number(path: Path) -> None:
    path.write_bytes(workbook({"First & last": [["a"], [1]], "Ä": [["a"], [2]]}))
    for sheet, value in (("First & last", 1.0), (0, 1.0), ("Ä", 2.0), (1, 2.0)):
        assert read(ExcelSource(path, sheet=sheet)) == [{"a": value}]
    for sheet in ("B", 2):
        assert f"has no sheet {sheet!r}: it has 'First & last', 'Ä'" in str(failure_of(ExcelSource(path, sheet=sheet)))


@dataclass
class Person:
    name: str
    age: int
    born: date | None = None


def test_rows_are_parsed_into_a_record_type(path: Path) -> None:
    path.write_bytes(
        workbook({"S": [["name", "age", "born"], ["Ada", 36, None], ["Bob", 1.5], ["Cy", 7, date(2020, 5, 6)]]})
    )
    found, errors = read_with_errors(ExcelSource(path, record_type=Person, continue_on_error=True))
    assert found == [Person("Ada", 36), Person("Cy", 7, date(2020, 5, 6))]
    assert [(index, record["name"]) for index, record, _ in errors] == [(1, "Bob")]
    assert f"{path}, row 3: " in errors[0][2]


@settings(deadline=None, max_examples=50)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "a": st.none() | st.floats(allow_nan=False, allow_infinity=False),
                "b": st.none()
                | st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF), min_size=1, max_size=10),
                "c": st.booleans(),
            }
        ),
        max_size=10,
    )
)
def test_cells_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> None:
    path = tmp_path_factory.mktemp("excel") / "r.xlsx"
    path.write_bytes(workbook({"S": [["a", "b", "c"], *([row["a"], row["b"], row["c"]] for row in rows)]}))
    assert read(ExcelSource(path)) == rows


@pytest.mark.parametrize("content", [b"", b"id\n1\n", workbook({"S": [["a"]]})[:300]])
def test_what_is_no_workbook_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    error = failure_of(ExcelSource(path))
    assert isinstance(error, ConnectError)
    assert f"cannot read {path}: it is no workbook of the kind .xlsx or .xlsm" in str(error)


def test_another_archive_is_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "x")
    assert "it is no workbook" in str(failure_of(ExcelSource(path)))


def test_a_damaged_sheet_is_an_error(path: Path) -> None:
    content = bytearray(workbook({"S": [["a"], *([number] for number in range(1000))]}))
    at = content.index(b"xl/worksheets/sheet1.xml") + 200
    content[at] ^= 0xFF
    path.write_bytes(content)
    assert f"cannot read {path}: its sheet 'S' is damaged" in str(failure_of(ExcelSource(path)))


def test_a_bomb_is_refused_before_it_is_unpacked(path: Path) -> None:
    content = io.BytesIO(workbook({"S": [["a"], [1]]}))
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/x.bin", bytes(10_000_000))
    path.write_bytes(content.getvalue())
    assert read(ExcelSource(path)) == [{"a": 1.0}]
    error = failure_of(ExcelSource(path, max_decompressed_bytes=5_000_000))
    assert "more than 5,000,000; if that is right" in str(error)


def test_cells_that_are_far_apart_are_refused_before_memory_is_taken_for_all_between(path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook({"S": [["a"], [1]]}))) as old, zipfile.ZipFile(content, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
            new.writestr(name, data.replace(b"</sheetData>", far))
    path.write_bytes(content.getvalue())
    assert "span 17,179,869,184 places; delete those that are far off" in str(failure_of(ExcelSource(path)))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"header": 0}, ValueError),
        ({"sheet": -1}, ValueError),
        ({"sheet": None}, TypeError),
        ({"record_type": int}, TypeError),
    ],
)
def test_wrong_options_are_refused_at_construction(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        ExcelSource("r.xlsx", **options)
