"""Whether a run may be taken, and in words why not."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from mainstem.errors import (
    PipelineChangedError,
    RunActiveError,
    RunCompletedError,
    RunError,
    SourceChangedError,
)
from mainstem.store.model import RunRecord, RunRequest, RunStatus

LONGEST_RUN_ID = 200
E = TypeVar("E", bound=RunError)


def check_run_id(run_id: str) -> None:
    """Check the name of a run: any text of 1 to 200 characters, none of which is a control character.

    Raises:
        ValueError: If it is none.
    """
    if not 1 <= len(run_id) <= LONGEST_RUN_ID:
        raise ValueError(f"run_id must have between 1 and {LONGEST_RUN_ID} characters, not {len(run_id):,}")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in run_id):
        raise ValueError(f"run_id cannot have control characters in it: {run_id!r}")


def check_resumable(record: RunRecord, request: RunRequest, *, seconds_left: float) -> None:
    """Check that a run which is there already may be taken.

    Args:
        record: The run.
        request: What is asked for.
        seconds_left: How long its lease still lasts, if somebody works on it.

    Raises:
        RunCompletedError: If it has completed, and is not to be gone on with all the same.
        RunActiveError: If somebody works on it.
        PipelineChangedError: If the pipeline's shape is another, without ``force``.
        SourceChangedError: If the input is another, without ``force``, and some of it was committed.
    """
    if record.status is RunStatus.COMPLETED and not request.again:
        when = f" on {record.ended_at:%Y-%m-%d at %H:%M:%S} UTC" if record.ended_at else ""
        raise _named(
            RunCompletedError(
                f"run {record.run_id!r} of pipeline {record.pipeline!r} has completed{when}: nothing is left "
                "to do; to run the pipeline anew, give another run_id"
            ),
            record,
        )
    if record.is_live:
        owner = record.owner
        raise _named(
            RunActiveError(
                f"run {record.run_id!r} of pipeline {record.pipeline!r} is being worked on by process {owner.pid} on "
                f"{owner.host.split()[0]} (last sign of life at {record.updated_at:%H:%M:%S} UTC): wait for it, or end "
                f"it; without another sign of life of it, the run can be taken in {max(0.0, seconds_left):.0f} s"
            ),
            record,
        )
    if request.force:
        return
    changes = list(changes_of_shape(record.shape, request.shape))
    if changes:
        raise _named(
            PipelineChangedError(
                f"pipeline {record.pipeline!r} is not the one that run {record.run_id!r} began with:\n"
                + "\n".join(f"  {line}" for line in changes)
                + "\nRun it as it was, begin another run under another run_id, or go on all the same with force"
            ),
            record,
        )
    if record.committed and record.source != request.source:
        changes = list(_changes_of_values(record.source or {}, request.source or {}))
        raise _named(
            SourceChangedError(
                f"the input is not the one that run {record.run_id!r} of pipeline {record.pipeline!r} began with:\n"
                + "\n".join(f"  {line}" for line in changes)
                + "\nRun it on that, begin another run under another run_id, or go on all the same with force"
            ),
            record,
        )


def _named(error: E, record: RunRecord) -> E:
    error.pipeline, error.run_id = record.pipeline, record.run_id
    return error


def changes_of_shape(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say in words in what a pipeline is another than it was."""
    old, new = ({str(stage["name"]): (at, stage) for at, stage in enumerate(shape, 1)} for shape in (before, now))
    renamed = dict(_renamed(old, new))
    kept = [name for name in old if name in new]
    for name, (at, stage) in old.items():
        if name in renamed:
            yield f"stage {at} is named {renamed[name]!r}; it was {name!r}"
        elif name not in new:
            yield f"stage {at}, {name!r}, is gone ({stage.get('class', '')})"
    for name, (at, stage) in new.items():
        if name not in old and name not in renamed.values():
            yield f"stage {at}, {name!r}, is new ({stage.get('class', '')})"
    if kept != [name for name in new if name in old]:
        yield f"the order is {', '.join(map(repr, new))}; it was {', '.join(map(repr, old))}"
    for name in kept:
        for change in _changes_of_values(old[name][1], new[name][1]):
            yield f"stage {name!r}: {change}"


_Shape = Mapping[str, tuple[int, Mapping[str, Any]]]


def _renamed(old: _Shape, new: _Shape) -> Iterator[tuple[str, str]]:
    """Give the stages that are as they were, and where they were, under another name."""
    others = {at: (name, stage) for name, (at, stage) in new.items() if name not in old}
    for name, (at, stage) in old.items():
        if name not in new and at in others:
            other, as_it_is = others[at]
            if {**stage, "name": other} == dict(as_it_is):
                yield name, other


def _changes_of_values(before: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key in dict.fromkeys([*before, *now]):
        old, new = before.get(key), now.get(key)
        if old == new:
            continue
        name = f"{path}{key}"
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _changes_of_values(old, new, f"{name}.")  # pyright: ignore[reportUnknownArgumentType]
        elif key not in now:
            yield f"{name} is gone (it was {old!r:.200})"
        elif key not in before:
            yield f"{name} is new: {new!r:.200}"
        else:
            yield f"{name} is {new!r:.200}; it was {old!r:.200}"
