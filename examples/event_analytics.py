"""Aggregate raw events into metrics, derive values from them, and store the results for a dashboard.

Several metrics are computed in parallel branches of the same events; run it with

    mainstem run examples/event_analytics.py:pipeline --set events=events.jsonl --set database=sqlite:///metrics.db
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mainstem import (
    AggregateStage,
    Count,
    Distinct,
    FilterStage,
    GroupBy,
    LoadReport,
    Pipeline,
    Sum,
    ValidateRecordsStage,
    fan_out,
)
from mainstem.connect import JsonLinesSource, TableSink


@dataclass(frozen=True, slots=True)
class Event:
    day: str
    user: str
    kind: str
    amount: float = 0.0


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    day: str
    value: float


def is_real(event: Event) -> bool:
    return not event.user.startswith("test-")


def not_negative(event: Event) -> bool | str:
    return event.amount >= 0 or f"negative amount: {event.amount}"


def day_of(event: Event) -> str:
    return event.day


def user_of(event: Event) -> str:
    return event.user


def amount_of(event: Event) -> float:
    return event.amount


def to_metrics(computed: tuple[dict[str, int], dict[str, list[Event]], dict[str, float]]) -> list[Metric]:
    """Put the branches together, and derive the revenue per active user."""
    events, users, revenue = computed
    return [
        metric
        for day in sorted(events)
        for metric in (
            Metric("events", day, events[day]),
            Metric("active_users", day, len(users[day])),
            Metric("revenue", day, revenue[day]),
            Metric("revenue_per_user", day, round(revenue[day] / len(users[day]), 2)),
        )
    ]


def pipeline(
    events: Path = Path("events.jsonl"), database: str = "sqlite:///metrics.db"
) -> Pipeline[None, LoadReport, LoadReport]:
    """Make the pipeline.

    Args:
        events: A file with one event a line, as JSON.
        database: Where the table of metrics is.
    """
    return (
        Pipeline[None, LoadReport]("event_analytics")
        .add_stage(JsonLinesSource(events, record_type=Event, continue_on_error=True))
        .add_stage(ValidateRecordsStage(not_negative, continue_on_error=True))
        .add_stage(FilterStage(is_real))
        .add_stage(
            fan_out(
                AggregateStage(GroupBy(day_of, Count())),
                AggregateStage(GroupBy(day_of, Distinct(by=user_of))),
                AggregateStage(GroupBy(day_of, Sum(of=amount_of))),
            )
        )
        .add_stage(AggregateStage(to_metrics))
        .add_stage(TableSink(database, "metrics", key=("name", "day"), mode="upsert", record_type=Metric))
    )
