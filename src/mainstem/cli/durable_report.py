"""What the report at the end of a durable run has beside that of any other: where it stands, and its rejects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from mainstem.cli.durable_outcome import REJECTS_READ, DurableOutcome
from mainstem.cli.escape import printable, shorten
from mainstem.cli.reject_values import show_kept
from mainstem.store.model import RejectRecord

REJECTS_SHOWN = 10
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")


def print_durable(console: Console, durable: DurableOutcome) -> None:
    """Print where a durable run stands."""
    record = durable.record
    batches = "1 batch" if record.committed == 1 else f"{record.committed:,} batches"
    parts = [f"run {record.run_id}"]
    parts += [record.guarantee] if record.guarantee else []
    parts.append(f"{batches} committed, kept in {durable.store}")
    console.print(Text(f"durable: {printable(', '.join(parts))}"), soft_wrap=True)
    if durable.resumed_after is not None:
        read = f"{durable.records_read_before:,} records had been read"
        console.print(Text(f"resumed after batch {durable.resumed_after:,}, {read}"), soft_wrap=True)


def print_kept_rejects(console: Console, durable: DurableOutcome) -> None:
    """Print the rejects that the store has of a run, counted exactly; many are grouped."""
    counts = durable.reject_counts
    if not counts:
        return
    total = sum(counts.values())
    states = ", ".join(f"{count:,} {state.value}" for state, count in counts.items())
    console.print(Text.assemble((f"{total:,} rejected", "bold red"), f" ({states})"), soft_wrap=True)
    rejects = durable.rejects
    table = _each_reject(rejects) if total <= REJECTS_SHOWN else _grouped_rejects(rejects)
    console.print(Padding(table, (0, 0, 0, 2), expand=False))
    if total > len(rejects):
        console.print(Text(f"  of the first {REJECTS_READ:,}", style="dim"))
    console.print(Text(f"to look at them: {printable(durable.list_command)}"), soft_wrap=True)


def print_resume(console: Console, durable: DurableOutcome) -> None:
    """Print how to go on with a run that has not completed."""
    if durable.resume_command is not None:
        console.print(Text(f"to go on after the last batch: {printable(durable.resume_command)}"), soft_wrap=True)


def durable_document(durable: DurableOutcome) -> dict[str, Any]:
    """Return the same for JSON."""
    record = durable.record
    return {
        "run_id": record.run_id,
        "status": record.status.value,
        "store": durable.store,
        "guarantee": record.guarantee,
        "attempt": record.epoch,
        "batches_committed": record.committed,
        "resumed_after_batch": durable.resumed_after,
        "records_read_before": durable.records_read_before,
        "rejects": {state.value: count for state, count in durable.reject_counts.items()},
        "resume_command": durable.resume_command,
    }


def _each_reject(rejects: Sequence[RejectRecord]) -> Table:
    table = _table(Column("reject", justify="right", no_wrap=True), Column("record", justify="right", no_wrap=True))
    for each in rejects:
        table.add_row(Text(f"{each.id}"), _position(each), *_described(each))
    return table


def _grouped_rejects(rejects: Sequence[RejectRecord]) -> Table:
    """Group by stage and reason. Reasons that differ in numbers and quoted values only are one, shown by its first."""
    groups: dict[tuple[str, str, str], list[RejectRecord]] = {}
    for each in rejects:
        groups.setdefault((each.stage, each.code, _VALUES.sub("...", each.message[:500])), []).append(each)
    largest = sorted(groups.values(), key=len, reverse=True)
    table = _table(Column("count", justify="right", no_wrap=True), Column("first at", justify="right", no_wrap=True))
    for group in largest[:REJECTS_SHOWN]:
        table.add_row(Text(f"{len(group):,}"), _position(group[0]), *_described(group[0]))
    more = largest[REJECTS_SHOWN:]
    if more:
        others = Text(f"for {len(more):,} other reasons", style="dim")
        table.add_row(Text(f"{sum(map(len, more)):,}"), "", "", others, "")
    return table


def _table(*leading: Column) -> Table:
    return Table(
        *leading,
        Column("stage", overflow="fold"),
        Column("reason", overflow="fold"),
        Column("value", overflow="fold"),
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        header_style="bold",
    )


def _position(reject: RejectRecord) -> Text:
    return Text("" if reject.index is None else f"{reject.index:,}")


def _described(reject: RejectRecord) -> tuple[Text, Text, Text]:
    return Text(printable(reject.stage)), reason_of(reject), Text(shown_record(reject, length=120), style="dim")


def reason_of(reject: RejectRecord) -> Text:
    """Return what went wrong, in one line."""
    first = reject.message.split("\n", 1)[0]
    return Text(shorten(printable(f"{reject.error_type.rpartition('.')[2]}: {first}"), 300))


def shown_record(reject: RejectRecord, *, length: int) -> str:
    """Return the record of a reject as it would be replayed, in one line."""
    if reject.edited is not None:
        return show_kept(reject.edited, length=length)
    return show_kept(reject.record, is_exact=reject.is_exact, length=length)
