"""The reference of a join: its records by key, and what they match."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import isawaitable
from types import NoneType
from typing import Any, Literal, TypeAlias, get_args

from mainstem.endpoints import SourceStage
from mainstem.errors import describe_error
from mainstem.stage import PipelineStage
from mainstem.stages.record_calls import Calls, as_failure, fail_answers
from mainstem.stages.record_function import RecordFunction
from mainstem.take_all import iterate

How: TypeAlias = Literal["inner", "left", "strict", "semi", "anti"]
"""What a join does with a record, by whether the reference has its key."""

ReferenceIndex: TypeAlias = Mapping[Any, Sequence[Any]]
"""The reference records of each key, in order."""


def check_how(how: object) -> None:
    """Check that there is such a join.

    Raises:
        ValueError: If there is none.
    """
    if how not in get_args(How):
        raise ValueError(f"how of JoinStage must be one of {', '.join(get_args(How))}, not {how!r}")


def stage_from_nothing(reference: PipelineStage[Any, Any]) -> PipelineStage[Any, Any]:
    """Return a reference stage, if it needs no input.

    Raises:
        TypeError: If it does.
    """
    first = reference.members[0]
    if not isinstance(first, SourceStage) and first.input_hint not in (Any, None, NoneType):
        raise TypeError(
            f"the reference of JoinStage must begin with a source, and {reference.name!r} needs an input: "
            "give reference records, a source, or a pipeline that begins with one"
        )
    return reference


def index_reference(reference: Mapping[Any, Any] | Iterable[Any], key: RecordFunction) -> ReferenceIndex:
    """Read the whole reference, once.

    Args:
        reference: Reference records by key, or reference records.
        key: Gives the key of a reference record; a mapping has its keys.

    Raises:
        ValueError: If a reference record has no key that can be looked up; the message says which, and why.
        TypeError: If ``reference`` holds no records.
    """
    if isinstance(reference, Mapping):
        return {each: (record,) for each, record in reference.items()}  # pyright: ignore[reportUnknownVariableType]
    index: dict[Any, list[Any]] = {}
    for position, record in enumerate(iterate(reference)):
        try:
            index.setdefault(_key_of(record, key), []).append(record)
        except Exception as error:
            reason = describe_error(as_failure(error))
            raise ValueError(
                f"reference record {position} has no key to find it by: {reason}, in {key.describe()}"
            ) from error
    return index


def _key_of(record: Any, key: RecordFunction) -> Any:
    found = key.call(record)
    if isawaitable(found):
        close = getattr(found, "close", None)
        if close is not None:
            close()
        raise TypeError("the key is an awaitable, and keys must be there at once")
    return found


def find_matches(calls: Calls, index: ReferenceIndex, *, strict: bool, go_on: bool) -> None:
    """Replace each key in ``calls.answers`` by the reference records that have it, ``None`` where there are none.

    A key that cannot be looked up is the failure of its record, as is, with ``strict``, one that is not there.
    """
    found: list[Any] = []
    try:
        found.extend(map(index.get, calls.answers))
        all_found = len(found) == len(calls.answers)  # to map(), a StopIteration out of a key's __hash__ is the end
    except Exception:
        all_found = False
    if all_found and not (strict and any(matches is None for matches in found)):
        calls.answers = found
        return
    # Some record fails; find out whose failure it is.
    fail_answers(calls, _strict_get(index) if strict else index.get, go_on=go_on)


def _strict_get(index: ReferenceIndex) -> Callable[[Any], Sequence[Any]]:
    def get(key: Any) -> Sequence[Any]:
        matches = index.get(key)
        if matches is None:
            raise LookupError(f"no reference record has the key {key!r}")
        return matches

    return get


def take_matches(calls: Calls, how: How) -> tuple[list[Any], int]:
    """Return the output of a join, and how many records it filtered."""
    pairs = zip(calls.records, calls.answers, strict=True)
    if how in ("semi", "anti"):
        wanted = how == "semi"
        kept = [record for record, matches in pairs if (matches is not None) is wanted]
        return kept, len(calls.records) - len(kept)
    if how == "left":
        return [(record, match) for record, matches in pairs for match in matches or (None,)], 0
    output = [(record, match) for record, matches in pairs for match in matches or ()]
    return output, sum(matches is None for matches in calls.answers)
