"""Revenue a minute, by kind of event, from a broker into a table: in event time, exactly, though messages come twice.

Events may come late and out of order, and a broker delivers again what a killed run had not acknowledged; so windows go
by the time that an event has in it, and repeats are left out by its id. Run it with

    mainstem run examples/live_metrics.py:pipeline --set broker=redis://localhost --set database=sqlite:///live.db \\
        --run-id today
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from mainstem import (
    DedupeStage,
    LoadReport,
    MapStage,
    Pipeline,
    Sum,
    TumblingWindow,
    ValidateRecordsStage,
    Window,
    WindowStage,
)
from mainstem.brokers import BrokerSource
from mainstem.connect import TableSink


@dataclass(frozen=True, slots=True)
class Event:
    id: int
    at: datetime
    kind: str
    amount: float = 0.0


@dataclass(frozen=True, slots=True)
class Revenue:
    minute: datetime
    kind: str
    events: int
    amount: float


def not_negative(event: Event) -> bool | str:
    return event.amount >= 0 or f"negative amount: {event.amount}"


def id_of(event: Event) -> int:
    return event.id


def time_of(event: Event) -> datetime:
    return event.at


def kind_of(event: Event) -> str:
    return event.kind


def amount_of(event: Event) -> float:
    return event.amount


def to_revenue(window: Window[str, float, datetime]) -> Revenue:
    return Revenue(window.start, window.key, window.records, window.value)


def pipeline(
    broker: str = "redis://localhost",
    channel: str = "events",
    database: str = "sqlite:///live.db",
    idle_seconds: float = 5.0,
) -> Pipeline[None, LoadReport, LoadReport]:
    """Make the pipeline; it ends when no event has come for some time.

    Args:
        broker: The URL of the broker.
        channel: Its stream, subject, queue or topic.
        database: Where the table is.
        idle_seconds: After how long without an event it ends.
    """
    idle = timedelta(seconds=idle_seconds)
    minutes = WindowStage(
        TumblingWindow(timedelta(minutes=1)),
        time_of,
        Sum(of=amount_of),
        key=kind_of,
        allowed_lateness=timedelta(minutes=5),
        continue_on_error=True,
    )
    return (
        Pipeline[None, LoadReport]("live_metrics")
        .add_stage(BrokerSource(broker, channel, record_type=Event, until=idle, continue_on_error=True))
        .add_stage(ValidateRecordsStage(not_negative, continue_on_error=True))
        .add_stage(DedupeStage(id_of))
        .add_stage(minutes)
        .add_stage(MapStage(to_revenue))
        .add_stage(TableSink(database, "revenue", key=("minute", "kind"), mode="upsert", record_type=Revenue))
    )
