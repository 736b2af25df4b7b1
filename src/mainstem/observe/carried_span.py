"""The context of a trace on its way into a worker process or a Ray task, and the spans that are made there."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
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
        every: One piece in so many, in each worker, has a span; 0 for none.
        in_workers: Sets up an SDK in a worker process.
    """

    def __init__(self, carrier: Mapping[str, str], every: int, in_workers: Callable[[], object] | None) -> None:
        self._carrier, self._every, self._in_workers = carrier, every, in_workers
        self._pieces = 0

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
            number, self._pieces = self._pieces, self._pieces + 1
            if not self._every or number % self._every:
                yield
                return
            attributes: dict[str, Any] = {
                "mainstem.stages": tuple(stages),
                "mainstem.chunk": number,
                "mainstem.records": records,
            }
            tracer = get_tracer("mainstem", version("mainstem"))
            with tracer.start_as_current_span("piece", attributes=attributes, record_exception=False):
                yield
        finally:
            detach(token)
