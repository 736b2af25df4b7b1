"""Each example does what its text says."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timedelta, timezone
from pathlib import Path
from time import monotonic

import polars as pl
import pytest
from examples import data_export, event_analytics, flights_import, monitoring, user_import

from mainstem import EventBus, LoadReport, Pipeline, ValidationError

HEADER = "year,month,day,dep_time,dep_delay,air_time,carrier,flight,tailnum,origin,dest,distance,minute,time_hour\n"


def rows_of(database: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(database) as connection:
        rows = connection.execute(query).fetchall()
    connection.close()
    return rows


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_all_flights_are_imported_rejected_or_recognised_as_doubles(tmp_path: Path) -> None:
    database = tmp_path / "flights.db"
    result = flights_import.pipeline(f"sqlite:///{database}").run()
    loaded = result.unwrap().records_loaded
    assert result.records_in == 336_776
    assert result.records_failed == len(result.context.errors) == 8_255
    assert {str(entry.error) for entry in result.context.errors} == {"no departure time: the flight was cancelled"}
    assert loaded + result.records_filtered + result.records_failed == 336_776
    assert rows_of(database, "SELECT count(*) FROM flights") == [(loaded,)]


def test_a_flight_has_aware_times_and_a_speed(tmp_path: Path) -> None:
    flights = tmp_path / "flights.csv"
    flight = "2013,1,1,517,2,227,UA,1545,N14228,EWR,IAH,1400,15,2013-01-01T10:00:00Z\n"
    cancelled = "2013,1,1,,,,UA,1546,,EWR,IAH,1400,15,2013-01-01T10:00:00Z\n"
    flights.write_text(HEADER + flight + cancelled + flight)
    database = tmp_path / "flights.db"
    result = flights_import.pipeline(f"sqlite:///{database}", flights).run()
    assert result.unwrap().records_loaded == 1
    assert (result.records_in, result.records_failed, result.records_filtered) == (3, 1, 1)
    assert result.context.errors[0].record.flight == 1546
    ((departed, speed),) = rows_of(database, "SELECT departed, miles_per_hour FROM flights")
    assert datetime.fromisoformat(str(departed)) == datetime(2013, 1, 1, 10, 17, tzinfo=timezone.utc)
    assert speed == pytest.approx(370.0)


FIRST_USERS = "email,name,born\nada@example.org,ada lovelace,1815-12-10\nnobody,no one,1900-01-01\n"
SECOND_USERS = (
    "email,name,born\nADA@example.org,Ada,1815-12-10\nalan@example.org,alan turing,1912-06-23\n"
    "alan@example.org,Alan,1912-06-23\nx@example.org,x,never\n"
)


def test_a_second_import_adds_only_new_users_and_keeps_the_bad_records_aside(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/users.db"
    users = tmp_path / "users.csv"
    users.write_text(FIRST_USERS)
    first = user_import.pipeline(str(users), database).run()
    assert first.unwrap().records_loaded == 1
    (rejected,) = first.context.errors
    assert isinstance(rejected.error, ValidationError)
    assert str(rejected.error) == "not an e-mail address: 'nobody'"
    assert (rejected.record.email, rejected.index) == ("nobody", 1)

    users.write_text(SECOND_USERS)
    second = user_import.pipeline(str(users), database).run()
    assert second.unwrap().records_loaded == 1
    assert (second.records_in, second.records_filtered, second.records_failed) == (4, 2, 1)
    assert rows_of(tmp_path / "users.db", "SELECT email, display_name, birth_year FROM users ORDER BY birth_year") == [
        ("ada@example.org", "Ada Lovelace", 1815),
        ("alan@example.org", "Alan Turing", 1912),
    ]


def make_shop(database: Path, orders: int) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER, customer TEXT, cents INTEGER)")
        connection.executemany(
            "INSERT INTO orders VALUES (?, ?, ?)", [(number, " ada ", 250 * number) for number in range(1, orders + 1)]
        )
    connection.close()


def test_orders_are_exported_in_batches(tmp_path: Path) -> None:
    make_shop(tmp_path / "shop.db", orders=5)
    folder = tmp_path / "export"
    pipeline = data_export.pipeline(f"sqlite:///{tmp_path}/shop.db", str(folder), batch_size=2)
    assert pipeline.run().unwrap() == 5
    files = {file.name: pl.read_parquet(file).to_dicts() for file in folder.iterdir()}
    assert {name: len(orders) for name, orders in files.items()} == {
        "ORD-000001.parquet": 2,
        "ORD-000003.parquet": 2,
        "ORD-000005.parquet": 1,
    }
    assert files["ORD-000005.parquet"] == [{"order_id": "ORD-000005", "customer": "Ada", "total": "12.50"}]


def test_batches_are_sent_no_faster_than_allowed(tmp_path: Path) -> None:
    """Three batches at two a second: the third is not sent before the window of the first has passed."""
    make_shop(tmp_path / "shop.db", orders=3)
    pipeline = data_export.pipeline(
        f"sqlite:///{tmp_path}/shop.db", str(tmp_path / "export"), batch_size=1, batches_per_second=2
    )
    started = monotonic()
    assert pipeline.run().unwrap() == 3
    assert monotonic() - started > 0.9


def test_metrics_are_computed_side_by_side_and_stored(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    records = [
        {"day": "2026-01-01", "user": "ada", "kind": "buy", "amount": 10.0},
        {"day": "2026-01-01", "user": "ada", "kind": "view"},
        {"day": "2026-01-01", "user": "alan", "kind": "buy", "amount": 5.5},
        {"day": "2026-01-01", "user": "test-1", "kind": "buy", "amount": 99.0},
        {"day": "2026-01-02", "user": "alan", "kind": "buy", "amount": -1.0},
        {"day": "2026-01-02", "user": "alan", "kind": "view"},
    ]
    events.write_text("\n".join([*map(json.dumps, records), "{broken"]) + "\n")
    database = tmp_path / "metrics.db"
    pipeline = event_analytics.pipeline(events, f"sqlite:///{database}")
    result = pipeline.run()
    assert isinstance(result.unwrap(), LoadReport)
    assert sorted(entry.stage for entry in result.context.errors) == ["JsonLinesSource", "ValidateRecordsStage"]
    expected = [
        ("active_users", "2026-01-01", 2.0),
        ("active_users", "2026-01-02", 1.0),
        ("events", "2026-01-01", 3.0),
        ("events", "2026-01-02", 1.0),
        ("revenue", "2026-01-01", 15.5),
        ("revenue", "2026-01-02", 0.0),
        ("revenue_per_user", "2026-01-01", 7.75),
        ("revenue_per_user", "2026-01-02", 0.0),
    ]
    query = "SELECT name, day, value FROM metrics ORDER BY name, day"
    assert rows_of(database, query) == expected
    pipeline.run()
    assert rows_of(database, query) == expected


def test_the_monitor_tracks_active_runs_and_alerts_on_slow_and_failed_ones() -> None:
    alerts: list[str] = []
    bus = EventBus()
    monitor = monitoring.Monitor(slow_after=timedelta(milliseconds=20), alert=alerts.append)
    monitor.watch(bus)
    seen: list[tuple[str, list[str]]] = []

    def look(number: int) -> int:
        later = datetime.now(timezone.utc) + timedelta(seconds=1)
        seen.extend((name, monitor.overdue(later)) for name, _ in monitor.active.values())
        return 10 // number

    def wait(number: int) -> int:
        until = monotonic() + 0.03
        while monotonic() < until:
            pass
        return number

    Pipeline[list[int], list[int]]("quick", event_bus=bus).map(look).run([1])
    Pipeline[list[int], list[int]]("broken", event_bus=bus).map(look).run([0])
    Pipeline[list[int], list[int]]("slow", event_bus=bus).map(wait).run([1])
    assert seen == [("quick", ["quick"]), ("broken", ["broken"])]
    assert monitor.active == {}
    assert list(monitor.durations_ms) == ["quick", "broken", "slow"]
    assert len(alerts) == 2
    assert alerts[0].startswith("broken failed: ZeroDivisionError")
    assert alerts[1].startswith("slow took ")
