"""What ``WindowStage`` keeps within one run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

from mainstem.context import PipelineContext, context_of_run
from mainstem.errors import LateRecordError
from mainstem.result import StageResult
from mainstem.stages.combiner import Combiner
from mainstem.stages.record_calls import Failure
from mainstem.stages.record_failures import blame, record_failures
from mainstem.stages.record_function import RecordFunction, fail_answers
from mainstem.stages.windows.event_time import DatetimeTimes, EventTimes, NumberTimes, TimeRangeError
from mainstem.stages.windows.fixed import FixedWindows
from mainstem.stages.windows.kinds import SessionWindow, SlidingWindow, TumblingWindow
from mainstem.stages.windows.open import Collect, CombinerRaised, OpenWindows, Row
from mainstem.stages.windows.sessions import SessionWindows
from mainstem.stateful import StageState


def open_windows(
    kind: TumblingWindow[Any] | SlidingWindow[Any] | SessionWindow[Any],
    combiner: Combiner[Any, Any, Any] | None,
    lateness: Any,
) -> tuple[EventTimes, OpenWindows]:
    """Return the timestamps and the windows of a run that has seen no records."""
    times = DatetimeTimes() if kind.in_datetimes else NumberTimes()
    combiner = Collect() if combiner is None else combiner
    if isinstance(kind, SessionWindow):
        return times, SessionWindows(kind, times, combiner, lateness)
    return times, FixedWindows(kind, times, combiner, lateness)


class WindowState(StageState[Any, Any]):
    """The state of one run.

    Args:
        stage: The stage's name.
        timestamp: Gives a record's time.
        key: Gives a record's key.
        times: The run's timestamps.
        windows: Its windows.
        go_on: Whether to go on past failed records.
    """

    def __init__(
        self,
        stage: str,
        timestamp: RecordFunction,
        key: RecordFunction | None,
        times: EventTimes,
        windows: OpenWindows,
        *,
        go_on: bool,
    ) -> None:
        self._stage = stage
        self._timestamp = timestamp
        self._key = key
        self._times = times
        self._windows = windows
        self._go_on = go_on

    async def feed(self, records: Sequence[Any], context: PipelineContext) -> StageResult[list[Any]]:
        failed: list[Failure] = []
        combiner_error: Exception | None = None
        output: list[Any] = []
        with context_of_run(context):
            rows = await self._rows(records, failed)
            try:
                output = self._take(rows, failed)
            except CombinerRaised as raised:
                combiner_error = raised.error
        error = record_failures(records, failed, context, self._stage, go_on=self._go_on)
        if combiner_error is not None:
            return StageResult.failure(combiner_error, records_failed=len(records))
        if error is not None:
            return StageResult.failure(
                error, records_processed=failed[-1][0] + 1 - len(failed), records_failed=len(failed)
            )
        return StageResult(data=output, records_processed=len(records) - len(failed), records_failed=len(failed))

    async def _rows(self, records: Sequence[Any], failed: list[Failure]) -> Iterator[Row]:
        """Give each record its timestamp and its key; those that have none are added to ``failed``."""
        calls = await self._timestamp.call_each(records, go_on=self._go_on, concurrency=1)
        if not self._times.all_fit(calls.answers):
            fail_answers(calls, self._times.brought, go_on=self._go_on)
        failed += [(at, blame(error, self._timestamp)) for at, error in calls.failures]
        positions, times = calls.done(), calls.answers
        if self._key is None:
            return zip(positions, times, repeat(None), calls.records, strict=False)
        keys = await self._key.call_each(calls.records, go_on=self._go_on, concurrency=1)
        if keys.failures:
            failed += [(positions[at], blame(error, self._key)) for at, error in keys.failures]
            kept = keys.done()
            positions, times = [positions[at] for at in kept], [times[at] for at in kept]
        return zip(positions, times, keys.answers, keys.records, strict=False)

    def _take(self, rows: Iterator[Row], failed: list[Failure]) -> list[Any]:
        output: list[Any] = []
        more = True
        while more:
            before = len(failed)
            more = self._windows.take(rows, failed)
            for _, error in failed[before:]:
                if isinstance(error, LateRecordError):
                    continue
                blame(error, self._timestamp if isinstance(error, TimeRangeError) else self._key)
                if not self._go_on:
                    return []
            output += self._windows.close()
        self._windows.add_waiting()
        return output

    async def finish(self, context: PipelineContext) -> StageResult[list[Any]]:
        try:
            with context_of_run(context):
                return StageResult(data=self._windows.close_all())
        except CombinerRaised as raised:
            return StageResult.failure(raised.error)

    def snapshot(self) -> dict[str, Any]:
        return {"aware": self._times.aware, **self._windows.snapshot()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        self._times.aware = snapshot["aware"]
        self._windows.restore(snapshot)
