"""Functions and stages for generated pipelines, at the top of a module: worker processes import them from here.

Every function is called with ``functools.partial``: its first argument is what was drawn, its last one the record.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio

from mainstem import (
    PipelineContext,
    PipelineStage,
    Position,
    SinkStage,
    SinkTransaction,
    SourceChunk,
    SourceStage,
    StageKind,
    StageResult,
)
from mainstem.stateful import StageState, StatefulStage


def shifted(amount: int, number: int) -> int:
    return number + amount


def failing(every: int, number: int) -> int:
    """Fail in turn with an ordinary error, with one that reads as the end of the data, and with one of a lookup."""
    if number % (every + 4) == 0:
        raise (ValueError(f"no {number}"), StopIteration, KeyError(number))[number % 3]
    return number


def added(every: int, number: int) -> int:
    """Fail with one and the same error: which of the bad records of a group is met first, depends on the cut."""
    if number % (every + 4) == 0:
        raise (ValueError("cannot be added"), StopIteration, KeyError("cannot be found"))[every % 3]
    return number


def kept(divisor: int, number: int) -> bool:
    if number % 13 == divisor:
        raise KeyError(number)
    return number % (divisor + 1) != 1


def good(divisor: int, number: int) -> bool | str:
    if number % 19 == divisor:
        raise StopIteration
    return number % (divisor + 2) != 2 or f"unwanted {number}"


def looked_at(every: int, number: int) -> None:
    failing(every, number)


def remainder(divisor: int, number: int) -> int:
    """Give a key; there are few, and some records have none."""
    if number % 17 == divisor:
        raise ValueError(f"no key for {number}")
    return number % (3 * divisor)


def simple_remainder(divisor: int, number: int) -> int:
    return number % (3 * divisor)


def instant(divisor: int, number: int) -> int:
    """Give a time; some records come too late, and some have none."""
    if number % 23 == divisor:
        raise KeyError(number)
    return number // divisor


def is_below(divisor: int, number: int) -> bool:
    if number % 29 == divisor:
        raise ValueError(f"neither below nor above: {number}")
    return number % 101 < 12 * divisor


def is_even(number: int) -> bool:
    return number % 2 == 0


def repeated(times: int, number: int) -> list[int]:
    return [number] * (number % (times + 1))


def repeated_or_none(times: int, number: int) -> Any:
    """Give now and then what is no group of records."""
    return None if number % 11 == times else repeated(times, number)


def total(limit: int, batch: list[int]) -> int:
    if sum(batch) % 7 == limit:
        raise ValueError(f"a bad batch of {len(batch)}")
    return sum(batch)


def total_of_all(divisor: int, numbers: Iterable[int]) -> int:
    return sum(numbers) + divisor


def total_or_failure(divisor: int, numbers: Iterable[int]) -> int:
    summed = sum(numbers)
    if summed % 3 == divisor % 3:
        raise ValueError(f"cannot be: {summed}")
    return summed


def numbers_only(divisor: int, numbers: Sequence[int]) -> bool | str:
    return all(type(number) is int for number in numbers)


def not_too_many(divisor: int, numbers: Sequence[int]) -> bool | str:
    return len(numbers) % 3 != divisor % 3 or f"{len(numbers)} numbers"


def digest(record: Any) -> int:
    """Make a number of any record, another for another."""
    return zlib.crc32(repr(record).encode()) % 9973


def as_row(number: int) -> dict[str, Any]:
    return {"number": number} if number % 7 else {"number": f"{number}?"}


@dataclass(frozen=True)
class Row:
    number: int


def number_of(row: Row) -> int:
    return row.number


def extracted(numbers: Iterable[int]) -> Iterator[int]:
    yield from numbers


def loaded(numbers: list[int]) -> list[int]:
    return numbers[::-1]


def unannotated(function: Callable[[Any], Any], record):  # type: ignore[no-untyped-def]
    return function(record)


async def later(function: Callable[[Any], Any], record: Any) -> Any:
    """Answer after none, one or two turns of the other tasks, depending on the record."""
    for _ in range(digest(record) % 3):
        await anyio.sleep(0)
    return function(record)


def now_or_later(function: Callable[[Any], Any], record):  # type: ignore[no-untyped-def]
    """Answer for some records only with an awaitable."""
    return later(function, record) if digest(record) % 5 == 0 else function(record)


FORMS: dict[str, Callable[[Any], Any]] = {
    "annotated": lambda function: function,
    "plain": lambda function: partial(unannotated, function),
    "async": lambda function: partial(later, function),
    "mixed": lambda function: partial(now_or_later, function),
}
"""The ways to write a function; an engine knows more of some than of others, and takes another way through them."""


class Squares(PipelineStage[Sequence[int], list[int]]):
    """An elementwise stage of the user's own, which goes on past failed records."""

    kind = StageKind.ELEMENTWISE

    async def process(self, data: Sequence[int], context: PipelineContext) -> StageResult[list[int]]:
        bad = [at for at, number in enumerate(data) if number % 31 == 3]
        for at in bad:
            context.record_error(ValueError(f"no square of {data[at]}"), record=data[at], index=at)
        output = [number * number % 1009 for number in data if number % 31 != 3]
        return StageResult(data=output, records_processed=len(output), records_failed=len(bad))


