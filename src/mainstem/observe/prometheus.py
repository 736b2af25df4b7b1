"""``PrometheusHook``: the metrics of runs for Prometheus to scrape, from an endpoint on loopback or the user's own."""

from __future__ import annotations

from importlib import import_module
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakKeyDictionary

from mainstem.errors import ConnectError, describe_error, missing_extra
from mainstem.observe.faults import Faults
from mainstem.run_observer import RunEnd, RunObserver, RunStart

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from mainstem.observe.run_collector import RunCollector

LOOPBACK = "127.0.0.1"
PORT = 9464
"""The port that OpenTelemetry's exporters for Prometheus use, too."""


class PrometheusHook:
    """Keeps the metrics of runs in a registry of ``prometheus_client``: ``mainstem[prometheus]``.

    By ``pipeline`` and ``stage``: the counters ``mainstem_records_in_total``, ``_out_total``, ``_filtered_total`` and
    ``_rejected_total``, and ``mainstem_busy_seconds_total``. By ``pipeline``: the gauge ``mainstem_runs_active``, and
    the histogram ``mainstem_run_duration_seconds`` by ``status`` too, whose ``_count`` is the number of runs that have
    ended. They are read when Prometheus asks, also in the middle of a run.

    Args:
        registry: Where they are kept; the library's global one by default, which an endpoint that is there may serve.

    Raises:
        MissingExtraError: If ``prometheus_client`` is not installed.

    Example:
        >>> from urllib.request import urlopen
        >>> from mainstem import Pipeline
        >>> hook = PrometheusHook()
        >>> pipeline = Pipeline[list[str], list[int]]("word lengths").map(len, name="len").add_hooks(hook)
        >>> with hook.serve(port=0) as endpoint:
        ...     lengths = pipeline.run(["one", "three"]).data
        ...     page = urlopen(endpoint.url).read().decode()
        >>> 'mainstem_records_in_total{pipeline="word lengths",stage="len"} 2.0' in page
        True
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        try:
            client = import_module("prometheus_client")
        except ImportError:
            raise missing_extra("PrometheusHook", "prometheus") from None
        self._registry: CollectorRegistry = client.REGISTRY if registry is None else registry
        self._collector = _collector_of(self._registry)
        self._faults = Faults("counting a run for Prometheus failed")

    def on_run(self, start: RunStart) -> RunObserver | None:
        """Begin to count a run; a pipeline's ``add_hooks`` has this called."""
        try:
            return _CountedRun(self._collector, start, self._faults)
        except Exception as error:
            self._faults.report(error)
            return None

    def serve(self, port: int = PORT, host: str = LOOPBACK) -> MetricsEndpoint:
        """Serve the registry at ``http://host:port/metrics``, from a thread, until the endpoint is closed.

        It asks for no password: give another ``host`` than loopback only where all who reach it may read the names of
        your pipelines and stages.

        Args:
            port: The port; 0 for any that is free.
            host: The address to listen on.

        Raises:
            ConnectError: If it cannot listen there.
        """
        return MetricsEndpoint(self._registry, port, host)


class MetricsEndpoint:
    """Serves metrics until it is closed: what ``PrometheusHook.serve`` returns.

    Args:
        registry: What is served.
        port: The port; 0 for any that is free.
        host: The address to listen on.

    Attributes:
        url: Where it is.

    Raises:
        ConnectError: If it cannot listen there.
    """

    def __init__(self, registry: CollectorRegistry, port: int, host: str) -> None:
        try:
            server, thread = import_module("prometheus_client").start_http_server(port, addr=host, registry=registry)
        except (OSError, OverflowError) as error:
            raise ConnectError(
                f"cannot serve metrics at {host}:{port}: {describe_error(error)}\nGive another port, or 0 for any"
            ) from error
        self._server: Any = server
        self._thread: Any = thread
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{server.server_address[1]}/metrics"

    def close(self) -> None:
        """Stop serving. Doing so twice is harmless."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _CountedRun(RunObserver):
    def __init__(self, collector: RunCollector, start: RunStart, faults: Faults) -> None:
        self._collector, self._start, self._faults = collector, start, faults
        collector.totals.begin(start)

    def failed(self, error: Exception) -> bool:
        self._faults.report(error)
        return True

    def end(self, end: RunEnd) -> None:
        self._collector.end(self._start, end)


_known: WeakKeyDictionary[CollectorRegistry, RunCollector] = WeakKeyDictionary()
_making = Lock()


def _collector_of(registry: CollectorRegistry) -> RunCollector:
    """Return what collects for a registry, the same for all hooks: it takes each name once."""
    from mainstem.observe.run_collector import RunCollector

    with _making:
        if registry not in _known:
            _known[registry] = RunCollector(registry)
        return _known[registry]
