"""What the web applications do: begin the import of a day in the background, and say where it stands."""

from __future__ import annotations

import logging
from datetime import date
from pathlib import Path
from typing import Any

from anyio.abc import TaskGroup
from daily_import import import_day_async, store_in

from mainstem import RunActiveError, open_store

logger = logging.getLogger("prices")


class Imports:
    """Imports under way in one application.

    Args:
        folder: Where the files are.
        tasks: Where they run: as long as the application does.
    """

    def __init__(self, folder: Path, tasks: TaskGroup) -> None:
        self._folder, self._tasks = folder, tasks

    def begin(self, day: date) -> None:
        """Begin the import of a day, or go on with it; does nothing if it is done, or under way."""
        self._tasks.start_soon(self._run, day)

    async def _run(self, day: date) -> None:
        try:
            done = await import_day_async(day, self._folder)
        except RunActiveError:
            logger.info("the import of %s is under way", day)
        except Exception:  # the task must not end the others, and the application with them; the store knows the error
            logger.exception("the import of %s failed", day)
        else:
            logger.info("the import of %s: %s", day, done)

    def look(self, day: date) -> dict[str, Any] | None:
        """Return where the import of a day stands, as the store knows it; ``None`` if there is none. It blocks."""
        store = open_store(store_in(self._folder))
        try:
            runs = store.runs(run_id=str(day))
        finally:
            store.close()
        for run in runs:
            counts = list(run.counts.values())
            return {
                "status": run.status.value,
                "loaded": counts[-1].records_passed if counts else 0,
                "rejected": sum(each.records_failed for each in counts),
                "error": run.error,
            }
        return None
