"""Run imports from Prefect: a flow with a task that is retried where it failed.

python examples/recipes/prefect_flow.py 2026-03-01
"""
# Prefect is in an environment of its own, requirements/recipe-prefect.txt, which type checkers do not look into.
# mypy: ignore-errors
# pyright: basic, reportMissingImports=false

import os
import sys
from datetime import date
from pathlib import Path

from daily_import import import_day
from prefect import flow, get_run_logger, task


@task(retries=3, retry_delay_seconds=float(os.environ.get("RETRY_DELAY", "60")))
def import_prices(day: date) -> dict[str, int]:
    """Import the prices of a day, or go on with it."""
    done = import_day(day, Path(os.environ.get("PRICES", ".")))
    get_run_logger().info("%s prices loaded, %s rejected", done.loaded, done.rejected)
    return {"loaded": done.loaded, "rejected": done.rejected}


@flow(name="daily_import")
def daily_import(day: date) -> dict[str, int]:
    """Import the prices of a day."""
    return import_prices(day)


if __name__ == "__main__":
    print(daily_import(date.fromisoformat(sys.argv[1])))
