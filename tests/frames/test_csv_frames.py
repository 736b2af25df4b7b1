"""Frames of a CSV file: whatever is in it, they hold the rows that are read one by one, and reject the same."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.connect.poison import CSV, LINES, POSITIONS

from mainstem import ConnectError, Pipeline
from mainstem.connect import CsvSource, csv_frames
from mainstem.connect.block_file import BlockFile
from mainstem.connect.csv_frames import CsvFrameReader
from mainstem.connect.csv_reader import CsvReader
from mainstem.connect.csv_rows import CsvFormat
from mainstem.connect.frame_fields import FieldColumn, fields_of
from mainstem.connect.line_file import LineFile, LinePosition

pytestmark = pytest.mark.extras

CELL = st.text(st.sampled_from('ab,;"\n\r é0\0'), max_size=4)


def read_frames(path: Path, *, fields: Any = None, delimiter: str = ",", encoding: str = "utf-8") -> Any:
    """Read a file; return its rows, the indexes and texts of what is rejected, and the positions."""
    reader = CsvFrameReader(BlockFile(path), CsvFormat(delimiter, encoding), fields)
    rows: list[Any] = []
    rejects: list[Any] = []
    positions: list[Any] = []
    try:
        reader.read_header()
        while (chunk := reader.read_chunk(1000)) is not None:
            rows += chunk[0].to_dicts()
            rejects += [(each.index, each.record) for each in chunk[1]]
            positions.append(reader.position)
    finally:
        reader.close()
    return rows, rejects, positions


def read_records(path: Path, delimiter: str = ",", encoding: str = "utf-8") -> Any:
    with LineFile(path) as lines:
        reader = CsvReader(lines, CsvFormat(delimiter, encoding), None)
        reader.read_header()
        rows: list[Any] = []
        rejects: list[Any] = []
        while (chunk := reader.read_chunk(1000)) is not None:
            rows += chunk[0]
            rejects += [(each.index, each.record) for each in chunk[1]]
        return rows, rejects, lines.position.to_json()


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(CELL, min_size=1, max_size=3).map(",".join), max_size=8).map("\n".join),
    st.integers(1, 20),
    st.sampled_from([",", ";"]),
)
@example('1,"a', 3, ",")
@example('"a"b,1', 3, ",")
@example("é,\n\n1,2", 3, ",")
def test_frames_hold_what_is_read_row_by_row(tmp_path: Path, content: str, size: int, delimiter: str) -> None:
    path = tmp_path / "in.csv"
    path.write_text(f"one{delimiter}two\n{content}", "utf-8", newline="")
    rows, rejects, position = read_records(path, delimiter)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_frames, "BLOCK_BYTES", size)
        found, refused, positions = read_frames(path, delimiter=delimiter)
    assert (found, refused) == (rows, rejects)
    assert not positions or positions[-1] == position


@pytest.mark.parametrize("poison", [each for each in LINES if each.source == CSV and not each.typed_only])
@pytest.mark.parametrize("bad", POSITIONS.values(), ids=POSITIONS)
def test_a_line_that_cannot_be_read_is_rejected_alone(tmp_path: Path, poison: Any, bad: list[int]) -> None:
    lines = [poison.content if at in bad else b"%d,text %d," % (at, at) for at in range(7)]
    path = tmp_path / "in.csv"
    path.write_bytes(b"id,text,when\n" + b"\n".join(lines) + b"\n")
    rows, rejects, _ = read_frames(path)
    assert [int(row["id"]) for row in rows] == [at for at in range(7) if at not in bad]
    assert [index for index, _ in rejects] == bad


def test_it_is_gone_on_with_where_a_chunk_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "in.csv"
    path.write_text("n\n" + "".join(f'"{n}\n"\n' if n % 7 == 3 else f"{n}\n" for n in range(100)))
    monkeypatch.setattr(csv_frames, "BLOCK_BYTES", 30)
    rows, _, positions = read_frames(path)
    assert len(rows) == 100
    assert len(positions) > 5
    for position in positions[:-1]:
        lines = BlockFile(path)
        reader = CsvFrameReader(lines, CsvFormat(",", "utf-8"), None)
        reader.read_header()
        lines.seek(LinePosition.parse(position))
        chunk = reader.read_chunk(1000)
        assert chunk is not None
        assert chunk[0].to_dicts()[0] == rows[position["record"]]
        reader.close()


def test_other_encodings_are_read(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("name\nZoë\n", "latin-1")
    assert read_frames(path, encoding="latin-1")[0] == [{"name": "Zoë"}]


@dataclass
class Reading:
    id: int
    text: str
    share: float | None
    yes: bool | None
    day: date | None
    at: datetime | None


def test_texts_become_what_the_fields_hold(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text(
        "id,text,share,yes,day,at,more\n"
        "1,NA,NA,,NA,NA,x\n"
        "2,,1.5,true,2026-01-02,2026-01-02T03:04:05Z,x\n"
        "3,c,x,0,2026-01-02,,x\n"
        ",d,,,,,x\n"
        "5,e,,,2026-02-30,,x\n"
        "6,f,inf,False,,2026-01-02T03:04:05.000001+01:00,x\n"
    )
    rows, rejects, _ = read_frames(path, fields=fields_of(Reading, ("", "NA")))
    none = {"share": None, "yes": None, "day": None, "at": None}
    assert rows == [
        {"id": 1, "text": "NA", **none},
        {
            "id": 2,
            "text": "",
            "share": 1.5,
            "yes": True,
            "day": date(2026, 1, 2),
            "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
        },
        {
            **none,
            "id": 6,
            "text": "f",
            "share": math.inf,
            "yes": False,
            "at": datetime(2026, 1, 2, 2, 4, 5, 1, timezone.utc),
        },
    ]
    assert [(index, record["id"], record["more"]) for index, record in rejects] == [
        (2, "3", "x"),
        (3, "", "x"),
        (4, "5", "x"),
    ]


@dataclass
class Numbers:
    n: int
    m: int | None
    x: float | None


@dataclass
class Single:
    n: int


NUMBER = st.one_of(
    st.text(st.sampled_from("0179+-.e \t"), max_size=4),
    st.sampled_from(
        ["", "NA", "-", "12", " 12", "\t1", '" 3"', '"4"', '"NA"', "1e3", "nan", "inf", "9223372036854775808"]
    ),
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(NUMBER, min_size=3, max_size=3), max_size=4),
    st.sampled_from([("",), ("", "NA"), ("NA",), (), ("", "NA", "-")]),
)
@example([["1", "1", "1"], ["1", "", "NA"]], ("", "NA"))
@example([["1", "", ""]], ("NA",))
@example([["1", " 1", "1"]], ("",))
@example([["1", "1", "1"], [" 1", "1", "1"]], ("",))
@example([[" 1", "1", "1"]], ("",))
@example([["1", "1", '" 1"']], ("",))
def test_numbers_are_those_of_their_texts(tmp_path: Path, lines: list[list[str]], nulls: tuple[str, ...]) -> None:
    path = tmp_path / "in.csv"
    path.write_text("n,m,x\n" + "".join(",".join(cells) + "\n" for cells in lines), newline="")
    found = read_frames(path, fields=fields_of(Numbers, nulls))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FieldColumn, "parsed_type", lambda _: None)
        assert repr(found) == repr(read_frames(path, fields=fields_of(Numbers, nulls)))


def test_what_polars_would_read_in_another_way_it_is_not_asked_to() -> None:
    kinds = {
        nulls: FieldColumn(int, nulls).parsed_type() for nulls in [(), ("",), ("", "NA"), ("NA",), ("", "NA", "-")]
    }
    assert [nulls for nulls, kind in kinds.items() if kind is None] == [("NA",), ("", "NA", "-")]
    assert FieldColumn(str, ()).parsed_type() is FieldColumn(date, ()).parsed_type() is None


@pytest.mark.parametrize("content", ["n\n1\n\n2\n", "n\n1\n\n\n", 'n\n"1"\n\n2', "n\n1\r\n\r\n2\r\n"])
def test_blank_lines_of_a_single_column_are_passed_over(tmp_path: Path, content: str) -> None:
    path = tmp_path / "in.csv"
    path.write_text(content, newline="")
    assert read_frames(path)[0] == read_records(path)[0]
    assert read_frames(path, fields=fields_of(Single, ()))[0] == [{"n": int(n)} for n in "12"[: content.count("2") + 1]]


def test_a_line_that_grows_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("n\n1\n2")
    reader = CsvFrameReader(BlockFile(path), CsvFormat(",", "utf-8"), None)
    reader.read_header()
    assert reader.read_chunk(1000) is not None
    with path.open("a") as file:
        file.write("3\n4\n")
    with pytest.raises(ConnectError, match="it grows"):
        list(iter(lambda: reader.read_chunk(1000), None))
    reader.close()


def test_numbers_are_read_by_polars_where_nothing_is_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("texts were turned into numbers")

    path = tmp_path / "in.csv"
    path.write_text("n,m,x\n1,NA,2.5\n2,,\n")
    monkeypatch.setattr(FieldColumn, "expression", refuse)
    assert read_frames(path, fields=fields_of(Numbers, ("", "NA")))[0] == [
        {"n": 1, "m": None, "x": 2.5},
        {"n": 2, "m": None, "x": None},
    ]


def test_a_field_that_no_column_holds_is_refused() -> None:
    @dataclass
    class Wrong:
        tags: list[str]

    with pytest.raises(TypeError, match="field 'tags' of Wrong is"):
        fields_of(Wrong, ())


@pytest.mark.parametrize("content", ["id\n1\n2\n", "id\n1\n\n2\n"], ids=["fast", "with care"])
@pytest.mark.parametrize("typed", [False, True])
def test_folders_that_stand_for_fields_are_columns(tmp_path: Path, content: str, typed: bool) -> None:
    @dataclass
    class Sale:
        year: int
        id: int

    for year in ("2023", "2024"):
        folder = tmp_path / f"year={year}"
        folder.mkdir()
        (folder / "a.csv").write_text(content)
    source = CsvSource(tmp_path, as_frames=True, partitions=True, record_type=Sale if typed else dict)
    frame = Pipeline[None, Any]("read").add_stage(source).run().unwrap()
    if typed:
        assert frame.rows() == [(2023, 1), (2023, 2), (2024, 1), (2024, 2)]
    else:
        assert frame.rows() == [("1", "2023"), ("2", "2023"), ("1", "2024"), ("2", "2024")]
