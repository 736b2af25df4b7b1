"""The spans of one run: its own, one for each stage, and some for chunks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import version
from math import inf
from time import perf_counter, time_ns
from typing import Any

from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.propagate import inject
from opentelemetry.trace import Span, Status, StatusCode, Tracer, TracerProvider, get_tracer, set_span_in_context

from mainstem.context import StageProgress
from mainstem.errors import describe_error
from mainstem.observe.carried_span import CarriedSpan
from mainstem.observe.faults import Faults
from mainstem.observe.metrics import RunMetrics
from mainstem.observe.totals import figures_of
from mainstem.result import StageResult
from mainstem.run_observer import RunEnd, RunObserver, RunStart
from mainstem.secrets import redact_url


def tracer_of(provider: TracerProvider | None) -> Tracer:
    """Return mainstem's tracer of a provider, or of the global one."""
    return get_tracer("mainstem", version("mainstem"), provider)


class _Stage:
    """A stage that has begun."""

    __slots__ = ("context", "ended_at", "span")

    def __init__(self, span: Span, parent: Context) -> None:
        self.span, self.context = span, set_span_in_context(span, parent)
        self.ended_at: int | None = None


class ObservedSpans(RunObserver):
    """Makes the spans of a run, and has its figures counted.

    Args:
        tracer: What makes spans.
        start: The run.
        metrics: What counts.
        faults: Is told what goes wrong.
        chunk_interval: Seconds from one span of a chunk to the next.
        in_workers: Sets up an SDK in a worker process.
    """

    def __init__(
        self,
        tracer: Tracer,
        start: RunStart,
        metrics: RunMetrics,
        faults: Faults,
        chunk_interval: float,
        in_workers: Callable[[], object] | None,
    ) -> None:
        self._tracer, self._start, self._metrics, self._faults = tracer, start, metrics, faults
        self._interval, self._in_workers = chunk_interval, in_workers
        attributes: dict[str, Any] = {
            "mainstem.pipeline": start.pipeline,
            "mainstem.run.id": start.context.pipeline_id,
            "mainstem.streams": start.streams,
        }
        if start.run_id is not None:
            attributes["mainstem.durable_run.id"] = start.run_id
        self._span = tracer.start_span(f"run {start.pipeline}", attributes=attributes)
        self._context = set_span_in_context(self._span)
        self._has_spans = self._span.get_span_context().is_valid
        """Whether there is an SDK, or a caller's span whose context is to be carried on."""
        self._stages: dict[str, _Stage] = {}
        self._next_chunk: dict[Sequence[str], tuple[float, Context]] = {}
        """When the next chunk of some stages has a span, and what is current meanwhile."""
        if not self._span.is_recording():
            self._interval = inf
        metrics.totals.begin(start)

    def around_stage(self, stage: str) -> AbstractContextManager[object] | None:
        return _Current(self._stage(stage).context) if self._has_spans else None

    def around_chunk(self, stages: Sequence[str], records: int | None) -> AbstractContextManager[object] | None:
        if not self._has_spans:
            return None
        known = self._next_chunk.get(stages)
        now = perf_counter()
        if known is not None and now < known[0]:
            return _Current(known[1])
        context = self._parent_of(stages) if known is None else known[1]
        self._next_chunk[stages] = now + self._interval, context
        if self._interval == inf:
            return _Current(context)
        attributes: dict[str, Any] = {"mainstem.stages": tuple(stages)}
        if records is not None:
            attributes["mainstem.records"] = records
        return _CurrentSpan(self._tracer.start_span("chunk", context=context, attributes=attributes), context)

    def _parent_of(self, stages: Sequence[str]) -> Context:
        """Return the context of the one stage, or of the run, with the stages' spans begun."""
        known = [self._stage(name) for name in stages]
        return known[0].context if len(known) == 1 else self._context

    def _stage(self, name: str) -> _Stage:
        known = self._stages.get(name)
        if known is None:
            attributes = {"mainstem.pipeline": self._start.pipeline, "mainstem.stage": name}
            span = self._tracer.start_span(f"stage {name}", context=self._context, attributes=attributes)
            known = self._stages[name] = _Stage(span, self._context)
        return known

    def stage_completed(self, stage: str) -> None:
        if self._has_spans:
            self._stage(stage).ended_at = time_ns()

    def for_workers(self, stages: Sequence[str]) -> CarriedSpan | None:
        if not self._has_spans:
            return None
        carrier: dict[str, str] = {}
        inject(carrier, self._parent_of(stages))
        return CarriedSpan(carrier, self._interval, self._in_workers)

    def failed(self, error: Exception) -> bool:
        self._faults.report(error)
        return True

    def end(self, end: RunEnd) -> None:
        try:
            self._metrics.end(self._start, end)
        finally:
            self._end_spans(end)

    def _end_spans(self, end: RunEnd) -> None:
        context = self._start.context
        results: Mapping[str, StageResult[Any]] = {} if end.result is None else end.result.stage_results
        for name, stage in self._stages.items():
            progress = context.progress.get(name, StageProgress())
            stage.span.set_attributes(_attributes_of(progress))
            result = results.get(name)
            if result is not None and not result.success:
                self._fail(stage.span, result.error)
            stage.span.end(stage.ended_at)
        self._span.set_attribute("mainstem.status", end.status)
        if end.result is not None:
            self._span.set_attributes(
                {
                    "mainstem.records.in": end.result.records_in,
                    "mainstem.records.out": end.result.records_passed,
                    "mainstem.records.filtered": end.result.records_filtered,
                    "mainstem.records.rejected": end.result.records_failed,
                }
            )
        if end.status == "failed":
            self._fail(self._span, end.error)
        self._span.end()

    def _fail(self, span: Span, error: BaseException | None) -> None:
        """Note an error as OpenTelemetry's conventions have it, without its traceback, which may quote anything."""
        if error is None:
            span.set_status(Status(StatusCode.ERROR))
            return
        secrets = self._start.context.secrets
        text = describe_error(error)
        text = redact_url(text if secrets is None else secrets.redact_text(text))
        span.set_status(Status(StatusCode.ERROR, text))
        kind = type(error)
        span.add_event(
            "exception", {"exception.type": f"{kind.__module__}.{kind.__qualname__}", "exception.message": text}
        )


def _attributes_of(progress: StageProgress) -> dict[str, float]:
    figures = figures_of(progress)
    busy = figures.pop("busy_seconds")
    counts = {f"mainstem.{name.replace('_', '.')}": int(value) for name, value in figures.items()}
    return {**counts, "mainstem.stage.busy_time": busy}


class _Current:
    """Makes a context the current one."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._token = attach(self._context)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        # A coroutine that is dropped may be closed elsewhere, where another context is current.
        if kind is not GeneratorExit or get_current() is self._context:
            detach(self._token)


class _CurrentSpan(_Current):
    """Makes a span the current one, and ends it."""

    __slots__ = ("_span",)

    def __init__(self, span: Span, context: Context) -> None:
        super().__init__(set_span_in_context(span, context))
        self._span = span

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        super().__exit__(kind, error, trace)
        self._span.end()
