"""Frames of a JSON Lines file: a block that is read at once holds what is read line by line, and rejects the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, time, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.connect.poison import JSON_LINES, LINES, POSITIONS
from tests.connect.poison import Row as PoisonRow

from mainstem import ConnectError, Pipeline, PipelineContext
from mainstem.connect import JsonLinesSource, json_frames
from mainstem.connect.block_file import BlockFile
from mainstem.connect.json_fields import JsonFields
from mainstem.connect.json_frames import JsonLinesFrameReader
from mainstem.connect.line_file import LinePosition

pytestmark = pytest.mark.extras


@dataclass
class Row:
    id: int
    share: float | None
    name: str | None
    is_new: bool | None = None
    day: date | None = None
    at: datetime | None = None
    hour: time | None = None


def read(path: Path, *, record_type: type[Any] = Row, fast: bool = True, start: Any = None) -> Any:
    """Read a file; return its frame, the indexes, texts and messages of what is rejected, and the positions."""
    lines = BlockFile(path)
    reader = JsonLinesFrameReader(lines, JsonFields(record_type))
    frames: list[pl.DataFrame] = []
    rejects: list[Any] = []
    positions: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        if not fast:
            patch.setattr(reader, "_read_fast", lambda block: None)
        try:
            if start is not None:
                lines.seek(LinePosition.parse(start))
            while (chunk := reader.read_chunk(1000)) is not None:
                frames.append(chunk[0])
                rejects += [(each.index, each.record, str(each.error)) for each in chunk[1]]
                positions.append(reader.position)
        finally:
            reader.close()
    whole = pl.concat(frames) if frames else pl.DataFrame(schema=JsonFields(record_type).schema)
    return whole, rejects, positions


NUMBERS = st.one_of(st.integers(-(2**65), 2**65), st.floats(), st.just(10**400))
TEXTS = st.one_of(
    st.text(max_size=4),
    st.dates().map(str),
    st.times().map(str),
    st.datetimes(timezones=st.just(timezone.utc)).map(lambda at: at.isoformat().replace("+00:00", "Z")),
    st.sampled_from(
        ["2024-02-30", "2024-1-2", "24:00:00", "0000-01-01", "2024-01-01T00:00:60Z", "12:00", "\ud800", "1"]
    ),
)
VALUES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, st.just([1]), st.just({"id": 1}))
NAMES = [*Row.__dataclass_fields__, "other"]
FITTING = st.fixed_dictionaries(
    {"id": st.integers(-(2**63), 2**63 - 1)},
    optional={
        "share": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9) | st.none(),
        "name": st.text(max_size=3) | st.none(),
        "is_new": st.booleans(),
        "day": st.dates().map(str),
        "at": st.datetimes().map(lambda at: f"{at.isoformat()}Z"),
        "hour": st.times().map(str),
        "other": VALUES,
    },
)
OBJECTS = st.one_of(FITTING, FITTING, FITTING, st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4))
LINE = st.one_of(
    OBJECTS.map(json.dumps),
    OBJECTS.map(lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=True)),
    st.sampled_from(
        ['{"id":1,"id":2}', '{"id":1}{"id":2}', "{", "}", "", " ", "[1]", "1", '{"id":1,"u":NaN}', '{"id":NaN}', "nul",
         '{"id":1,"u":1,"u":2}', '{"id":1,"u":{"a":1,"a":2}}', '{"id": 1 }\r', '{"id":1,"name":"\\ud800"}', ' {"id":1}',
         '{"id":1,"share":Inf}', '{"id":01}', '{"id":-0}', '{"id":1,"share":-0.0}', '{"id":1,"name":"\0"}',
         '{"id":1.0}', '{"id":null}', '{"id":1,"at":"2024-01-02 03:04:05+02:00"}', '{"id":1,"at":"2024-01-02T03:04:05"}']  # noqa: E501
    ),
)  # fmt: skip


@settings(max_examples=600, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(LINE, max_size=6), st.integers(1, 200), st.booleans())
@example(['{"id":1}{"id":2}', '{"id":3', "}"], 1000, True)
@example(['{"id":1,"day":"2024-1-2"}'], 1000, True)
@example(['{"id":1,"hour":"3:04:05"}'], 1000, True)
@example(['{"id":1,"at":"2024-1-02T03:04:05Z"}'], 1000, True)
@example(['{"id":1}', '{"id":2}'], 1000, False)
def test_a_block_holds_what_is_read_line_by_line(tmp_path: Path, lines: list[str], size: int, newline: bool) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass") + b"\n" * newline)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_frames, "BLOCK_BYTES", size)
        found, refused, positions = read(path)
        expected, rejects, _ = read(path, fast=False)
    assert found.equals(expected)
    assert refused == rejects
    assert not positions or positions[-1]["byte"] == path.stat().st_size


@pytest.mark.parametrize("bad", POSITIONS.values(), ids=POSITIONS)
@pytest.mark.parametrize("poison", [each for each in LINES if each.source == JSON_LINES])
def test_a_line_that_cannot_be_read_is_rejected_alone(tmp_path: Path, poison: Any, bad: list[int]) -> None:
    lines = [poison.content if at in bad else b'{"id":%d,"text":"t"}' % at for at in range(7)]
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"id":-1,"text":"t"}\n' + b"\n".join(lines) + b"\n")  # first a file may have a byte order mark
    frame, rejects, _ = read(path, record_type=PoisonRow)
    assert frame["id"].to_list() == [-1, *(at for at in range(7) if at not in bad)]
    assert [index for index, *_ in rejects] == [at + 1 for at in bad]


def test_what_is_off_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"id":1}\n\n{"id":"2"}\n{"share":1}\n{"id":3,"day":"soon"}\n{"id":4,"id":5}\n')
    frame, rejects, _ = read(path)
    assert frame["id"].to_list() == [1]
    assert [(index, text) for index, text, _ in rejects] == [
        (1, '{"id":"2"}'), (2, '{"share":1}'), (3, '{"id":3,"day":"soon"}'), (4, '{"id":4,"id":5}'),
    ]  # fmt: skip
    reasons = [reason.removeprefix(f"{path}, ") for *_, reason in rejects]
    assert reasons == [
        "line 3: field 'id': '2' is no int",
        "line 4: field 'id' is missing, and no int",
        "line 5: field 'day': 'soon' is no date",
        "line 6: the key 'id' is there more than once",
    ]


def test_columns_have_the_types_of_the_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JsonFields, "row_of", None)  # none is read by itself
    path = tmp_path / "in.jsonl"
    path.write_text(
        '{"id":1,"share":2,"name":"Ada","is_new":true,"day":"2024-01-02","at":"2024-01-02T03:04:05.25Z","hour":"03:04:05"}\n'
        '{"id":2,"x":[{"y":1}]}\n'
    )
    frame, rejects, _ = read(path)
    assert rejects == []
    assert dict(frame.schema) == {
        "id": pl.Int64, "share": pl.Float64, "name": pl.String, "is_new": pl.Boolean, "day": pl.Date,
        "at": pl.Datetime("us", "UTC"), "hour": pl.Time,
    }  # fmt: skip
    moment = datetime(2024, 1, 2, 3, 4, 5, 250_000, tzinfo=timezone.utc)
    assert frame.rows() == [
        (1, 2.0, "Ada", True, date(2024, 1, 2), moment, time(3, 4, 5)),
        (2, None, None, None, None, None, None),
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("suffix", ["", ".gz"])
async def test_reading_goes_on_at_every_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    import gzip

    monkeypatch.setattr(json_frames, "BLOCK_BYTES", 400)
    path = tmp_path / f"in.jsonl{suffix}"
    content = "".join(f'{{"id":{"x" if at == 70 else at},"name":"\\"{at}"}}\n' for at in range(100)).encode()
    path.write_bytes(gzip.compress(content) if suffix else content)
    source = JsonLinesSource(path, record_type=Row, as_frames=True, continue_on_error=True)
    whole = [chunk async for chunk in source.read(PipelineContext())]
    ids = [each for each in range(100) if each != 70]
    assert [at for chunk in whole for at in chunk.records["id"]] == ids
    assert len(whole) > 4
    for done, chunk in enumerate(whole, 1):
        rest = [again async for again in source.read(PipelineContext(), start=chunk.position)]
        assert [at for again in rest for at in again.records["id"]] == [
            at for again in whole[done:] for at in again.records["id"]
        ]


def test_folders_that_stand_for_fields_are_columns(tmp_path: Path) -> None:
    @dataclass
    class Sale:
        id: int
        year: str

    for year in ("2023", "2024"):
        folder = tmp_path / f"year={year}"
        folder.mkdir()
        (folder / "a.jsonl").write_text('{"id":1}\n{"id":2}\n')
    source = JsonLinesSource(tmp_path, record_type=Sale, as_frames=True, partitions=True)
    frame = Pipeline[None, pl.DataFrame]("read").add_stage(source).run().unwrap()
    assert frame.rows() == [(1, "2023"), (2, "2023"), (1, "2024"), (2, "2024")]


def test_a_folder_and_a_key_of_one_name_are_refused(tmp_path: Path) -> None:
    @dataclass
    class Sale:
        id: int

    folder = tmp_path / "id=1"
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"id":1}\n')
    source = JsonLinesSource(tmp_path, record_type=Sale, as_frames=True, partitions=True)
    with pytest.raises(ConnectError, match="field 'id' is named by a folder, which is a text"):
        Pipeline[None, pl.DataFrame]("read").add_stage(source).run().unwrap()


def test_fields_are_needed_and_are_ones_that_columns_hold(tmp_path: Path) -> None:
    @dataclass
    class Nested:
        parts: list[int]

    with pytest.raises(TypeError, match="needs record_type="):
        JsonLinesSource("in.jsonl", as_frames=True)  # type: ignore[call-overload]  # pyright: ignore
    with pytest.raises(TypeError, match=r"field 'parts' of Nested is .* make frames of those with ToFrames"):
        JsonLinesSource("in.jsonl", record_type=Nested, as_frames=True)
