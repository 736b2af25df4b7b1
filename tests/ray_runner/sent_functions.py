"""Functions that are sent to Ray: what some of them leave in files tells where and how often they were called."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from mainstem import Pipeline
from mainstem.connect import TableSink
from mainstem.workers import Runner

DURABLE = 3000


def double(number: int) -> int:
    return 2 * number


def refuse_sevens(number: int) -> int:
    if number % 7 == 0:
        raise ValueError(f"{number} is one of seven")
    return number


class DiesOnce:
    """Ends its process at one number, the first time."""

    def __init__(self, marker: Path, number: int) -> None:
        self.marker, self.number = marker, number

    def __call__(self, number: int) -> int:
        if number == self.number and not self.marker.exists():
            self.marker.touch()
            os._exit(3)
        return number


def dies(number: int) -> int:
    if number == 77:
        os._exit(3)
    return number


class SaysWhere:
    """Takes a while, and leaves the name of the node it is on in a folder."""

    def __init__(self, folder: Path, seconds: float = 0.002) -> None:
        self.folder, self.seconds = folder, seconds

    def __call__(self, number: int) -> int:
        import ray

        (self.folder / ray.get_runtime_context().get_node_id()).touch()
        time.sleep(self.seconds)
        return number


class WaitsForTheOtherNode:
    """Leaves the name of the node it is on in a folder, and goes on when another node has left its name there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, number: int) -> int:
        import ray

        (self.folder / ray.get_runtime_context().get_node_id()).touch()
        while len(list(self.folder.iterdir())) < 2:
            time.sleep(0.01)
        return number


class SaysItBegan:
    """Leaves a file, and takes long."""

    def __init__(self, marker: Path, seconds: float) -> None:
        self.marker, self.seconds = marker, seconds

    def __call__(self, number: int) -> int:
        self.marker.touch()
        time.sleep(self.seconds)
        return number


def as_row(number: int) -> dict[str, int]:
    return {"number": number}


def into_a_table(target: str, folder: str, runner: Runner) -> Any:
    """Run durably into a table, for a while."""
    pipeline: Any = Pipeline[Any, Any]("p").map(SaysWhere(Path(folder), 0.001)).map(as_row)
    return pipeline.add_stage(TableSink(f"sqlite:///{target}", "numbers")).run(
        list(range(DURABLE)), store=f"{target}.store", run_id="r", runner=runner, commit_every=200
    )
