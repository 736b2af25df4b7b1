"""A plan as it is printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Column
from rich.text import Text

from mainstem.cli.escape import printable
from mainstem.cli.finding import Finding
from mainstem.cli.tables import plain_table, print_table, text_column
from mainstem.connect.table_look import TableLook
from mainstem.endpoints import Guarantee
from mainstem.graph.data import GraphNode
from mainstem.plan.data import Access, PipelinePlan, SinkPlan, SourcePlan

_LEVELS = {
    "ok": ("ok", "green"),
    "unknown": ("?", "dim"),
    "broken": ("broken", "bold red"),
    "not checked": ("", "dim"),
    "note": ("note", "dim"),
    "warning": ("warning", "bold yellow"),
}
_WIDTH = 9


def print_plan(console: Console, plan: PipelinePlan, findings: Sequence[Finding]) -> None:
    """Print a plan, and what was found of the store."""
    console.print(Text(f"{printable(plan.pipeline)}: no record is moved", style="bold"), soft_wrap=True)
    table = plain_table(
        text_column("stage"), Column("kind", no_wrap=True), Column("input", no_wrap=True), text_column("gives")
    )
    for node in plan.graph.stages:
        table.add_row(*(Text(printable(cell)) for cell in (node.path, _kind(node), _input(node), node.gives)))
    print_table(console, table, indent=2)
    for source in plan.sources:
        _print_access(console, source.path, source.access, _of_source(source))
    for sink in plan.sinks:
        _print_access(console, f"{sink.path} -> {sink.target}", sink.access, "")
        for line, style in _of_sink(sink):
            console.print(Text(f"{'':{_WIDTH}}{printable(line)}", style=style), soft_wrap=True)
    for finding in findings:
        _print_line(console, finding.level, f"{finding.name}: {finding.text}")
    for line in (_memory(plan), _durable(plan)):
        console.print(Text(printable(line)), soft_wrap=True)
    for problem in plan.problems:
        console.print(Text(f"problem: {printable(problem)}", style="bold red"), soft_wrap=True)


def _kind(node: GraphNode) -> str:
    if node.shape in ("source", "sink"):
        return node.shape
    return node.law


def _input(node: GraphNode) -> str:
    """Say how a stage takes its input."""
    if node.shape == "source":
        return ""
    return {"streams": "by chunk", "adds up": "by chunk, one value", "blocks": "all at once"}[node.flow or "blocks"]


def _of_source(source: SourcePlan) -> str:
    parts = ["the reference of a join"] if source.is_reference else []
    return ", ".join([*parts, *(["messages are acknowledged after the commit"] if source.acknowledges else [])])


def _print_access(console: Console, name: str, access: Access, more: str) -> None:
    text = "; ".join(part for part in (access.text, more) if part)
    _print_line(console, access.level, f"{name}: {text}" if text else name)


def _print_line(console: Console, level: str, text: str) -> None:
    shown, style = _LEVELS[level]
    console.print(Text.assemble((f"{shown:<{_WIDTH}}", style), printable(text)), soft_wrap=True)


def _of_sink(sink: SinkPlan) -> Iterator[tuple[str, str]]:
    if sink.durable_refusal:
        yield f"a durable run is refused: {sink.durable_refusal}", "yellow"
    else:
        yield f"promises {sink.durable_guarantee.value} in a durable run, {sink.guarantee.value} in any other", ""
    if sink.replaces:
        yield "what is there now is replaced", "yellow"
    if sink.table is not None:
        yield from _of_table(sink.table)


def _of_table(table: TableLook) -> Iterator[tuple[str, str]]:
    if table.exists:
        columns = ", ".join(f"{name} {declared}".strip() for name, declared in table.columns.items())
        yield f"it has: {columns}", ""
    if table.fields is None:
        yield "which fields the records have is known only when they come: mainstem preview shows it", "dim"
    else:
        yield f"records have: {', '.join(table.fields)}", ""
    for change in table.changes:
        yield f"change: {change}", "yellow"
    if table.exists and table.fields is not None and not table.changes:
        yield "no change of the table itself", ""
    for note in table.notes:
        yield f"note: {note}", "dim"


def _memory(plan: PipelinePlan) -> str:
    if plan.held:
        held = "; ".join(f"{path}, because {reason}" for path, reason in plan.held)
        return f"memory: held as a whole at {held}"
    if plan.collects:
        return "memory: every stage takes chunks; what the pipeline gives is collected in memory, unless it is streamed"
    return "memory: bounded, whatever the size of the input: chunks go from source to sink"


def _durable(plan: PipelinePlan) -> str:
    if plan.guarantee is Guarantee.EXACTLY_ONCE:
        refusals = [sink.durable_refusal for sink in plan.sinks if sink.durable_refusal]
        if refusals:
            return f"durable: a durable run is refused: {refusals[0]}"
        return "durable: with --run-id, each record is loaded exactly once or is a reject, whatever is killed and when"
    return f"durable: {plan.guarantee.value} only: {plan.guarantee_reason}"
