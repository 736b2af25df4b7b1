"""``OpenLineageHook``: which datasets runs read and wrote, for Marquez, DataHub and what else takes OpenLineage."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mainstem.datasets import Dataset
from mainstem.errors import missing_extra
from mainstem.observe.faults import Faults
from mainstem.observe.sender import LAST_SECONDS, Sender
from mainstem.run_observer import RunEnd, RunObserver, RunStart

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient


class OpenLineageHook:
    """Sends OpenLineage's events of each run: START, and COMPLETE, FAIL or ABORT: ``mainstem[openlineage]``.

    The job is the pipeline, in ``namespace``. Inputs and outputs are the datasets of its sources and sinks, those
    within branches included: files, tables, web services and topics are named by OpenLineage's rules, without secrets.
    Which tables a query reads, or where a broker object points, is not known here: say it with ``datasets``.

    A dataset comes with its schema, where a record type says what it is. At the end an input has its row count, and as
    data quality for each stage whether it rejected a record; an output of a run that completed has the count of rows
    written. A run that failed has its error, without what the run knows to be secret. Events are sent from a thread: a
    receiver that is down or slow is logged once, and neither fails a run nor holds it up. When the program ends it
    waits for a few seconds for the last events.

    Args:
        client: What sends; by default OpenLineage's client, set up by its own variables of the environment
            (``OPENLINEAGE_URL``) or its file (``openlineage.yml``).
        namespace: The namespace of jobs; by default what ``OPENLINEAGE_NAMESPACE`` says, or ``default``.
        datasets: What sources read and sinks write, by the stages' names in reports (within a branch ``outer/inner``),
            in the place of what they say themselves.

    Raises:
        MissingExtraError: If ``openlineage-python`` is not installed.

    Example:
        >>> from openlineage.client import OpenLineageClient
        >>> from openlineage.client.transport.noop import NoopConfig, NoopTransport
        >>> from mainstem import Pipeline
        >>> hook = OpenLineageHook(OpenLineageClient(transport=NoopTransport(NoopConfig())), namespace="shop")
        >>> pipeline = Pipeline[list[str], list[int]]("lengths").map(len).add_hooks(hook)
        >>> pipeline.run(["one", "three"]).data
        [3, 5]
        >>> hook.flush()
        True
    """

    def __init__(
        self,
        client: OpenLineageClient | None = None,
        *,
        namespace: str | None = None,
        datasets: Mapping[str, Dataset | Sequence[Dataset]] | None = None,
    ) -> None:
        try:
            module = import_module("openlineage.client")
        except ImportError:
            raise missing_extra("OpenLineageHook", "openlineage") from None
        self._client: Any = module.OpenLineageClient() if client is None else client
        self._namespace = namespace or os.environ.get("OPENLINEAGE_NAMESPACE") or "default"
        self._datasets: dict[str, tuple[Dataset, ...]] = {
            stage: (given,) if isinstance(given, Dataset) else tuple(given) for stage, given in (datasets or {}).items()
        }
        self._faults = Faults("sending OpenLineage events failed")
        self._sender = Sender(self._faults)

    def on_run(self, start: RunStart) -> RunObserver | None:
        """Send the event of a run that begins; a pipeline's ``add_hooks`` has this called."""
        from mainstem.observe.lineage_events import RunEvents

        try:
            events = RunEvents(self._client, self._namespace, self._datasets, start)
            self._sender.send(events.begin(datetime.now(timezone.utc)))
            return _LineageRun(events, self._sender, self._faults)
        except Exception as error:
            self._faults.report(error)
            return None

    def flush(self, seconds: float = LAST_SECONDS) -> bool:
        """Wait until all events are sent, or given up, for at most so many seconds; say whether they are."""
        return self._sender.flush(seconds)


class _LineageRun(RunObserver):
    def __init__(self, events: Any, sender: Sender, faults: Faults) -> None:
        self._events, self._sender, self._faults = events, sender, faults

    def failed(self, error: Exception) -> bool:
        self._faults.report(error)
        return True

    def end(self, end: RunEnd) -> None:
        self._sender.send(self._events.end(datetime.now(timezone.utc), end))
