"""What a stage is, said in a way that type checkers understand of stages of unknown types."""

from __future__ import annotations

from typing import Any, TypeGuard

from mainstem.connect.table_sink import TableSink
from mainstem.endpoints import SinkStage, SourceStage
from mainstem.pipeline import Pipeline


def is_source(stage: object) -> TypeGuard[SourceStage[Any, Any]]:
    """Whether a stage is a source."""
    return isinstance(stage, SourceStage)


def is_sink(stage: object) -> TypeGuard[SinkStage[Any]]:
    """Whether a stage is a sink."""
    return isinstance(stage, SinkStage)


def is_table_sink(stage: object) -> TypeGuard[TableSink[Any]]:
    """Whether a stage is a sink into a table of a database."""
    return isinstance(stage, TableSink)


def is_pipeline(stage: object) -> TypeGuard[Pipeline[Any, Any, Any]]:
    """Whether a stage is a pipeline."""
    return isinstance(stage, Pipeline)
