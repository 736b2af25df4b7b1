"""What a store holds, as plain values: runs, checkpoints, rejects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any


class RunStatus(str, Enum):
    """Where a run stands."""

    RUNNING = "running"
    """Somebody works on it, or did when their process was killed: ``RunRecord.is_live`` tells."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RejectState(str, Enum):
    """What became of a reject."""

    OPEN = "open"
    EDITED = "edited"
    """Its record was changed, and nobody has approved that yet."""
    APPROVED = "approved"
    """It may be replayed."""
    DISCARDED = "discarded"
    """It is not wanted."""
    REPLAYED = "replayed"
    """Its record went through the rest of the pipeline."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that works on a run.

    Attributes:
        host: The name of its machine, and an identity that is new at each start of that, where there is one.
        pid: Its process id.
        started: When it started, as the machine counts; tells it from a later process of the same id.
    """

    host: str
    pid: int
    started: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What somebody who wants to begin or resume a run says.

    Attributes:
        pipeline: The pipeline's name.
        run_id: The run's name, unique among those of the pipeline.
        shape: What the pipeline is made of: for each stage, plain JSON values.
        source: What its input looks like (a file's size and hashes, say), plain JSON values; ``None`` if unknown.
        target: How the command line was told to find the pipeline, if it was.
        owner: Who asks.
        lease_seconds: How long nobody else may take the run after the last sign of life.
        force: Whether to go on though the shape or the source changed.
        again: Whether to go on with it though it has completed: a replay does, which is never at its end.
    """

    pipeline: str
    run_id: str
    shape: Sequence[Mapping[str, Any]]
    source: Mapping[str, Any] | None = None
    target: str | None = None
    owner: Owner
    lease_seconds: float = 10.0
    force: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCounts:
    """The counts and times of a stage at a checkpoint, over all attempts."""

    records_in: int = 0
    records_passed: int = 0
    records_filtered: int = 0
    records_failed: int = 0
    duration_ms: float = 0.0
    waiting_ms: float = 0.0
    blocked_ms: float = 0.0
    retry_ms: float = 0.0
    throttle_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSnapshot:
    """A state of a stage, or what was added to it since the checkpoint before.

    Attributes:
        stage: The stage's name in reports.
        payload: Encoded values.
        is_change: Whether it is only what was added since the snapshot before.
    """

    stage: str
    payload: str
    is_change: bool = False


@dataclass(slots=True)  # not frozen: they are made by the ten thousand, and that would take five times as long
class NewReject:
    """A reject that is to be kept.

    Attributes:
        stage: The stage's name; inside a branch or nested pipeline ``outer/inner``.
        index: The record's position in the stage's input, from 0; ``None`` where the failure is not one record's.
        error_type: The exception's class, as ``module.name``.
        message: What it says, its notes included.
        code: A stable word for the kind of failure, such as ``validation`` or ``KeyError``.
        record: The record as it entered the stage, encoded; or its ``repr``.
        at: When, aware.
        is_exact: Whether ``record`` can be decoded to the record that it was.
        is_redacted: Whether fields marked secret were left out of it.
        attempts: How many times the function was called for it.
        origin: Its position in the input of the pipeline, where that is known.
    """

    stage: str
    index: int | None
    error_type: str
    message: str
    code: str
    record: str
    at: datetime
    is_exact: bool = True
    is_redacted: bool = False
    attempts: int = 1
    origin: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOutcome:
    """What a replay made of a reject: loaded with the batch it is in, or failed again.

    Attributes:
        reject: The reject's id.
        failure: Why it failed again, its stage and record as they are now; ``None`` if it went through.
        replayed: The reject as it was when it was replayed, if that is to be checked.
    """

    reject: int
    failure: NewReject | None = None
    replayed: RejectRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """All that is needed to go on after a batch, and what belongs to that batch.

    Attributes:
        sequence: The number of the batch, from 1.
        position: Where in the source it ends.
        counts: Of each stage that has begun, by name.
        snapshots: The states of the stages that have one. Read back, changes are in the order they are to be applied.
        rejects: The rejects of the batch. Not filled in when it is read back.
        replays: The rejects of an earlier run that the batch replays. Not filled in when it is read back.
        is_last: Whether the input ends here.
    """

    sequence: int
    position: Mapping[str, Any] | None = None
    counts: Mapping[str, StageCounts] = field(default_factory=lambda: dict[str, StageCounts]())
    snapshots: Sequence[StageSnapshot] = ()
    rejects: Sequence[NewReject] = ()
    replays: Sequence[ReplayOutcome] = ()
    is_last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to work on a run.

    Attributes:
        run: The run's number in the store.
        pipeline: The pipeline's name.
        run_id: The run's name.
        epoch: How often the run was taken; whoever has a smaller one has lost it.
        seconds: How long it lasts after each sign of life.
        committed: The number of the last batch that is known to be in the target.
        prepared: The last checkpoint, whose batch may or may not be in the target; ``None`` of a new run.
    """

    run: int
    pipeline: str
    run_id: str
    epoch: int
    seconds: float
    committed: int = 0
    prepared: Checkpoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run, as the store knows it.

    Attributes:
        run: Its number in the store.
        pipeline: The pipeline's name.
        run_id: Its name.
        status: Where it stands.
        is_live: Whether somebody works on it: the lease has not run out, and the process is not known to be gone.
        epoch: How often it was taken.
        owner: Who took it last.
        started_at: When it began, aware, in UTC.
        updated_at: The last sign of life.
        ended_at: When it ended; ``None`` if it has not.
        committed: How many batches were committed.
        counts: Of each stage, at the last checkpoint.
        shape: What the pipeline is made of.
        source: What its input looked like.
        target: How the command line was told to find the pipeline.
        guarantee: What its sink promises, ``exactly-once`` or ``at-least-once``; ``None`` before the end.
        error: What made it fail, in one line.
        rejects: How many rejects of each state it has.
    """

    run: int
    pipeline: str
    run_id: str
    status: RunStatus
    is_live: bool
    epoch: int
    owner: Owner
    started_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    committed: int
    counts: Mapping[str, StageCounts]
    shape: Sequence[Mapping[str, Any]]
    source: Mapping[str, Any] | None
    target: str | None
    guarantee: str | None
    error: str | None
    rejects: Mapping[RejectState, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectRecord:
    """A reject, as the store knows it: what ``NewReject`` says, and what became of it.

    Attributes:
        id: Its number in the store.
        pipeline: The pipeline's name.
        run_id: The run's name.
        state: What became of it.
        edited: The record as somebody changed it, encoded; ``None`` if nobody did.
        replays: How many times it was replayed, failures included.
        is_settled: Whether its batch is committed. Until then the run may yet come by again, and it can't be replayed.
        changed_at: When its state last changed.
        changed_by: Who did that.
    """

    id: int
    pipeline: str
    run_id: str
    stage: str
    index: int | None
    origin: int | None
    error_type: str
    message: str
    code: str
    record: str
    is_exact: bool
    is_redacted: bool
    attempts: int
    at: datetime
    state: RejectState
    edited: str | None
    replays: int
    is_settled: bool
    changed_at: datetime | None
    changed_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectQuery:
    """Which rejects are meant; what is ``None`` does not matter.

    Attributes:
        pipeline: The pipeline's name.
        run_id: The run's name.
        stage: The stage's name.
        code: The code.
        states: One of these states.
        ids: One of these numbers.
        after: With a larger number than this: for reading on.
        limit: No more than so many, by number.
    """

    pipeline: str | None = None
    run_id: str | None = None
    stage: str | None = None
    code: str | None = None
    states: Sequence[RejectState] | None = None
    ids: Sequence[int] | None = None
    after: int = 0
    limit: int | None = None
