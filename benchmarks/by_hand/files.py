"""A CSV file, a map, and another CSV file."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Contestant, Figure

COLUMNS = ["order", "customer", "amount"]


@dataclass(frozen=True, slots=True)
class Files:
    """Where to read from and where to write to."""

    source: Path
    target: Path

    def take_target(self) -> bytes:
        """Return what was written, and leave nothing of it for the next contestant."""
        written = self.target.read_bytes()
        self.target.unlink()
        return written


def add_price(row: dict[str, str]) -> dict[str, str]:
    return {**row, "price": str(int(row["amount"]) * 3)}


def make_files(folder: Path, count: int) -> Files:
    files = Files(folder / "orders.csv", folder / "priced.csv")
    with files.source.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(COLUMNS)
        writer.writerows([f"ORD-{number:07}", f"customer {number % 997}", number] for number in range(count))
    return files


def loop(files: Files) -> bytes:
    with files.source.open(newline="") as source, files.target.open("w", newline="") as target:
        writer = csv.DictWriter(target, [*COLUMNS, "price"])
        writer.writeheader()
        for row in csv.DictReader(source):
            writer.writerow(add_price(row))
    return files.take_target()


def csv_to_csv(folder: Path) -> Figure:
    """Return the figure, for which the files are in ``folder``."""
    base = Contestant("csv.DictReader, csv.DictWriter", loop, clock="wall")
    return Figure("CSV to CSV", 200_000, lambda count: make_files(folder, count), base)
