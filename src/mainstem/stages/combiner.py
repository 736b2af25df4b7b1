"""Combiners: aggregations that can be cut into parts and put together again.

Because ``merge`` is associative and ``create()`` its unit, parts of the data may be aggregated anywhere, in memory,
in a stream, in other processes, and the answer is the same. Sums and means of floats are exact until the last
rounding, so that not even the last digit depends on where the data was cut.

Source: Apache Beam's ``CombineFn``; the exact float sum is Shewchuk's, through ``math.fsum``.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from itertools import chain
from math import fsum, isfinite
from typing import Any, ClassVar, Generic

from typing_extensions import TypeVar

from mainstem.options import check_count

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
T_contra = TypeVar("T_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")
Accumulator = TypeVar("Accumulator", default=Any)


class Combiner(ABC, Generic[T_contra, R_co, Accumulator]):
    """An aggregation in four steps. Override ``create``, ``add``, ``merge`` and ``finish``.

    ``add`` and ``merge`` may change the accumulator they are given and return it.

    Example:
        >>> class Longest(Combiner[str, str, str]):
        ...     def create(self) -> str:
        ...         return ""
        ...     def add(self, accumulator: str, record: str) -> str:
        ...         return max(accumulator, record, key=len)
        ...     def merge(self, left: str, right: str) -> str:
        ...         return max(left, right, key=len)
        ...     def finish(self, accumulator: str) -> str:
        ...         return accumulator
        >>> Longest().combine(["a", "ccc", "bb"])
        'ccc'
    """

    @abstractmethod
    def create(self) -> Accumulator:
        """Return the accumulator of no records."""

    @abstractmethod
    def add(self, accumulator: Accumulator, record: T_contra) -> Accumulator:
        """Return the accumulator with one more record."""

    @abstractmethod
    def merge(self, left: Accumulator, right: Accumulator) -> Accumulator:
        """Return the accumulator of the records of ``left`` followed by those of ``right``."""

    @abstractmethod
    def finish(self, accumulator: Accumulator) -> R_co:
        """Return the answer."""

    def add_all(self, accumulator: Accumulator, records: Iterable[T_contra]) -> Accumulator:
        """Return the accumulator with many more records; override it where that is quicker than one by one."""
        for record in records:
            accumulator = self.add(accumulator, record)
        return accumulator

    def combine(self, records: Iterable[T_contra]) -> R_co:
        """Return the answer for all the records at once."""
        return self.finish(self.add_all(self.create(), records))


class Count(Combiner[Any, int, int]):
    """Count the records.

    Example:
        >>> Count().combine("abc")
        3
    """

    def create(self) -> int:
        return 0

    def add(self, accumulator: int, record: Any) -> int:
        return accumulator + 1

    def merge(self, left: int, right: int) -> int:
        return left + right

    def finish(self, accumulator: int) -> int:
        return accumulator


@dataclass(slots=True)
class ExactSum:
    """A sum that has not been rounded: floats as a few parts that add up to it exactly, other numbers as they are."""

    count: int = 0
    plain: Any = 0
    parts: list[float] = field(default_factory=lambda: list[float]())

    def add_all(self, numbers: list[Any]) -> None:
        self.count += len(numbers)
        if type(self.plain) is int and numbers and type(numbers[0]) is int:
            total: Any = sum(numbers, self.plain)
            if type(total) is int:  # then none of them was a float, and no rounding took place
                self.plain = total
                return
        floats = [number for number in numbers if type(number) is float]
        if len(floats) < len(numbers):
            self.plain = sum((number for number in numbers if type(number) is not float), self.plain)
        if floats:
            self.parts = _exact_parts(self.parts + floats)

    def merged(self, other: ExactSum) -> ExactSum:
        return ExactSum(self.count + other.count, self.plain + other.plain, _exact_parts(self.parts + other.parts))

    def value(self) -> Any:
        if not self.parts:
            return self.plain
        total = _rounded_sum(self.parts)
        return total if self.plain == 0 else self.plain + total


def _exact_parts(numbers: list[float]) -> list[float]:
    """Return a few floats whose exact sum is that of ``numbers``: each is what the ones before it left over."""
    parts: list[float] = []
    remaining = numbers
    while remaining:
        part = _rounded_sum(remaining)
        if not isfinite(part):
            return [part]
        if part == 0:
            break
        parts.append(part)
        remaining = [*numbers, *(-each for each in parts)]
    return parts or ([0.0] if numbers else [])


def _rounded_sum(numbers: list[float]) -> float:
    try:
        return fsum(numbers)
    except (OverflowError, ValueError):
        return sum(numbers)  # beyond the range of floats, or infinities of both signs


class Sum(Combiner[Any, Any, ExactSum], Generic[T]):
    """Add up the records, or what ``of`` gives for each; nothing adds up to ``0``.

    Floats are added exactly and rounded once.

    Args:
        of: Gives the number to add for a record; the record itself by default.

    Example:
        >>> Sum().combine([0.1] * 10), Sum(of=len).combine(["a", "bc"])
        (1.0, 3)
    """

    def __init__(self, of: Callable[[T], Any] | None = None) -> None:
        self._of = of

    def create(self) -> ExactSum:
        return ExactSum()

    def add(self, accumulator: ExactSum, record: Any) -> ExactSum:
        return self.add_all(accumulator, (record,))

    def add_all(self, accumulator: ExactSum, records: Iterable[Any]) -> ExactSum:
        # Not map(): to list() a StopIteration out of it would read as the end of the records.
        accumulator.add_all(list(records) if self._of is None else [self._of(record) for record in records])
        return accumulator

    def merge(self, left: ExactSum, right: ExactSum) -> ExactSum:
        return left.merged(right)

    def finish(self, accumulator: ExactSum) -> Any:
        return accumulator.value()


class Mean(Sum[T]):
    """The arithmetic mean of the records, or of what ``of`` gives for each.

    Args:
        of: Gives the number for a record; the record itself by default.

    Raises:
        ValueError: When it finishes over no records.

    Example:
        >>> Mean().combine([1, 2, 6])
        3.0
    """

    def finish(self, accumulator: ExactSum) -> Any:
        if not accumulator.count:
            raise ValueError("the mean of no records is not defined")
        return accumulator.value() / accumulator.count


class TopK(Combiner[T, list[T], list[T]]):
    """The ``k`` largest records, largest first; among equals the earlier ones.

    Args:
        k: How many.
        by: Gives what to compare a record by; the record itself by default.
        smallest: Whether to take the smallest instead, smallest first.

    Raises:
        ValueError: If ``k`` is no positive whole number.

    Example:
        >>> TopK(2).combine([3, 1, 2]), TopK(1, by=len).combine(["a", "cc", "bb"])
        ([3, 2], ['cc'])
    """

    def __init__(self, k: int, *, by: Callable[[T], Any] | None = None, smallest: bool = False) -> None:
        check_count("k of TopK", k)
        self._k = k
        self._by = by
        self._select = heapq.nsmallest if smallest else heapq.nlargest

    def create(self) -> list[T]:
        return []

    def add(self, accumulator: list[T], record: T) -> list[T]:
        return self.add_all(accumulator, (record,))

    def add_all(self, accumulator: list[T], records: Iterable[T]) -> list[T]:
        # nlargest and nsmallest keep the earlier of equals, as sorted() does.
        by: Any = self._by
        return self._select(self._k, chain(accumulator, records), key=by)

    def merge(self, left: list[T], right: list[T]) -> list[T]:
        return self.add_all(left, right)

    def finish(self, accumulator: list[T]) -> list[T]:
        return accumulator


class Max(Combiner[T, T, list[T]]):
    """The largest record; the first of equals.

    Args:
        by: Gives what to compare a record by; the record itself by default.

    Raises:
        ValueError: When it finishes over no records.

    Example:
        >>> Max().combine([3, 9, 2])
        9
    """

    _smallest: ClassVar[bool] = False

    def __init__(self, *, by: Callable[[T], Any] | None = None) -> None:
        self._top = TopK[T](1, by=by, smallest=self._smallest)

    def create(self) -> list[T]:
        return []

    def add(self, accumulator: list[T], record: T) -> list[T]:
        return self._top.add(accumulator, record)

    def add_all(self, accumulator: list[T], records: Iterable[T]) -> list[T]:
        return self._top.add_all(accumulator, records)

    def merge(self, left: list[T], right: list[T]) -> list[T]:
        return self._top.merge(left, right)

    def finish(self, accumulator: list[T]) -> T:
        if not accumulator:
            raise ValueError(f"the {type(self).__name__.lower()} of no records is not defined")
        return accumulator[0]


class Min(Max[T]):
    """The smallest record; the first of equals.

    Args:
        by: Gives what to compare a record by; the record itself by default.

    Raises:
        ValueError: When it finishes over no records.

    Example:
        >>> Min().combine([3, 9, 2])
        2
    """

    _smallest: ClassVar[bool] = True


class Distinct(Combiner[T, list[T], dict[Any, T]]):
    """The records without repetitions, in order; of equals the first.

    Args:
        by: Gives what makes two records equal, hashable; the record itself by default.

    Example:
        >>> Distinct().combine([3, 1, 3])
        [3, 1]
    """

    def __init__(self, *, by: Callable[[T], Hashable] | None = None) -> None:
        self._by = by

    def create(self) -> dict[Any, T]:
        return {}

    def add(self, accumulator: dict[Any, T], record: T) -> dict[Any, T]:
        accumulator.setdefault(record if self._by is None else self._by(record), record)
        return accumulator

    def merge(self, left: dict[Any, T], right: dict[Any, T]) -> dict[Any, T]:
        for key, record in right.items():
            left.setdefault(key, record)
        return left

    def finish(self, accumulator: dict[Any, T]) -> list[T]:
        return list(accumulator.values())


class GroupBy(Combiner[T, dict[K, R], dict[K, Any]], Generic[T, K, R]):
    """Aggregate the records of each key with a combiner of its own; keys in the order they first appear.

    Args:
        key: Gives a record's key, hashable.
        combiner: Aggregates the records of one key.

    Example:
        >>> GroupBy(len, Count()).combine(["a", "bb", "c"])
        {1: 2, 2: 1}
    """

    def __init__(self, key: Callable[[T], K], combiner: Combiner[T, R, Any]) -> None:
        self._key = key
        self._combiner = combiner

    def create(self) -> dict[K, Any]:
        return {}

    def add(self, accumulator: dict[K, Any], record: T) -> dict[K, Any]:
        return self.add_all(accumulator, (record,))

    def add_all(self, accumulator: dict[K, Any], records: Iterable[T]) -> dict[K, Any]:
        groups: dict[K, list[T]] = {}
        for record in records:
            groups.setdefault(self._key(record), []).append(record)
        for key, group in groups.items():
            before = accumulator[key] if key in accumulator else self._combiner.create()
            accumulator[key] = self._combiner.add_all(before, group)
        return accumulator

    def merge(self, left: dict[K, Any], right: dict[K, Any]) -> dict[K, Any]:
        for key, group in right.items():
            left[key] = self._combiner.merge(left[key], group) if key in left else group
        return left

    def finish(self, accumulator: dict[K, Any]) -> dict[K, R]:
        return {key: self._combiner.finish(group) for key, group in accumulator.items()}
