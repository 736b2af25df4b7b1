"""Import the prices of a day: the pipeline that all the recipes run.

A run has the name of its day. Whoever started it and whatever ended it, starting the run of the same day again goes on
where it was, and loads nothing twice; that is why none of the recipes has to remember anything.

    mainstem run examples/recipes/daily_import.py:pipeline --set day=2026-03-01 --run-id 2026-03-01
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from mainstem import LoadReport, MapStage, Pipeline, PipelineResult, RunCompletedError, open_store
from mainstem.connect import CsvSource, TableSink

NAME = "daily_import"


@dataclass(frozen=True, slots=True)
class Price:
    """A price as the table has it."""

    day: date
    product: str
    cents: int


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of the import of a day: how many prices were loaded, and how many were rejected."""

    loaded: int
    rejected: int


def pipeline(day: date, folder: Path = Path()) -> Pipeline[None, LoadReport, LoadReport]:
    """Make the pipeline.

    Args:
        day: The day, whose prices are in ``prices-2026-03-01.csv``, with the columns product and price.
        folder: Where that file is, and where the database ``prices.db`` is to be.
    """

    def to_price(row: dict[str, str]) -> Price:
        return Price(day, row["product"], round(float(row["price"]) * 100))

    return (
        Pipeline[None, LoadReport](NAME)
        .add_stage(CsvSource(folder / f"prices-{day}.csv", name="read"))
        .add_stage(MapStage(to_price, continue_on_error=True, name="parse"))
        .add_stage(TableSink(f"sqlite:///{folder / 'prices.db'}", "prices", key=("day", "product"), record_type=Price))
    )


def store_in(folder: Path) -> Path:
    """Return where the runs are kept."""
    return folder / "runs.db"


def import_day(day: date, folder: Path = Path()) -> Imported:
    """Import the prices of a day, or go on with it; if it was done before, say what came of it then.

    Raises:
        Exception: What made it fail; called again, it goes on after the last batch.
        RunActiveError: If somebody else is at it.
    """
    try:
        return outcome_of(pipeline(day, folder).run(store=store_in(folder), run_id=str(day)))
    except RunCompletedError:
        return done_before(day, folder)


async def import_day_async(day: date, folder: Path = Path()) -> Imported:
    """Do what ``import_day`` does, from async code."""
    try:
        return outcome_of(await pipeline(day, folder).execute(store=store_in(folder), run_id=str(day)))
    except RunCompletedError:
        return done_before(day, folder)


def outcome_of(result: PipelineResult[LoadReport]) -> Imported:
    """Return what a run came to, or raise what made it fail."""
    return Imported(result.unwrap().records_loaded, result.records_failed)


def done_before(day: date, folder: Path) -> Imported:
    """Return what an earlier run of that day came to."""
    store = open_store(store_in(folder))
    try:
        (run,) = store.runs(run_id=str(day))
    finally:
        store.close()
    *_, last = run.counts.values()
    return Imported(last.records_passed, sum(each.records_failed for each in run.counts.values()))
