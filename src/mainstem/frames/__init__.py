"""Stages of frames: whole columns at a time, in the same chain as stages of records. They need ``mainstem[frames]``."""

from __future__ import annotations

from mainstem.frames.dedupe import FrameDedupeStage
from mainstem.frames.frame_stage import FrameStage
from mainstem.frames.to_frames import ToFrames
from mainstem.frames.to_records import ToRecords
from mainstem.frames.validate import FrameValidateStage

__all__ = ["FrameDedupeStage", "FrameStage", "FrameValidateStage", "ToFrames", "ToRecords"]
