"""Session windows that are open: each grows with the records that it takes, and some grow together."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Hashable, Iterator
from itertools import count
from operator import attrgetter
from typing import Any

from mainstem.stages.combiner import Combiner
from mainstem.stages.record_calls import Failure
from mainstem.stages.windows.event_time import EventTimes, TimeRangeError
from mainstem.stages.windows.kinds import SessionWindow, Window
from mainstem.stages.windows.open import OpenWindows, Pane, Row, failure_of_record

_start_of = attrgetter("start")


class _Session(Pane):
    """A pane that grows.

    ``number`` tells which sessions appeared first. ``closed`` ones are in no list any more, but perhaps on the heap.
    """

    __slots__ = ("closed", "number")

    number: int
    closed: bool


class SessionWindows(OpenWindows):
    """The open sessions of one run.

    Args:
        kind: The kind of window.
        times: The run's timestamps.
        combiner: What to make of the records of a session.
        lateness: How far the watermark stays behind the greatest timestamp.
    """

    def __init__(
        self, kind: SessionWindow[Any], times: EventTimes, combiner: Combiner[Any, Any, Any], lateness: Any
    ) -> None:
        super().__init__(times, combiner, lateness)
        self._gap: Any = kind.gap
        self._open: dict[Hashable, list[_Session]] = {}
        """The sessions of each key, by time; no two overlap."""
        self._ends: list[tuple[Any, int, _Session]] = []
        """A heap with an entry for each session. Its end may have grown since, but is never before the one here."""
        self._begun = 0
        """How many sessions have begun."""
        self._entries = count()
        """Tells entries of the heap with the same end apart."""

    def take(self, rows: Iterator[Row], failed: list[Failure]) -> bool:
        newest, gap, touched, sessions_of = self._newest, self._gap, self._touched, self._open.get
        position = 0
        try:
            for position, time, key, record in rows:
                end = time + gap
                sessions = sessions_of(key)
                if sessions is not None and sessions[-1].start <= time < sessions[-1].end:
                    session = sessions[-1]
                    if end > session.end:
                        session.end = end
                else:
                    found = self._find(key, time, end)
                    if found is None:
                        failed.append((position, self._too_late(time, end)))
                        continue
                    session = found
                if not session.waiting:
                    touched.append(session)
                session.waiting.append(record)
                if newest is None or time > newest:
                    newest = self._newest = time
                    if self._due is not None and newest >= self._due:
                        return True
        except Exception as error:
            failed.append((position, failure_of_record(error)))
            return True
        return False

    def _find(self, key: Hashable, time: Any, end: Any) -> _Session | None:
        """Return the session that is to take a record: one that it lies in or touches, two of them joined, or a new
        one; ``None`` if it is too late."""
        sessions = self._open.get(key, [])
        at = bisect_right(sessions, time, key=_start_of)
        before = sessions[at - 1] if at and time < sessions[at - 1].end else None
        after = sessions[at] if at < len(sessions) and sessions[at].start < end else None
        session = before or after
        if session is None:
            if self._is_closed(end):
                return None
            session = self._begin(key, time, end)
            sessions.insert(at, session)
            self._open[key] = sessions
            return session
        if before is not None and after is not None:
            self._join(before, after)
            del sessions[at]
        session.start = min(session.start, time)
        session.end = max(session.end, end)
        return session

    def _begin(self, key: Hashable, start: Any, end: Any) -> _Session:
        if not start < end:
            raise TimeRangeError(f"the timestamp {start} is too large for a gap of {self._gap}")
        session = _Session(key, start, end)
        session.number, session.closed = self._begun, False
        self._create(session)
        self._begun += 1
        self._push(session)
        self._set_due()
        return session

    def _join(self, before: _Session, after: _Session) -> None:
        self._merge(before, after)
        before.end = max(before.end, after.end)
        before.number = min(before.number, after.number)
        after.closed = True

    def _push(self, session: _Session) -> None:
        heapq.heappush(self._ends, (session.end, next(self._entries), session))

    def _set_due(self) -> None:
        self._due = self._closes_at(self._ends[0][0]) if self._ends else None

    def close(self) -> list[Window[Any, Any, Any]]:
        closed: list[_Session] = []
        while self._ends and self._is_closed(self._ends[0][0]):
            _, _, session = heapq.heappop(self._ends)
            if session.closed:
                continue
            if self._is_closed(session.end):
                closed.append(session)
            else:
                self._push(session)
        self._set_due()
        return self._given(closed)

    def close_all(self) -> list[Window[Any, Any, Any]]:
        closed = [session for _, _, session in self._ends if not session.closed]
        self._ends.clear()
        self._set_due()
        return self._given(closed)

    def _given(self, closed: list[_Session]) -> list[Window[Any, Any, Any]]:
        closed.sort(key=attrgetter("end", "start", "number"))
        for session in closed:
            session.closed = True
            sessions = self._open[session.key]
            sessions.remove(session)
            if not sessions:
                del self._open[session.key]
        return [self._window(session) for session in closed]

    def snapshot(self) -> dict[str, Any]:
        sessions = [
            [session.key, session.start, session.end, session.number, *self._held(session)]
            for sessions in self._open.values()
            for session in sessions
        ]
        return {"newest": self._newest, "begun": self._begun, "sessions": sessions}

    def restore(self, snapshot: dict[str, Any]) -> None:
        self._newest, self._begun = snapshot["newest"], snapshot["begun"]
        self._open = {}
        self._ends = []
        for key, start, end, number, records, held in snapshot["sessions"]:
            session = _Session(key, start, end)
            session.number, session.closed = number, False
            session.count, session.held = records, self._copy(held)
            self._open.setdefault(key, []).append(session)
            self._push(session)
        self._set_due()
