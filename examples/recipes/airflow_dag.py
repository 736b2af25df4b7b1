"""Run imports from Airflow: a DAG a day, with a task that is retried where it failed.

Put it where Airflow looks for DAGs, or try it with ``airflow dags test daily_import 2026-03-01``.
"""
# Airflow is in an environment of its own, requirements/recipe-airflow.txt, which type checkers do not look into.
# mypy: ignore-errors
# pyright: basic, reportMissingImports=false

import os
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

from airflow.sdk import dag, get_current_context, task
from daily_import import import_day


@dag(
    dag_id="daily_import",
    schedule="15 6 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
)
def daily_import() -> None:
    @task(retries=3, retry_delay=timedelta(seconds=float(os.environ.get("RETRY_DELAY", "60"))))
    def import_prices() -> dict[str, int]:
        """Import the prices of the day that the DAG run is of, or go on with it."""
        day = date.fromisoformat(get_current_context()["ds"])  # Airflow's own dates are of a class of pendulum's
        done = import_day(day, Path(os.environ.get("PRICES", ".")))
        return {"loaded": done.loaded, "rejected": done.rejected}

    import_prices()


prices_dag = daily_import()
