"""Runs the flow with Prefect and its own server, with a file that comes late. Run by scripts/test_recipes.sh."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from prices import DAY, LOADED, loaded_in, written_after_a_failure

with TemporaryDirectory() as place:
    folder = Path(place)
    os.environ |= {
        "PRICES": place,
        "RETRY_DELAY": "0.5",
        "PREFECT_HOME": place,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    from prefect.testing.utilities import prefect_test_harness
    from prefect_flow import daily_import

    with prefect_test_harness(server_startup_timeout=90):
        with written_after_a_failure(folder):
            assert daily_import(date.fromisoformat(DAY)) == {"loaded": 2, "rejected": 1}
        assert daily_import(date.fromisoformat(DAY)) == {"loaded": 2, "rejected": 1}
    assert loaded_in(folder) == LOADED
