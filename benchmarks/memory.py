"""Records streamed from a generator of dicts through map, filter and map: the peak memory of a process that does it.

What is given is the peak above that of the same interpreter after ``import asyncio`` alone, so the import of mainstem
counts. Each way runs in processes of its own, at two lengths of input: what streams needs the same for both. A peak
hardly varies, so only the small one of the bare interpreter is a median of rounds.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.command import run_script
from benchmarks.measure import Settings, WrongAnswerError
from benchmarks.row import Row, Target

ROOT = Path(__file__).parent.parent
LENGTHS = (1_000_000, 10_000_000)
BARE = "import asyncio; from benchmarks.peak import peak_memory; print(0, peak_memory())"
"""``benchmarks.peak`` needs a few small modules of the standard library, as ``benchmarks.streamed`` does."""
WAYS = {"by_generators": "generators", "by_mainstem": "mainstem stream"}
MIB = 1024 * 1024


def measure(settings: Settings) -> list[Row]:
    bare = statistics.median(_run("-c", BARE)[1] for _ in range(settings.rounds))
    rows = [_row("bare interpreter, all its memory", 0, bare)]
    for way, name in WAYS.items():
        peaks: list[float] = []
        for length in LENGTHS:
            count = settings.records(length)
            came, peak = _run("-m", "benchmarks.streamed", way, str(count))
            if came != count - -(-count // 4):
                raise WrongAnswerError(f"{name}: {came} records came out of {count}")
            peaks.append(peak - bare)
            rows.append(_row(name, count, peaks[-1], ratio=peaks[-1] / peaks[0] if way == "by_mainstem" else None))
    return rows


def _run(*arguments: str) -> tuple[int, int]:
    """Run a process that prints two numbers: how many records came out, and its peak."""
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    came, peak = done.stdout.split()
    return int(came), int(peak)


def _row(name: str, count: int, peak: float, ratio: float | None = None) -> Row:
    ours = name == WAYS["by_mainstem"]
    return Row(
        figure="peak memory of a stream",
        contestant=name,
        version=version("mainstem") if ours else "",
        records=count,
        ratio=ratio,
        lowest=None,
        highest=None,
        clock="",
        amount=peak / MIB,
        unit="MiB",
        targets=(Target(30, of="amount"), Target(1.1)) if ours else (),
    )


if __name__ == "__main__":
    run_script(__doc__, measure)
