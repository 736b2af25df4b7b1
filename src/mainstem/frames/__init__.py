"""Stages of frames: whole columns at a time, in the same chain as stages of records. They need ``mainstem[frames]``."""

from __future__ import annotations

from mainstem.frames.aggregate import FrameAggregateStage
from mainstem.frames.combiner import FrameCombiner, FrameCount, FrameFirst, FrameLast, FrameMax, FrameMin
from mainstem.frames.dedupe import FrameDedupeStage
from mainstem.frames.frame_stage import FrameStage
from mainstem.frames.sums import FrameMean, FrameSum
from mainstem.frames.to_frames import ToFrames
from mainstem.frames.to_records import ToRecords
from mainstem.frames.top import FrameTopStage
from mainstem.frames.validate import FrameValidateStage

__all__ = [
    "FrameAggregateStage",
    "FrameCombiner",
    "FrameCount",
    "FrameDedupeStage",
    "FrameFirst",
    "FrameLast",
    "FrameMax",
    "FrameMean",
    "FrameMin",
    "FrameStage",
    "FrameSum",
    "FrameTopStage",
    "FrameValidateStage",
    "ToFrames",
    "ToRecords",
]
