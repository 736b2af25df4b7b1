"""Which column is made for a field, in databases whose columns have types of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import Enum
from types import NoneType
from typing import Any, Generic

from typing_extensions import TypeVar

from mainstem.connect.rows import class_of
from mainstem.connect.table_columns import members_of

M = TypeVar("M")


class MadeColumns(Generic[M]):
    """The types of columns that a database has for classes of Python.

    Args:
        made: The type for each class; a subclass has that of the first class here that it is of.
        naive: The type for moments without a zone; that of ``datetime`` is for those with one.
        described: Says what a type is called.
    """

    def __init__(self, made: Mapping[type[Any], M], naive: M, described: Callable[[M], str]) -> None:
        self._made, self._naive, self._described = made, naive, described

    def _made_for(self, kind: type[Any]) -> M | None:
        if kind in self._made:
            return self._made[kind]
        return next((made for base, made in self._made.items() if issubclass(kind, base)), None)

    def declared(self, name: str, hint: Any) -> tuple[M, bool]:
        """Return the type for a field with that annotation, and whether it may be None.

        Raises:
            TypeError: If there is none that holds such values.
        """
        kinds: set[type[Any]] = set()
        for member in members_of(hint):
            if isinstance(member, type) and issubclass(member, Enum):
                kinds |= {class_of(each.value) for each in member}
            elif isinstance(member, type) and member is not object:
                kinds.add(member)
            else:
                raise TypeError(
                    f"field {name!r} is annotated with {member!r}, for which no column can be made: say its type"
                )
        return self._one_for(name, kinds - {NoneType}), NoneType in kinds

    def _one_for(self, name: str, kinds: set[type[Any]]) -> M:
        found: set[M] = set()
        for each in kinds:
            made = self._made_for(each)
            if made is None:
                raise TypeError(
                    f"field {name!r} has the type {each.__name__}, for which no column can be made: turn it into a "
                    "text or number before, or leave it out"
                )
            found.add(made)
        if found == self._numbers:
            return self._made[float]
        if not found:
            raise TypeError(f"field {name!r} is always None, and no column can be made for it: make the table before")
        if len(found) > 1:
            named = ", ".join(sorted(map(self._described, found)))
            raise TypeError(f"field {name!r} would need columns of several types ({named}): make the table before")
        return found.pop()

    @property
    def _numbers(self) -> set[M]:
        return {self._made[int], self._made[float]}

    def inferred(self, name: str, values: Iterable[Any]) -> M:
        """Return the type for most of such values: those it does not take are refused one by one.

        Raises:
            TypeError: If there is none that holds any of them.
        """
        counts = Counter[type[Any]]()
        naive = 0
        for value in values:
            while issubclass(class_of(value), Enum):
                value = value.value
            kind = class_of(value)
            if kind is not NoneType and self._made_for(kind) is not None:
                counts[kind] += 1
                naive += kind is datetime and value.tzinfo is None
        made = Counter[M]()
        for kind, count in counts.items():
            found = self._made_for(kind)
            assert found is not None
            made[found] += count
        if not made:
            raise TypeError(
                f"no value of field {name!r} says what column is to be made for it: make the table before, or give "
                "record_type="
            )
        if set(made) == self._numbers:
            return self._made[float]
        best, _ = made.most_common(1)[0]
        return self._naive if best == self._made[datetime] and 2 * naive > counts[datetime] else best
