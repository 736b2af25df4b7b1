"""What a pipeline will do, before it does it: a plan, which moves no record, and a preview of its first records."""

from __future__ import annotations

from mainstem.plan.data import Access, PipelinePlan, SinkPlan, SourcePlan
from mainstem.plan.planning import plan_pipeline
from mainstem.plan.preview import Preview, SinkPreview, preview

__all__ = [
    "Access",
    "PipelinePlan",
    "Preview",
    "SinkPlan",
    "SinkPreview",
    "SourcePlan",
    "plan_pipeline",
    "preview",
]
