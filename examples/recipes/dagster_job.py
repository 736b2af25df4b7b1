"""Run imports from Dagster: an asset with a partition a day, retried where it failed.

dagster asset materialize -f examples/recipes/dagster_job.py --select prices --partition 2026-03-01
"""
# Dagster is in an environment of its own, requirements/recipe-dagster.txt, which type checkers do not look into.
# mypy: ignore-errors
# pyright: basic, reportMissingImports=false

import os
from datetime import date
from pathlib import Path

import dagster as dg
from daily_import import import_day


@dg.asset(
    partitions_def=dg.DailyPartitionsDefinition(start_date="2026-01-01"),
    retry_policy=dg.RetryPolicy(max_retries=3, delay=float(os.environ.get("RETRY_DELAY", "60"))),
)
def prices(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """The prices of a day, in the table."""
    done = import_day(date.fromisoformat(context.partition_key), Path(os.environ.get("PRICES", ".")))
    return dg.MaterializeResult(metadata={"loaded": done.loaded, "rejected": done.rejected})


every_morning = dg.build_schedule_from_partitioned_job(
    dg.define_asset_job("daily_import", selection=[prices]), hour_of_day=6, minute_of_hour=15
)
definitions = dg.Definitions(assets=[prices], schedules=[every_morning])
