"""Images of power cuts by the million, with a report in JSON."""

from __future__ import annotations

import json
import random
import sys
from argparse import ArgumentParser
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import monotonic

from tests.crash.__main__ import write_report
from tests.power_cuts.many import look_at_images

_SHARE = 10_000


def main() -> int:
    parser = ArgumentParser(prog="python -m tests.power_cuts", description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--kind", choices=["delete", "wal"], help="the target's journal; both by default")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--report", type=Path, default=Path("crash-report.json"))
    options = parser.parse_args()
    kinds = [options.kind] if options.kind else ["delete", "wal"]
    seeds, began = random.Random(options.seed), monotonic()
    entry = {"images": 0, "corrupt": 0, "inconsistent": 0, "lost": 0, "seed": options.seed, "jobs": options.jobs}
    failures: list[str] = []
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        shares = [min(_SHARE, options.images - done) for done in range(0, options.images, _SHARE)]
        tasks = [
            pool.submit(look_at_images, kinds[at % len(kinds)], share, seeds.randrange(2**32))
            for at, share in enumerate(shares)
        ]
        for task in tasks:
            found = task.result()
            for name in ("images", "corrupt", "inconsistent", "lost"):
                entry[name] += found[name]
            failures += [found["first"]] if found["first"] else []
            seconds = round(monotonic() - began)
            write_report(options.report, "power cuts, SQLite", {**entry, "failures": failures, "seconds": seconds})
    print(json.dumps(entry, indent=2))
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
