"""Templates, and how values are shown in them. Everything is escaped: nothing of a record is ever markup."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mainstem.durable.run_states import state_of
from mainstem.printable import printable, shorten
from mainstem.progress.words import format_duration
from mainstem.store.model import RunRecord
from mainstem.store.pages import GROUPED, MOST, WINDOW

HERE = Path(__file__).parent


def in_short(value: object, length: int = 200) -> str:
    """Show a text in one line of about ``length`` characters."""
    return shorten(printable(str(value)), length)


def lines(value: object) -> str:
    """Show a text of several lines."""
    return "\n".join(map(printable, shorten(str(value), 50_000).split("\n")))


def number(value: float) -> str:
    """Show a number with its thousands apart."""
    return f"{value:,.0f}"


def counted(value: int) -> str:
    """Show a count that was told up to ``MOST``."""
    return f"{MOST:,}+" if value > MOST else f"{value:,}"


def moment(value: datetime | None) -> str:
    """Show a time to the second, in UTC."""
    return "" if value is None else f"{value.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S}"


def machine_time(value: datetime) -> str:
    """Return a time as the attribute ``datetime`` has it."""
    return value.astimezone(timezone.utc).isoformat(timespec="seconds")


def lasted(record: RunRecord) -> str:
    """Show how long a run has been under way, or was."""
    last = record.ended_at if record.ended_at is not None else record.updated_at
    return format_duration(max(0.0, (last - record.started_at).total_seconds() * 1000))


@cache
def templates() -> Environment:
    """Return the templates."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    names: dict[str, Any] = made.globals
    names.update(window=WINDOW, grouped=GROUPED)
    made.filters.update(
        short=in_short,
        lines=lines,
        number=number,
        counted=counted,
        moment=moment,
        machine_time=machine_time,
        duration=format_duration,
        lasted=lasted,
        state=state_of,
    )
    return made


def render(template: str, values: Mapping[str, Any]) -> bytes:
    """Render a template; halves of surrogate pairs, which no page can hold, are shown as escapes."""
    return templates().get_template(template).render(values).encode("utf-8", "backslashreplace")
