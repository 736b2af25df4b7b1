"""Frames in worker processes: they go there and back as frames, and the answer is that of a run without them."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from mainstem import Pipeline
from mainstem.frames import FrameAggregateStage, FrameCount, FrameStage, FrameSum, FrameValidateStage
from mainstem.workers import Workers

pytestmark = [pytest.mark.extras, pytest.mark.slow]

NUMBERS = pl.DataFrame({"n": range(200_000)})
TWO = Workers(2, always=True)


def checked() -> Any:
    pipeline: Any = Pipeline[Any, Any]("frames").add_stage(FrameStage(pl.col("n") * 2))
    return pipeline.add_stage(FrameValidateStage({"too large": pl.col("n") < 399_990}, continue_on_error=True))


def test_frames_come_back_as_frames() -> None:
    here, there = checked().run(NUMBERS), checked().run(NUMBERS, workers=TWO)
    assert there.data.equals(here.data)
    assert str(there.accounting) == str(here.accounting)
    assert [(each.index, each.record) for each in there.context.errors] == [
        (each.index, each.record) for each in here.context.errors
    ]
    assert all(part.notes == ("ran in 2 worker processes",) for part in there.stage_results.values())


def test_frames_are_aggregated_there() -> None:
    stage = FrameAggregateStage({"rows": FrameCount(), "sum": FrameSum(pl.col("n") / 10)})
    here = checked().add_stage(stage).run(NUMBERS)
    there = checked().add_stage(stage).run(NUMBERS, workers=TWO)
    assert there.data.rows() == here.data.rows()


def test_workers_by_number_are_worker_processes() -> None:
    result = checked().run(NUMBERS, workers=2)
    assert result.data.height == 199_995
    assert all("here" in str(part.notes) or "worker" in str(part.notes) for part in result.stage_results.values())
