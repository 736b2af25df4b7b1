"""``ParquetSink``: what is written is what was given, whole or not at all, here and in object stores."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import obstore
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.connect.file_servers import Bucket
from tests.connect.file_servers import bucket as bucket

from mainstem import ConnectError, LoadReport, Pipeline, StageContractError
from mainstem.connect import (
    ArrowSink,
    ArrowSource,
    CsvSink,
    CsvSource,
    JsonLinesSink,
    JsonLinesSource,
    ParquetSink,
    ParquetSource,
)
from mainstem.frames import FrameStage

pytestmark = pytest.mark.extras

SCHEMA = {
    "n": pl.Int64,
    "x": pl.Float64,
    "text": pl.String,
    "yes": pl.Boolean,
    "day": pl.Date,
    "at": pl.Datetime("us", "UTC"),
    "raw": pl.Binary,
    "took": pl.Duration("us"),
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "n": st.integers(-(2**63), 2**63 - 1),
    "x": st.floats(allow_nan=False),
    "text": st.text(st.characters(exclude_categories=["Cs"])),
    "yes": st.booleans(),
    "day": st.dates(),
    "at": st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(timezone.utc)),
    "raw": st.binary(),
    "took": st.timedeltas(timedelta(days=-9999), timedelta(days=9999)),
}
RECORDS = st.lists(st.fixed_dictionaries({name: st.none() | each for name, each in VALUES.items()}), max_size=20)


def write(sink: ParquetSink | ArrowSink, data: Any, **options: Any) -> Any:
    pipeline: Any = Pipeline[Any, LoadReport]("write").add_stage(sink)
    return pipeline.run(data, **options)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RECORDS, st.sampled_from(["zstd", "snappy", "none"]), st.integers(1, 30))
def test_records_come_back_as_they_were(
    tmp_path: Path, records: list[dict[str, Any]], compression: Any, rows: int
) -> None:
    path = tmp_path / "w.parquet"
    write(ParquetSink(path, schema=SCHEMA, compression=compression, row_group_rows=rows), records).unwrap()
    assert pl.read_parquet(path).to_dicts() == records
    assert Pipeline[Any, Any]("read").add_stage(ParquetSource(path)).run().unwrap() == records
    assert pq.read_table(path).num_rows == len(records)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RECORDS, st.sampled_from(["lz4", "zstd", "none"]), st.integers(1, 30))
def test_records_come_back_from_arrow_as_they_were(
    tmp_path: Path, records: list[dict[str, Any]], compression: Any, rows: int
) -> None:
    path = tmp_path / "w.arrow"
    write(ArrowSink(path, schema=SCHEMA, compression=compression, batch_rows=rows), records).unwrap()
    assert pl.read_ipc(path.read_bytes()).to_dicts() == records
    assert Pipeline[Any, Any]("read").add_stage(ArrowSource(path)).run().unwrap() == records
    with pa.ipc.open_file(path) as file:
        assert file.num_record_batches == -(-len(records) // rows)


def test_frames_are_written_as_they_are_in_row_groups(tmp_path: Path) -> None:
    frame = pl.DataFrame({"n": range(200_000), "name": ["é"] * 200_000})
    path = tmp_path / "w.parquet"
    report = write(ParquetSink(path, row_group_rows=70_000), frame).unwrap()
    assert report.records_loaded == 200_000
    assert pl.read_parquet(path).equals(frame)
    metadata = pq.ParquetFile(path).metadata
    assert [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)] == [70_000, 70_000, 60_000]
    assert metadata.row_group(0).column(0).compression == "ZSTD"


@dataclass(frozen=True)
class Person:
    name: str
    born: date | None


def test_a_record_type_is_a_schema(tmp_path: Path) -> None:
    path = tmp_path / "w.parquet"
    write(ParquetSink(path, schema=Person), [Person("Ada", date(1815, 12, 10)), Person("Bob", None)]).unwrap()
    assert pl.read_parquet(path).rows() == [("Ada", date(1815, 12, 10)), ("Bob", None)]


def test_nothing_written_is_a_file_of_its_columns(tmp_path: Path) -> None:
    for schema, columns in ((SCHEMA, list(SCHEMA)), (None, [])):
        write(ParquetSink(tmp_path / "w.parquet", schema=schema), []).unwrap()
        assert pl.read_parquet(tmp_path / "w.parquet").columns == columns


def test_what_does_not_fit_is_rejected_alone(tmp_path: Path) -> None:
    path = tmp_path / "w.parquet"
    records = [{"n": 1}, {"n": "2"}, {"n": 1.5}, {"m": 1}, {"n": True}, {"n": 2**63}, {"n": None}]
    result = write(ParquetSink(path, schema={"n": pl.Int64}, continue_on_error=True), records)
    assert [each.index for each in result.context.errors] == [1, 2, 3, 4, 5]
    assert pl.read_parquet(path)["n"].to_list() == [1, None]


@pytest.mark.parametrize(
    ("options", "data", "message"),
    [
        ({}, [{"n": 1}], r"records need ParquetSink\(schema="),
        ({"schema": {"n": pl.Int64}}, pl.DataFrame({"n": [1.5]}), "and the schema says"),
        ({}, pl.DataFrame({"n": pl.Series([object()], dtype=pl.Object)}), "these columns cannot be written"),
    ],
)
def test_what_cannot_be_written_is_an_error(tmp_path: Path, options: Any, data: Any, message: str) -> None:
    result = write(ParquetSink(tmp_path / "w.parquet", **options), data)
    assert isinstance(result.error, (StageContractError, ConnectError))
    with pytest.raises(type(result.error), match=message):
        raise result.error
    assert list(tmp_path.iterdir()) == []


def test_frames_of_one_load_have_the_same_columns(tmp_path: Path) -> None:
    def widen(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(pl.lit(1).alias("more")) if frame["n"][0] else frame

    pipeline: Any = Pipeline[Any, Any]("write").add_stage(FrameStage(widen))
    pipeline.add_stage(ParquetSink(tmp_path / "w.parquet", row_group_rows=10))
    result = pipeline.run(pl.DataFrame({"n": range(150_000)}))
    assert "have different columns" in str(result.error)
    assert not (tmp_path / "w.parquet").exists()


RUN = """
import sys
from pathlib import Path
import polars as pl
from mainstem import Pipeline
from mainstem.connect import ParquetSink
from mainstem.faults import kill_at

