"""The code of pipelines, which a page was given when it was started: no request ever names any."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

from mainstem.stage import PipelineStage
from mainstem.store.model import RunRecord


class RunnablePipeline(Protocol):
    """What a page needs of a pipeline."""

    @property
    def name(self) -> str: ...

    @property
    def stages(self) -> tuple[PipelineStage[Any, Any], ...]: ...


class PipelineCode(Protocol):
    """The code of a pipeline."""

    def __str__(self) -> str:
        """Return what it is called."""
        ...

    def serves(self, record: RunRecord) -> bool:
        """Say whether it is the code of a run."""
        ...

    async def pipeline_of(self, record: RunRecord) -> RunnablePipeline:
        """Return the pipeline of a run, made anew.

        Raises:
            Exception: What the code raises, or why it is not the run's.
        """
        ...


@dataclass(frozen=True, slots=True)
class GivenPipeline:
    """A pipeline that is there already.

    Args:
        pipeline: The pipeline.
    """

    pipeline: RunnablePipeline

    def __str__(self) -> str:
        return self.pipeline.name

    def serves(self, record: RunRecord) -> bool:
        return record.pipeline == self.pipeline.name

    async def pipeline_of(self, record: RunRecord) -> RunnablePipeline:
        return self.pipeline


def code_of(record: RunRecord, codes: Collection[PipelineCode]) -> PipelineCode | None:
    """Return the code of a run; ``None`` if none was given."""
    return next((each for each in codes if each.serves(record)), None)
