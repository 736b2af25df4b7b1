"""Runs the DAG with Airflow and a database of its own, with a file that comes late. Run by scripts/test_recipes.sh."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

from prices import DAY, LOADED, loaded_in, written_after_a_failure

with TemporaryDirectory() as place:
    folder = Path(place)
    os.environ |= {
        "PRICES": place,
        "RETRY_DELAY": "0.5",
        "AIRFLOW_HOME": f"{place}/airflow",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parents[2] / "examples" / "recipes"),
    }
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
    from airflow_dag import prices_dag

    at = datetime.fromisoformat(DAY).replace(tzinfo=timezone.utc)
    with written_after_a_failure(folder):
        run = prices_dag.test(logical_date=at)
    assert run.state == "success", run.state
    assert loaded_in(folder) == LOADED
