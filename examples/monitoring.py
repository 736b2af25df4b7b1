"""Watch all pipelines of a program: which runs are active, which took too long, which failed.

The monitor only subscribes to the event bus; the pipelines know nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from mainstem import Event, EventBus, EventType, Pipeline


@dataclass
class Monitor:
    """Tracks active runs, and alerts on slow and failed ones.

    Attributes:
        slow_after: A run that takes longer is slow.
        alert: Called with a line of text for each slow or failed run.
        active: The runs under way: name and start by run id.
        durations_ms: How long each finished run took, by pipeline.
    """

    slow_after: timedelta
    alert: Callable[[str], object]
    active: dict[str, tuple[str, datetime]] = field(default_factory=lambda: dict[str, tuple[str, datetime]]())
    durations_ms: dict[str, list[float]] = field(default_factory=lambda: dict[str, list[float]]())

    def watch(self, bus: EventBus) -> None:
        bus.subscribe(EventType.ITEM_CREATED, self.on_start)
        bus.subscribe(EventType.ITEM_UPDATED, self.on_end)

    def on_start(self, event: Event) -> None:
        self.active[event.data["pipeline_id"]] = (event.data["name"], event.time)

    async def on_end(self, event: Event) -> None:
        run, name, duration = event.data["pipeline_id"], event.data["name"], event.data["duration_ms"]
        self.active.pop(run, None)
        self.durations_ms.setdefault(name, []).append(duration)
        if event.data["status"] != "completed":
            self.alert(f"{name} {event.data['status']}: {event.data['error']}")
        elif duration > self.slow_after / timedelta(milliseconds=1):
            self.alert(f"{name} took {duration:.0f} ms")

    def overdue(self, now: datetime | None = None) -> list[str]:
        """Name the pipelines with a run that has been active for too long."""
        moment = now or datetime.now(timezone.utc)
        return [name for name, started in self.active.values() if moment - started > self.slow_after]


def parse(word: str) -> int:
    return int(word)


def main() -> None:
    bus = EventBus()
    monitor = Monitor(slow_after=timedelta(seconds=5), alert=print)
    monitor.watch(bus)
    numbers = Pipeline[list[str], list[int]]("numbers", event_bus=bus).map(parse)
    numbers.run(["1", "2"])
    numbers.run(["1", "two"])
    print(f"runs of numbers: {len(monitor.durations_ms['numbers'])}, active: {len(monitor.active)}")


if __name__ == "__main__":
    main()
