"""The whole poison matrix, with a report in JSON: ``python -m tests.poison --report file.json``; half an hour or so."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from time import monotonic

from tests.crash.report import write_report
from tests.poison.cells import all_cells
from tests.poison.many import check_all

_SHARE = 48
"""Cells of one task."""


def main() -> int:
    parser = ArgumentParser(prog="python -m tests.poison", description=__doc__)
    parser.add_argument("--only", default="", help="cells with this in their name, such as that of one that failed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--report", type=Path, default=Path("crash-report.json"))
    options = parser.parse_args()
    cells = [cell for cell in all_cells() if options.only in str(cell)]
    if not cells:
        parser.error(f"no cell has {options.only!r} in its name")
    began = monotonic()
    failures: list[str] = []
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(check_all, cells[at : at + _SHARE]) for at in range(0, len(cells), _SHARE)]
        for task in as_completed(tasks):
            failures += task.result()
    entry = {
        "only": options.only,
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
