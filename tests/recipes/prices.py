"""Days of prices for the recipes, and what must be there after each. Needs nothing but mainstem."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mainstem import open_store

DAY = "2026-03-01"
PRICES = "product,price\ntea,1.50\nair,free\nsalt,0.80\n"
LOADED = [(DAY, "tea", 150), (DAY, "salt", 80)]


def write_prices(folder: Path, prices: str = PRICES, day: str = DAY) -> None:
    """Put the file of a day into a folder, all at once."""
    unfinished = folder / "prices.unfinished"
    unfinished.write_text(prices)
    unfinished.rename(folder / f"prices-{day}.csv")


def loaded_in(folder: Path) -> list[tuple[str, str, int]]:
    """Return the rows of the table, in the order in which they were loaded."""
    if not (folder / "prices.db").exists():
        return []
    with closing(sqlite3.connect(folder / "prices.db")) as database:
        return database.execute("SELECT day, product, cents FROM prices ORDER BY rowid").fetchall()


def status_of(folder: Path, day: str = DAY) -> str | None:
    """Return where the run of a day stands; ``None`` if there is none."""
    if not (folder / "runs.db").exists():
        return None
    store = open_store(folder / "runs.db")
    try:
        runs = store.runs(run_id=day)
    finally:
        store.close()
    return runs[0].status.value if runs else None


@contextmanager
def written_after_a_failure(folder: Path, seconds: float = 60) -> Iterator[None]:
    """Have the file come too late: until the run of the day has failed with it, there is one that cannot be read."""
    write_prices(folder, 'product,price\ntea,1.50\nsalt,"0.8')
    done = threading.Event()

    def write() -> None:
        ends_at = time.monotonic() + seconds
        while status_of(folder) != "failed" and time.monotonic() < ends_at and not done.wait(0.05):
            pass
        write_prices(folder)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
