"""mainstem: composable, type-safe data pipelines."""

from __future__ import annotations

from mainstem.context import PipelineContext, StageError, StageProgress, current_context
from mainstem.endpoints import (
    Guarantee,
    LoadReport,
    Position,
    SinkStage,
    SinkTransaction,
    SourceChunk,
    SourceStage,
)
from mainstem.errors import (
    BlockingCallError,
    BranchError,
    ConnectError,
    MainstemError,
    MissingExtraError,
    NoCurrentContextError,
    ObserverError,
    StageContractError,
    StageFailedError,
    StageTypeError,
    StopPipeline,
    ValidationError,
)
from mainstem.etl import create_etl_pipeline
from mainstem.events import Event, EventBus, EventType, Subscription, default_event_bus
from mainstem.pipeline import Pipeline
from mainstem.result import CompositeResult, PipelineResult, StageResult
from mainstem.stage import (
    ChainedStage,
    GroupingStage,
    PipelineStage,
    RecordsStage,
    StageKind,
    UnchangedStage,
    UngroupingStage,
)
from mainstem.stages.aggregate import AggregateStage
from mainstem.stages.batch import BatchStage
from mainstem.stages.branch import BranchStage, FanOutStage, fan_out
from mainstem.stages.combiner import Combiner, Count, Distinct, GroupBy, Max, Mean, Min, Sum, TopK
from mainstem.stages.filter import FilterStage
from mainstem.stages.flatten import FlattenStage
from mainstem.stages.map import MapStage
from mainstem.stages.validate import ValidateStage
from mainstem.stages.validate_records import ValidateRecordsStage

__version__ = "0.1.0"

__all__ = [
    "AggregateStage",
    "BatchStage",
    "BlockingCallError",
    "BranchError",
    "BranchStage",
    "ChainedStage",
    "Combiner",
    "CompositeResult",
    "ConnectError",
    "Count",
    "Distinct",
    "Event",
    "EventBus",
    "EventType",
    "FanOutStage",
    "FilterStage",
    "FlattenStage",
    "GroupBy",
    "GroupingStage",
    "Guarantee",
    "LoadReport",
    "MainstemError",
    "MapStage",
    "Max",
    "Mean",
    "Min",
    "MissingExtraError",
    "NoCurrentContextError",
    "ObserverError",
    "Pipeline",
    "PipelineContext",
    "PipelineResult",
    "PipelineStage",
    "Position",
    "RecordsStage",
    "SinkStage",
    "SinkTransaction",
    "SourceChunk",
    "SourceStage",
    "StageContractError",
    "StageError",
    "StageFailedError",
    "StageKind",
    "StageProgress",
    "StageResult",
    "StageTypeError",
    "StopPipeline",
    "Subscription",
    "Sum",
    "TopK",
    "UnchangedStage",
    "UngroupingStage",
    "ValidateRecordsStage",
    "ValidateStage",
    "ValidationError",
    "__version__",
    "create_etl_pipeline",
    "current_context",
    "default_event_bus",
    "fan_out",
]
