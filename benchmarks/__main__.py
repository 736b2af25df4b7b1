"""Runs every benchmark, each in a process of its own, and prints one table.

``make benchmark`` for all, ``make benchmark PEERS=no`` without the peers. Names of figures or peers after
``python -m benchmarks`` pick some.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from benchmarks.command import add_options, print_rows
from benchmarks.environments import PEERS, ROOT, interpreter_of
from benchmarks.row import Row, from_json

FIGURES = (
    "records",
    "async_map",
    "async_overhead",
    "fixed_cost",
    "memory",
    "processes",
    "csv_files",
    "durable",
    "observe",
    "web_page",
)
PROCESSOR = Path("/proc/cpuinfo")


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"one of {', '.join((*FIGURES, *PEERS))}")
    parser.add_argument("--no-peers", action="store_true", help="leave the peers out")
    add_options(parser)
    options = parser.parse_args()
    unknown = set(options.names) - {*FIGURES, *PEERS}
    if unknown:
        parser.error(f"there is no {' or '.join(sorted(unknown))}: it is one of {', '.join((*FIGURES, *PEERS))}")
    wanted = options.names or [*FIGURES, *([] if options.no_peers else PEERS)]
    passed = [f"--rounds={options.rounds}", f"--scale={options.scale}", "--json"]
    commands = {name: [*_command(name), *passed] for name in wanted}  # so that what is missing is missed at once
    rows: list[Row] = []
    for name, command in commands.items():
        started = perf_counter()
        rows += _rows_of(name, command)
        print(f"{name}: {perf_counter() - started:.0f} s", file=sys.stderr)
    if not options.json:
        print(f"{_machine()}. Medians of {options.rounds} rounds.\n")
    print_rows(_together(rows), json=options.json)


def _command(name: str) -> list[str]:
    if name in FIGURES:
        return [sys.executable, "-m", f"benchmarks.{name}"]
    # The warnings of the peers are theirs; the environment has nothing else in it.
    return [str(interpreter_of(name)), "-W", "ignore", "-m", "benchmarks.peers", name]


def _rows_of(name: str, command: Sequence[str]) -> list[Row]:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed: {' '.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return from_json(done.stdout.splitlines()[-1])


def _together(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with those of one figure next to each other."""
    figures = list(dict.fromkeys(row.figure for row in rows))
    return sorted(rows, key=lambda row: figures.index(row.figure))


def _machine() -> str:
    models = [
        line.partition(":")[2].strip()
        for line in (PROCESSOR.read_text().splitlines() if PROCESSOR.exists() else ())
        if line.startswith("model name")
    ]
    processor = models[0] if models else platform.machine()
    return (
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()}, "
        f"{os.cpu_count()} cores ({processor})"
    )


if __name__ == "__main__":
    main()
