"""What a run carries with it: identity, metadata, errors, progress."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from mainstem.errors import NoCurrentContextError
from mainstem.ids import new_id
from mainstem.own_frames import drop_own_frames

if TYPE_CHECKING:
    from mainstem.reject_limit import RejectLimit
    from mainstem.secrets import Secrets


def _now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True, slots=True)
class StageError:
    """One thing that went wrong, and where.

    Attributes:
        stage: The name of the stage, as reports show it; inside a branch or a nested pipeline ``outer/inner``.
        error: The exception.
        record: The record as it entered the stage, if it was a record that failed.
        index: Its position in the stage's input, from 0; ``None`` where the failure is not one record's.
        at: When, aware, in UTC.
        attempts: How many times its function was called for it; more than once only with a ``RetryPolicy``.
        is_redacted: Whether secret fields were left out of the record.
    """

    stage: str
    error: Exception
    record: Any = None
    index: int | None = None
    at: datetime = field(default_factory=_now)
    attempts: int = 1
    is_redacted: bool = False


@dataclass(slots=True)
class StageProgress:
    """The counts of one stage so far; read it while the run goes on.

    Attributes:
        records_in: Records the stage has taken.
        records_passed: Records that came through.
        records_filtered: Records that it dropped on purpose.
        records_failed: Records that failed.
        duration_ms: Time spent in the stage: busy, its own waiting for answers included.
        waiting_ms: Time in which it had nothing to do: it waited for its input.
        blocked_ms: Time in which it could not hand on its output, because the stages after it were not ready.
        retry_ms: The part of ``duration_ms`` that went into waiting before, and making, second and later attempts.
        throttle_ms: The part of ``duration_ms`` that a rate limit held it up.
        queue_depth: The most chunks that waited before it at a time.
        done: Whether the stage has ended.
        idle: What it waits for at this moment: ``"input"``, ``"output"`` (until what it gives is taken), or nothing, as
            far as that is known.
        position: Where in its place a source has read up to.
    """

    records_in: int = 0
    records_passed: int = 0
    records_filtered: int = 0
    records_failed: int = 0
    duration_ms: float = 0.0
    waiting_ms: float = 0.0
    blocked_ms: float = 0.0
    retry_ms: float = 0.0
    throttle_ms: float = 0.0
    queue_depth: int = 0
    done: bool = False
    idle: str = field(default="", compare=False, repr=False)
    position: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)


if TYPE_CHECKING:

    class Observed(Protocol):
        """Who observes a run, as the engine sees it."""

        def around_stage(self, stage: str) -> AbstractContextManager[object]: ...
        def around_chunk(self, stages: Sequence[str], records: int | None) -> AbstractContextManager[object]: ...
        def stage_completed(self, stage: str) -> None: ...
        def for_workers(self, stages: Sequence[str]) -> tuple[bytes, ...]: ...

    class Loop(Protocol):
        """A loop that several stages share."""

        def stage_at(self, line: int) -> str: ...


class PipelineContext:
    """The state of one run, handed to every stage and hook; mutable by design.

    Every ``execute`` makes a fresh one. Make your own to unit-test a stage, or to start a run with metadata.

    Args:
        pipeline_id: The run's identity; unique by default.
        metadata: Values that stages share; the mapping given is used, not copied.

    Attributes:
        pipeline_id: The run's identity.
        started_at: When the context was made, aware, in UTC.
        metadata: A dictionary through which stages tell later ones something.
        errors: Everything that went wrong, in the order it happened.
        completed_stages: The names of the stages that have completed, in order.
        current_stage: The name of the stage that is running, ``None`` before the first; of stages that run in one loop,
            the first of them.
        progress: The live counts of each stage that has begun, by name.

    Example:
        >>> context = PipelineContext(metadata={"currency": "EUR"})
        >>> context.metadata["currency"], context.errors, context.completed_stages
        ('EUR', [], [])
    """

    __slots__ = (
        "_finished",
        "_path",
        "_started",
        "chunk_start",
        "completed_stages",
        "current_stage",
        "errors",
        "loop",
        "metadata",
        "observed",
        "pipeline_id",
        "progress",
        "reject_limit",
        "secrets",
        "started_at",
    )

    def __init__(self, pipeline_id: str | None = None, *, metadata: dict[str, Any] | None = None) -> None:
        self.pipeline_id: str = new_id() if pipeline_id is None else pipeline_id
        self.started_at: datetime = _now()
        self.metadata: dict[str, Any] = {} if metadata is None else metadata
        self.errors: list[StageError] = []
        self.completed_stages: list[str] = []
        self.current_stage: str | None = None
        self.progress: dict[str, StageProgress] = {}
        self.chunk_start: int = 0
        """Position, in the stage's whole input, of the first record it was handed: not 0 when it is fed in chunks."""
        self.reject_limit: RejectLimit | None = None
        """How many records may be rejected, if the run was given a limit."""
        self.secrets: Secrets | None = None
        """What is to be left out of what is recorded of failed records."""
        self.loop: Loop | None = None
        """The loop that was begun last, for who is called from its text and asks which stage that is."""
        self.observed: Observed | None = None
        """Who observes the run, if anybody does."""
        self._path: str = ""
        self._started: float = perf_counter()
        self._finished: float | None = None

    def __repr__(self) -> str:
        return (
            f"PipelineContext(pipeline_id={self.pipeline_id!r}, current_stage={self.current_stage!r}, "
            f"completed_stages={self.completed_stages!r}, errors={len(self.errors)})"
        )

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the run began; stands still once it has ended."""
        return ((self._finished or perf_counter()) - self._started) * 1000

    @property
    def stage_path(self) -> str | None:
        """The running stage as errors name it: within a branch or a nested pipeline ``outer/inner``."""
        return None if self.current_stage is None else self.path_of(self.current_stage)

    def path_of(self, stage: str) -> str:
        """Name a stage as errors do: within a branch or a nested pipeline ``outer/inner``."""
        return self._path + stage

    def record_error(
        self,
        error: Exception,
        *,
        stage: str | None = None,
        record: Any = None,
        index: int | None = None,
        attempts: int = 1,
    ) -> StageError:
        """Add an error to ``errors``.

        Args:
            error: The exception.
            stage: The stage's name; the running stage by default.
            record: The record that failed, if one did.
            index: Its position in the data that the stage was handed, from 0.
            attempts: How many times the function was called for it.

        Returns:
            The entry that was added.

        Raises:
            RejectLimitError: If a record failed, and more are rejected now than the run allows. The one that goes over
                the limit is added; those that come up until the run has stopped are not.
        """
        name = stage if stage is not None else self.current_stage or ""
        position = None if index is None else self.chunk_start + index
        return self._add(StageError(self._path + name, error, record, position, attempts=attempts))

    def take_over(self, entries: Iterable[StageError]) -> None:
        """Add errors that were recorded apart, in a context that is thrown away.

        Raises:
            RejectLimitError: As ``record_error`` does.
        """
        for entry in entries:
            self._add(entry)

    def _add(self, entry: StageError) -> StageError:
        is_reject = entry.index is not None or entry.record is not None
        if is_reject:
            drop_own_frames(entry.error)
        if self.secrets is not None and is_reject:
            redacted = self.secrets.redact(entry.record, entry.error)
            if redacted is not None:
                entry = replace(entry, record=redacted[0], error=redacted[1], is_redacted=True)
        limit = self.reject_limit
        if limit is None or not is_reject:
            self.errors.append(entry)
            return entry
        limit.check_open()
        self.errors.append(entry)
        limit.count(entry.error, next(iter(self.progress.values())).records_in if self.progress else 0)
        return entry

    def add_time(self, *, retry_ms: float = 0.0, throttle_ms: float = 0.0) -> None:
        """Count time that the running stage spends on retries, or is held up by a rate limit, in milliseconds."""
        progress = self.progress.get(self.current_stage or "")
        if progress is not None:
            progress.retry_ms += retry_ms
            progress.throttle_ms += throttle_ms

    def mark_completed(self, name: str) -> None:
        """Note that the stage called ``name`` has completed. Saying so twice counts once."""
        if name not in self.completed_stages:
            self.completed_stages.append(name)

    def child(self, name: str, *, pipeline_id: str | None = None) -> PipelineContext:
        """Make the context of a part of this run: a branch, or a pipeline used as a stage.

        It shares ``metadata`` and ``errors``, and has its own progress and completed stages, so parts that run side by
        side do not mix them up. Names of stages in its errors begin with ``name/``.
        """
        child = PipelineContext(pipeline_id or self.pipeline_id, metadata=self.metadata)
        child.errors, child.reject_limit, child.secrets = self.errors, self.reject_limit, self.secrets
        child._path = f"{self._path}{name}/"
        return child

    def beside(self) -> PipelineContext:
        """Make the context of a stage that runs beside others of this run.

        It shares all but ``current_stage`` and ``chunk_start``, which say where the one stage is.
        """
        beside = copy(self)
        beside.current_stage, beside.chunk_start = None, 0
        return beside

    def begin(self) -> None:
        """Start the clock of ``elapsed_ms`` anew; ``Pipeline.execute`` does so."""
        self._started = perf_counter()
        self._finished = None

    def finish(self) -> None:
        """Stop the clock of ``elapsed_ms``; ``Pipeline.execute`` does so."""
        self._finished = perf_counter()


_current: ContextVar[PipelineContext] = ContextVar("mainstem_context")


def current_context() -> PipelineContext:
    """Return the context of the run that the calling stage function belongs to.

    Raises:
        NoCurrentContextError: If no stage is running.

    Example:
        >>> from mainstem import MapStage, Pipeline
        >>> def to_euro(cents: int) -> str:
        ...     return f"{cents / 100:.2f} {current_context().metadata['currency']}"
        >>> pipeline = Pipeline[list[int], list[str]]("prices").add_stage(MapStage(to_euro))
        >>> pipeline.run([250], context=PipelineContext(metadata={"currency": "EUR"})).data
        ['2.50 EUR']
    """
    try:
        return _current.get()
    except LookupError:
        raise NoCurrentContextError(
            "current_context() works inside functions that a running stage calls; outside, hand the context on yourself"
        ) from None


class context_of_run:  # noqa: N801 - used like a function
    """Make ``context`` the answer of ``current_context()`` within a ``with`` block."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: PipelineContext) -> None:
        self._context = context

    def __enter__(self) -> PipelineContext:
        # Stages do this for every chunk, mostly within a run that has done it already.
        self._token = None if _current.get(None) is self._context else _current.set(self._context)
        return self._context

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _current.reset(self._token)
