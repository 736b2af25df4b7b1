"""The context of a trace on its way into a worker process or a Ray task, and the spans that are made there."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from math import inf
from time import perf_counter
from typing import Any

from opentelemetry.context import attach, detach
from opentelemetry.propagate import extract
from opentelemetry.trace import get_tracer

_set_up: set[str] = set()
"""What has been called in this process to set up an SDK."""


class CarriedSpan:
    """Observes the work of a worker: makes the span that it was sent with current, and some spans of pieces below it.

    Args:
        carrier: The span's context, as OpenTelemetry's propagators write it.
        interval: Seconds from one span of a piece to the next in the same worker, at least.
        in_workers: Sets up an SDK in a worker process.
    """

    def __init__(self, carrier: Mapping[str, str], interval: float, in_workers: Callable[[], object] | None) -> None:
        self._carrier, self._interval, self._in_workers = carrier, interval, in_workers
        self._next = -inf

    def __call__(self, stages: Sequence[str], records: int) -> AbstractContextManager[object]:
        if self._in_workers is not None:
            name = f"{self._in_workers.__module__}.{getattr(self._in_workers, '__qualname__', '')}"
            if name not in _set_up:
                _set_up.add(name)
                self._in_workers()
        return self._around(stages, records)

    @contextmanager
    def _around(self, stages: Sequence[str], records: int) -> Generator[None]:
        token = attach(extract(self._carrier))
        try:
            now = perf_counter()
            if now < self._next or self._interval == inf:
                yield
                return
            self._next = now + self._interval
            attributes: dict[str, Any] = {
                "mainstem.stages": tuple(stages),
                "mainstem.records": records,
            }
            tracer = get_tracer("mainstem", version("mainstem"))
            with tracer.start_as_current_span("piece", attributes=attributes, record_exception=False):
                yield
        finally:
            detach(token)