folder = Path(sys.argv[1])
if len(sys.argv) > 2:
    kill_at(sys.argv[2], int(sys.argv[3]))
sink = ParquetSink(folder / "w.parquet", schema={"n": pl.Int64}, continue_on_error=True)
pipeline = Pipeline("numbers").map(lambda n: {"n": n if n % 7 else "x"}).add_stage(sink)
pipeline.run(range(40), store=f"sqlite:///{folder}/runs.db", run_id="a", commit_every=10).unwrap()
"""
POINTS = [
    ("run claimed", 1),
    ("batch begins", 2),
    ("batch written", 2),
    ("batch prepared", 2),
    ("batch committed", 3),
    ("target completes", 1),
    ("target completed", 1),
]


def run_apart(folder: Path, *arguments: str) -> int:
    # Not a fork of this process: the threads of Polars are not there in one.
    return subprocess.run([sys.executable, "-c", RUN, str(folder), *arguments], check=False).returncode


@pytest.mark.slow
@pytest.mark.parametrize(("point", "occurrence"), POINTS)
def test_a_durable_run_writes_each_record_once_wherever_it_is_killed(
    tmp_path: Path, point: str, occurrence: int
) -> None:
    assert run_apart(tmp_path, point, str(occurrence)) == -signal.SIGKILL
    assert run_apart(tmp_path) == 0
    assert pl.read_parquet(tmp_path / "w.parquet")["n"].to_list() == [n for n in range(40) if n % 7]


def test_a_durable_run_of_frames_is_gone_on_with(tmp_path: Path) -> None:
    frame = pl.DataFrame({"n": range(200_000)})
    store = f"sqlite:///{tmp_path}/runs.db"
    broken = [True]

    def fail(part: pl.DataFrame) -> pl.DataFrame:
        if broken and part["n"][0] > 100_000:
            raise RuntimeError("the power fails")
        return part

    def run() -> Any:
        pipeline: Any = Pipeline[Any, Any]("frames").add_stage(FrameStage(fail))
        pipeline.add_stage(ParquetSink(tmp_path / "w.parquet"))
        return pipeline.run(frame, store=store, run_id="a", commit_every=65_000)

    assert not run().success
    assert not (tmp_path / "w.parquet").exists()
    broken.clear()
    assert run().unwrap().guarantee.value == "exactly-once"
    assert pl.read_parquet(tmp_path / "w.parquet").equals(frame)


def test_an_object_is_there_as_a_whole_or_not_at_all(bucket: Bucket) -> None:
    url = f"{bucket.url}/out/w.parquet"

    def sink(**options: Any) -> ParquetSink:
        return ParquetSink(url, schema={"n": pl.Int64}, storage_options=bucket.options, **options)

    assert not write(sink(), [{"n": 1}, {"n": "x"}]).success
    assert list(obstore.list(bucket.store).collect()) == []
    report = write(sink(), [{"n": n} for n in range(3000)]).unwrap()
    assert report.target == url
    source: Any = ParquetSource(url, storage_options=bucket.options)
    assert len(Pipeline[Any, Any]("read").add_stage(source).run().unwrap()) == 3000
    assert not write(sink(), [{"n": "x"}]).success
    assert len(Pipeline[Any, Any]("read").add_stage(source).run().unwrap()) == 3000


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize(("sink_of", "source_of"), [(CsvSink, CsvSource), (JsonLinesSink, JsonLinesSource)])
def test_other_files_go_there_as_well(bucket: Bucket, sink_of: Any, source_of: Any, ending: str) -> None:
    url = f"{bucket.url}/out/w.txt{ending}"
    records = [{"n": str(number)} for number in range(3000)]
    assert not write(sink_of(url, storage_options=bucket.options), [{"n": "1"}, {"n": {"a set"}}]).success
    assert list(obstore.list(bucket.store).collect()) == []
    write(sink_of(url, storage_options=bucket.options), records).unwrap()
    content = bytes(obstore.get(bucket.store, f"out/w.txt{ending}").bytes())
    assert content.startswith(b"\x1f\x8b") is bool(ending)
    source = source_of(url, storage_options=bucket.options)
    assert Pipeline[Any, Any]("read").add_stage(source).run().unwrap() == records


def test_a_large_object_goes_in_parts(bucket: Bucket) -> None:
    frame = pl.DataFrame({"n": range(1_500_000)}).with_columns(pl.col("n").hash().alias("h"))
    write(ParquetSink(f"{bucket.url}/w.parquet", storage_options=bucket.options), frame).unwrap()
    content = bytes(obstore.get(bucket.store, "w.parquet").bytes())
    assert len(content) > 10_000_000
    assert pl.read_parquet(content).equals(frame)


def test_fsspec_takes_the_rest() -> None:
    write(ParquetSink("memory://folder/w.parquet", schema={"n": pl.Int64}), [{"n": 1}]).unwrap()
    source: Any = ParquetSource("memory://folder/w.parquet")
    assert Pipeline[Any, Any]("read").add_stage(source).run().unwrap() == [{"n": 1}]


def test_a_durable_run_counts_what_does_not_fit(tmp_path: Path) -> None:
    sink = ParquetSink(tmp_path / "w.parquet", schema={"n": pl.Int64}, continue_on_error=True)
    report = write(sink, [{"n": 1}, {"n": "x"}, {"n": 2}], store=tmp_path / "runs.db", run_id="a").unwrap()
    assert (report.records_loaded, report.records_rejected) == (2, 1)


def test_a_durable_run_goes_on_with_the_columns_it_began_with(tmp_path: Path) -> None:
    def change(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.cast(pl.String) if frame["n"][0] else frame

    pipeline: Any = Pipeline[Any, Any]("write").add_stage(FrameStage(change))
    pipeline.add_stage(ParquetSink(tmp_path / "w.parquet"))
    numbers = pl.DataFrame({"n": range(150_000)})
    result = pipeline.run(numbers, store=tmp_path / "runs.db", run_id="a", commit_every=60_000)
    assert "the run began it with the columns {'n': 'Int64'}, and now they are {'n': 'String'}" in str(result.error)


@pytest.mark.parametrize("url", ["s3://no-such-bucket-{}/w.parquet", "{}/w.parquet"])
def test_a_wrong_bucket_and_a_wrong_endpoint(bucket: Bucket, url: str) -> None:
    options = {**bucket.options, "endpoint": "http://127.0.0.1:1", "retry_config": {"max_retries": 0}}
    wrong = url.startswith("{}")
    where = url.format(bucket.url if wrong else bucket.name)
    result = write(
        ParquetSink(where, schema={"n": pl.Int64}, storage_options=options if wrong else bucket.options), [{"n": 1}]
    )
    assert isinstance(result.error, ConnectError)
    assert "cannot write" in str(result.error)
    assert str(bucket.options["secret_access_key"]) not in str(result.error)


@pytest.mark.parametrize(
    ("path", "options", "error", "message"),
    [
        ("w.parquet", {"compression": "rar"}, ValueError, "compression of ParquetSink is one of"),
        ("w.parquet", {"row_group_rows": 0}, ValueError, "row_group_rows"),
        ("w.parquet", {"schema": int}, TypeError, "ParquetSink takes a record type with fields"),
        ("https://host/w.parquet", {}, ConnectError, "takes none: give the URL of a store"),
        ("memory://folder/", {}, ConnectError, "is a folder, or a bucket"),
        ("nope://me:pw-1234@host/w.parquet", {}, ConnectError, "not supported"),
    ],
)
def test_wrong_arguments_are_refused(path: str, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        ParquetSink(path, **options)
    assert "pw-1234" not in str(caught.value)
