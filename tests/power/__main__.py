"""Power cuts by the million, with a report in JSON: ``python -m tests.power --images 1000000 --report file.json``.

``--recording``, ``--seed`` and ``--image`` make one image again.
"""

from __future__ import annotations

import json
import random
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from tests.crash.report import write_report
from tests.power.breakages import BREAKAGES
from tests.power.cuts import Found, cut_power, record
from tests.power.recorder import compile_recorder
from tests.power.subjects import SUBJECTS

_SHARE = 2500
"""Images of one task."""


def main() -> int:
    options = _options()
    names = options.subject or list(SUBJECTS)
    began = monotonic()
    total: dict[str, Found] = {name: Found() for name in names}
    with (
        TemporaryDirectory() as folder,
        ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool,
    ):
        tasks = dict(_tasks(pool, Path(folder), names, options))
        for task in as_completed(tasks):
            found, whole = task.result(), total[tasks[task]]
            whole.images += found.images
            whole.violations.update(found.violations)
            for kind, first in found.first.items():
                whole.first.setdefault(kind, first)
    report = _report(total, options, monotonic() - began)
    print(json.dumps(report, indent=2))
    if options.report is not None:
        write_report(options.report, "power-cut images", report)
    return int(any(found.violations for found in total.values()))


def _options() -> Namespace:
    parser = ArgumentParser(prog="python -m tests.power", description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000, help="of all subjects together")
    parser.add_argument("--subject", choices=list(SUBJECTS), action="append", help="all by default")
    parser.add_argument("--breakage", choices=list(BREAKAGES), default="", help="break what is recorded")
    parser.add_argument("--recording", type=Path, help="one that is there already, of one subject")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--image", type=int, help="only this one")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    if options.recording is not None and len(options.subject or ()) != 1:
        parser.error("a recording is of one subject: name it with --subject")
    return options


def _tasks(
    pool: ProcessPoolExecutor, folder: Path, names: list[str], options: Namespace
) -> Iterator[tuple[Future[Found], str]]:
    library = None if options.recording else compile_recorder(folder)
    for at, name in enumerate(names):
        log = options.recording or folder / f"{at}.log"
        if library is not None:
            record(name, library, log, options.breakage)
        wanted = options.images // len(names) + (at < options.images % len(names))
        numbers = range(wanted) if options.image is None else range(options.image, options.image + 1)
        for first in range(0, len(numbers), _SHARE):
            yield pool.submit(cut_power, name, log, options.seed, numbers[first : first + _SHARE]), name


def _report(total: dict[str, Found], options: Namespace, seconds: float) -> dict[str, Any]:
    violations = Counter[str]()
    for found in total.values():
        violations.update(found.violations)
    images = sum(found.images for found in total.values())
    return {
        "images": images,
        "corrupt": violations["corrupt"],
        "lost": violations["lost"],
        "inconsistent": violations["inconsistent"],
        "subjects": {
            name: {"images": found.images, **found.violations, **({"first": found.first} if found.first else {})}
            for name, found in total.items()
        },
        "seed": options.seed,
        "breakage": options.breakage,
        "seconds": round(seconds, 1),
        "images a second": round(images / seconds),
        "jobs": options.jobs,
    }


if __name__ == "__main__":
    sys.exit(main())
