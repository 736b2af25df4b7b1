"""The whole poison matrix, with a report in JSON: ``python -m tests.poison --report file.json``."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from tests.crash.report import write_report
from tests.poison.cells import Cell, all_cells, check
from tests.postgres_server import PostgresServer

_SHARE = 48
"""Cells of one task."""


def check_all(cells: Sequence[Cell]) -> list[str]:
    """Check some cells with a database server of their own, and say what is wrong in which."""
    server = PostgresServer()
    try:
        url = server.new_database()
        return [f"{cell}: {what}" for cell in cells for what in _wrong_in(cell, url)]
    finally:
        server.remove()


def _wrong_in(cell: Cell, url: str) -> list[str]:
    with TemporaryDirectory() as folder:
        try:
            return check(cell, Path(folder), url)
        except Exception as error:
            return [f"the check failed: {error!r:.300}"]


def main() -> int:
    parser = ArgumentParser(prog="python -m tests.poison", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--report", type=Path, default=Path("crash-report.json"))
    options = parser.parse_args()
    cells = list(all_cells())
    began = monotonic()
    failures: list[str] = []
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn"), max_tasks_per_child=4) as pool:
        tasks = [pool.submit(check_all, cells[at : at + _SHARE]) for at in range(0, len(cells), _SHARE)]
        for task in as_completed(tasks):
            failures += task.result()
    entry = {
        "cells": len(cells),
        "by target": Counter(cell.target for cell in cells),
        "by way": Counter(("durable, " if cell.durable else "") + cell.way for cell in cells),
        "failed": len(failures),
        "failures": failures[:50],
        "seconds": round(monotonic() - began),
        "jobs": options.jobs,
    }
    write_report(options.report, "poison matrix", entry)
    print(f"{len(cells)} cells, {len(failures)} failed", *failures[:50], sep="\n")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
