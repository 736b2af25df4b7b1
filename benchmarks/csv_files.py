"""A CSV file of 200,000 rows through a map into another CSV file, against a hand-written loop."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.by_hand.files import Files, add_price, csv_to_csv
from benchmarks.command import run_script
from benchmarks.measure import Contestant, Settings, compare
from benchmarks.row import Row
from mainstem import LoadReport, MapStage, Pipeline
from mainstem.connect import CsvSink, CsvSource


def run(files: Files) -> bytes:
    pipeline = (
        Pipeline[None, LoadReport]("prices")
        .add_stage(CsvSource(files.source))
        .add_stage(MapStage(add_price))
        .add_stage(CsvSink(files.target))
    )
    pipeline.run().unwrap()
    return files.take_target()


def measure(settings: Settings) -> list[Row]:
    with TemporaryDirectory() as folder:
        contestants = [Contestant("mainstem run", run, package="mainstem", clock="wall")]
        return compare(csv_to_csv(Path(folder)), contestants, settings, show_base=True)


if __name__ == "__main__":
    run_script(__doc__, measure)
