"""Frames of Parquet and Arrow files: the columns as they are, chunk by chunk, from any position on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.connect.reading import read_chunks

from mainstem import Pipeline
from mainstem.connect import ArrowSource, ParquetSource, TableSink
from mainstem.frame_data import FRAME_ROWS
from mainstem.frames import FrameStage

pytestmark = [pytest.mark.extras, pytest.mark.anyio]

KINDS: dict[str, tuple[Any, Any]] = {
    "parquet": (ParquetSource, pl.DataFrame.write_parquet),
    "arrow": (ArrowSource, pl.DataFrame.write_ipc),
    "arrow stream": (ArrowSource, pl.DataFrame.write_ipc_stream),
}
FRAME = pl.DataFrame(
    {"n": range(3 * FRAME_ROWS), "kind": ["a", "b", None] * FRAME_ROWS},
    schema={"n": pl.Int32, "kind": pl.Categorical},
)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    return KINDS[request.param]


def test_columns_come_as_they_are(kind: tuple[Any, Any], tmp_path: Path) -> None:
    make, write = kind
    write(FRAME, tmp_path / "in")
    result = Pipeline[None, pl.DataFrame]("read").add_stage(make(tmp_path / "in", as_frames=True)).run()
    assert_frame_equal(result.unwrap(), FRAME, categorical_as_str=True)
    assert str(result.accounting) == f"{len(FRAME):,} in = {len(FRAME):,} given"


async def test_it_is_gone_on_with_after_any_chunk(kind: tuple[Any, Any], tmp_path: Path) -> None:
    make, write = kind
    write(FRAME, tmp_path / "in")
    source = make(tmp_path / "in", as_frames=True, columns=["n"])
    chunks = await read_chunks(source)
    assert len(chunks) > 1 or kind is KINDS["arrow stream"]
    for chunk in chunks:
        rest = await read_chunks(source, start=chunk.position)
        left: Any = [n for each in rest for n in each.records["n"].to_list()]
        assert left == list(range(chunk.position["row"], len(FRAME)))


def test_folders_become_columns(tmp_path: Path) -> None:
    for year in ("2025", "2026"):
        (tmp_path / f"year={year}").mkdir()
        pl.DataFrame({"n": [int(year)]}).write_parquet(tmp_path / f"year={year}" / "in.parquet")
    source = ParquetSource(tmp_path, as_frames=True, partitions=True)
    read = Pipeline[None, pl.DataFrame]("read").add_stage(source).run().unwrap()
    assert read.rows() == [(2025, "2025"), (2026, "2026")]


def test_a_durable_run_loads_each_row_once(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "in")
    sink: Any = TableSink(f"sqlite:///{tmp_path}/t.db", "t")
    chain = ParquetSource(tmp_path / "in", as_frames=True) >> FrameStage(pl.col("kind").cast(pl.String)) >> sink
    result: Any = Pipeline[None, Any]("load").add_stage(chain).run(store=tmp_path / "store.db", run_id="a")
    assert str(result.accounting) == f"{len(FRAME):,} in = {len(FRAME):,} loaded"


def test_a_record_type_is_refused(tmp_path: Path) -> None:
    class Row:
        n: int

    with pytest.raises(TypeError, match="Row"):
        ParquetSource(tmp_path, record_type=Row, as_frames=True)  # type: ignore[call-overload]  # pyright: ignore
