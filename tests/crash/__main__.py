"""Kills, connection cuts and power cuts by the ten thousand, with a report in JSON: ``make crash``.

Each command prints what it found and adds it to the report; ``--seed`` repeats one.
"""

from __future__ import annotations

import json
import random
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import Any

from tests.crash.many import cut, kill
from tests.crash.report import write_report

TARGETS = ("sqlite", "postgres", "csv", "json_lines")
_SHARE = 250
"""Kills of one task, after which what was found is written down."""


def in_shares(name: str, work: Callable[..., dict[str, Any]], options: Namespace, *before: Any) -> bool:
    """Do the work in shares, side by side, write down what was found after each, and say whether all is well."""
    seeds = random.Random(options.seed)
    shares = [min(_SHARE, options.number - done) for done in range(0, options.number, _SHARE)]
    total = Counter[str]()
    failures: list[str] = []
    began = monotonic()
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        tasks = [pool.submit(work, *before, share, seeds.randrange(2**32)) for share in shares]
        for task in tasks:
            found = task.result()
            failures += [found.pop("what")] if "what" in found else []
            total.update(found)
            entry = {
                **total,
                "failures": failures,
                "seed": options.seed,
                "seconds": round(monotonic() - began),
                "jobs": options.jobs,
            }
            write_report(options.report, name, entry)
    print(name, json.dumps(entry, indent=2))
    return not (total["failed"] or total["lost"] or total["doubled"])


def main() -> int:
    parser = ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("what", choices=["kills", "cuts"])
    parser.add_argument("--target", choices=TARGETS, default="sqlite", help="where the runs that are killed load")
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--report", type=Path, default=Path("crash-report.json"))
    options = parser.parse_args()
    if options.what == "kills":
        return int(not in_shares(f"kills, {options.target}", kill, options, options.target))
    return int(not in_shares("connection cuts, postgres", cut, options))


if __name__ == "__main__":
    sys.exit(main())
