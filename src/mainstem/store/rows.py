"""Rows of a store's tables as the values of its protocol, and back."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any

from mainstem.errors import StoreError
from mainstem.store.model import (
    Checkpoint,
    NewReject,
    Owner,
    RejectQuery,
    RejectRecord,
    RejectState,
    RunRecord,
    RunStatus,
    StageCounts,
    StageSnapshot,
)
from mainstem.store.owner import is_gone

RUN_COLUMNS = (
    "run, pipeline, run_id, status, epoch, lease, owner, started_at, beat_at, ended_at, shape, source, target, "
    "guarantee, error, committed"
)
REJECT_COLUMNS = (
    "j.id, r.pipeline, r.run_id, j.stage, j.place, j.origin, j.error_type, j.message, j.code, j.record, j.is_exact, "
    "j.is_redacted, j.attempts, j.at, j.state, j.edited, j.replays, "
    "j.sequence IS NOT NULL AND j.sequence <= r.committed AND "
    "(j.replay_run IS NULL OR j.replay_sequence <= w.committed), j.changed_at, j.changed_by"
)
REJECTS_OF_RUNS = "rejects j JOIN runs r ON r.run = j.run"
REPLAYS_OF_REJECTS = "LEFT JOIN runs w ON w.run = j.replay_run"
NEW_REJECT_COLUMNS = (
    "run, sequence, stage, place, occurrence, origin, error_type, message, code, record, is_exact, is_redacted, "
    "attempts, at"
)
REPLAYED_COLUMNS = (
    "stage",
    "occurrence",
    "error_type",
    "message",
    "code",
    "record",
    "is_exact",
    "is_redacted",
    "state",
    "edited",
    "replays",
    "changed_at",
    "changed_by",
)
"""What a replay changes of a reject, and what is put back if its batch is not committed."""

NO_PLACE = -1
NONE_TAKEN: Mapping[tuple[str, int], int] = MappingProxyType({})


def moment(seconds: float | None) -> datetime | None:
    """Return a time as an aware one in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)


def some_moment(seconds: float) -> datetime:
    """Return a time that is there as an aware one in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc)


@contextmanager
def readable(what: str) -> Generator[None]:
    """Say so if a row is not what was written.

    Raises:
        StoreError: If it is not.
    """
    try:
        yield
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise StoreError(f"{what} in the store is not as it was written; is the disk damaged? ({error})") from error


def owner_at_work(status: str, beat: float, lease: float, owner: str, *, now: float) -> Owner | None:
    """Return the process that works on a run, ``None`` if none does: the lease ran out, or the process is gone."""
    owned_by = Owner(**json.loads(owner))
    is_live = status == RunStatus.RUNNING.value and now - beat < lease and not is_gone(owned_by)
    return owned_by if is_live else None


def run_record(
    row: Sequence[Any], now: float, counts: Mapping[str, StageCounts], rejects: Mapping[RejectState, int]
) -> RunRecord:
    """Make a run of its row, the clock being at ``now``."""
    with readable(f"run {row[0]}"):
        return _run_record(row, now, counts, rejects)


def _run_record(
    row: Sequence[Any], now: float, counts: Mapping[str, StageCounts], rejects: Mapping[RejectState, int]
) -> RunRecord:
    run, pipeline, run_id, status, epoch, lease, owner, started, beat, ended, shape, source, *rest = row
    target, guarantee, error, committed = rest
    owned_by = Owner(**json.loads(owner))
    return RunRecord(
        run=run,
        pipeline=pipeline,
        run_id=run_id,
        status=RunStatus(status),
        is_live=owner_at_work(status, beat, lease, owner, now=now) is not None,
        epoch=epoch,
        owner=owned_by,
        started_at=some_moment(started),
        updated_at=some_moment(beat),
        ended_at=moment(ended),
        committed=committed,
        counts=counts,
        shape=json.loads(shape),
        source=None if source is None else json.loads(source),
        target=target,
        guarantee=guarantee,
        error=error,
        rejects=rejects,
    )


def reject_record(row: Sequence[Any]) -> RejectRecord:
    """Make a reject of its row."""
    with readable(f"reject {row[0]}"):
        return _reject_record(row)


def _reject_record(row: Sequence[Any]) -> RejectRecord:
    (
        number,
        pipeline,
        run_id,
        stage,
        place,
        origin,
        error_type,
        message,
        code,
        record,
        is_exact,
        is_redacted,
        attempts,
        at,
        state,
        edited,
        replays,
        is_settled,
        changed_at,
        changed_by,
    ) = row
    return RejectRecord(
        id=number,
        pipeline=pipeline,
        run_id=run_id,
        stage=stage,
        index=None if place == NO_PLACE else place,
        origin=origin,
        error_type=error_type,
        message=message,
        code=code,
        record=record,
        is_exact=bool(is_exact),
        is_redacted=bool(is_redacted),
        attempts=attempts,
        at=some_moment(at),
        state=RejectState(state),
        edited=edited,
        replays=replays,
        is_settled=bool(is_settled),
        changed_at=moment(changed_at),
        changed_by=changed_by,
    )


def reject_rows(
    run: int, sequence: int | None, rejects: Iterable[NewReject], taken: Mapping[tuple[str, int], int] = NONE_TAKEN
) -> Iterator[tuple[Any, ...]]:
    """Give the rows of new rejects, in the order of ``NEW_REJECT_COLUMNS``.

    Args:
        run: The run.
        sequence: The number of their batch; ``None`` if they are of none yet.
        rejects: The rejects.
        taken: How many there are already at a stage's place.
    """
    next_at = dict(taken)
    for each in rejects:
        place = NO_PLACE if each.index is None else each.index
        stage = storable(each.stage)
        key = stage, place
        occurrence = next_at.get(key, 0)
        next_at[key] = occurrence + 1
        yield (
            run,
            sequence,
            stage,
            place,
            occurrence,
            each.origin,
            storable(each.error_type),
            storable(each.message),
            storable(each.code),
            storable(each.record),
            int(each.is_exact),
            int(each.is_redacted),
            each.attempts,
            each.at.timestamp(),
        )


def storable(text: str) -> str:
    """Return a text that every database takes: NUL and halves of surrogate pairs are shown as escapes."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def checkpoint_values(checkpoint: Checkpoint) -> tuple[str | None, str, int]:
    """Return position, counts and whether it is the last, as a checkpoint's row has them."""
    counts = {stage: asdict(each) for stage, each in checkpoint.counts.items()}
    position = None if checkpoint.position is None else json.dumps(checkpoint.position)
    return position, json.dumps(counts), int(checkpoint.is_last)


