"""``DedupeStage``: each record once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from itertools import count, islice
from typing import Any, TypeAlias

from typing_extensions import TypeVar

from mainstem.context import PipelineContext, context_of_run
from mainstem.options import check_count
from mainstem.result import StageResult
from mainstem.stage import RecordsStage
from mainstem.stages.record_calls import Failure
from mainstem.stages.record_failures import blame, record_failures
from mainstem.stages.record_function import RecordFunction
from mainstem.stateful import GrowingState, StageState, StatefulStage
from mainstem.type_hints import function_hints, iterable_of, list_of

T = TypeVar("T", default=Any)

_MOST_PARTS = 1000
"""Changes after which the state is given whole again, so that it is not read back from too many parts."""

_Row: TypeAlias = tuple[int, Any, Any]
"""Position, key and record."""


class DedupeStage(StatefulStage[T, T], RecordsStage[T, T]):
    """Let the first record of each key through, in order; the ones that repeat a key count as ``records_filtered``.

    Keys are the same if they are equal and have the same hash, so ``1``, ``1.0`` and ``True`` are one key. All keys are
    kept in memory unless ``max_keys`` says how many. Then the key that was seen longest ago is forgotten for a new one,
    and a record that repeats it is let through again; the result's ``notes`` say how many were.

    Args:
        key: Gives a record's key, hashable; sync or async. The record itself by default.
        max_keys: How many keys to keep; all by default.
        continue_on_error: Whether to record records without a usable key, and go on without them.
        name: The stage's name in reports.

    Raises:
        TypeError: If ``key`` cannot be called.
        ValueError: If ``max_keys`` is no positive whole number.

    Source: Beam's ``Deduplicate``, Spark's ``dropDuplicates``; benthos ``dedupe`` for the bounded cache.

    Example:
        >>> from mainstem import Pipeline
        >>> Pipeline[list[str], list[str]]("once").add_stage(DedupeStage(key=str.lower)).run(["a", "B", "A", "c"]).data
        ['a', 'B', 'c']
    """

    expands = False
    drops_repeats = True

    def __init__(
        self,
        key: Callable[[T], Hashable | Awaitable[Hashable]] | None = None,
        *,
        max_keys: int | None = None,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None:
        if max_keys is not None:
            check_count("max_keys of DedupeStage", max_keys)
        self._key = None if key is None else RecordFunction(key, "key of DedupeStage")
        self.waits = self._key is not None and self._key.is_async
        self._max_keys = max_keys
        self._continue_on_error = continue_on_error
        if name is not None:
            self.name = name

    def _hints(self) -> tuple[Any, Any]:
        if self._key is None:
            return super()._hints()
        taken, _ = function_hints(self._key.call)
        return iterable_of(taken), list_of(taken)

    def begin(self) -> StageState[T, T]:
        return _DedupeState(self.name, self._key, self._max_keys, go_on=self._continue_on_error)


class _DedupeState(GrowingState[Any, Any]):
    """The keys so far.

    Args:
        stage: The stage's name.
        key: Gives a record's key.
        max_keys: How many keys to keep.
        go_on: Whether to go on past failed records.
    """

    def __init__(self, stage: str, key: RecordFunction | None, max_keys: int | None, *, go_on: bool) -> None:
        self._stage = stage
        self._key = key
        self._max_keys = max_keys
        self._go_on = go_on
        self._forgotten = 0
        # Only one of the two can drop its oldest key quickly, and it takes twice the memory.
        self._seen: dict[Any, None] = {}
        self._latest: OrderedDict[Any, None] = OrderedDict()
        self._kept = 0
        """How many keys there were when the state was last asked for."""
        self._parts: int | None = None
        """How often it was asked for since it was given whole; ``None`` before that."""

    async def feed(self, records: Sequence[Any], context: PipelineContext) -> StageResult[list[Any]]:
        failed: list[Failure] = []
        passed: list[Any] = []
        with context_of_run(context):
            rows = await self._rows(records, failed)
            take = self._take if self._max_keys is None else self._take_bounded
            while take(rows, passed, failed) and self._go_on:
                pass
        error = record_failures(records, failed, context, self._stage, go_on=self._go_on)
        handled = len(records) - len(failed) if error is None else failed[0][0]
        return StageResult(
            data=passed if error is None else None,
            success=error is None,
            error=error,
            records_processed=handled,
            records_failed=len(failed),
            records_filtered=handled - len(passed),
            notes=self._notes(),
        )

    async def _rows(self, records: Sequence[Any], failed: list[Failure]) -> Iterator[_Row]:
        if self._key is None:
            return zip(count(), records, records, strict=False)
        calls = await self._key.call_each(records, go_on=self._go_on, concurrency=1)
        failed += [(at, blame(error, self._key)) for at, error in calls.failures]
        return zip(calls.done(), calls.answers, calls.records, strict=False)

    def _take(self, rows: Iterator[_Row], passed: list[Any], failed: list[Failure]) -> bool:
        """Let records through until there are no more, or one fails; return whether one did."""
        seen = self._seen
        position = 0
        try:
            for position, key, record in rows:  # noqa: B007 - the handler needs it
                if key not in seen:
                    seen[key] = None
                    passed.append(record)
        except Exception as error:  # out of the key's __hash__ or __eq__
            failed.append((position, blame(error, self._key)))
            return True
        return False

    def _take_bounded(self, rows: Iterator[_Row], passed: list[Any], failed: list[Failure]) -> bool:
        """Do the same, forgetting the key that was seen longest ago where there are too many."""
        latest, limit = self._latest, self._max_keys or 0
        position = 0
        try:
            for position, key, record in rows:  # noqa: B007 - the handler needs it
                if key in latest:
                    latest.move_to_end(key)
                    continue
                latest[key] = None
                passed.append(record)
                if len(latest) > limit:
                    latest.popitem(last=False)
                    self._forgotten += 1
        except Exception as error:
            failed.append((position, blame(error, self._key)))
            return True
        return False

    def _notes(self) -> tuple[str, ...]:
        if not self._forgotten:
            return ()
        keys = self._forgotten + len(self._latest)
        return (f"forgot {self._forgotten:,} of {keys:,} keys: a record that repeats one of them is let through again",)

    def snapshot(self) -> dict[str, Any]:
        self._kept, self._parts = len(self._seen), 0
        return {"keys": list(self._seen or self._latest), "forgotten": self._forgotten}

    def restore(self, snapshot: dict[str, Any]) -> None:
        keys = snapshot["keys"]
        self._forgotten = snapshot["forgotten"]
        if self._max_keys is None:
            self._seen = dict.fromkeys(keys)
            self._kept, self._parts = len(self._seen), 0
        else:
            self._latest = OrderedDict.fromkeys(keys)

    def changes(self) -> list[Any] | None:
        if self._max_keys is not None or self._parts is None or self._parts >= _MOST_PARTS:
            return None
        new = list(islice(self._seen, self._kept, None))
        self._kept, self._parts = len(self._seen), self._parts + 1
        return new

    def restore_changes(self, changes: list[Any]) -> None:
        self._seen.update(dict.fromkeys(changes))
        self._kept, self._parts = len(self._seen), (self._parts or 0) + 1
