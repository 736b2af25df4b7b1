"""Materializes a partition with Dagster, whose file comes late, and once more. Run by scripts/test_recipes.sh."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from prices import DAY, LOADED, loaded_in, written_after_a_failure

with TemporaryDirectory() as place:
    folder = Path(place)
    os.environ |= {"PRICES": place, "RETRY_DELAY": "0.5", "DAGSTER_HOME": place, "DAGSTER_DISABLE_TELEMETRY": "1"}
    import dagster as dg
    from dagster_job import definitions, prices

    with written_after_a_failure(folder):
        first = dg.materialize([prices], partition_key=DAY)
    assert first.success
    assert [event.event_type_value for event in first.all_events].count("STEP_UP_FOR_RETRY") >= 1
    second = dg.materialize([prices], partition_key=DAY)
    for each in (first, second):
        (made,) = each.asset_materializations_for_node("prices")
        assert {name: value.value for name, value in made.metadata.items()} == {"loaded": 2, "rejected": 1}
    assert loaded_in(folder) == LOADED
    assert definitions.resolve_schedule_def("daily_import_schedule").cron_schedule == "15 6 * * *"
