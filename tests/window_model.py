"""What ``WindowStage`` promises, written the slow and plain way, to hold it against."""

from __future__ import annotations

from typing import Any

from mainstem import SessionWindow, SlidingWindow, TumblingWindow, Window

Event = tuple[int, str, int]
"""Time, key, and a number to tell it from others."""


def windows_of(kind: Any, time: int) -> list[tuple[int, int]]:
    """Start and end of every window that a time between 0 and 100 is in, found by trying all."""
    if isinstance(kind, TumblingWindow):
        starts = [number * kind.size + (kind.offset or 0) for number in range(-200, 200)]
    else:
        starts = [number * kind.every for number in range(-200, 200)]
    return [(start, start + kind.size) for start in starts if start <= time < start + kind.size]


def expected_windows(
    kind: Any, events: list[Event], lateness: int = 0
) -> tuple[list[Window[Any, Any, Any]], list[int]]:
    """Return the windows, and the positions of the late records, as the definitions say, one record at a time."""
    model = SessionModel(kind, lateness) if isinstance(kind, SessionWindow) else FixedModel(kind, lateness)
    late = [position for position, event in enumerate(events) if not model.take(event)]
    model.close(None)
    return model.given, late


class FixedModel:
    def __init__(self, kind: TumblingWindow[Any] | SlidingWindow[Any], lateness: int) -> None:
        self.kind: Any = kind
        self.lateness = lateness
        self.watermark: int | None = None
        self.open: dict[tuple[int, int, str], list[Event]] = {}
        self.given: list[Window[Any, Any, Any]] = []

    def take(self, event: Event) -> bool:
        time, key, _ = event
        taken = False
        for start, end in windows_of(self.kind, time):
            if self.watermark is None or self.watermark < end:
                self.open.setdefault((end, start, key), []).append(event)
                taken = True
        if taken:
            self.watermark = max(
                time - self.lateness, time - self.lateness if self.watermark is None else self.watermark
            )
            self.close(self.watermark)
        return taken

    def close(self, watermark: int | None) -> None:
        due = [each for each in self.open if watermark is None or each[0] <= watermark]
        for end, start, key in sorted(due, key=lambda each: each[:2]):  # stable: ties by first appearance
            events = self.open.pop((end, start, key))
            self.given.append(Window(start, end, key, events, len(events)))


class SessionModel:
    def __init__(self, kind: SessionWindow[Any], lateness: int) -> None:
        self.gap: Any = kind.gap
        self.lateness = lateness
        self.watermark: int | None = None
        self.open: list[dict[str, Any]] = []
        self.begun = 0
        self.given: list[Window[Any, Any, Any]] = []

    def take(self, event: Event) -> bool:
        time, key, _ = event
        start, end = time, time + self.gap
        touching = [each for each in self.open if each["key"] == key and each["start"] < end and start < each["end"]]
        if not touching and self.watermark is not None and self.watermark >= end:
            return False
        self.begun += 1
        touching.sort(key=lambda each: each["start"])
        joined = {
            "key": key,
            "start": min([start, *(each["start"] for each in touching)]),
            "end": max([end, *(each["end"] for each in touching)]),
            "events": [old for each in touching for old in each["events"]] + [event],
            "first": min([self.begun, *(each["first"] for each in touching)]),
        }
        self.open = [each for each in self.open if not any(each is other for other in touching)] + [joined]
        self.watermark = max(time - self.lateness, time - self.lateness if self.watermark is None else self.watermark)
        self.close(self.watermark)
        return True

    def close(self, watermark: int | None) -> None:
        due = [each for each in self.open if watermark is None or each["end"] <= watermark]
        self.open = [each for each in self.open if not any(each is other for other in due)]
        for each in sorted(due, key=lambda each: (each["end"], each["start"], each["first"])):
            events = each["events"]
            self.given.append(Window(each["start"], each["end"], each["key"], events, len(events)))
