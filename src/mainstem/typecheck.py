"""The two nets for types at run time: joins are checked when they are made, records when a pipeline asks for it.

Both decide with beartype (the extra ``types``). Without it, and wherever one side is not annotated or beartype is in
doubt, a join passes: a correct join must never be refused.
"""

from __future__ import annotations

import re
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, LiteralString, NewType, Protocol, Union, get_args, get_origin, is_typeddict

from mainstem.errors import StageTypeError, missing_extra
from mainstem.type_hints import base_arguments, record_of


class Joinable(Protocol):
    """What the construction net needs of a stage."""

    name: str
    made_at: str

    @property
    def input_hint(self) -> Any: ...


def check_join(left_name: str, left_made_at: str, output: Any, right: Joinable) -> None:
    """Check that data of the hint ``output`` may go into ``right``.

    Args:
        left_name: The name of the stage that gives the data.
        left_made_at: Where it was made, as ``file:line``.
        output: The hint of what it gives.
        right: The stage that takes it.

    Raises:
        StageTypeError: If both are known and they do not fit.
    """
    expected = right.input_hint
    if output is Any or expected is Any or fits(output, expected):
        return
    raise StageTypeError(
        f"{left_name!r} gives {show(output)}, but {right.name!r} takes {show(expected)}\n"
        f"  {left_name!r} was made at {left_made_at}\n"
        f"  {right.name!r} was made at {right.made_at}"
    )


@cache
def _beartype_door() -> Any:
    try:
        import beartype.door
    except ImportError:
        return None
    return beartype.door


def fits(given: Any, expected: Any) -> bool:
    """Say whether every value of the hint ``given`` is one of the hint ``expected``; ``True`` in doubt."""
    door = _beartype_door()
    if door is None:
        return True
    try:
        return bool(door.is_subhint(given, expected)) or _may_fit_all_the_same(given, expected)
    except Exception:
        # beartype refuses some hints, and comparing a user's hint may run the user's code: doubt passes.
        return _may_fit_all_the_same(given, expected)


_PROMOTIONS: dict[Any, tuple[Any, ...]] = {float: (int,), complex: (int, float)}


def _may_fit_all_the_same(given: Any, expected: Any) -> bool:
    """Say whether a type checker could accept what beartype refuses: it is stricter or unsure in known places.

    Those are numbers (``int`` where ``float`` is expected), ``TypedDict`` and protocols, ``Annotated``, bare generics,
    and classes whose parameters do not stand for those of their base (``str`` as ``Iterable[str]``).
    """
    given, expected = _underlying(given), _underlying(expected)
    if given is Any or expected is Any or expected is object:
        return True
    if _is_union(given):
        return all(fits(member, expected) for member in get_args(given))
    if _is_union(expected):
        return any(fits(given, member) for member in get_args(expected))
    if get_origin(expected) is Literal:
        return False
    given_class, expected_class = get_origin(given) or given, get_origin(expected) or expected
    if given_class is Literal:
        return all(fits(type(value), expected) for value in get_args(given))
    if not isinstance(given_class, type) or not isinstance(expected_class, type):
        return True
    if given_class in _PROMOTIONS.get(expected_class, ()) or getattr(expected_class, "_is_protocol", False):
        return True
    try:
        if not issubclass(given_class, expected_class):
            return False
    except Exception:
        return True
    given_arguments = base_arguments(given_class, get_args(given), expected_class) or get_args(given)
    expected_arguments = get_args(expected)
    if len(given_arguments) != len(expected_arguments):
        return True
    return all(map(fits, given_arguments, expected_arguments))


def _underlying(hint: Any) -> Any:
    if get_origin(hint) is Annotated:
        return _underlying(get_args(hint)[0])
    if isinstance(hint, NewType):
        return _underlying(hint.__supertype__)
    if is_typeddict(hint):
        return dict[str, Any]
    if hint is LiteralString:
        return str
    return type(None) if hint is None else hint


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType)


def show(hint: Any) -> str:
    """Show a hint as one would write it."""
    if isinstance(hint, type) and not get_args(hint):
        return hint.__qualname__
    return re.sub(r"(?:[\w<>]+\.)+(?=\w)", "", repr(hint))


def share_to_check(check: str | float | None) -> float | None:
    """Read a pipeline's ``check`` option as a share of the records; 0 stands for only the first.

    Raises:
        ValueError: If it is none of ``"first"``, ``"all"`` or a share above 0 and up to 1.
        MissingExtraError: If beartype is not installed.
    """
    if check is None:
        return None
    shares = {"first": 0.0, "all": 1.0}
    share = shares.get(check) if isinstance(check, str) else float(check)
    if share is None or not 0 <= share <= 1 or (share == 0 and check != "first"):
        raise ValueError(f"check must be 'first', 'all' or a share such as 0.01, not {check!r}")
    if _beartype_door() is None:
        raise missing_extra("Checking records against annotations", "types")
    return share


class RecordNet:
    """Checks what a stage gives, record by record, against its annotation.

    Args:
        stage: The stage's name.
        hint: The annotation of its output.
        share: Which part of the records to look at; 0 stands for only the first.
    """

    def __init__(self, stage: str, hint: Any, share: float) -> None:
        self._stage = stage
        self._hint = hint
        self._record_hint = record_of(hint)
        self._every = round(1 / share) if share else None
        self._seen = 0

    def check(self, output: Any) -> None:
        """Check a chunk of output, or all of it.

        Raises:
            StageTypeError: If a record that is looked at does not fit.
        """
        if self._record_hint is Any or not isinstance(output, (list, tuple)):
            self._require(output, self._hint, "its output")
            return
        records: Any = output  # pyright: ignore[reportUnknownVariableType]
        if self._every is None:
            chosen = range(1 if records and not self._seen else 0)
        else:
            chosen = range(-self._seen % self._every, len(records), self._every)
        for at in chosen:
            self._require(records[at], self._record_hint, f"record {self._seen + at} of its output")
        self._seen += len(records)

    def _require(self, value: Any, hint: Any, what: str) -> None:
        if not bears(value, hint):
            raise StageTypeError(f"stage {self._stage!r} is to give {show(hint)}, and {what} is {value!r:.200}")


def bears(value: Any, hint: Any) -> bool:
    """Say whether a value fits a hint; yes where that cannot be told."""
    door = _beartype_door()
    if hint is Any or door is None:
        return True
    try:
        return bool(door.is_bearable(value, _widened(hint)))
    except Exception:
        return True  # beartype cannot check this hint: doubt passes


def _widened(hint: Any) -> Any:
    """An int is a float to a type checker."""
    return int | float if hint is float else hint