class Differences(StatefulStage[int, int]):
    """A stateful stage of the user's own; the first number of all gives nothing, and the last comes once more."""

    def begin(self) -> StageState[int, int]:
        return _Difference()


class _Difference(StageState[int, int]):
    def __init__(self) -> None:
        self._before: int | None = None

    async def feed(self, records: Sequence[int], context: PipelineContext) -> StageResult[list[int]]:
        output: list[int] = []
        for number in records:
            if self._before is not None:
                output.append(abs(number - self._before))
            self._before = number
        return StageResult(data=output, records_processed=len(records), records_filtered=len(records) - len(output))

    async def finish(self, context: PipelineContext) -> StageResult[list[int]]:
        return StageResult(data=[] if self._before is None else [self._before])

    def snapshot(self) -> int | None:
        return self._before

    def restore(self, snapshot: int | None) -> None:
        self._before = snapshot


class Reversed(PipelineStage[Iterable[Any], list[Any]]):
    """A blocking stage of the user's own."""

    async def process(self, data: Iterable[Any], context: PipelineContext) -> StageResult[list[Any]]:
        records = list(data)
        return StageResult(data=records[::-1], records_processed=len(records))


class Spread(PipelineStage[Any, list[int]]):
    """A blocking stage of the user's own, which makes records of one value again."""

    async def process(self, data: Any, context: PipelineContext) -> StageResult[list[int]]:
        return StageResult(data=[digest(data) % 101, *map(digest, repr(data)[:40])])


class Given(SourceStage[int]):
    """A source of the user's own; it cannot read some of its records, and lets others have a turn now and then."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = numbers

    async def read(
        self, context: PipelineContext, *, start: Position | None = None, chunk_size: int = 1000
    ) -> AsyncGenerator[SourceChunk[int], None]:
        for first in range(0, len(self._numbers), chunk_size):
            await anyio.sleep(0)
            chunk = self._numbers[first : first + chunk_size]
            bad = [at for at, number in enumerate(chunk) if number % 37 == 5]
            for at in bad:
                context.record_error(ValueError(f"unreadable: {chunk[at]}"), record=chunk[at], index=at)
            read = [number for number in chunk if number % 37 != 5]
            yield SourceChunk(read, {"next": first + len(chunk)}, records_failed=len(bad))


class Kept(SinkStage[Any]):
    """A sink of the user's own, which rejects some records."""

    target = "a list"

    def __init__(self) -> None:
        self.stored: list[Any] = []

    async def begin(self, context: PipelineContext) -> SinkTransaction[Any]:
        return _Keeping(self, context)


class _Keeping(SinkTransaction[Any]):
    def __init__(self, sink: Kept, context: PipelineContext) -> None:
        self._sink, self._context = sink, context
        self._written: list[Any] = []

    async def write(self, records: Sequence[Any]) -> int:
        bad = [at for at, record in enumerate(records) if digest(record) % 41 == 0]
        for at in bad:
            self._context.record_error(ValueError("not taken"), record=records[at], index=at)
        self._written += [record for record in records if digest(record) % 41]
        await anyio.sleep(0)
        return len(bad)

    async def commit(self, position: Position | None = None) -> None:
        self._sink.stored += self._written

    async def abort(self) -> None:
        self._written.clear()
