"""Reading the rows of a sheet, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from io import BytesIO
from itertools import islice
from typing import Any

from mainstem.connect.partitions import check_no_column
from mainstem.connect.rejects import Reject
from mainstem.connect.row_position import RowPosition
from mainstem.connect.stored_file import StoredFile
from mainstem.connect.workbook_check import check_archive, column_letters, error_cells
from mainstem.errors import ConnectError, ValidationError, missing_extra
from mainstem.records import parse_each


def load_calamine() -> Any:
    """Return python-calamine.

    Raises:
        MissingExtraError: If ``mainstem[excel]`` is not installed.
    """
    try:
        return import_module("python_calamine")
    except ImportError:
        raise missing_extra("Reading a workbook", "excel") from None


class ExcelReader:
    """Reads chunks of records from a sheet.

    Args:
        file: The workbook.
        sheet: The sheet's name, or its number from 0.
        header: The row with the columns' names, from 1; ``None`` if they are called by their letters.
        parse: Makes a record from a dict; ``None`` if that is the record.
        position: Where to begin.
        limit: What the workbook may unpack to.

    Raises:
        ConnectError: If it cannot be read, has no such sheet, or ends before the position.
    """

    def __init__(
        self,
        file: StoredFile,
        sheet: str | int,
        header: int | None,
        parse: Callable[[Any], Any] | None,
        position: RowPosition,
        limit: int | None,
    ) -> None:
        self._file = file
        self._parse = parse
        self._at = position
        self._header = header or 0
        opened = self._open_sheet(sheet, limit)
        left = [""] * (opened.start[1] if opened.start else 0)  # columns before the first that holds anything
        last_row, last_column = opened.end or (-1, -1)
        self._rows: Iterator[list[Any]] = (left + row for row in opened.iter_rows())
        self._height: int = last_row + 1
        rows = list(islice(self._rows, self._header))
        self._names = self._names_in(rows[-1] if rows and len(rows) == header else [], last_column + 1)
        self.columns = tuple(self._names.values())
        check_no_column(file.name, self.columns, file.partitions)
        below = max(0, self._height - self._header)
        if position.row > below:
            raise ConnectError(
                f"cannot go on reading {file.name} at row {position.row}: the sheet is shorter, it has {below}; was it "
                "replaced?"
            )
        next(islice(self._rows, position.row, position.row), None)

    def _open_sheet(self, sheet: str | int, limit: int | None) -> Any:
        calamine, name = load_calamine(), self._file.name
        with self._file.open_anywhere() as opened, self._file.errors("read"):
            content = opened.read()
        archive = check_archive(content, name, limit)
        try:
            book = calamine.CalamineWorkbook.from_filelike(BytesIO(content))
            names: list[str] = book.sheet_names
            if sheet not in (names if isinstance(sheet, str) else range(len(names))):
                raise ConnectError(f"{name} has no sheet {sheet!r}: it has {', '.join(map(repr, names)):.200}")
            sheet_name = sheet if isinstance(sheet, str) else names[sheet]
            self._errors = error_cells(archive, name, sheet_name)
            return book.get_sheet_by_name(sheet_name)
        except calamine.CalamineError as error:
            raise ConnectError(f"cannot read {name}: {error}; is it complete? Open it in Excel, and save it") from error

    def _names_in(self, cells: Sequence[Any], width: int) -> dict[int, str]:
        """Return the columns' names, each under the number of its column, from 0."""
        if self._header == 0:
            return {at: column_letters(at + 1) for at in range(width)}
        where = f"{self._file.name}, row {self._header}"
        if self._header in self._errors:
            column, text = next(iter(self._errors[self._header].items()))
            raise ConnectError(f"{where}: the name of column {column_letters(column)} is an error, {text}: mend it")
        names = {at: _name(cell) for at, cell in enumerate(cells) if cell != ""}
        if not names and self._height > self._header:
            raise ConnectError(f"{where}: no column has a name; say with header which row has them")
        found = list(names.values())
        repeated = [name for at, name in enumerate(found) if name in found[:at]]
        if repeated:
            raise ConnectError(f"{where}: two columns are called {repeated[0]!r}: rename one")
        return names

    @property
    def position(self) -> Mapping[str, Any]:
        """Where the next record is."""
        return self._at.to_json()

    def close(self) -> None:
        """Let go of the sheet."""
        self._rows = iter(())

    def read_chunk(self, limit: int) -> tuple[list[Any], list[Reject]] | None:
        """Read up to ``limit`` records.

        Returns:
            The records, and the rows that cannot be read, counted from the beginning; ``None`` at the end.
        """
        found = list(islice(self._rows, limit))
        if not found:
            return None
        at, first = self._at, self._header + self._at.row + 1
        rows: list[dict[str, Any]] = []
        places: list[tuple[int, int]] = []  # the record's number and the row of each
        rejects: list[Reject] = []
        record = at.record
        for number, cells in enumerate(found, first):
            errors = self._errors.get(number)
            if not errors and cells.count("") == len(cells):
                continue
            row, problem = self._row(cells, errors or {})
            if problem:
                rejects.append(Reject(record, row, ConnectError(self._locate(number, problem))))
            else:
                rows.append(row)
                places.append((record, number))
            record += 1
        records: list[Any] = rows
        if self._parse is not None:
            records, failures = parse_each(self._parse, rows)
            for index, error in failures:
                located = ValidationError(self._locate(places[index][1], str(error)))
                located.__cause__ = error
                rejects.append(Reject(places[index][0], rows[index], located))
        self._at = RowPosition(at.row + len(found), record)
        return records, rejects

    def _row(self, cells: list[Any], errors: Mapping[int, str]) -> tuple[dict[str, Any], str]:
        """Return what a row holds, and what is wrong with it."""
        values = [None if cell == "" else cell for cell in cells]
        for column, text in errors.items():
            values[column - 1] = text
        row: dict[str, Any] = {name: values[at] for at, name in self._names.items()} | dict(self._file.partitions)
        if errors:
            column, text = next(iter(errors.items()))
            return row, f"the cell in column {column_letters(column)} is an error, {text}: mend its formula"
        for at, value in enumerate(values):
            if value is not None and at not in self._names:
                letters = column_letters(at + 1)
                return row | {letters: value}, f"there is a value in column {letters}, which has no name: give it one"
        return row, ""

    def _locate(self, number: int, problem: str) -> str:
        return f"{self._file.name}, row {number}: {problem}"


def _name(cell: Any) -> str:
    """Return a column's name; a number of the header, such as a year, as it is shown."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
