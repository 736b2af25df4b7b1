"""Replays that were begun from the page: each in a thread, with an event loop and a store of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from threading import Lock, Thread
from typing import TYPE_CHECKING

import anyio
from anyio.from_thread import run_sync as run_in_loop
from anyio.lowlevel import current_token

from mainstem.durable.replay_options import ReplayReport
from mainstem.errors import RunActiveError, describe_error
from mainstem.store.model import RejectState, RunRecord
from mainstem.store.store import Store
from mainstem.web.code import PipelineCode

if TYPE_CHECKING:
    from anyio import CancelScope

logger = logging.getLogger("mainstem.web")

MOST = 2
"""Replays that go on at once: each takes a thread, and what its pipeline takes."""
_SECONDS_TO_END = 10.0


@dataclass(slots=True)
class ReplayJob:
    """A replay.

    Attributes:
        run: The run whose rejects are replayed.
        code: What its pipeline is called.
        began_at: When it began.
        ended_at: When it ended; ``None`` while it goes on.
        report: What it did.
        error: What made it fail.
    """

    run: int
    code: str
    began_at: datetime
    ended_at: datetime | None = None
    report: ReplayReport | None = None
    error: str | None = None


@dataclass(slots=True)
class _Running:
    job: ReplayJob
    thread: Thread
    cancel: Callable[[], None] | None = field(default=None)


class Replays:
    """The replays of a page.

    Args:
        open_store: Opens the store anew.
        secret_fields: Names of fields whose values are left out of what is kept of rejects.
    """

    def __init__(self, open_store: Callable[[], Store], secret_fields: Sequence[str] = ()) -> None:
        self._open_store, self._secret_fields = open_store, secret_fields
        self._lock = Lock()
        self._jobs: dict[int, ReplayJob] = {}
        self._running: dict[int, _Running] = {}

    def of(self, run: int) -> ReplayJob | None:
        """Return the last replay of a run's rejects that was begun here."""
        return self._jobs.get(run)

    def pulse_of(self, run: int) -> tuple[object, ...]:
        """Return what changes when something happens to the replay of a run."""
        job = self._jobs.get(run)
        return () if job is None else (job.began_at, job.ended_at)

    def start(self, record: RunRecord, code: PipelineCode, states: Sequence[RejectState]) -> ReplayJob:
        """Begin a replay.

        Raises:
            RunActiveError: If that of the run goes on already, or as many as there may be.
        """
        with self._lock:
            if record.run in self._running:
                raise RunActiveError(f"the rejects of run {record.run_id!r} are being replayed already: wait for it")
            if len(self._running) >= MOST:
                raise RunActiveError(f"{MOST} replays go on already: wait until one of them has ended")
            job = ReplayJob(record.run, str(code), datetime.now(timezone.utc))
            thread = Thread(
                target=self._replay, args=(job, record, code, states), name=f"mainstem replay of {record.run}"
            )
            self._jobs[record.run] = job
            self._running[record.run] = _Running(job, thread)
            thread.start()
        return job

    def close(self) -> None:
        """End those that go on; what they have committed is loaded, and the next replay goes on with the rest."""
        with self._lock:
            running = [*self._running.values()]
        for each in running:
            if each.cancel is not None:
                each.cancel()
        for each in running:
            each.thread.join(_SECONDS_TO_END)

    def _replay(self, job: ReplayJob, record: RunRecord, code: PipelineCode, states: Sequence[RejectState]) -> None:
        try:
            job.report = anyio.run(self._run, record, code, states)
            if job.report is None:
                job.error = "it was ended with the page: what was committed is loaded, and a replay goes on with it"
        except Exception as error:  # the pipeline's code may raise anything
            logger.warning("the replay of run %s failed: %s", record.run_id, describe_error(error))
            job.error = describe_error(error)
        except BaseException as error:
            job.error = describe_error(error)
            raise
        finally:
            job.ended_at = datetime.now(timezone.utc)
            with self._lock:
                self._running.pop(record.run, None)

    async def _run(self, record: RunRecord, code: PipelineCode, states: Sequence[RejectState]) -> ReplayReport | None:
        from mainstem.durable.replay import replay_rejects  # late: it takes the engine

        with anyio.CancelScope() as scope:
            self._running[record.run].cancel = _canceller(scope)
            store = self._open_store()
            try:
                pipeline = await code.pipeline_of(record)
                return await replay_rejects(
                    store, pipeline, record.run_id, states=states, secret_fields=self._secret_fields
                )
            finally:
                store.close()
        return None


def _canceller(scope: CancelScope) -> Callable[[], None]:
    token = current_token()

    def cancel() -> None:
        try:
            run_in_loop(scope.cancel, token=token)
        except RuntimeError:  # its loop has just ended
            logger.debug("a replay ended by itself")

    return cancel
