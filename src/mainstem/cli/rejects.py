"""``mainstem rejects``: look at the records that durable runs rejected, and decide on them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.table import Column
from rich.text import Text

from mainstem.cli.durable_report import reason_of, shown_record
from mainstem.cli.escape import plain_console, printable, printable_lines
from mainstem.cli.exit_code import ExitCode
from mainstem.cli.reject_filter import Which, parse_id, parse_ids
from mainstem.cli.runs import runs_called
from mainstem.cli.stores import existing_store
from mainstem.cli.tables import number_column, plain_table, print_table, text_column
from mainstem.cli.usage import UsageError
from mainstem.store.model import RejectQuery, RejectRecord, RejectState
from mainstem.store.store import Store

if TYPE_CHECKING:
    from mainstem.durable.export import ExportFormat

PAGE = 500
LONGEST_RECORD = 20_000


def list_rejects(which: Which, store: str | None, *, limit: int, as_json: bool) -> int:
    """Show rejects as a table, or as JSON."""
    if limit < 1:
        raise UsageError(f"--limit is a number of rejects, at least 1, not {limit}")
    query = which.to_query(limit=limit)
    with existing_store(store) as opened:
        _require_run(opened, which)
        if as_json:
            _write_json(_each(opened, query, limit))
            return ExitCode.COMPLETED
        total, found = opened.count_rejects(query), opened.rejects(query)
    _print_table(plain_console(), found, total)
    return ExitCode.COMPLETED


def show_reject(number: str, store: str | None, *, as_json: bool) -> int:
    """Show all that is known of one reject."""
    from mainstem.durable.ledger import RejectLedger

    id_ = parse_id(number)
    with existing_store(store) as opened:
        reject = RejectLedger(opened).get(id_)
    if as_json:
        _write_json([reject], alone=True)
        return ExitCode.COMPLETED
    console = plain_console()
    for name, value in _facts(reject):
        first, *more = printable_lines(value)
        console.print(Text(f"{name:<9} {first}"), soft_wrap=True)
        for line in more:
            console.print(Text(f"{'':<9} {line}"), soft_wrap=True)
    return ExitCode.COMPLETED


def change_rejects(
    verb: Literal["approve", "discard", "reopen"],
    numbers: Sequence[str],
    which: Which,
    store: str | None,
    by: str | None,
) -> int:
    """Approve, discard or reopen rejects."""
    from mainstem.durable.ledger import RejectLedger

    given = [*numbers, *([which.ids] if which.ids is not None else [])]
    ids, chosen = parse_ids(given), which.to_filter()
    filtered = any(chosen.values())
    if bool(ids) == filtered:
        both = "either by their numbers or by a filter, not both" if ids else "by their numbers, or by --run, --stage"
        raise UsageError(f"say which rejects are meant: {both}" + ("" if ids else ", --code, --pipeline or --state"))
    with existing_store(store) as opened:
        _require_run(opened, which)
        ledger = RejectLedger(opened)
        change = {"approve": ledger.approve, "discard": ledger.discard, "reopen": ledger.reopen}[verb]
        count = change(*ids, by=by) if ids else change(by=by, **chosen)
    done = {"approve": "approved", "discard": "discarded", "reopen": "reopened"}[verb]
    plain_console().print(Text(f"{_counted(count)} {done}"))
    return ExitCode.COMPLETED


def export(
    which: Which, store: str | None, *, form: ExportFormat, output: str | None, escape_formulas: bool = True
) -> int:
    """Write rejects into a file, or to stdout."""
    from mainstem.durable.export import export_rejects

    query = which.to_query()
    with existing_store(store) as opened:
        _require_run(opened, which)
        target = sys.stdout if output is None else output
        count = export_rejects(_each(opened, query), target, form, escape_formulas=escape_formulas)
    if output is not None:
        plain_console(stderr=True).print(Text(printable(f"{_counted(count)} written into {output}")), soft_wrap=True)
    return ExitCode.COMPLETED


def _counted(count: int) -> str:
    return "1 reject" if count == 1 else f"{count:,} rejects"


def _require_run(store: Store, which: Which) -> None:
    """Refuse the name of a run that is not there: it is misspelt, and means no reject by accident."""
    if which.run is not None:
        runs_called(store, which.run, which.pipeline)


def _each(store: Store, query: RejectQuery, limit: int | None = None) -> Iterator[RejectRecord]:
    """Give rejects page by page: each may hold a record of any size."""
    after, left = 0, sys.maxsize if limit is None else limit
    while left and (page := store.rejects(replace(query, after=after, limit=min(PAGE, left)))):
        yield from page
        after, left = page[-1].id, left - len(page)


def _write_json(rejects: Iterable[RejectRecord], *, alone: bool = False) -> None:
    from mainstem.durable.export import export_rejects, plain_reject

    if alone:
        sys.stdout.writelines(json.dumps(plain_reject(each), indent=2) + "\n" for each in rejects)
    else:
        export_rejects(rejects, sys.stdout, "json")
    sys.stdout.flush()


def _print_table(console: Console, rejects: Sequence[RejectRecord], total: int) -> None:
    if not rejects:
        console.print(Text("there are no such rejects"))
        return
    table = plain_table(
        number_column("reject"),
        Column("state", no_wrap=True),
        *map(text_column, ("run", "stage")),
        number_column("record"),
        *map(text_column, ("reason", "value")),
    )
    for each in rejects:
        state = each.state.value if each.is_settled else f"{each.state.value}, unsettled"
        place = "" if each.index is None else f"{each.index:,}"
        run, stage, value = printable(each.run_id), printable(each.stage), shown_record(each, length=120)
        table.add_row(f"{each.id}", state, Text(run), Text(stage), place, reason_of(each), Text(value, style="dim"))
    print_table(console, table)
    more = "" if len(rejects) == total else f", of which the first {len(rejects):,} are shown (--limit)"
    console.print(Text(f"{_counted(total)}{more}"))


def _facts(reject: RejectRecord) -> Iterator[tuple[str, str]]:
    yield "reject", str(reject.id)
    yield "state", _state_of(reject)
    yield "run", f"{reject.run_id} of pipeline {reject.pipeline}"
    place = "no one record" if reject.index is None else f"record {reject.index:,} of what came in"
    origin = "" if reject.origin is None else f", record {reject.origin:,} of the source"
    yield "stage", f"{reject.stage}, {place}{origin}"
    calls = "" if reject.attempts == 1 else f", after {reject.attempts:,} attempts"
    yield "when", f"{reject.at:%Y-%m-%d %H:%M:%S} UTC{calls}"
    yield "code", reject.code
    yield "error", f"{reject.error_type}: {reject.message}"
    kept = replace(reject, edited=None)
    notes = [
        *(["only its repr could be kept"] if not reject.is_exact else []),
        *(["secret fields are left out"] if reject.is_redacted else []),
    ]
    yield "record", shown_record(kept, length=LONGEST_RECORD) + (f" ({', '.join(notes)})" if notes else "")
    if reject.edited is not None:
        yield "edited", shown_record(reject, length=LONGEST_RECORD)


def _state_of(reject: RejectRecord) -> str:
    state: Any = reject.state.value
    if reject.changed_at is not None:
        by = "" if reject.changed_by is None or reject.state is RejectState.REPLAYED else f" by {reject.changed_by}"
        state += f" since {reject.changed_at:%Y-%m-%d %H:%M:%S} UTC{by}"
    if reject.replays:
        state += f"; replayed {'once' if reject.replays == 1 else f'{reject.replays:,} times'}"
    if not reject.is_settled:
        state += "; its batch is not committed: the run, resumed, comes by it again"
    return str(state)
