"""``RayRunner`` against the same function by hand on Ray Data's ``map_batches``, and where it stops scaling.

It needs Ray Data, so it runs in the environment of that peer: ``make peers``, then
``PYTHONPATH=src .peers/ray/bin/python -m benchmarks.ray_runner``. Ray is started with 1, 2 and 4 processors, whatever
the machine has; both take the same list and give the same list. Of the medians of some rounds it prints the ratio, and
of the times of ``RayRunner`` the fit of ``t = fixed + records x (driver + task / tasks)``.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from mainstem import Pipeline
from mainstem.ray_runner import RayRunner

TASKS = (1, 2, 4)
SIZES = (10_000, 40_000)
TURNS = (20, 200, 2000)
BATCH = 1000


def spin(turns: int) -> int:
    """Take about 60 ns a turn."""
    number = turns
    for _ in range(turns):
        number = (number * 1_103_515_245 + 12_345) % 2_147_483_648
    return number


def by_runner(records: list[int], tasks: int) -> list[int]:
    pipeline: Any = Pipeline[list[int], list[int]]("spin").map(spin)
    given: list[int] = pipeline.run(records, runner=RayRunner(parallelism=tasks)).unwrap()
    return given


def spin_all(batch: dict[str, Any]) -> dict[str, list[int]]:
    return {"item": [spin(turns) for turns in batch["item"].tolist()]}


def by_map_batches(records: list[int], tasks: int) -> list[int]:
    data: Any = import_module("ray.data")
    made = data.from_items(records, override_num_blocks=max(1, len(records) // BATCH))
    mapped = made.map_batches(spin_all, batch_size=BATCH, compute=data.TaskPoolStrategy(size=tasks))
    return [row["item"] for row in mapped.take_all()]


def seconds(work: Callable[[], list[int]], expected: list[int]) -> float:
    gc.collect()
    started = perf_counter()
    given = work()
    taken = perf_counter() - started
    assert sorted(given) == expected, "the answers differ"
    return taken


def measure(tasks: int, rounds: int) -> list[tuple[int, int, int, float]]:
    """Return the turns, the tasks, the records and the median time of ``RayRunner``, for each kind of run."""
    found: list[tuple[int, int, int, float]] = []
    for turns in TURNS:
        for size in SIZES:
            records = [turns] * size
            expected = [spin(turns)] * size
            times: dict[Callable[[list[int], int], list[int]], list[float]] = {by_map_batches: [], by_runner: []}
            for number in range(rounds + 1):
                for contestant, taken in times.items():
                    spent = seconds(partial(contestant, records, tasks), expected)
                    if number:  # in the first Ray starts its workers
                        taken.append(spent)
            by_hand, ours = (median(taken) for taken in times.values())
            found.append((turns, tasks, size, ours))
            print(
                f"{turns:6} turns {size:7} records {tasks} tasks: Ray Data {by_hand:6.2f} s, RayRunner {ours:6.2f} s, "
                f"throughput {by_hand / ours:5.2f}",
                flush=True,
            )
    return found


def fitted(times: Sequence[tuple[int, int, float]]) -> tuple[float, float, float]:
    """Return ``fixed``, ``driver`` and ``task`` of the model, by least squares of the relative errors."""
    numpy: Any = import_module("numpy")
    rows = [[1 / taken, size / taken, size / tasks / taken] for tasks, size, taken in times]
    answer: Any = numpy.linalg.lstsq(numpy.array(rows), numpy.ones(len(rows)), rcond=None)[0]
    fixed, driver, task = (float(each) for each in answer)
    return fixed, driver, task


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": os.pathsep.join(sys.path)}
    logging.disable(logging.INFO)
    ray: Any = import_module("ray")
    cores = len(os.sched_getaffinity(0))
    print(f"Ray {ray.__version__}, {cores} cores, load {Path('/proc/loadavg').read_text().split()[0]}")
    found: list[tuple[int, int, int, float]] = []
    for tasks in TASKS:
        with TemporaryDirectory(prefix="ray-") as folder:
            options = {"include_dashboard": False, "log_to_driver": False, "object_store_memory": 200_000_000}
            ray.init(num_cpus=tasks, _temp_dir=folder, **options)
            import_module("ray.data").DataContext.get_current().enable_progress_bars = False
            found += measure(tasks, rounds)
            ray.shutdown()
    for turns in TURNS:
        real = [(tasks, size, ours) for each, tasks, size, ours in found if each == turns and tasks <= cores]
        fixed, driver, task = (1e6 * each for each in fitted(real))
        print(f"{turns} turns: {fixed / 1e6:.2f} s + records x ({driver:.1f} us + {task:.1f} us / tasks)")


if __name__ == "__main__":
    main()
