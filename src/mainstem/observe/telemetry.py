"""``OpenTelemetryHook``: runs as traces and metrics of OpenTelemetry, with the user's own SDK and exporters."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from mainstem.errors import missing_extra
from mainstem.observe.faults import Faults
from mainstem.run_observer import RunObserver, RunStart

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

CHUNK_INTERVAL = 1.0
"""Seconds from one span of a chunk to the next of the same stage, at least, where nobody says otherwise."""


class OpenTelemetryHook:
    """Makes a span for each run and each of its stages, and for some chunks, and metrics: ``mainstem[otel]``.

    It speaks to OpenTelemetry's API only. Without an SDK nothing comes of it; with one, sampling and exporters are the
    SDK's: set it up with exporters that batch, for one that sends at once holds the run up.

    The span of a run is a child of the span that is current when the run begins. While a stage works on a chunk, its
    span is current, so that what its functions do (a request of an instrumented client, say) comes below it. Stages
    that share a loop have the run's there. Some chunks have a span, one in ``chunk_interval`` seconds: of a stage, or
    of the stages that share a loop. A stage whose async calls overlap from one chunk to the next has none of chunks.

    Context is carried into worker processes and Ray tasks, where pieces of work have spans in the same way. A worker is
    another process, which has an SDK only if something sets one up there: ``in_workers``.

    Metrics, by ``mainstem.pipeline`` and ``mainstem.stage``: ``mainstem.records.in``, ``.out``, ``.filtered`` and
    ``.rejected``, and ``mainstem.stage.busy_time`` in seconds. By pipeline: ``mainstem.runs.active``, and
    ``mainstem.run.duration`` in seconds with ``mainstem.status``. They are read when the SDK collects them, also in the
    middle of a run. Records themselves are in none of this, and what a run knows to be secret is left out of errors.

    Args:
        tracer_provider: Where spans go; the global one by default.
        meter_provider: Where metrics go; the global one by default.
        chunk_interval: Seconds from one span of a chunk to the next of the same stages, at least: 0 for a span for
            every chunk, ``math.inf`` for none.
        in_workers: Called once in each worker process, before its first piece: to set up an SDK there.

    Raises:
        MissingExtraError: If OpenTelemetry's API is not installed.
        TypeError: If ``in_workers`` cannot be called.
        ValueError: If ``chunk_interval`` is negative.

    Example:
        >>> from mainstem import Pipeline
        >>> pipeline = Pipeline[list[str], list[int]]("lengths").map(len).add_hooks(OpenTelemetryHook())
        >>> pipeline.run(["one", "three"]).data
        [3, 5]
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        chunk_interval: float = CHUNK_INTERVAL,
        in_workers: Callable[[], object] | None = None,
    ) -> None:
        if not chunk_interval >= 0:
            raise ValueError(f"chunk_interval must be a number of seconds that is not negative, not {chunk_interval!r}")
        if in_workers is not None and not callable(in_workers):
            raise TypeError(f"in_workers takes a function, and {in_workers!r} cannot be called")
        try:
            import_module("opentelemetry.trace")
        except ImportError:
            raise missing_extra("OpenTelemetryHook", "otel") from None
        from mainstem.observe.metrics import metrics_to
        from mainstem.observe.spans import tracer_of

        self._tracer = tracer_of(tracer_provider)
        self._metrics = metrics_to(meter_provider)
        self._chunk_interval, self._in_workers = chunk_interval, in_workers
        self._faults = Faults("telling OpenTelemetry of a run failed")

    def on_run(self, start: RunStart) -> RunObserver | None:
        """Begin the span of a run; a pipeline's ``add_hooks`` has this called."""
        from mainstem.observe.spans import ObservedSpans

        try:
            return ObservedSpans(
                self._tracer, start, self._metrics, self._faults, self._chunk_interval, self._in_workers
            )
        except Exception as error:
            self._faults.report(error)
            return None