def counts_of(text: str | None) -> dict[str, StageCounts]:
    """Read the counts of a checkpoint's row."""
    with readable("the counts of a batch"):
        read: dict[str, dict[str, Any]] = {} if text is None else json.loads(text)
        return {stage: StageCounts(**each) for stage, each in read.items()}


def checkpoint_of(row: Sequence[Any], snapshots: Iterable[Sequence[Any]]) -> Checkpoint:
    """Make a checkpoint of its row and those of the snapshots until then, by stage and number.

    What came before a stage's last whole snapshot is left out.
    """
    sequence, position, counts, is_last = row
    kept: dict[str, list[StageSnapshot]] = {}
    for stage, is_change, payload in snapshots:
        each = StageSnapshot(stage=stage, payload=payload, is_change=bool(is_change))
        kept[stage] = [*kept.get(stage, []), each] if is_change else [each]
    return Checkpoint(
        sequence=sequence,
        position=None if position is None else json.loads(position),
        counts=counts_of(counts),
        snapshots=[each for of_stage in kept.values() for each in of_stage],
        is_last=bool(is_last),
    )


def conditions(query: RejectQuery, mark: str, *, paged: bool) -> tuple[str, list[Any]]:
    """Return the condition that a query puts on rejects (``j``) and their runs (``r``), and its values.

    Args:
        query: The query.
        mark: The placeholder for a value.
        paged: Whether ``after`` matters.
    """
    parts, values = ["1 = 1"], list[Any]()
    for column, value in (
        ("r.pipeline", query.pipeline),
        ("r.run_id", query.run_id),
        ("j.stage", query.stage),
        ("j.code", query.code),
    ):
        if value is not None:
            parts.append(f"{column} = {mark}")
            values.append(storable(value))
    if query.states is not None:
        parts.append(f"j.state IN ({', '.join([mark] * len(query.states))})" if query.states else "1 = 0")
        values += [each.value for each in query.states]
    if query.ids is not None:
        # As text: there may be more of them than a statement takes values.
        parts.append(f"j.id IN ({', '.join(str(int(each)) for each in query.ids)})" if query.ids else "1 = 0")
    if paged:
        parts.append(f"j.id > {mark}")
        values.append(query.after)
    return " AND ".join(parts), values
