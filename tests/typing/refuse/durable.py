"""Wrong options of durable runs. Each refused line names the code of each checker."""

from __future__ import annotations

from pathlib import Path

from functions import increment

from mainstem import MapStage, Pipeline, PipelineResult, RunOptions
from mainstem.connect import PostgresSource
from mainstem.testing import survives_crashes

pipeline = Pipeline[list[int], list[int]]("numbers").add_stage(MapStage(increment))

pipeline.run([1], run_id=1)  # expect: arg-type, reportArgumentType
pipeline.run([1], run_id="a", commit_every=1.5)  # expect: arg-type, reportArgumentType
pipeline.run([1], run_id="a", guarantee="exactly once")  # expect: arg-type, reportArgumentType
pipeline.run([1], run_id="a", max_reject=1)  # expect: call-arg, reportCallIssue
pipeline.run([1], store=1)  # expect: arg-type, reportArgumentType
options: RunOptions = {"stroe": "x"}  # expect: typeddict-unknown-key, reportAssignmentType
PostgresSource("postgresql://x/y", "SELECT 1", key=1)  # expect: call-overload, reportArgumentType


def read(folder: Path) -> int:
    return 1


def make(folder: Path) -> Pipeline[list[int], list[int], list[int]]:
    return pipeline


survives_crashes(make, read)  # expect: arg-type, reportArgumentType
survives_crashes(make, lambda folder: [1], kills="many")  # expect: arg-type, reportArgumentType
wrong: PipelineResult[str] = pipeline.run([1], run_id="a")  # expect: assignment, reportAssignmentType
