"""``KeyedStage``: one aggregation for each key."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from inspect import isclass
from typing import Any, Generic, TypeGuard

from typing_extensions import TypeVar

from mainstem.errors import add_note_once
from mainstem.stages.aggregate import AggregateStage
from mainstem.stages.combiner import Combiner, GroupBy
from mainstem.stages.record_function import RecordFunction
from mainstem.type_hints import base_arguments, function_hints, iterable_of, list_of, tuple_of

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


class KeyedStage(AggregateStage[Iterable[T], list[tuple[K, R]]], Generic[T, K, R]):
    """Aggregate the records of each key; gives a pair of key and answer for each, keys in the order they first appear.

    A key function or combiner that raises fails the stage, as in ``AggregateStage``.

    Args:
        key: Gives a record's key, hashable. A plain function: it may run in other processes.
        combiner: Aggregates the records of one key.
        name: The stage's name in reports.

    Raises:
        TypeError: If ``key`` cannot be called or is async, or ``combiner`` is no combiner.

    Source: Beam's ``CombinePerKey``, Flink's ``keyBy().reduce()``.

    Example:
        >>> from mainstem import Count, Pipeline
        >>> Pipeline[list[str], list[tuple[int, int]]]("lengths").add_stage(KeyedStage(len, Count())).run(
        ...     ["a", "bb", "c"]
        ... ).data
        [(1, 2), (2, 1)]
    """

    def __init__(self, key: Callable[[T], K], combiner: Combiner[T, R, Any], *, name: str | None = None) -> None:
        self._key = plain_function(key, "key of KeyedStage")
        self._of_each = checked_combiner(combiner, "combiner of KeyedStage")
        super().__init__(_KeyedPairs[T, K, R](self._key, combiner), name=name)

    def _hints(self) -> tuple[Any, Any]:
        taken, key = function_hints(self._key.call)
        return iterable_of(taken), list_of(tuple_of((key, answer_hint(self._of_each))))


class _KeyedPairs(Combiner[T, list[tuple[K, R]], dict[K, Any]]):
    """``GroupBy``, with its answer as pairs, and errors that say which function they came out of."""

    not_in_shape = frozenset(("where",))

    def __init__(self, key: RecordFunction, combiner: Combiner[T, R, Any]) -> None:
        self._where = f"in a group by {key.describe()}, with combiner {type(combiner).__name__}"
        self._groups = GroupBy[T, K, R](key.function, combiner)

    def create(self) -> dict[K, Any]:
        return self._groups.create()

    def add(self, accumulator: dict[K, Any], record: T) -> dict[K, Any]:
        return self.add_all(accumulator, (record,))

    def add_all(self, accumulator: dict[K, Any], records: Iterable[T]) -> dict[K, Any]:
        try:
            return self._groups.add_all(accumulator, records)
        except Exception as error:
            add_note_once(error, self._where)
            raise

    def merge(self, left: dict[K, Any], right: dict[K, Any]) -> dict[K, Any]:
        return self._groups.merge(left, right)

    def finish(self, accumulator: dict[K, Any]) -> list[tuple[K, R]]:
        return list(self._groups.finish(accumulator).items())


def plain_function(function: Callable[[Any], Any], role: str) -> RecordFunction:
    """Check a function that a record's key or timestamp is had from.

    Raises:
        TypeError: If it cannot be called, or is async.
    """
    checked = RecordFunction(function, role)
    if checked.is_async:
        raise TypeError(
            f"{role} must be a plain function, and {checked.describe()} is async: put what it gives into the records "
            "with a MapStage before"
        )
    return checked


def checked_combiner(combiner: Any, role: str) -> Combiner[Any, Any, Any]:
    """Check that ``combiner`` is one.

    Raises:
        TypeError: If it is not.
    """
    if isclass(combiner) and issubclass(combiner, Combiner):
        raise TypeError(f"{combiner.__name__} is a class of combiners: make one with {combiner.__name__}(...)")
    if not _is_combiner(combiner):
        raise TypeError(
            f"{role} must be a Combiner, not {combiner!r}: for a function of all the records at once, group them first "
            "and put a MapStage behind"
        )
    return combiner


def _is_combiner(candidate: object) -> TypeGuard[Combiner[Any, Any, Any]]:
    return isinstance(candidate, Combiner)


def answer_hint(combiner: Combiner[Any, Any, Any]) -> Any:
    """Return the hint of what a combiner gives; ``Any`` if it is unknown."""
    arguments = base_arguments(type(combiner), (), Combiner)
    return arguments[1] if len(arguments) > 1 else Any
