"""mainstem: composable, type-safe data pipelines."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mainstem.context import PipelineContext, StageError, StageProgress, current_context
from mainstem.endpoints import (
    Claim,
    Guarantee,
    LoadReport,
    Position,
    SinkStage,
    SinkTransaction,
    SourceChunk,
    SourceStage,
)
from mainstem.errors import (
    AccountingError,
    BlockingCallError,
    BranchError,
    ConnectError,
    ConnectionLostError,
    GuaranteeError,
    LateRecordError,
    LeaseLostError,
    MainstemError,
    MissingExtraError,
    NoCurrentContextError,
    NotEncodableError,
    NotSendableError,
    ObserverError,
    PipelineChangedError,
    RedactedError,
    RejectError,
    RejectLimitError,
    RunActiveError,
    RunCompletedError,
    RunError,
    SourceChangedError,
    StageContractError,
    StageFailedError,
    StageTypeError,
    StopPipeline,
    StoreError,
    StreamClosedError,
    TraceError,
    UnboundedStageError,
    ValidationError,
    WorkerDiedError,
    WorkerFunctionError,
)
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
from mainstem.stage_timing import StageTiming
from mainstem.stages.aggregate import AggregateStage
from mainstem.stages.batch import BatchStage
from mainstem.stages.combiner import Combiner, Count, Distinct, GroupBy, Max, Mean, Min, Sum, TopK
from mainstem.stages.filter import FilterStage
from mainstem.stages.flatten import FlattenStage
from mainstem.stages.limit import LimitStage
from mainstem.stages.map import MapStage
from mainstem.stages.tap import TapStage
from mainstem.stages.validate import ValidateStage
from mainstem.streaming import PipelineStream
from mainstem.workers import Workers

if TYPE_CHECKING:
    from mainstem.accounting import Accounting
    from mainstem.attribution import Bottleneck, Remedy
    from mainstem.durable.ledger import RejectLedger
    from mainstem.durable.options import RunOptions
    from mainstem.durable.why import RecordFate, RecordStep, RecordTrace, explain_record
    from mainstem.etl import create_etl_pipeline
    from mainstem.retry import RetryPolicy
    from mainstem.run_times import RunPart, RunTimes
    from mainstem.secrets import Secret
    from mainstem.stages.branch import BranchStage, FanOutStage, fan_out
    from mainstem.stages.dedupe import DedupeStage
    from mainstem.stages.join import JoinStage
    from mainstem.stages.keyed import KeyedStage
    from mainstem.stages.split import SplitStage
    from mainstem.stages.throttle import ThrottleStage
    from mainstem.stages.validate_records import ValidateRecordsStage
    from mainstem.stages.window import WindowStage
    from mainstem.stages.windows.kinds import SessionWindow, SlidingWindow, TumblingWindow, Window, WindowKind
    from mainstem.store.open import open_store
    from mainstem.store.store import Store

__version__ = "0.1.0"

_LATE = {
    "accounting": ("Accounting",),
    "attribution": (
        "Bottleneck",
        "Remedy",
    ),
    "durable.ledger": ("RejectLedger",),
    "durable.options": ("RunOptions",),
    "durable.why": ("RecordFate", "RecordStep", "RecordTrace", "explain_record"),
    "etl": ("create_etl_pipeline",),
    "retry": ("RetryPolicy",),
    "run_times": (
        "RunPart",
        "RunTimes",
    ),
    "secrets": ("Secret",),
    "stages.branch": ("BranchStage", "FanOutStage", "fan_out"),
    "stages.dedupe": ("DedupeStage",),
    "stages.join": ("JoinStage",),
    "stages.keyed": ("KeyedStage",),
    "stages.split": ("SplitStage",),
    "stages.throttle": ("ThrottleStage",),
    "stages.validate_records": ("ValidateRecordsStage",),
    "stages.window": ("WindowStage",),
    "stages.windows.kinds": (
        "SessionWindow",
        "SlidingWindow",
        "TumblingWindow",
        "Window",
        "WindowKind",
    ),
    "store.open": ("open_store",),
    "store.store": ("Store",),
}
"""Modules that not every program needs, with the names in them: they are imported when one is asked for."""

__all__ = [
    "Accounting",
    "AccountingError",
    "AggregateStage",
    "BatchStage",
    "BlockingCallError",
    "Bottleneck",
    "BranchError",
    "BranchStage",
    "ChainedStage",
    "Claim",
    "Combiner",
    "CompositeResult",
    "ConnectError",
    "ConnectionLostError",
    "Count",
    "DedupeStage",
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
    "GuaranteeError",
    "JoinStage",
    "KeyedStage",
    "LateRecordError",
    "LeaseLostError",
    "LimitStage",
    "LoadReport",
    "MainstemError",
    "MapStage",
    "Max",
    "Mean",
    "Min",
    "MissingExtraError",
    "NoCurrentContextError",
    "NotEncodableError",
    "NotSendableError",
    "ObserverError",
    "Pipeline",
    "PipelineChangedError",
    "PipelineContext",
    "PipelineResult",
    "PipelineStage",
    "PipelineStream",
    "Position",
    "RecordFate",
    "RecordStep",
    "RecordTrace",
    "RecordsStage",
    "RedactedError",
    "RejectError",
    "RejectLedger",
    "RejectLimitError",
    "Remedy",
    "RetryPolicy",
    "RunActiveError",
    "RunCompletedError",
    "RunError",
    "RunOptions",
    "RunPart",
    "RunTimes",
    "Secret",
    "SessionWindow",
    "SinkStage",
    "SinkTransaction",
    "SlidingWindow",
    "SourceChangedError",
    "SourceChunk",
    "SourceStage",
    "SplitStage",
    "StageContractError",
    "StageError",
    "StageFailedError",
    "StageKind",
    "StageProgress",
    "StageResult",
    "StageTiming",
    "StageTypeError",
    "StopPipeline",
    "Store",
    "StoreError",
    "StreamClosedError",
    "Subscription",
    "Sum",
    "TapStage",
    "ThrottleStage",
    "TopK",
    "TraceError",
    "TumblingWindow",
    "UnboundedStageError",
    "UnchangedStage",
    "UngroupingStage",
    "ValidateRecordsStage",
    "ValidateStage",
    "ValidationError",
    "Window",
    "WindowKind",
    "WindowStage",
    "WorkerDiedError",
    "WorkerFunctionError",
    "Workers",
    "__version__",
    "create_etl_pipeline",
    "current_context",
    "default_event_bus",
    "explain_record",
    "fan_out",
    "open_store",
]


def __getattr__(name: str) -> Any:
    for module, names in _LATE.items():
        if name in names:
            value = getattr(import_module(f"mainstem.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'mainstem' has no attribute {name!r}")
