"""Tables as the command line prints them; among them that of rejects, of which many are grouped."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from mainstem.cli.escape import printable, shorten

Reject = TypeVar("Reject")
REJECTS_SHOWN = 10
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")


@dataclass(frozen=True, slots=True)
class RejectRow:
    """What a table shows of a reject.

    Attributes:
        stage: The stage's name.
        index: Which record of the stage it is; ``None`` if it is no one record.
        reason: What went wrong.
        value: The record, in one line that is safe to print.
        number: Its number in the ledger, if it has one.
    """

    stage: str
    index: int | None
    reason: str
    value: str
    number: int | None = None


def plain_table(*columns: Column) -> Table:
    """Make an empty table."""
    return Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, header_style="bold")


def number_column(name: str) -> Column:
    """Make a column of numbers."""
    return Column(name, justify="right", no_wrap=True)


def text_column(name: str) -> Column:
    """Make a column of text, which is broken where it must be."""
    return Column(name, overflow="fold")


def print_table(console: Console, table: Table, *, indent: int = 0) -> None:
    """Print a table no wider than it must be."""
    console.print(Padding(table, (0, 0, 0, indent), expand=False))


def reject_table(
    rejects: Sequence[Reject], row_of: Callable[[Reject], RejectRow], kind_of: Callable[[Reject], Hashable]
) -> Table:
    """Make a table of rejects: of each, or of many by their kind, each shown by its first.

    Args:
        rejects: The rejects.
        row_of: What is shown of one; it is asked for what is shown only.
        kind_of: Of what kind one is.
    """
    shown = ("stage", "reason", "value")
    if len(rejects) <= REJECTS_SHOWN:
        rows = [row_of(each) for each in rejects]
        has_numbers = any(row.number is not None for row in rows)
        table = plain_table(
            *([number_column("reject")] if has_numbers else []), number_column("record"), *map(text_column, shown)
        )
        for row in rows:
            table.add_row(*([str(row.number)] if has_numbers else []), *_cells(row))
        return table
    groups: dict[Hashable, list[Reject]] = {}
    for each in rejects:
        groups.setdefault(kind_of(each), []).append(each)
    largest = sorted(groups.values(), key=len, reverse=True)
    table = plain_table(number_column("count"), number_column("first at"), *map(text_column, shown))
    for group in largest[:REJECTS_SHOWN]:
        table.add_row(f"{len(group):,}", *_cells(row_of(group[0])))
    more = largest[REJECTS_SHOWN:]
    if more:
        others = Text(f"for {len(more):,} other reasons", style="dim")
        table.add_row(f"{sum(map(len, more)):,}", "", "", others, "")
    return table


def shape_of_reason(reason: str) -> str:
    """Return a reason without numbers and quoted values: reasons that differ in these only are one."""
    return _VALUES.sub("...", reason[:500])


def _cells(row: RejectRow) -> tuple[Text, Text, Text, Text]:
    return (
        Text("" if row.index is None else f"{row.index:,}"),
        Text(printable(row.stage)),
        Text(shorten(printable(row.reason), 300)),
        Text(row.value, style="dim"),
    )
