"""The events of one run, as OpenLineage has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    data_quality_assertions_dataset,
    data_quality_metrics_input_dataset,
    error_message_run,
    input_statistics_input_dataset,
    job_type_job,
    output_statistics_output_dataset,
    processing_engine_run,
    schema_dataset,
)

from mainstem.datasets import Dataset
from mainstem.errors import describe_error
from mainstem.observe.run_endpoints import Endpoint, StageCounts, counts_of, endpoints_of
from mainstem.records import field_hints
from mainstem.run_observer import RunEnd, RunStart
from mainstem.secrets import redact_url
from mainstem.typecheck import show

_STATES = {"completed": RunState.COMPLETE, "failed": RunState.FAIL, "cancelled": RunState.ABORT}
_DEEPEST = 3
"""How deep the fields of fields are told."""


class RunEvents:
    """Makes the events of a run. What takes a while is done by the functions that it returns, wherever they are called.

    Args:
        client: What sends them.
        namespace: That of the job.
        datasets: What sources read and sinks write, in the place of what they say themselves.
        start: The run.
    """

    def __init__(
        self,
        client: OpenLineageClient,
        namespace: str,
        datasets: Mapping[str, tuple[Dataset, ...]],
        start: RunStart,
    ) -> None:
        self._client, self._start, self._datasets = client, start, datasets
        self._version = version("mainstem")
        self._producer = f"urn:mainstem:{self._version}"
        self._namespace = namespace
        self._run_id = run_id_of(start.context.pipeline_id)

    def begin(self, at: datetime) -> Callable[[], None]:
        """Return what sends the event of the beginning."""
        return lambda: self._send(RunState.START, at, None, {})

    def end(self, at: datetime, end: RunEnd) -> Callable[[], None]:
        """Return what sends the event of the end; it holds on to the counts, and not to the data."""
        counts = {} if end.result is None else counts_of(end.result.stage_results)
        error = None
        if end.error is not None and end.status == "failed":
            secrets, error = self._start.context.secrets, describe_error(end.error)
            error = redact_url(error if secrets is None else secrets.redact_text(error))
        state = _STATES[end.status]
        return lambda: self._send(state, at, error, counts)

    def _send(
        self, state: RunState, at: datetime, error: str | None, counts: Mapping[tuple[str, ...], StageCounts]
    ) -> None:
        endpoints = endpoints_of(self._start, self._datasets)
        rejects = {path[0]: each.failed for path, each in counts.items() if len(path) == 1}
        inputs = [
            self._input(endpoint, dataset, counts.get(endpoint.path), rejects)
            for endpoint in endpoints
            if not endpoint.is_output
            for dataset in endpoint.datasets
        ]
        outputs = [
            self._output(endpoint, dataset, counts.get(endpoint.path) if state is RunState.COMPLETE else None)
            for endpoint in endpoints
            if endpoint.is_output
            for dataset in endpoint.datasets
        ]
        self._client.emit(
            RunEvent(
                eventTime=at.isoformat(),
                producer=self._producer,
                eventType=state,
                run=Run(runId=str(self._run_id), facets=self._run_facets(error)),
                job=Job(namespace=self._namespace, name=self._start.pipeline, facets=self._job_facets()),
                inputs=inputs,
                outputs=outputs,
            )
        )

    def _facet(self, kind: Any, **values: Any) -> Any:
        return kind(producer=self._producer, **values)

    def _run_facets(self, error: str | None) -> dict[str, Any]:
        facets: dict[str, Any] = {
            "processing_engine": self._facet(
                processing_engine_run.ProcessingEngineRunFacet,
                version=self._version,
                name="mainstem",
                openlineageAdapterVersion=self._version,
            )
        }
        if error is not None:
            facets["errorMessage"] = self._facet(
                error_message_run.ErrorMessageRunFacet, message=error, programmingLanguage="PYTHON"
            )
        return facets

    def _job_facets(self) -> dict[str, Any]:
        kind = "STREAMING" if self._start.streams else "BATCH"
        return {
            "jobType": self._facet(
                job_type_job.JobTypeJobFacet, processingType=kind, integration="MAINSTEM", jobType="PIPELINE"
            )
        }

    def _facets(self, endpoint: Endpoint) -> dict[str, Any]:
        fields = _fields_of(endpoint.record, 0)
        if not fields:
            return {}
        return {"schema": self._facet(schema_dataset.SchemaDatasetFacet, fields=fields)}

    def _input(
        self, endpoint: Endpoint, dataset: Dataset, counts: StageCounts | None, rejects: Mapping[str, int]
    ) -> InputDataset:
        facets: dict[str, Any] = {}
        if rejects:
            facets["dataQualityAssertions"] = self._facet(
                data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet,
                assertions=[
                    data_quality_assertions_dataset.Assertion(
                        assertion=f"stage {name!r} rejects no record", success=not failed
                    )
                    for name, failed in rejects.items()
                ],
            )
        if counts is not None and len(endpoint.datasets) == 1:  # of several it is not known which had how many
            rows = counts.passed + counts.failed
            facets["inputStatistics"] = self._facet(
                input_statistics_input_dataset.InputStatisticsInputDatasetFacet, rowCount=rows
            )
            facets["dataQualityMetrics"] = self._facet(
                data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet, columnMetrics={}, rowCount=rows
            )
        return InputDataset(
            namespace=dataset.namespace, name=dataset.name, facets=self._facets(endpoint), inputFacets=facets
        )

    def _output(self, endpoint: Endpoint, dataset: Dataset, counts: StageCounts | None) -> OutputDataset:
        facets: dict[str, Any] = {}
        if counts is not None and len(endpoint.datasets) == 1:
            facets["outputStatistics"] = self._facet(
                output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet, rowCount=counts.passed
            )
        return OutputDataset(
            namespace=dataset.namespace, name=dataset.name, facets=self._facets(endpoint), outputFacets=facets
        )


def run_id_of(pipeline_id: str) -> UUID:
    """Return a run's identity as a UUID, which OpenLineage asks for: itself, or what follows from it."""
    try:
        return UUID(pipeline_id)
    except ValueError:
        return uuid5(NAMESPACE_URL, f"mainstem:{pipeline_id}")


def _fields_of(record: Any, depth: int) -> list[schema_dataset.SchemaDatasetFacetFields]:
    """Return the fields of a record type as a schema has them; none, if it is no record type."""
    hints = field_hints(record) if isinstance(record, type) and depth < _DEEPEST else None
    return [
        schema_dataset.SchemaDatasetFacetFields(name=name, type=show(hint), fields=_fields_of(hint, depth + 1))
        for name, hint in (hints or {}).items()
    ]
