"""Parquet, filtered, grouped, to Parquet: 3.4 million flights in frames, against Polars streaming the same query."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from benchmarks.by_hand import flights as by_hand
from benchmarks.command import run_script
from benchmarks.flights import ROWS
from benchmarks.measure import Contestant, Figure, Settings, compare
from benchmarks.row import Row, Target
from mainstem import LoadReport, Pipeline
from mainstem.connect import ParquetSink, ParquetSource
from mainstem.frames import FrameAggregateStage, FrameCount, FrameMax, FrameMean, FrameStage

_example: Any = import_module("examples.flights_import")
DEPARTED = pl.col("dep_time").is_not_null()
KEYS = ["carrier", "origin", "dest"]


def by_pipeline(files: tuple[Path, Path]) -> int:
    source, target = files
    answers = {"flights": FrameCount(), "delay": FrameMean("dep_delay"), "longest": FrameMax("air_time")}
    pipeline = (
        Pipeline[None, LoadReport]("delays")
        .add_stage(ParquetSource(source, columns=[*KEYS, "dep_time", "dep_delay", "air_time"], as_frames=True))
        .add_stage(FrameStage(lambda frame: frame.filter(DEPARTED)))
        .add_stage(FrameAggregateStage(answers, by=KEYS))
        .add_stage(ParquetSink(target))
    )
    return pipeline.run().unwrap().records_loaded


def by_polars(files: tuple[Path, Path]) -> int:
    source, target = files
    answers = [pl.len().alias("flights"), pl.col("dep_delay").mean().alias("delay"), pl.col("air_time").max()]
    pl.scan_parquet(source).filter(DEPARTED).group_by(KEYS).agg(answers).sink_parquet(target)
    return int(pl.scan_parquet(target).select(pl.len()).collect().item())


def measure(settings: Settings) -> list[Row]:
    with TemporaryDirectory() as place:
        folder = Path(place)

        def flights(count: int) -> tuple[Path, Path]:
            source = folder / f"flights-{count}.parquet"
            if not source.exists():
                file = folder / "flights.csv"
                by_hand.write_flights(_example.flights_csv(), file, count)
                pl.read_csv(file, null_values=["NA"], columns=by_hand.COLUMNS).write_parquet(source)
                file.unlink()
            return source, folder / "delays.parquet"

        base = Contestant("Polars, streaming", by_polars, clock="wall")
        ours = Contestant("mainstem, frames", by_pipeline, package="mainstem", clock="wall", targets=(Target(1.2),))
        return compare(Figure("Parquet, filter, group, Parquet", ROWS, flights, base), [ours], settings, show_base=True)


if __name__ == "__main__":
    run_script(__doc__, measure)
