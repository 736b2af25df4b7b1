"""The results as one Markdown table, aligned for reading as it is."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.row import Row, Target

HEAD = ("figure", "contestant", "version", "records", "ratio", "lowest to highest", "clock", "measured", "target")
TO_THE_RIGHT = {"records", "ratio", "lowest to highest", "measured"}


def markdown(rows: Sequence[Row]) -> str:
    """Return the table, without a line break at its end."""
    cells = [_cells(row) for row in rows]
    widths = [max(len(line[column]) for line in (HEAD, *cells)) for column in range(len(HEAD))]
    rule = [
        "-" * (width - 1) + (":" if name in TO_THE_RIGHT else "-") for name, width in zip(HEAD, widths, strict=True)
    ]
    return "\n".join(_line(line, widths) for line in (HEAD, rule, *cells))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.rjust(width) if name in TO_THE_RIGHT else cell.ljust(width)
        for name, cell, width in zip(HEAD, cells, widths, strict=True)
    ]
    return f"| {' | '.join(padded)} |"


def _cells(row: Row) -> tuple[str, ...]:
    spread = "" if row.lowest is None or row.highest is None else f"{_number(row.lowest)} to {_number(row.highest)}"
    return (
        row.figure,
        row.contestant,
        row.version,
        _count(row.records),
        "" if row.ratio is None else _number(row.ratio),
        spread,
        row.clock,
        f"{_number(row.amount)} {row.unit}",
        ", ".join(_judged(row, target) for target in row.targets),
    )


def _judged(row: Row, target: Target) -> str:
    found = row.ratio if target.of == "ratio" else row.amount
    unit = "" if target.of == "ratio" else f" {row.unit.split()[0]}"
    if found is None:
        raise ValueError(f"{row.contestant} has a target for its ratio, and no ratio")
    return f"≤ {target.at_most:g}{unit}: {'met' if found <= target.at_most else 'missed'}"


def _number(value: float) -> str:
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 or value == 0 else 3
    return f"{value:,.{decimals}f}"


def _count(records: int) -> str:
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if records >= size and records % (size // 10) == 0:
            return f"{records / size:g}{letter}"
    return str(records)
