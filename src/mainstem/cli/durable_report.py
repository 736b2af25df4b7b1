"""What the report at the end of a durable run has beside that of any other: where it stands, and its rejects."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from mainstem.cli.durable_outcome import REJECTS_READ, DurableOutcome
from mainstem.cli.escape import printable, shorten
from mainstem.cli.reject_values import show_kept
from mainstem.cli.tables import RejectRow, print_table, reject_table, shape_of_reason
from mainstem.store.model import RejectRecord


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
    print_table(console, reject_table(durable.rejects, _row_of, _kind_of), indent=2)
    if total > len(durable.rejects):
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


def _row_of(reject: RejectRecord) -> RejectRow:
    return RejectRow(
        reject.stage, reject.index, first_line_of(reject), shown_record(reject, length=120), number=reject.id
    )


def _kind_of(reject: RejectRecord) -> tuple[str, str, str]:
    return reject.stage, reject.code, shape_of_reason(reject.message)


def first_line_of(reject: RejectRecord) -> str:
    """Return what went wrong, without notes."""
    return f"{reject.error_type.rpartition('.')[2]}: {reject.message.split(chr(10), 1)[0]}"


def reason_of(reject: RejectRecord) -> Text:
    """Return what went wrong, in one line that is safe to print."""
    return Text(shorten(printable(first_line_of(reject)), 300))


def shown_record(reject: RejectRecord, *, length: int) -> str:
    """Return the record of a reject as it would be replayed, in one line."""
    if reject.edited is not None:
        return show_kept(reject.edited, length=length)
    return show_kept(reject.record, is_exact=reject.is_exact, length=length)
