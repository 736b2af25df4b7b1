"""Metrics of runs, as OpenTelemetry's SDK collects them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.runs import pipeline_of

from mainstem import FilterStage, MapStage
from mainstem.connect import CsvSink, CsvSource
from mainstem.observe import OpenTelemetryHook

pytestmark = [pytest.mark.extras, pytest.mark.anyio]


def invert(number: int) -> float:
    return 1 / number


def is_small(number: float) -> bool:
    return number < 0.4


def pipeline(name: str = "numbers") -> Any:
    return pipeline_of(MapStage(invert, continue_on_error=True), FilterStage(is_small), name=name)


async def test_records_are_counted_by_stage_and_runs_add_up(make_sdk: Callable[..., Any]) -> None:
    sdk = make_sdk()
    made = pipeline().add_hooks(sdk.hook)
    for _ in range(2):
        await made.execute([0, 1, 2, 3, 4])
    stages = [("numbers", "MapStage"), ("numbers", "FilterStage")]
    assert [sdk.points("mainstem.records.in")[key] for key in stages] == [10, 8]
    assert [sdk.points("mainstem.records.out")[key] for key in stages] == [8, 4]
    assert [sdk.points("mainstem.records.filtered")[key] for key in stages] == [0, 4]
    assert [sdk.points("mainstem.records.rejected")[key] for key in stages] == [2, 0]
    assert all(sdk.points("mainstem.stage.busy_time")[key] > 0 for key in stages)


async def test_they_are_read_while_a_run_goes_on(make_sdk: Callable[..., Any]) -> None:
    sdk = make_sdk()
    made = pipeline_of(MapStage(invert), name="live").add_hooks(sdk.hook)
    async with made.stream(range(1, 101), chunk_size=10) as chunks:
        await anext(chunks)
        in_the_middle = sdk.points("mainstem.records.in")[("live", "MapStage")]
        assert sdk.points("mainstem.runs.active") == {("live",): 1}
        async for _ in chunks:
            pass
    assert 10 <= in_the_middle < 100
    assert sdk.points("mainstem.records.in")[("live", "MapStage")] == 100
    assert sdk.points("mainstem.runs.active") == {("live",): 0}


async def test_runs_are_counted_with_their_durations_by_how_they_ended(make_sdk: Callable[..., Any]) -> None:
    sdk = make_sdk()
    made = pipeline_of(MapStage(invert), name="p").add_hooks(sdk.hook)
    await made.execute([1])
    await made.execute([2])
    await made.execute([0])
    points = sdk.points("mainstem.run.duration")
    assert {key: point.count for key, point in points.items()} == {("p", "completed"): 2, ("p", "failed"): 1}
    assert 0 < points[("p", "completed")].sum < 10  # seconds
    assert points[("p", "completed")].explicit_bounds[0] == 0.005


async def test_hooks_of_one_provider_share_their_instruments(make_sdk: Callable[..., Any]) -> None:
    sdk = make_sdk()
    other = OpenTelemetryHook(tracer_provider=sdk.spans, meter_provider=sdk.metrics)
    await pipeline("one").add_hooks(sdk.hook).execute([1])
    await pipeline("two").add_hooks(other).execute([1, 2])
    points = sdk.points("mainstem.records.in")
    assert (points[("one", "MapStage")], points[("two", "MapStage")]) == (1, 2)


def write_numbers(file: Path, count: int) -> None:
    file.write_text("n\n" + "".join(f"{number}\n" for number in range(count)))


async def test_of_a_durable_run_that_is_gone_on_with_only_what_is_new_is_counted(
    make_sdk: Callable[..., Any], tmp_path: Path
) -> None:
    write_numbers(tmp_path / "in.csv", 20)
    sdk, breaks = make_sdk(), [True]

    def check(row: dict[str, str]) -> dict[str, str]:
        if row["n"] == "15" and breaks:
            raise ValueError("not today")
        return row

    made = pipeline_of(
        CsvSource(tmp_path / "in.csv"), MapStage(check, name="check"), CsvSink(tmp_path / "out.csv"), name="p"
    )
    made.add_hooks(sdk.hook)
    options = {"store": tmp_path / "runs.db", "run_id": "r", "commit_every": 5}
    assert not (await made.execute(**options)).success
    before = sdk.points("mainstem.records.in")[("p", "check")]
    breaks.clear()
    result = await made.execute(**options)
    assert result.success
    assert result.records_in == 20
    assert before == 16
    after = sdk.points("mainstem.records.in")[("p", "check")]
    assert after == before + 5  # those of the batch that was not committed, and no more


async def test_a_run_that_is_cancelled_is_no_longer_active(make_sdk: Callable[..., Any]) -> None:
    async def hang(number: int) -> int:
        await anyio.sleep_forever()
        return number

    sdk = make_sdk()
    with anyio.move_on_after(0.05):
        await pipeline_of(MapStage(hang), name="p").add_hooks(sdk.hook).execute([1])
    assert sdk.points("mainstem.runs.active") == {("p",): 0}
    assert list(sdk.points("mainstem.run.duration")) == [("p", "cancelled")]
